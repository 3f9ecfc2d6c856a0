package mailbox_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/troupe-go/troupe/mailbox"
)

func number(i int) string { return strconv.Itoa(i) }
func parity(i int) string { return strconv.Itoa(i % 2) }

// accept publishes 1 to n and returns how many were accepted and the errors of the others.
func accept(log *mailbox.Log[int], n int) (accepted int, refused []error) {
	for i := range n {
		if err := log.Append(impatient(), i+1); err != nil {
			refused = append(refused, err)
		} else {
			accepted++
		}
	}
	return accepted, refused
}

func TestFullMailboxDoesWhatItsPolicySays(t *testing.T) {
	for _, row := range []struct {
		name     string
		cfg      mailbox.CursorConfig[int]
		refused  int   // of 1, 2, 3, 4, 5
		read     []int // afterwards
		drops    mailbox.Drops
		overflow []int
	}{
		{"Block", mailbox.CursorConfig[int]{Overflow: mailbox.Block, Capacity: 3}, 2, []int{1, 2, 3}, mailbox.Drops{}, nil},
		{"Reject", mailbox.CursorConfig[int]{Overflow: mailbox.Reject, Capacity: 3}, 2, []int{1, 2, 3}, mailbox.Drops{}, nil},
		{"DropOldest", mailbox.CursorConfig[int]{Overflow: mailbox.DropOldest, Capacity: 3}, 0, []int{3, 4, 5},
			mailbox.Drops{Oldest: 2, Accepted: 5}, nil},
		{"DropNewest", mailbox.CursorConfig[int]{Overflow: mailbox.DropNewest, Capacity: 3}, 0, []int{1, 2, 3},
			mailbox.Drops{Newest: 2, Accepted: 5}, nil},
		{"Latest without key, whatever the capacity", mailbox.CursorConfig[int]{Overflow: mailbox.Latest, Capacity: 3}, 0, []int{5},
			mailbox.Drops{Superseded: 4, Accepted: 5}, nil},
		{"Latest with fewer keys than capacity", mailbox.CursorConfig[int]{Overflow: mailbox.Latest, Capacity: 3, Key: parity}, 0, []int{5, 4},
			mailbox.Drops{Superseded: 3, Accepted: 5}, nil},
		{"Latest with more keys than capacity", mailbox.CursorConfig[int]{Overflow: mailbox.Latest, Capacity: 3, Key: number}, 0, []int{3, 4, 5},
			mailbox.Drops{Oldest: 2, Accepted: 5}, nil},
		{"DeadLetter", mailbox.CursorConfig[int]{Overflow: mailbox.DeadLetter, Capacity: 3}, 0, []int{1, 2, 3},
			mailbox.Drops{Overflowed: 2, Accepted: 5}, []int{4, 5}},
		{"Unbounded", mailbox.CursorConfig[int]{Overflow: mailbox.Unbounded}, 0, []int{1, 2, 3, 4, 5}, mailbox.Drops{}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			var overflow []int
			var told mailbox.Drops
			row.cfg.Overflowed = func(it mailbox.Item[int]) { overflow = append(overflow, it.Event) }
			row.cfg.Dropped = func(d mailbox.Drops) { told = sum(told, d) }
			log := mailbox.NewLog[int](nil)
			c, r := subscribe(t, log, row.cfg)
			if _, refused := accept(log, 5); len(refused) != row.refused {
				t.Errorf("Append refused %v, want %d of 5", refused, row.refused)
			}
			if got := c.Len(); got != len(row.read) {
				t.Errorf("Len() = %d, want %d", got, len(row.read))
			}
			var drops mailbox.Drops
			c.Inspect(func(d mailbox.Drops) { drops = d })
			if drops != row.drops {
				t.Errorf("Inspect() = %+v, want %+v", drops, row.drops)
			}
			if told != row.drops {
				t.Errorf("Dropped was told %+v, want %+v", told, row.drops)
			}
			if !slices.Equal(overflow, row.overflow) {
				t.Errorf("Overflowed got %v, want %v", overflow, row.overflow)
			}
			if got := take(r, 9); !slices.Equal(got, row.read) {
				t.Errorf("Next returned %v, want %v", got, row.read)
			}
			if got := r.Taken(); got != uint64(len(row.read)) {
				t.Errorf("Taken() = %d, want %d", got, len(row.read))
			}
		})
	}
}

func sum(a, b mailbox.Drops) mailbox.Drops {
	a.Oldest += b.Oldest
	a.Newest += b.Newest
	a.Superseded += b.Superseded
	a.Overflowed += b.Overflowed
	a.Accepted += b.Accepted
	return a
}

// Capacity counts what waits: the event in hand is one more.
func TestCapacityIsExactBesidesTheEventInHand(t *testing.T) {
	for _, over := range []mailbox.Overflow{mailbox.Block, mailbox.Reject} {
		for _, capacity := range []int{1, 2, 7, 64, 127, 128, 129, 300, 4096} {
			t.Run(fmt.Sprintf("%v/%d", over, capacity), func(t *testing.T) {
				log := mailbox.NewLog[int](nil)
				c, r := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: over, Capacity: capacity})
				fill := func(when string, want int) {
					t.Helper()
					n := 0
					for log.Append(impatient(), 1) == nil {
						n++
					}
					if n != want {
						t.Fatalf("%s: %d accepted, want %d", when, n, want)
					}
					if got := c.Len(); got != capacity {
						t.Fatalf("%s: Len() = %d, want %d", when, got, capacity)
					}
				}
				fill("empty", capacity)
				r.Next()
				if err := log.Append(impatient(), 1); err == nil {
					t.Fatal("Append = nil before the position was published, want no room yet")
				}
				r.Publish(true)
				r.Settle()
				fill("one in hand", 1)
				r.Publish(false)
				r.Settle()
				fill("none in hand", 0)
				half := len(take(r, (capacity+1)/2))
				fill("half taken", half)
				take(r, capacity+1)
				fill("all taken", capacity)
			})
		}
	}
}

func TestDroppingMailboxHoldsExactlyItsCapacity(t *testing.T) {
	for _, over := range []mailbox.Overflow{mailbox.DropOldest, mailbox.DropNewest, mailbox.DeadLetter, mailbox.Latest} {
		for _, capacity := range []int{1, 2, 7, 64, 600} {
			t.Run(fmt.Sprintf("%v/%d", over, capacity), func(t *testing.T) {
				log := mailbox.NewLog[int](nil)
				cfg := mailbox.CursorConfig[int]{Overflow: over, Capacity: capacity, Key: number, Overflowed: func(mailbox.Item[int]) {}}
				c, r := subscribe(t, log, cfg)
				accept(log, 1)
				if _, ok := r.Next(); !ok {
					t.Fatal("Next() = false, want an event")
				}
				r.Publish(true) // one in hand, from here on
				accept(log, capacity)
				if got := c.Len(); got != capacity {
					t.Errorf("Len() = %d, want %d", got, capacity)
				}
				c.Inspect(func(d mailbox.Drops) {
					if d.Lost()+d.Overflowed > 0 {
						t.Errorf("Inspect() = %+v, want nothing lost", d)
					}
				})
				accept(log, 5000)
				if got := c.Len(); got != capacity {
					t.Errorf("Len() = %d, want %d", got, capacity)
				}
				if got := len(take(r, 9999)); got != capacity {
					t.Errorf("Next returned %d events, want %d", got, capacity)
				}
			})
		}
	}
}

func TestFullErrorNamesTheMailbox(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	subscribe(t, log, mailbox.CursorConfig[int]{Name: "roomy", Overflow: mailbox.Reject, Capacity: 9})
	subscribe(t, log, mailbox.CursorConfig[int]{Name: "billing", Overflow: mailbox.Reject, Capacity: 2})
	_, refused := accept(log, 3)
	var full *mailbox.FullError
	if len(refused) != 1 || !errors.As(refused[0], &full) || *full != (mailbox.FullError{Mailbox: "billing", Capacity: 2}) {
		t.Fatalf("Append refused %v, want one FullError of billing with capacity 2", refused)
	}
	if !errors.Is(refused[0], mailbox.ErrFull) {
		t.Error("errors.Is(err, ErrFull) = false, want true")
	}
	if want := "mailbox: full: billing"; full.Error() != want {
		t.Errorf("Error() = %q, want %q", full.Error(), want)
	}
}

// Latest keeps a key's place in line and replaces what stands there.
func TestLatestKeepsThePlaceOfItsKey(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	c, r := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.Latest, Capacity: 2, Key: parity})
	publish(t, log, 1, 2, 3)
	if v, _ := r.Next(); v != 3 || r.Seq() != 3 {
		t.Errorf("Next() = %d with Seq %d, want 3 with 3", v, r.Seq())
	}
	publish(t, log, 5, 4) // 3 is in hand: 5 does not replace it
	if got := take(r, 9); !slices.Equal(got, []int{4, 5}) {
		t.Errorf("Next returned %v, want [4 5]", got)
	}
	c.Inspect(func(d mailbox.Drops) {
		if want := (mailbox.Drops{Superseded: 2, Accepted: 5}); d != want {
			t.Errorf("Inspect() = %+v, want %+v", d, want)
		}
	})
}

func TestOverflowedGetsTheFacts(t *testing.T) {
	var got []mailbox.Item[int]
	log := mailbox.NewLog[int](nil)
	c, _ := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.DeadLetter, Capacity: 1,
		Overflowed: func(it mailbox.Item[int]) { got = append(got, it) }})
	meta := &mailbox.Meta{Headers: map[string]string{"k": "v"}}
	publish(t, log, 1)
	if err := log.AppendMeta(t.Context(), 2, meta); err != nil {
		t.Fatal(err)
	}
	c.Len()
	if len(got) != 1 || got[0].Event != 2 || got[0].Seq != 2 || got[0].Meta != meta || got[0].PublishedAt.IsZero() {
		t.Errorf("Overflowed got %+v, want event 2 with Seq 2, its Meta and a time", got)
	}
}

func TestCapacityOfACursorIsWhatItWasGiven(t *testing.T) {
	for _, row := range []struct {
		cfg  mailbox.CursorConfig[int]
		want int
	}{
		{mailbox.CursorConfig[int]{Capacity: 5}, 5},
		{mailbox.CursorConfig[int]{Capacity: 5, Overflow: mailbox.DropOldest}, 5},
		{mailbox.CursorConfig[int]{Capacity: 5, Overflow: mailbox.Latest, Key: number}, 5},
		{mailbox.CursorConfig[int]{Capacity: 5, Overflow: mailbox.Latest}, 1},
		{mailbox.CursorConfig[int]{Capacity: 5, Overflow: mailbox.Unbounded}, 0},
	} {
		c, _ := subscribe(t, mailbox.NewLog[int](nil), row.cfg)
		if got := c.Capacity(); got != row.want || c.Overflow() != row.cfg.Overflow {
			t.Errorf("Capacity(%v) = %d, want %d", c.Overflow(), got, row.want)
		}
	}
}

func TestOverflowHasAName(t *testing.T) {
	for over, want := range map[mailbox.Overflow]string{
		mailbox.Block: "block", mailbox.Reject: "reject", mailbox.DropOldest: "drop_oldest", mailbox.DropNewest: "drop_newest",
		mailbox.Latest: "latest", mailbox.DeadLetter: "dead_letter", mailbox.Unbounded: "unbounded",
	} {
		if got := over.String(); got != want || !over.Valid() {
			t.Errorf("String() = %q, %v, want %q, true", got, over.Valid(), want)
		}
	}
	if got := mailbox.Overflow(99); got.String() != "overflow(99)" || got.Valid() {
		t.Errorf("Overflow(99) = %q, %v, want overflow(99), false", got, got.Valid())
	}
}

// A key function is asked once for each event, so one that gives another answer
// the second time confuses nobody.
func TestKeyIsAskedOnceForEachEvent(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	asked := map[int]int{}
	c, r := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.Latest, Capacity: 2, Key: func(n int) string {
		asked[n]++
		return strconv.Itoa(n * asked[n])
	}})
	for n := range 100 {
		if err := log.Append(t.Context(), n); err != nil {
			t.Fatal(err)
		}
		if n%3 == 0 {
			r.Next()
		}
	}
	if n := c.Len(); n > 2 {
		t.Errorf("Len = %d, want 2 at most", n)
	}
	for n, times := range asked {
		if times != 1 {
			t.Errorf("key of %d was asked for %d times, want 1", n, times)
		}
	}
}
