package mailbox

import (
	"sync/atomic"
	"time"
)

// now returns the wall clock in Unix nanoseconds. It reads the monotonic clock
// only, which takes 34 ns instead of 55 (BenchmarkClock), and looks at the wall
// clock when it has not for a second: so late may a step of that clock be seen.
func now() int64 {
	mono := time.Since(started)
	r := lastReading.Load()
	if r == nil || mono < r.mono || mono > r.mono+time.Second {
		r = &clocks{time.Now().UnixNano(), mono}
		lastReading.Store(r)
	}
	return r.wall + int64(mono-r.mono)
}

// clocks is what two clocks showed at one moment.
type clocks struct {
	wall int64
	mono time.Duration
}

var (
	started     = time.Now()
	lastReading atomic.Pointer[clocks]
)
