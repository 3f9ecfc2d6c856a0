package mailbox_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/mailbox"
)

func TestFactsAreThoseOfTheEventInHand(t *testing.T) {
	for _, over := range []mailbox.Overflow{mailbox.Block, mailbox.DropOldest} {
		t.Run(over.String(), func(t *testing.T) {
			log := mailbox.NewLog[int](nil)
			_, r := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: over, Capacity: 5000})
			when := time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)
			for i := range 2000 {
				if i%3 > 0 {
					publish(t, log, i)
					continue
				}
				if err := log.AppendMeta(t.Context(), i, &mailbox.Meta{Headers: map[string]string{"i": number(i)}, PublishedAt: when}); err != nil {
					t.Fatal(err)
				}
			}
			for i := range 2000 {
				v, ok := r.Next()
				r.Publish(true)
				r.Settle()
				at, meta := r.Facts()
				if !ok || v != i || r.Last() != i || r.Seq() != uint64(i)+1 {
					t.Fatalf("Next, Last, Seq = %d, %d, %d, want %d, %d, %d", v, r.Last(), r.Seq(), i, i, i+1)
				}
				switch {
				case i%3 > 0 && (meta != nil || at.IsZero()):
					t.Fatalf("Facts(%d) = %v, %v, want a time and no Meta", i, at, meta)
				case i%3 == 0 && (meta == nil || meta.Headers["i"] != number(i) || !at.Equal(when)):
					t.Fatalf("Facts(%d) = %v, %v, want its Meta", i, at, meta)
				}
			}
		})
	}
}

// A Meta without a time gives headers, and the log's own time.
func TestMetaWithoutTimeLeavesTheClockToTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mailbox.NewLog[int](nil)
		_, r := subscribe(t, log, mailbox.CursorConfig[int]{Capacity: 9})
		if err := log.AppendMeta(t.Context(), 1, &mailbox.Meta{}); err != nil {
			t.Fatal(err)
		}
		r.Next()
		if at, _ := r.Facts(); !at.Equal(time.Now()) {
			t.Errorf("Facts() = %v, want %v", at, time.Now())
		}
	})
}

// The clock is read once for 16 events, and for each that wakes a mailbox.
func TestPublishedAtIsExactForAMailboxThatSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mailbox.NewLog[int](nil)
		woken := 0
		c, r := subscribe(t, log, mailbox.CursorConfig[int]{Capacity: 99, Wake: func() { woken++ }})
		start := time.Now()
		for i := range 40 {
			publish(t, log, i)
			r.Next()
			at, _ := r.Facts()
			if want := start.Add(time.Duration(i/16*16) * time.Second); !at.Equal(want) {
				t.Errorf("awake: Facts(%d) = %v, want %v", i, at.Sub(start), want.Sub(start))
			}
			time.Sleep(time.Second)
		}
		take(r, 1)
		for i := range 40 {
			c.Sleep()
			publish(t, log, i)
			r.Next()
			if at, _ := r.Facts(); !at.Equal(time.Now()) {
				t.Errorf("asleep: Facts(%d) = %v, want %v", i, at.Sub(start), time.Since(start))
			}
			r.Publish(false)
			r.Settle()
			time.Sleep(time.Second)
		}
		if woken != 40 || c.Sleeps() {
			t.Errorf("woken %d times, Sleeps() = %v, want 40, false", woken, c.Sleeps())
		}
	})
}

// Each event has a time, also when the one whose publication should have read
// the clock was given up.
func TestPublishedAtDoesNotDependOnATombstone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := mailbox.NewLog[int](nil)
		_, r := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.Reject, Capacity: 1})
		bury := func() {
			t.Helper()
			if err := log.Claim().Finish(t.Context(), 0, nil); err == nil {
				t.Fatal("Finish = nil, want that the mailbox is full")
			}
		}
		publish(t, log, 0)
		bury() // one more, so that tombstones come to lie where runs begin
		for i := 1; i < 100; i++ {
			time.Sleep(time.Minute)
			bury()
			take(r, 9)
			publish(t, log, i)
			r.Next()
			if at, _ := r.Facts(); at.Before(time.Now().Add(-8 * time.Minute)) {
				t.Fatalf("Facts(%d) = %v ago, want at most the 8 publications of its run", i, time.Since(at))
			}
		}
	})
}
