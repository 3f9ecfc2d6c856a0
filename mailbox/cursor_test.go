package mailbox_test

import (
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	goruntime "runtime"

	"github.com/troupe-go/troupe/mailbox"
)

func TestCursorReadsFromItsSubscriptionToItsEnd(t *testing.T) {
	for _, over := range []mailbox.Overflow{mailbox.Block, mailbox.Reject, mailbox.Unbounded, mailbox.DropOldest, mailbox.DropNewest, mailbox.DeadLetter} {
		t.Run(over.String(), func(t *testing.T) {
			log := mailbox.NewLog[int](nil)
			subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.Unbounded})
			publish(t, log, 1, 2)
			c, r := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: over, Capacity: 9})
			publish(t, log, 3, 4)
			c.Detach()
			c.Detach()
			publish(t, log, 5)
			if r.Drained() {
				t.Error("Drained() = true with events left, want false")
			}
			if got := c.Len(); got != 2 {
				t.Errorf("Len() = %d, want 2", got)
			}
			if got := take(r, 9); !slices.Equal(got, []int{3, 4}) {
				t.Errorf("Next returned %v, want [3 4]", got)
			}
			if !r.Drained() || r.Ready() || r.Taken() != 2 || c.Len() != 0 {
				t.Errorf("Drained, Ready, Taken, Len = %v, %v, %d, %d, want true, false, 2, 0", r.Drained(), r.Ready(), r.Taken(), c.Len())
			}
			if v, ok := r.Next(); ok {
				t.Errorf("Next() = %d after the end, want none", v)
			}
			c.Close()
		})
	}
}

// A cursor that leaves does not see what becomes of positions beyond its end,
// nor count it.
func TestTombstoneBeyondTheEndIsNotTheCursors(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	_, other := subscribe(t, log, mailbox.CursorConfig[int]{Name: "full", Overflow: mailbox.Reject, Capacity: 1})
	c, r := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.Unbounded})
	publish(t, log, 1)
	c.Detach()
	if err := log.Claim().Finish(t.Context(), 2, nil); err == nil {
		t.Fatal("Finish = nil, want that the other mailbox is full")
	}
	take(other, 9)
	publish(t, log, 3)
	if got := take(r, 9); !slices.Equal(got, []int{1}) {
		t.Errorf("Next returned %v, want [1]", got)
	}
	if r.Taken() != 1 || r.Seq() != 1 || c.Len() != 0 || c.LenFrom(r) != 0 {
		t.Errorf("Taken, Seq, Len, LenFrom = %d, %d, %d, %d, want 1, 1, 0, 0", r.Taken(), r.Seq(), c.Len(), c.LenFrom(r))
	}
}

// A publication may be claimed while the last cursor is leaving, and go on when
// the next one has come: the newcomer starts where the last one ended.
func TestFirstCursorStartsWhereTheLastOneEnded(t *testing.T) {
	for _, over := range []mailbox.Overflow{mailbox.Unbounded, mailbox.Block, mailbox.DropOldest} {
		t.Run(over.String(), func(t *testing.T) {
			log := mailbox.NewLog[int](nil)
			a, ar := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.Unbounded})
			publish(t, log, 1)
			a.Detach()
			given, kept := log.Claim(), log.Claim()
			if err := given.Finish(t.Context(), 2, nil); err != mailbox.ErrNoSubscriber {
				t.Errorf("Finish without a cursor = %v, want ErrNoSubscriber", err)
			}
			b, br := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: over, Capacity: 9})
			if err := kept.Finish(t.Context(), 3, nil); err != nil {
				t.Errorf("Finish with a new cursor = %v, want nil", err)
			}
			publish(t, log, 4)
			// The tombstone of 2 was buried before b was there and is b's all the same.
			if b.Len() != 2 || b.LenFrom(br) != 2 {
				t.Errorf("Len, LenFrom = %d, %d, want 2, 2", b.Len(), b.LenFrom(br))
			}
			if got := take(br, 9); !slices.Equal(got, []int{3, 4}) {
				t.Errorf("Next of the newcomer returned %v, want [3 4]", got)
			}
			if br.Taken() != 2 || b.Len() != 0 || b.LenFrom(br) != 0 || br.Seq() != 4 && over != mailbox.DropOldest {
				t.Errorf("Taken, Len, LenFrom, Seq = %d, %d, %d, %d, want 2, 0, 0, 4", br.Taken(), b.Len(), b.LenFrom(br), br.Seq())
			}
			if got := take(ar, 9); !slices.Equal(got, []int{1}) || ar.Taken() != 1 {
				t.Errorf("Next of the one that left returned %v, want [1]", got)
			}
		})
	}
}

// What was claimed before the last cursor left is its own, and is accepted.
func TestPublicationClaimedBeforeTheEndIsReadByTheOneThatLeaves(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	c, r := subscribe(t, log, mailbox.CursorConfig[int]{Capacity: 1})
	k := log.Claim()
	c.Detach()
	if r.Drained() {
		t.Error("Drained() = true while a publication is under way, want false")
	}
	if err := k.Finish(t.Context(), 1, nil); err != nil {
		t.Errorf("Finish = %v, want nil", err)
	}
	if got := take(r, 9); !slices.Equal(got, []int{1}) || !r.Drained() {
		t.Errorf("Next returned %v, Drained() = %v, want [1], true", got, r.Drained())
	}
}

// An event that Append accepted is read, whoever leaves meanwhile: here the
// only cursor. Detach must have stopped acceptance before it takes its end.
func TestAcceptedEventIsReadThoughTheOnlyCursorLeaves(t *testing.T) {
	for range 2000 {
		log := mailbox.NewLog[int](nil)
		c, r := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.Unbounded})
		var accepted atomic.Uint64
		var producers sync.WaitGroup
		for range 2 {
			producers.Go(func() {
				for n := uint64(1); ; n++ {
					if err := log.Append(t.Context(), 1); err != nil {
						if err != mailbox.ErrNoSubscriber {
							t.Errorf("Append = %v, want ErrNoSubscriber", err)
						}
						accepted.Add(n - 1)
						return
					}
					if n%64 == 0 {
						goruntime.Gosched() // one processor does for this test
					}
				}
			})
		}
		for log.Head() < 40 {
			goruntime.Gosched()
		}
		c.Detach()
		for !r.Drained() {
			if len(take(r, 1000)) == 0 {
				goruntime.Gosched()
			}
		}
		producers.Wait()
		if got := accepted.Load(); got != r.Taken() || log.Accepted() != got {
			t.Fatalf("Append accepted %d and Accepted() = %d, the cursor read %d, want the same", got, log.Accepted(), r.Taken())
		}
	}
}

// A copy of the reader is a checkpoint: another goroutine goes on from there.
func TestCopyOfAReaderGoesOnFromWhereItWasTaken(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	c, r := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.Unbounded})
	for i := range 100 {
		publish(t, log, i)
	}
	take(r, 10)
	saved := *r
	r.Next()
	r.Next()
	if got := c.LenFrom(&saved); got != 90 {
		t.Errorf("LenFrom = %d, want 90", got)
	}
	if got := take(&saved, 99); len(got) != 90 || got[0] != 10 {
		t.Errorf("Next of the copy returned %d events from %d on, want 90 from 10 on", len(got), got[0])
	}
}
