package mailbox_test

import (
	"slices"
	"strconv"
	"testing"

	"github.com/troupe-go/troupe/mailbox"
)

// takeAll takes a batch and returns its events.
func takeAll(r *mailbox.Reader[int], least, most int) (events []int, holds []mailbox.Hold[int]) {
	r.TakeAll(least, most, func(it mailbox.Item[int], h mailbox.Hold[int]) {
		events, holds = append(events, it.Event), append(holds, h)
	})
	r.Publish(false)
	r.Settle()
	return events, holds
}

func wantTaken(t *testing.T, got []int, want ...int) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("taken %v, want %v", got, want)
	}
}

func TestCountLooksAheadAndTakesNothing(t *testing.T) {
	for _, over := range []mailbox.Overflow{mailbox.Block, mailbox.Unbounded, mailbox.DropOldest} {
		log := mailbox.NewLog[int](nil)
		c, r := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: over, Capacity: 5000})
		var ahead mailbox.Ahead[int]
		if n := ahead.Count(r, 10); n != 0 {
			t.Errorf("%v: Count = %d of none", over, n)
		}
		for n := range 1500 { // beyond a segment
			publish(t, log, n)
			if got, want := ahead.Count(r, 1200), min(n+1, 1200); got != want {
				t.Fatalf("%v: Count = %d, want %d", over, got, want)
			}
		}
		if c.Len() != 1500 || r.Taken() != 0 {
			t.Errorf("%v: Len, Taken = %d, %d, want 1500, 0", over, c.Len(), r.Taken())
		}
		got, _ := takeAll(r, 1200, 1200)
		wantTaken(t, got, upTo(1200)...)
		if n := ahead.Count(r, 1200); n != 300 || c.Len() != 300 || r.Taken() != 1200 {
			t.Errorf("%v: Count, Len, Taken = %d, %d, %d, want 300, 300, 1200", over, n, c.Len(), r.Taken())
		}
	}
}

// Positions that were given up take room: a mailbox that is full with them counts
// as a batch. One that a publication under way makes full does not.
func TestCountOfAMailboxThatIsFull(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	_, r := subscribe(t, log, mailbox.CursorConfig[int]{Name: "c", Overflow: mailbox.Reject, Capacity: 4})
	var ahead mailbox.Ahead[int]
	publish(t, log, 0, 1, 2, 3)
	if err := log.Claim().Finish(t.Context(), 9, nil); err == nil {
		t.Fatal("a publication beyond the limit was accepted")
	}
	got, _ := takeAll(r, 4, 4)
	wantTaken(t, got, 0, 1, 2, 3)
	publish(t, log, 4, 5)
	under := log.Claim()
	if n := ahead.Count(r, 4); n != 2 {
		t.Errorf("Count = %d, want the 2 before the one under way", n)
	}
	if err := under.Finish(t.Context(), 6, nil); err != nil {
		t.Fatal(err)
	}
	if n := ahead.Count(r, 4); n != 4 {
		t.Errorf("Count = %d of a full mailbox, want 4", n)
	}
	got, _ = takeAll(r, 4, 4)
	wantTaken(t, got, 4, 5, 6)
}

func TestTakeAllIsInOnePiece(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	in := mailbox.NewInbox(mailbox.CursorConfig[int]{Capacity: 10, Shared: true})
	if err := mailbox.Feed(in, log, "t", func(n int) int { return n }); err != nil {
		t.Fatal(err)
	}
	a, b := in.Reader(), in.Reader()
	publish(t, log, upTo(7)...)
	got, _ := takeAll(a, 4, 4)
	wantTaken(t, got, 0, 1, 2, 3)
	got, _ = takeAll(b, 4, 4)
	wantTaken(t, got)
	got, _ = takeAll(b, 1, 4)
	wantTaken(t, got, 4, 5, 6)
	if a.Taken() != 4 || b.Taken() != 3 {
		t.Errorf("Taken = %d, %d, want 4, 3", a.Taken(), b.Taken())
	}
}

// Several events of a key in one hand keep it busy until the last is released.
func TestKeyOfABatchIsBusyUntilTheLastIsReleased(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	_, r := subscribe(t, log, mailbox.CursorConfig[int]{Capacity: 20, Keyed: true, Key: func(n int) string { return strconv.Itoa(n % 10) }})
	var ahead mailbox.Ahead[int]
	publish(t, log, 1, 11, 21, 2, 31, 3, 12)
	got, holds := takeAll(r, 1, 6)
	wantTaken(t, got, 1, 2, 3, 11, 12, 21)
	if n := ahead.Count(r, 9); n != 0 {
		t.Errorf("Count = %d, want 0: 31 waits for its key", n)
	}
	publish(t, log, 4)
	if n := ahead.Count(r, 9); n != 2 {
		t.Errorf("Count = %d, want 2, with the one that waits", n)
	}
	for i := range holds {
		if i == 5 { // all but the last of key 1
			got, _ = takeAll(r, 1, 9)
			wantTaken(t, got, 4)
		}
		holds[i].Release()
	}
	got, _ = takeAll(r, 1, 9)
	wantTaken(t, got, 31)
}

func TestInjectedEventComesAlone(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	in := mailbox.NewInbox(mailbox.CursorConfig[int]{Capacity: 10})
	if err := mailbox.Feed(in, log, "t", func(n int) int { return n }); err != nil {
		t.Fatal(err)
	}
	r := in.Reader()
	publish(t, log, 0, 1)
	in.Inject(mailbox.Item[int]{Event: 9, Injected: "letter"})
	var ahead mailbox.Ahead[int]
	if n := ahead.Count(r, 5); n != 5 {
		t.Errorf("Count = %d, want 5: one that waits for nobody", n)
	}
	got, _ := takeAll(r, 5, 5)
	wantTaken(t, got, 9)
	got, _ = takeAll(r, 2, 5)
	wantTaken(t, got, 0, 1)
}
