package deadlettertest

import (
	"context"
	"errors"
	"slices"

	"github.com/troupe-go/troupe/deadletter"
)

var addCases = []testCase{
	{
		name:    "Add is idempotent",
		promise: "adding a letter that is there is no error and changes nothing: the runtime repeats an Add whose answer was lost, and must not undo what an operator did meanwhile",
		run: func(r *recorder, s deadletter.Store) {
			r.add(s, full("a"))
			again := small(1)
			again.ID = "a"
			r.add(s, again)
			if d := difference(r.get(s, "a"), full("a")); d != "" {
				r.errorf("after adding another letter of the same ID:\n%s", d)
			}
			r.update(s, "a", func(l *deadletter.Letter) error { l.State = deadletter.StateResolved; return nil })
			r.add(s, small(2), full("a"), small(3))
			if got := r.get(s, "a").State; got != deadletter.StateResolved {
				r.errorf("State = %q after an update and the same Add again, want %q", got, deadletter.StateResolved)
			}
			if got, want := r.all(s, deadletter.Query{}), []string{small(3).ID, small(2).ID, "a"}; !slices.Equal(got, want) {
				r.errorf("List gives %q, want %q: the others of the batch are stored, and each letter once", got, want)
			}
			if got := r.list(s, deadletter.Query{}).Total; got != 3 {
				r.errorf("Total = %d, want 3", got)
			}
		},
	},
	{
		name:    "the first of a batch wins",
		promise: "a letter that comes twice in one Add is stored once, as it came first",
		run: func(r *recorder, s deadletter.Store) {
			first, second := small(1), small(1)
			first.Error, second.Error = "first", "second"
			r.add(s, first, small(2), second)
			if got := r.get(s, first.ID).Error; got != "first" {
				r.errorf("Error = %q, want that of the first", got)
			}
			if got := r.list(s, deadletter.Query{}); len(got.Letters) != 2 || got.Total != 2 {
				r.errorf("List gives %d letters and Total %d, want 2", len(got.Letters), got.Total)
			}
		},
	},
	{
		name:    "Add is all or nothing",
		promise: "an Add that returns an error has stored nothing, and says which letter is at fault, so that the caller can set it apart",
		run: func(r *recorder, s deadletter.Store) {
			unknown := small(3)
			unknown.State = "no such state"
			for _, bad := range []deadletter.Letter{{}, unknown} {
				err := s.Add(context.Background(), []deadletter.Letter{small(1), small(2), bad, small(4)})
				if !errors.Is(err, deadletter.ErrInvalidLetter) {
					r.errorf("Add of a letter with ID %q and state %q = %v, want ErrInvalidLetter", bad.ID, bad.State, err)
				}
				if le, ok := errors.AsType[*deadletter.LetterError](err); !ok || le.Index != 2 || le.ID != bad.ID {
					r.errorf("Add = %#v, want a *LetterError for index 2, ID %q", err, bad.ID)
				}
				if got := r.list(s, deadletter.Query{}); len(got.Letters) != 0 || got.Total != 0 {
					r.fatalf("List gives %q and Total %d after an Add that failed, want nothing", ids(got.Letters), got.Total)
				}
			}
		},
	},
	{
		name:    "Add of nothing",
		promise: "an empty batch is no error",
		run: func(r *recorder, s deadletter.Store) {
			r.add(s)
			if got := r.list(s, deadletter.Query{}); len(got.Letters) != 0 || got.Total != 0 || got.Next != "" {
				r.errorf("List of an empty store = %+v, want nothing", got)
			}
		},
	},
	{
		name:    "an empty state is open",
		promise: "a letter that names no state is stored as open, by Add and by Update, and found as such",
		run: func(r *recorder, s deadletter.Store) {
			a, b := small(1), small(2)
			a.State = ""
			r.add(s, a, b)
			r.update(s, b.ID, func(l *deadletter.Letter) error { l.State = ""; return nil })
			for _, id := range []string{a.ID, b.ID} {
				if got := r.get(s, id).State; got != deadletter.StateOpen {
					r.errorf("State of %s = %q, want %q", id, got, deadletter.StateOpen)
				}
			}
			if got := r.list(s, deadletter.Query{State: deadletter.StateOpen}).Total; got != 2 {
				r.errorf("Total of the open letters = %d, want 2", got)
			}
		},
	},
	{
		name:    "IDs are opaque",
		promise: "an ID is any text that is not empty, compared and ordered by its bytes",
		run: func(r *recorder, s deadletter.Store) {
			var batch []deadletter.Letter
			for _, id := range []string{"a", "A", "B", "b", "a ", "á", "a/b", "a%", "a_", "a*", "aa", "'", "0", "00", "-1", "日本", "\u00ff", "a\x00b"} {
				l := small(1)
				l.ID, l.Error = id, id
				batch = append(batch, l)
			}
			r.add(s, batch...)
			for _, l := range batch {
				if got := r.get(s, l.ID); got.Error != l.ID {
					r.errorf("Get(%q) gives letter %q", l.ID, got.Error)
				}
			}
			if got, want := r.all(s, deadletter.Query{Limit: 3}), newestFirst(batch); !slices.Equal(got, want) {
				r.errorf("List gives %q, want %q", got, want)
			}
			if n := r.delete(s, "a%", "a_", "a*"); n != 3 {
				r.errorf("Delete of three letters = %d", n)
			}
			if got := r.list(s, deadletter.Query{}).Total; got != len(batch)-3 {
				r.errorf("Total after deleting three = %d, want %d", got, len(batch)-3)
			}
		},
	},
	{
		name:    "unknown IDs",
		promise: "Get and Update of a letter that is not there give ErrNotFound, and fn is not called",
		run: func(r *recorder, s deadletter.Store) {
			r.add(s, small(1))
			for _, id := range []string{"", "no such letter", small(1).ID[:3]} {
				if _, err := s.Get(context.Background(), id); !errors.Is(err, deadletter.ErrNotFound) {
					r.errorf("Get(%q) = %v, want ErrNotFound", id, err)
				}
				err := s.Update(context.Background(), id, func(l *deadletter.Letter) error {
					r.errorf("Update(%q) called fn with letter %q", id, l.ID)
					return nil
				})
				if !errors.Is(err, deadletter.ErrNotFound) {
					r.errorf("Update(%q) = %v, want ErrNotFound", id, err)
				}
			}
			if got := r.list(s, deadletter.Query{}).Total; got != 1 {
				r.errorf("Total = %d afterwards, want 1", got)
			}
		},
	},
}
