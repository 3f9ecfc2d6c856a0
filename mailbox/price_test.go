package mailbox_test

import (
	"fmt"
	goruntime "runtime"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/troupe-go/troupe/mailbox"
)

// A segment is what publications cost, shared by all that are in it: itself,
// its slots, its marks.
func TestSuccessAllocatesOneSegmentForItsEvents(t *testing.T) {
	for _, over := range []mailbox.Overflow{mailbox.Block, mailbox.Reject, mailbox.Unbounded, mailbox.DropOldest, mailbox.DropNewest, mailbox.DeadLetter, mailbox.Latest} {
		for _, capacity := range []int{1, 100, 4096} {
			for _, cursors := range []int{1, 3} {
				t.Run(fmt.Sprintf("%v/%d/%d", over, capacity, cursors), func(t *testing.T) {
					log := mailbox.NewLog[event](nil)
					ctx := impatient()
					got := price(t, log, cursors, mailbox.CursorConfig[event]{Overflow: over, Capacity: capacity},
						func(ev event) error { return log.Append(ctx, ev) })
					if got > 3 {
						t.Errorf("%v allocations for %d events, want at most 3", got, mailbox.MaxSegment)
					}
				})
			}
		}
	}
}

// A publication with a Meta costs that, which is the caller's, and a share of
// its segment's table.
func TestMetaAllocatesOneTableForEachSegment(t *testing.T) {
	log := mailbox.NewLog[event](nil)
	ctx, meta := impatient(), &mailbox.Meta{}
	got := price(t, log, 1, mailbox.CursorConfig[event]{Capacity: 100}, func(ev event) error { return log.AppendMeta(ctx, ev, meta) })
	if got > 5 {
		t.Errorf("%v allocations for %d events, want at most 5", got, mailbox.MaxSegment)
	}
}

// price returns how often a segment's worth of events allocates from
// publication to the last cursor.
func price(t *testing.T, log *mailbox.Log[event], cursors int, cfg mailbox.CursorConfig[event], publish func(event) error) float64 {
	t.Helper()
	cfg.Overflowed = func(mailbox.Item[event]) {}
	rs := make([]*mailbox.Reader[event], cursors)
	for k := range rs {
		_, rs[k] = subscribe(t, log, cfg)
	}
	round := func() {
		for i := range mailbox.MaxSegment {
			if err := publish(event{ID: int64(i)}); err != nil {
				t.Fatal(err)
			}
			if (i+1)%min(cfg.Capacity, 256) > 0 && i+1 < mailbox.MaxSegment {
				continue
			}
			for _, r := range rs {
				for k := 1; ; k++ {
					if _, ok := r.Next(); !ok {
						break
					}
					if k%64 == 0 {
						r.Publish(true)
						r.Settle()
					}
				}
				r.Publish(false)
				r.Settle()
			}
		}
	}
	for range 4 {
		round() // up to segments and boxes of full size
	}
	return testing.AllocsPerRun(10, round)
}

func TestIdleMailboxHoldsNoGoroutine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mailbox.NewLog[event](nil)
		const n = 50
		actors := make([]*actor[event], n)
		for k := range actors {
			actors[k] = &actor[event]{stride: 8, handle: func(*mailbox.Reader[event], event) {}}
			if err := actors[k].start(log, mailbox.CursorConfig[event]{Overflow: mailbox.Overflow(k % 7), Capacity: 100,
				Overflowed: func(mailbox.Item[event]) {}}); err != nil {
				t.Fatal(err)
			}
		}
		for round := range 3 {
			for range 20 {
				publish(t, log, event{})
			}
			synctest.Wait()
			if got := running(); got != 0 {
				t.Errorf("round %d: %d goroutines, want none", round, got)
			}
		}
		for _, a := range actors {
			if over := a.cur.Overflow(); over != mailbox.Latest && a.taken.Load() != 60 {
				t.Errorf("%v: %d events taken, want 60", over, a.taken.Load())
			}
			a.leave()
			<-a.ended
		}
		synctest.Wait()
		if got := running(); got != 0 {
			t.Errorf("%d goroutines after all have left, want none", got)
		}
	})
}

// running returns how many goroutines are an actor's or inside this package.
func running() int {
	stacks := make([]byte, 1<<20)
	n := 0
	for g := range strings.SplitSeq(string(stacks[:goruntime.Stack(stacks, true)]), "\n\n") {
		if strings.Contains(g, ".(*actor[") || strings.Contains(g, "troupe/mailbox.(") {
			n++
		}
	}
	return n
}
