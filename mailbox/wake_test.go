package mailbox_test

import (
	goruntime "runtime"
	"sync/atomic"
	"testing"

	"github.com/troupe-go/troupe/mailbox"
)

// Every event finds the actor on its way to sleep, just asleep, or just awake.
func TestWakeUpIsNotLostWhileTheActorGoesToSleep(t *testing.T) {
	for _, over := range []mailbox.Overflow{mailbox.Block, mailbox.DropOldest} {
		t.Run(over.String(), func(t *testing.T) {
			log := mailbox.NewLog[int](nil)
			var seen atomic.Int64
			a := &actor[int]{stride: 1, handle: func(_ *mailbox.Reader[int], v int) { seen.Store(int64(v)) }}
			if err := a.start(log, mailbox.CursorConfig[int]{Overflow: over, Capacity: 1}); err != nil {
				t.Fatal(err)
			}
			watchdog(t, func() uint64 { return uint64(seen.Load()) }, a.String)
			var spun atomic.Int64
			for v := range 20000 {
				publish(t, log, v+1)
				for n := 0; seen.Load() <= int64(v); n++ {
					if n > 100 {
						goruntime.Gosched()
					}
				}
				for range v % 200 { // meet it at each step of its way
					spun.Add(1)
				}
				for a.cur.Len() > 0 { // taken, and room for the next
					goruntime.Gosched()
				}
			}
			a.leave()
			<-a.ended
		})
	}
}
