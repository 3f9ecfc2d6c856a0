package mailbox_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/troupe-go/troupe/mailbox"
)

// Plain stops before every event with a ticket, More does not; both hand out all
// events in order, and each its own ticket.
func TestTicketsPartTheRuns(t *testing.T) {
	for _, overflow := range []mailbox.Overflow{mailbox.Unbounded, mailbox.DropNewest} {
		for _, every := range []int{0, 1, 2, 3, 64, 65, 200} {
			t.Run(fmt.Sprint(overflow, "/", every), func(t *testing.T) {
				log := mailbox.NewLog[int](nil)
				_, r, err := log.Subscribe(mailbox.CursorConfig[int]{Capacity: 1 << 20, Overflow: overflow})
				if err != nil {
					t.Fatal(err)
				}
				const n = 3 * mailbox.MaxSegment
				for i := range n {
					switch {
					case every > 0 && i%every == every-1:
						_, err = log.AppendTicket(t.Context(), i, nil, i)
					case i%5 == 0:
						err = log.AppendMeta(t.Context(), i, &mailbox.Meta{Headers: map[string]string{"i": ""}})
					default:
						err = log.Append(t.Context(), i)
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				for i := 0; i < n; {
					for plain := rand.IntN(100); plain > 0 && r.Plain(); plain-- {
						if got := r.Take(); got != i || r.Ticket() != nil || every > 0 && i%every == every-1 {
							t.Fatalf("plain event %d with ticket %v, want event %d", got, r.Ticket(), i)
						}
						i++
					}
					if !r.More() {
						break
					}
					var want any
					if every > 0 && i%every == every-1 {
						want = i
						if r.Plain() {
							t.Fatalf("event %d is said to be plain", i)
						}
					}
					if got := r.Take(); got != i || r.Ticket() != want {
						t.Fatalf("event %d with ticket %v, want %d with %v", got, r.Ticket(), i, want)
					}
					r.Publish(true)
					if r.Ticket() != want {
						t.Fatalf("ticket %v in hand, want %v", r.Ticket(), want)
					}
					r.Publish(false)
					r.Settle()
					i++
				}
				if r.More() || r.Plain() || r.Taken() != n {
					t.Errorf("taken %d events, want %d", r.Taken(), n)
				}
			})
		}
	}
}

func TestAppendTicketReturnsTheOwners(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	subscribe := func(owner string) *mailbox.Cursor[int] {
		c, _, err := log.Subscribe(mailbox.CursorConfig[int]{Name: owner, Owner: owner, Capacity: 10})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	names := func(owners []any) []string {
		list := []string{}
		for _, o := range owners {
			list = append(list, o.(string))
		}
		slices.Sort(list)
		return list
	}
	if _, err := log.AppendTicket(t.Context(), 1, nil, "t"); err != mailbox.ErrNoSubscriber {
		t.Errorf("AppendTicket = %v, want ErrNoSubscriber", err)
	}
	a := subscribe("a")
	subscribe("b")
	owners, err := log.AppendTicket(t.Context(), 1, nil, "t")
	if err != nil || !slices.Equal(names(owners), []string{"a", "b"}) {
		t.Errorf("AppendTicket = %v, %v, want a and b", owners, err)
	}
	// One that leaves between the claim and its end still gets the event; who comes
	// after the claim does not.
	m := mailbox.WithTicket("t")
	claim := log.Claim()
	a.Detach()
	subscribe("c")
	if err := claim.Finish(t.Context(), 2, m); err != nil {
		t.Fatal(err)
	}
	if got := names(log.OwnersAt(m)); !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("owners = %v, want a and b", got)
	}
	if got := names(log.Owners()); !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("Owners = %v, want b and c", got)
	}
	if owners, _ := log.AppendTicket(t.Context(), 3, nil, "t"); !slices.Equal(names(owners), []string{"b", "c"}) {
		t.Errorf("AppendTicket = %v, want b and c", owners)
	}
}

func TestDiscardedSaysWhichWay(t *testing.T) {
	for _, tc := range []struct {
		overflow mailbox.Overflow
		key      func(int) string
		by       mailbox.Overflow
	}{
		{mailbox.DropOldest, nil, mailbox.DropOldest},
		{mailbox.DropNewest, nil, mailbox.DropNewest},
		{mailbox.Latest, nil, mailbox.Latest},
		{mailbox.Latest, func(i int) string { return fmt.Sprint(i) }, mailbox.DropOldest}, // as many keys as there is room for
	} {
		log := mailbox.NewLog[int](nil)
		var got []any
		c, _, err := log.Subscribe(mailbox.CursorConfig[int]{Capacity: 1, Overflow: tc.overflow, Key: tc.key,
			Discarded: func(it mailbox.Item[int], by mailbox.Overflow) { got = append(got, by, it.Meta.Ticket()) }})
		if err != nil {
			t.Fatal(err)
		}
		for i := range 2 {
			if _, err := log.AppendTicket(t.Context(), i, nil, i); err != nil {
				t.Fatal(err)
			}
		}
		c.Inspect(func(mailbox.Drops) {})
		which := 0
		if tc.overflow == mailbox.DropNewest {
			which = 1
		}
		if !slices.Equal(got, []any{tc.by, which}) {
			t.Errorf("%v: discarded %v, want %v of event %d", tc.overflow, got, tc.by, which)
		}
	}
}
