package mailbox_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/mailbox"
)

// gate is a gatekeeper that admits contexts made by insider.
type gate struct {
	wait func(ctx context.Context, full func() []any) (mailbox.Wait, error)
}

type insiderKey struct{}

func insider(ctx context.Context) context.Context { return context.WithValue(ctx, insiderKey{}, true) }

func (g *gate) Admit(ctx context.Context) bool { return ctx.Value(insiderKey{}) != nil }

func (g *gate) Wait(ctx context.Context, full func() []any) (mailbox.Wait, error) {
	if g.wait == nil {
		return nil, nil
	}
	return g.wait(ctx, full)
}

// What one gating mailbox has no room for reaches none of the others.
func TestAppendIsAllOrNothing(t *testing.T) {
	type cursor struct {
		name     string
		over     mailbox.Overflow
		capacity int
	}
	var (
		block2  = cursor{"block2", mailbox.Block, 2}
		block4  = cursor{"block4", mailbox.Block, 4}
		reject2 = cursor{"reject2", mailbox.Reject, 2}
		reject4 = cursor{"reject4", mailbox.Reject, 4}
		oldest1 = cursor{"oldest1", mailbox.DropOldest, 1}
		newest1 = cursor{"newest1", mailbox.DropNewest, 1}
		latest  = cursor{"latest", mailbox.Latest, 1}
		letter1 = cursor{"letter1", mailbox.DeadLetter, 1}
		endless = cursor{"endless", mailbox.Unbounded, 0}
	)
	for _, row := range []struct {
		name    string
		cursors []cursor
		want    int    // accepted of 6
		full    string // who is named; errGaveUp if empty
	}{
		{"the smallest Block decides", []cursor{block4, block2, endless}, 2, ""},
		{"the smallest Reject decides", []cursor{reject4, reject2, endless}, 2, "reject2"},
		{"Reject before Block is full", []cursor{block4, reject2}, 2, "reject2"},
		{"Block before Reject is full", []cursor{block2, reject4}, 2, ""},
		{"Reject refuses at once when Block is full, too", []cursor{block2, reject2}, 2, "reject2"},
		{"the first Reject is named", []cursor{reject2, {"other", mailbox.Reject, 2}}, 2, "reject2"},
		{"policies that drop hold nobody back", []cursor{oldest1, newest1, latest, letter1, endless}, 6, ""},
		{"policies that drop get only what is accepted", []cursor{oldest1, newest1, latest, letter1, reject2, block4}, 2, "reject2"},
	} {
		t.Run(row.name, func(t *testing.T) {
			log := mailbox.NewLog[int](nil)
			var cs []*mailbox.Cursor[int]
			var rs []*mailbox.Reader[int]
			for _, k := range row.cursors {
				c, r := subscribe(t, log, mailbox.CursorConfig[int]{Name: k.name, Overflow: k.over, Capacity: k.capacity,
					Overflowed: func(mailbox.Item[int]) {}})
				cs, rs = append(cs, c), append(rs, r)
			}
			got, refused := accept(log, 6)
			if got != row.want || log.Accepted() != uint64(row.want) {
				t.Errorf("Append took %d and Accepted() = %d, want %d", got, log.Accepted(), row.want)
			}
			for _, err := range refused {
				var full *mailbox.FullError
				switch {
				case row.full == "" && !errors.Is(err, errGaveUp):
					t.Errorf("Append = %v, want to wait", err)
				case row.full != "" && (!errors.As(err, &full) || full.Mailbox != row.full):
					t.Errorf("Append = %v, want that %s is full", err, row.full)
				}
			}
			for k, c := range cs {
				var d mailbox.Drops
				c.Inspect(func(now mailbox.Drops) { d = now })
				read := take(rs[k], 9)
				if n := len(read) + int(d.Lost()+d.Overflowed); n != row.want {
					t.Errorf("%s read %v and dropped %+v, want %d in all", row.cursors[k].name, read, d, row.want)
				}
				if !slices.IsSorted(read) || len(read) > 0 && read[len(read)-1] > row.want {
					t.Errorf("%s read %v, want accepted events in order", row.cursors[k].name, read)
				}
			}
		})
	}
}

// A mailbox that drops and whose consumer has stopped for good costs nobody anything.
func TestStuckDroppingMailboxHoldsNobodyBack(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	for _, over := range []mailbox.Overflow{mailbox.DropOldest, mailbox.DropNewest, mailbox.Latest, mailbox.DeadLetter} {
		subscribe(t, log, mailbox.CursorConfig[int]{Overflow: over, Capacity: 2, Overflowed: func(mailbox.Item[int]) {}})
	}
	_, r := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.Block, Capacity: 3})
	for i := range 5000 {
		publish(t, log, i)
		if got := take(r, 2); !slices.Equal(got, []int{i}) {
			t.Fatalf("Next returned %v, want [%d]", got, i)
		}
	}
}

func TestAppendWithoutCursorSaysSo(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	want := func(when string, err error) {
		t.Helper()
		if got := log.Append(t.Context(), 1); got != err {
			t.Errorf("Append(%s) = %v, want %v", when, got, err)
		}
		if got := log.AppendMeta(t.Context(), 1, nil); got != err {
			t.Errorf("AppendMeta(%s) = %v, want %v", when, got, err)
		}
	}
	want("before the first", mailbox.ErrNoSubscriber)
	c, _ := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.Unbounded})
	want("with one", nil)
	c.Detach()
	want("after the last", mailbox.ErrNoSubscriber)
	if got := log.Accepted(); got != 2 {
		t.Errorf("Accepted() = %d, want 2", got)
	}
	log.Close()
	want("closed", mailbox.ErrClosed)
}

func TestClosedLogTakesNothingAndGivesWhatItHas(t *testing.T) {
	log := mailbox.NewLog[int](&gate{})
	c, r := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.Unbounded})
	publish(t, log, 1, 2)
	log.Close()
	log.Close()
	log.Drain() // does not open it again
	for _, ctx := range []context.Context{t.Context(), insider(t.Context())} {
		if err := log.Append(ctx, 3); err != mailbox.ErrClosed {
			t.Errorf("Append = %v, want ErrClosed", err)
		}
	}
	if _, _, err := log.Subscribe(mailbox.CursorConfig[int]{Capacity: 1}); err != mailbox.ErrClosed {
		t.Errorf("Subscribe = %v, want ErrClosed", err)
	}
	if got := take(r, 9); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("Next returned %v, want [1 2]", got)
	}
	c.Detach()
	if !r.Drained() {
		t.Error("Drained() = false, want true")
	}
	c.Close()
}

func TestDrainingLogAdmitsTheGatekeepersOnly(t *testing.T) {
	for _, row := range []struct {
		name   string
		keeper mailbox.Gatekeeper
		inside error
	}{
		{"with a gatekeeper", &gate{}, nil},
		{"without", nil, mailbox.ErrClosed},
	} {
		t.Run(row.name, func(t *testing.T) {
			log := mailbox.NewLog[int](row.keeper)
			_, r := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.Reject, Capacity: 1})
			log.Drain()
			if err := log.Append(t.Context(), 1); err != mailbox.ErrClosed {
				t.Errorf("Append of an outsider = %v, want ErrClosed", err)
			}
			if err := log.Append(insider(t.Context()), 2); err != row.inside {
				t.Fatalf("Append of an insider = %v, want %v", err, row.inside)
			}
			if row.inside != nil {
				return
			}
			if err := log.Append(insider(t.Context()), 3); !errors.Is(err, mailbox.ErrFull) {
				t.Errorf("Append of an insider to a full mailbox = %v, want ErrFull", err)
			}
			if got := take(r, 9); !slices.Equal(got, []int{2}) {
				t.Errorf("Next returned %v, want [2]", got)
			}
			// Cursors may still come: whoever drains decides about that.
			_, late := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.Unbounded})
			if err := log.Append(insider(t.Context()), 4); err != nil {
				t.Errorf("Append of an insider = %v, want nil", err)
			}
			if got := take(late, 9); !slices.Equal(got, []int{4}) {
				t.Errorf("Next of a late cursor returned %v, want [4]", got)
			}
		})
	}
}

// A context bounds the wait and nothing else.
func TestAppendIgnoresAnEndedContextWhileThereIsRoom(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	subscribe(t, log, mailbox.CursorConfig[int]{Name: "c1", Capacity: 1})
	if err := log.Append(impatient(), 1); err != nil {
		t.Errorf("Append = %v, want nil", err)
	}
	if err := log.Append(impatient(), 1); !errors.Is(err, errGaveUp) {
		t.Errorf("Append to a full mailbox = %v, want the cause of ctx", err)
	}
	err := log.AppendMeta(impatient(), 1, &mailbox.Meta{})
	if !errors.Is(err, errGaveUp) || !strings.Contains(err.Error(), "c1") {
		t.Errorf("AppendMeta to a full mailbox = %v, want the cause of ctx and the mailbox's name", err)
	}
}

// A claim that comes to lie beyond the limit is a tombstone if it is given up:
// no reader sees it, and it takes no room once it has been passed.
func TestPublicationGivenUpAfterItsClaimLeavesNoTrace(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	c, r := subscribe(t, log, mailbox.CursorConfig[int]{Name: "c", Overflow: mailbox.Reject, Capacity: 2})
	publish(t, log, 1)
	kept, beyond := log.Claim(), log.Claim()
	var full *mailbox.FullError
	if err := beyond.Finish(t.Context(), 3, nil); !errors.As(err, &full) || full.Mailbox != "c" {
		t.Errorf("Finish beyond the limit = %v, want that c is full", err)
	}
	if got := take(r, 9); !slices.Equal(got, []int{1}) {
		t.Errorf("Next returned %v, want [1]: the next publication is under way", got)
	}
	if err := kept.Finish(t.Context(), 2, nil); err != nil {
		t.Errorf("Finish = %v, want nil", err)
	}
	if got := c.Len(); got != 1 {
		t.Errorf("Len() before the tombstone = %d, want 1", got)
	}
	if got := take(r, 9); !slices.Equal(got, []int{2}) {
		t.Errorf("Next returned %v, want [2]", got)
	}
	publish(t, log, 4, 5)
	if got := c.Len(); got != 2 {
		t.Errorf("Len() after the tombstone = %d, want 2", got)
	}
	if got := take(r, 9); !slices.Equal(got, []int{4, 5}) {
		t.Errorf("Next returned %v, want [4 5]", got)
	}
	if log.Accepted() != 4 || r.Taken() != 4 || r.Seq() != 5 || log.Head() != 5 {
		t.Errorf("Accepted, Taken, Seq, Head = %d, %d, %d, %d, want 4, 4, 5, 5", log.Accepted(), r.Taken(), r.Seq(), log.Head())
	}
}

// The promise of Next is the relaxed one: a publication under way hides those
// that came after it, and they are not lost.
func TestNextSaysNoneWhileAnEarlierPublicationIsUnderWay(t *testing.T) {
	log := mailbox.NewLog[int](nil)
	_, r := subscribe(t, log, mailbox.CursorConfig[int]{Overflow: mailbox.Unbounded})
	first := log.Claim()
	publish(t, log, 2)
	if v, ok := r.Next(); ok || r.Ready() {
		t.Errorf("Next() = %d, %v, Ready() = %v, want none, false", v, ok, r.Ready())
	}
	if err := first.Finish(t.Context(), 1, nil); err != nil {
		t.Fatal(err)
	}
	if got := take(r, 9); !slices.Equal(got, []int{1, 2}) {
		t.Errorf("Next returned %v, want [1 2]", got)
	}
}
