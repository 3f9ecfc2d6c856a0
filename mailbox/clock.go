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
	s := lastSetting.Load()
	if s == nil || mono < s.at || mono > s.at+time.Second {
		s = setting()
		lastSetting.Store(s)
		mono = max(mono, s.at)
	}
	return s.ahead + int64(mono)
}

// setting compares the clocks.
func setting() *clockSetting {
	var s clockSetting
	for range 3 {
		t := time.Now() // reads the wall clock first: an interruption in between shows too little
		s.at = t.Sub(started)
		s.ahead = max(s.ahead, t.UnixNano()-int64(s.at))
	}
	return &s
}

type clockSetting struct {
	at    time.Duration // on the monotonic clock
	ahead int64         // the wall clock, of the monotonic one
}

var (
	started     = time.Now()
	lastSetting atomic.Pointer[clockSetting]
)
