package deadlettertest

import (
	"context"
	"errors"
	"slices"

	"github.com/troupe-go/troupe/deadletter"
)

var changeCases = []testCase{
	{
		name:    "IDs are all that matches",
		promise: "IDs gives every letter that the query selects, oldest first, whatever its After and Limit",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			letters := smalls(0, 1800)
			for i := range letters {
				if i%3 == 0 {
					letters[i].State = deadletter.StateDeleted
				}
				if i%7 == 0 {
					letters[i].Topic = "other"
				}
			}
			r.add(s, letters...)
			for _, q := range []deadletter.Query{
				{}, {After: letters[5].ID, Limit: 1}, {Limit: deadletter.MaxLimit + 1}, {Topic: "other"}, {State: deadletter.StateDeleted}, {Where: where("topic:o*r seq:>100")}, {Topic: "none"},
			} {
				want := matching(letters, q)
				slices.Reverse(want)
				if got := must[[]string](r, "IDs")(s.IDs(background, q)); !slices.Equal(got, want) {
					r.errorf("IDs(%+v) gives %d, the first of them %q; want %d", q, len(got), got[:min(3, len(got))], len(want))
				}
			}
			_, err := s.IDs(background, deadletter.Query{State: "no such state"})
			r.wants("IDs of a wrong query", err, deadletter.ErrInvalidQuery)
		}),
	},
	{
		name:    "Change changes many letters",
		promise: "fn is called once for each of the ids that is there, in their order, and what it makes of the letter is stored; no other letter changes",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			letters := smalls(0, 900)
			r.add(s, letters...)
			var want []string
			for i := 800; i >= 100; i-- {
				want = append(want, letters[i].ID)
			}
			var called []string
			results, err := s.Change(background, want, func(l *deadletter.Letter) error {
				called = append(called, l.ID)
				l.Error = "changed " + l.ID
				return l.Archive(deadletter.Closing{By: "ada", At: day})
			})
			r.try("Change", err)
			if len(results) != len(want) || slices.ContainsFunc(results, func(err error) bool { return err != nil }) {
				r.errorf("Change gives %d results for %d letters, not all of them nil", len(results), len(want))
			}
			if !slices.Equal(called, want) {
				r.errorf("fn was called %d times, not once for each of %d in their order", len(called), len(want))
			}
			for i, l := range letters {
				l = l.Normalize() // with the fingerprint that it had from the first
				if 100 <= i && i <= 800 {
					l.Error = "changed " + l.ID
					l.State, l.Closed = deadletter.StateArchived, &deadletter.Closing{As: deadletter.ClosedAsArchive, By: "ada", At: day, Was: deadletter.StateOpen}
				}
				if d := difference(r.get(s, l.ID), l); d != "" {
					r.fatalf("letter %d:\n%s", i, d)
				}
			}
			if got := r.list(s, deadletter.Query{State: deadletter.StateArchived}).Total; got != 701 {
				r.errorf("%d letters are archived, want 701", got)
			}
			none, err := s.Change(background, nil, func(*deadletter.Letter) error { panic("called") })
			if len(none) != 0 || err != nil {
				r.errorf("Change of nothing = %v, %v", none, err)
			}
		}),
	},
	{
		name:    "Change says what became of each",
		promise: "a letter that is not there, that fn refuses, or that fn makes invalid is left as it is and named in the results; the others change",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			r.add(s, smalls(0, 6)...)
			boom := errors.New("boom")
			id := func(n int) string { return small(n).ID }
			ids := []string{id(0), "nobody", id(1), id(2), id(3), id(4), id(0), "nobody"}
			calls := 0
			results, err := s.Change(background, ids, func(l *deadletter.Letter) error {
				calls++
				l.Error = "changed"
				switch l.ID {
				case id(1):
					return boom
				case id(2):
					l.State = "no such state"
				case id(3):
					l.ID = "another"
				}
				return nil
			})
			r.try("Change", err)
			if len(results) != len(ids) || calls != 5 {
				r.fatalf("%d results and %d calls for %d ids, 5 of them different and there", len(results), calls, len(ids))
			}
			for i, want := range []error{nil, deadletter.ErrNotFound, boom, deadletter.ErrInvalidLetter, deadletter.ErrInvalidLetter, nil, nil, deadletter.ErrNotFound} {
				r.wants("the result of "+ids[i], results[i], want)
			}
			if le, ok := errors.AsType[*deadletter.LetterError](results[3]); !ok || le.ID != id(2) {
				r.errorf("the result of an invalid letter is %v, want a *LetterError with its ID", results[3])
			}
			for n := range 6 {
				want := small(n).Normalize()
				if n == 0 || n == 4 {
					want.Error = "changed"
				}
				if d := difference(r.get(s, id(n)), want); d != "" {
					r.errorf("letter %d:\n%s", n, d)
				}
			}
			if _, err := s.Get(background, "another"); !errors.Is(err, deadletter.ErrNotFound) {
				r.errorf("the letter with another ID is there: %v", err)
			}
		}),
	},
	{
		name:    "Change copies",
		promise: "nothing that is done to the letter later, or by an fn that fails, is seen",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			r.add(s, full("a"), full("b"))
			var kept []*deadletter.Letter
			_, err := s.Change(background, []string{"a", "b"}, func(l *deadletter.Letter) error {
				kept = append(kept, l)
				if l.ID == "b" {
					scribble(l)
					return errors.New("no")
				}
				return nil
			})
			r.try("Change", err)
			for _, l := range kept {
				scribble(l)
			}
			for _, id := range []string{"a", "b"} {
				if d := difference(r.get(s, id), full(id)); d != "" {
					r.errorf("%s:\n%s", id, d)
				}
			}
		}),
	},
	{
		name:    "a panic in Change changes nothing of its step",
		promise: "a panic of fn reaches the caller, the letters after it are as they were, and the ledger goes on",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			r.add(s, smalls(0, 3)...)
			func() {
				defer func() {
					if v := recover(); v != "boom" {
						r.errorf("recovered %v, want boom", v)
					}
				}()
				_, _ = s.Change(background, ids(smalls(0, 3)), func(l *deadletter.Letter) error {
					if l.ID == small(1).ID {
						panic("boom")
					}
					l.Error = "changed"
					return nil
				})
			}()
			for n := range 3 {
				if d := difference(r.get(s, small(n).ID), small(n)); d != "" {
					r.errorf("letter %d:\n%s", n, d)
				}
			}
			r.update(s, small(2).ID, func(l *deadletter.Letter) error { l.Error = "changed"; return nil })
			if got := r.get(s, small(2).ID).Error; got != "changed" {
				r.errorf("Error = %q after an update, want changed", got)
			}
		}),
	},
	{
		name:    "concurrent changes lose nothing",
		promise: "Change and Update of the same letters at once: each sees what the others have made",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			const letters, rounds, workers = 40, 10, 4
			r.add(s, smalls(0, letters)...)
			all := ids(smalls(0, letters))
			count := func(l *deadletter.Letter) error { l.AttemptCount++; return nil }
			r.together(workers, func(w int) {
				for range rounds {
					if w%2 == 0 {
						results, err := s.Change(background, all, count)
						r.wants("Change", err, nil)
						r.wants("a result", errors.Join(results...), nil)
						continue
					}
					for _, id := range all {
						r.wants("Update", s.Update(background, id, count), nil)
					}
				}
			})
			for _, id := range all {
				if got := r.get(s, id).AttemptCount; got != rounds*workers {
					r.errorf("%s was changed %d times, want %d", id, got, rounds*workers)
				}
			}
		}),
	},
	{
		name:    "Change ends with its ctx",
		promise: "when ctx ends while Change works, a prefix of ids has changed, and the results say which",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			letters := smalls(0, 2000)
			r.add(s, letters...)
			ctx, cancel := context.WithCancel(background)
			defer cancel()
			calls := 0
			results, err := s.Change(ctx, ids(letters), func(l *deadletter.Letter) error {
				if calls++; calls == 700 {
					cancel()
				}
				l.Error = "changed"
				return nil
			})
			if len(results) != len(letters) {
				r.fatalf("%d results, want %d", len(results), len(letters))
			}
			changed := 0
			for i, l := range letters {
				is := r.get(s, l.ID).Error == "changed"
				if is != (results[i] == nil) {
					r.fatalf("letter %d has changed: %v, and its result is %v", i, is, results[i])
				}
				if is && changed != i {
					r.fatalf("letter %d has changed, and one before it not", i)
				}
				if is {
					changed++
				}
				if !is {
					r.wants("the result of what was not reached", results[i], context.Canceled)
				}
			}
			if changed < len(letters) {
				r.wants("Change", err, context.Canceled)
			} else {
				r.wants("Change", err, nil)
			}
		}),
	},
}
