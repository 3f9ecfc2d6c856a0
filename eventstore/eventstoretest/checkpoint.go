package eventstoretest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"

	"github.com/troupe-go/troupe/eventstore"
)

var checkpointCases = []testCase{
	{
		name:    "a checkpoint moves",
		promise: "a checkpoint is Start until it is saved, then where it was saved last; names are told apart, and Start resets it",
		run: func(r *recorder) {
			s := r.open()
			names := []string{"a", "A", "a.b", "a-b", "a_b", "1", strings.Repeat("x", 100)}
			for _, name := range names {
				if p := r.checkpoint(s, name); p != eventstore.Start {
					r.errorf("a new checkpoint is at %q", p)
				}
				r.saveCheckpoint(s, name, eventstore.Start, eventstore.Position("at "+name))
			}
			for _, name := range names {
				if p := r.checkpoint(s, name); p != eventstore.Position("at "+name) {
					r.errorf("the checkpoint of %s is at %q", name, p)
				}
			}
			r.saveCheckpoint(s, "a", "at a", "further")
			r.saveCheckpoint(s, "a", "further", eventstore.Start)
			if p := r.checkpoint(s, "a"); p != eventstore.Start {
				r.errorf("a checkpoint that was reset is at %q", p)
			}
			r.saveCheckpoint(s, "a", eventstore.Start, "again")
			if p := r.checkpoint(r.open(), "a"); p != "again" {
				r.errorf("the checkpoint is at %q in another process, want again", p)
			}
		},
	},
	{
		name:    "a checkpoint moves from where it is",
		promise: "SaveCheckpoint from another position is a *CheckpointError and changes nothing, but the same call again is none",
		run: func(r *recorder) {
			s := r.open()
			r.saveCheckpoint(s, "p", eventstore.Start, "1")
			r.saveCheckpoint(s, "p", eventstore.Start, "1") // the answer was lost
			r.saveCheckpoint(s, "p", "1", "2")
			for _, c := range []struct{ from, to eventstore.Position }{{"", "1"}, {"1", "3"}, {"3", "4"}, {"", "3"}, {"1", ""}} {
				err := s.SaveCheckpoint(context.Background(), "p", c.from, c.to)
				conflict, ok := errors.AsType[*eventstore.CheckpointError](err)
				if !ok || !errors.Is(err, eventstore.ErrConflict) {
					r.errorf("SaveCheckpoint from %q to %q = %v, want a *CheckpointError", c.from, c.to, err)
				} else if want := (eventstore.CheckpointError{Name: "p", Expected: c.from, Actual: "2"}); *conflict != want {
					r.errorf("SaveCheckpoint from %q = %+v, want %+v", c.from, *conflict, want)
				}
			}
			if err := s.SaveCheckpoint(context.Background(), "new", "1", "2"); !errors.Is(err, eventstore.ErrConflict) {
				r.errorf("SaveCheckpoint of one that is not there from 1 = %v, want a conflict", err)
			}
			if p := r.checkpoint(s, "p"); p != "2" {
				r.errorf("the checkpoint is at %q, want 2", p)
			}
		},
	},
	{
		name:    "one of many moves the checkpoint",
		promise: "of those who move a checkpoint from the same position at once, one succeeds",
		run: func(r *recorder) {
			stores := []eventstore.Store{r.open(), r.open()}
			from := eventstore.Start
			for round := range 10 {
				var won atomic.Int32
				r.together(6, func(w int) {
					err := stores[w%2].SaveCheckpoint(context.Background(), "p", from, eventstore.Position(fmt.Sprint(round, "-", w)))
					if err == nil {
						won.Add(1)
					} else if !errors.Is(err, eventstore.ErrConflict) {
						r.errorf("SaveCheckpoint = %v, want nil or a conflict", err)
					}
				})
				if n := won.Load(); n != 1 {
					r.fatalf("%d of 6 have moved the checkpoint from %q", n, from)
				}
				from = r.checkpoint(stores[0], "p")
			}
		},
	},
}
