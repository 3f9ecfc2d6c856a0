package mailbox_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/mailbox"
)

func TestOldestIsThePublicationOfTheNextEvent(t *testing.T) {
	for _, over := range []mailbox.Overflow{mailbox.Block, mailbox.Unbounded, mailbox.DropOldest, mailbox.DropNewest, mailbox.DeadLetter} {
		t.Run(over.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				log := mailbox.NewLog[int](nil)
				c, r := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: over, Capacity: 100, Wake: func() {}, Overflowed: func(mailbox.Item[int]) {}})
				want := func(what string, seq uint64, at time.Time) {
					t.Helper()
					if n, got := r.Oldest(); n != seq || !got.Equal(at) {
						t.Errorf("Oldest %s = #%d of %v, want #%d of %v", what, n, got, seq, at)
					}
				}
				want("of an empty mailbox", 0, time.Time{})
				for i := range 40 { // over the end of a segment
					asleep := i%3 == 0
					if asleep {
						c.Sleep()
					}
					at := time.Now()
					publish(t, log, i, i)
					time.Sleep(time.Minute)
					if asleep { // else it may be the time of one before
						want("with two events waiting", uint64(2*i+1), at)
					}
					for range 2 {
						if n, got := r.Oldest(); n == 0 || got.After(at) || got.Before(at.Add(-2*time.Minute)) {
							t.Errorf("Oldest = #%d of %v, want one of %v or the two before", n, got, at)
						}
						if ev, ok := r.Next(); !ok || ev != i {
							t.Fatalf("Next = %d, %v, want %d", ev, ok, i)
						}
						r.Publish(false)
						r.Settle()
					}
				}
				want("of a mailbox that was read", 0, time.Time{})
				own := time.Now().Add(-time.Hour)
				if err := log.AppendMeta(t.Context(), 1, &mailbox.Meta{PublishedAt: own}); err != nil {
					t.Fatal(err)
				}
				want("with a time of its own", 81, own)
			})
		})
	}
}

// The first of a run of slots has been claimed, and its producer stopped before
// it gave the run a time.
func TestOldestOfAPublicationUnderWayIsNotKnown(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	_, r := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.Unbounded})
	for i := range 16 + 16 {
		publish(t, log, i)
	}
	take(r, 99)
	claim := log.Claim()
	if _, got := r.Oldest(); !got.IsZero() {
		t.Errorf("Oldest = %v, want the zero time", got)
	}
	if err := claim.Finish(t.Context(), 1, nil); err != nil {
		t.Fatal(err)
	}
	if _, got := r.Oldest(); got.IsZero() {
		t.Error("Oldest is zero with an event that waits")
	}
}

// An onlooker reads from old checkpoints while slots are cleared and used again.
func TestOldestIsSafeToAskAtAnyTime(t *testing.T) {
	log := mailbox.NewLog[*int](nil)
	_, r, err := log.Subscribe(mailbox.CursorConfig[*int]{Overflow: mailbox.Block, Capacity: 100})
	if err != nil {
		t.Fatal(err)
	}
	const n = 5000
	var mu sync.Mutex
	saved := *r
	var all sync.WaitGroup
	all.Go(func() {
		for i := range n {
			if err := log.Append(context.Background(), &i); err != nil {
				t.Error(err)
			}
		}
	})
	end := make(chan struct{})
	all.Go(func() {
		began := time.Now().Add(-time.Minute)
		for {
			select {
			case <-end:
				return
			default:
			}
			mu.Lock()
			copied := saved
			mu.Unlock()
			if _, at := copied.Oldest(); !at.IsZero() && (at.Before(began) || at.After(time.Now().Add(time.Minute))) {
				t.Errorf("Oldest = %v", at)
			}
		}
	})
	for taken := 0; taken < n; {
		if _, ok := r.Next(); ok {
			taken++
			mu.Lock()
			r.Publish(false)
			saved = *r
			mu.Unlock()
			r.Settle()
		}
	}
	close(end)
	all.Wait()
}
