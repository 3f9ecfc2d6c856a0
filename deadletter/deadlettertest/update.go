package deadlettertest

import (
	"context"
	"errors"

	"github.com/troupe-go/troupe/deadletter"
)

var updateCases = []testCase{
	{
		name:    "Update changes one letter",
		promise: "Update calls fn once, with the letter as it is, and changes no other letter",
		run: func(r *recorder, s deadletter.Store) {
			r.add(s, smalls(0, 3)...)
			for want := 1; want <= 3; want++ {
				calls := 0
				r.update(s, small(1).ID, func(l *deadletter.Letter) error {
					calls++
					l.AttemptCount++
					return nil
				})
				if calls != 1 {
					r.errorf("fn was called %d times, want 1", calls)
				}
				if got := r.get(s, small(1).ID).AttemptCount; got != want {
					r.errorf("AttemptCount = %d after %d updates", got, want)
				}
			}
			for _, n := range []int{0, 2} {
				if d := difference(r.get(s, small(n).ID), small(n)); d != "" {
					r.errorf("another letter has changed:\n%s", d)
				}
			}
		},
	},
	{
		name:    "a failed Update changes nothing",
		promise: "if fn returns an error, Update returns it and the letter stays as it was",
		run: func(r *recorder, s deadletter.Store) {
			r.add(s, full("a"))
			boom := errors.New("boom")
			err := s.Update(context.Background(), "a", func(l *deadletter.Letter) error {
				*l = deadletter.Letter{ID: "a", Error: "changed", State: deadletter.StateResolved}
				return boom
			})
			if !errors.Is(err, boom) {
				r.errorf("Update = %v, want fn's error", err)
			}
			if d := difference(r.get(s, "a"), full("a")); d != "" {
				r.errorf("%s", d)
			}
		},
	},
	{
		name:    "a panic in Update changes nothing",
		promise: "a panic of fn reaches the caller of Update, nothing has changed, and the store works on",
		run: func(r *recorder, s deadletter.Store) {
			r.add(s, full("a"))
			func() {
				defer func() {
					if got := recover(); got != "boom" {
						r.errorf("Update panicked with %v, want fn's panic", got)
					}
				}()
				_ = s.Update(context.Background(), "a", func(l *deadletter.Letter) error {
					l.Error = "changed"
					scribble(l)
					panic("boom")
				})
			}()
			if d := difference(r.get(s, "a"), full("a")); d != "" {
				r.errorf("%s", d)
			}
			r.update(s, "a", func(l *deadletter.Letter) error { l.Error = "later"; return nil })
			r.add(s, small(1))
			if got := r.get(s, "a").Error; got != "later" {
				r.errorf("Error = %q after a later Update", got)
			}
		},
	},
	{
		name:    "Update keeps the letter valid",
		promise: "an ID never changes, and a state is one of the known ones: otherwise Update gives a *LetterError and changes nothing",
		run: func(r *recorder, s deadletter.Store) {
			r.add(s, smalls(0, 2)...)
			id := small(0).ID
			for name, change := range map[string]func(l *deadletter.Letter){
				"no ID":               func(l *deadletter.Letter) { l.ID = "" },
				"a new ID":            func(l *deadletter.Letter) { l.ID = "another" },
				"another letter's ID": func(l *deadletter.Letter) { l.ID = small(1).ID },
				"an unknown state":    func(l *deadletter.Letter) { l.State = "no such state" },
			} {
				err := s.Update(context.Background(), id, func(l *deadletter.Letter) error {
					l.Error = "changed"
					change(l)
					return nil
				})
				if !errors.Is(err, deadletter.ErrInvalidLetter) {
					r.errorf("Update to %s = %v, want ErrInvalidLetter", name, err)
				}
				if le, ok := errors.AsType[*deadletter.LetterError](err); !ok || le.ID != id {
					r.errorf("Update to %s = %#v, want a *LetterError for ID %q", name, err, id)
				}
			}
			for n := range 2 {
				if d := difference(r.get(s, small(n).ID), small(n)); d != "" {
					r.errorf("%s", d)
				}
			}
			if got := r.list(s, deadletter.Query{}).Total; got != 2 {
				r.errorf("Total = %d, want 2", got)
			}
		},
	},
	{
		name:    "a redrive is kept",
		promise: "a letter goes from open through redriving to open and resolved with its history, as the runtime drives it",
		run: func(r *recorder, s deadletter.Store) {
			want := small(1)
			r.add(s, want)
			for _, outcome := range []deadletter.Outcome{deadletter.OutcomeFailed, deadletter.OutcomeDone} {
				begin := func(l *deadletter.Letter) error { _, err := l.BeginRedrive("ada", 1, day); return err }
				end := func(l *deadletter.Letter) error {
					l.AddAttempt(deadletter.Attempt{Number: 1, Redrive: l.RedriveCount(), Started: day, Duration: 1, Cause: "error"})
					return l.EndRedrive(outcome, string(outcome), day)
				}
				for _, step := range []func(*deadletter.Letter) error{begin, end} {
					r.update(s, want.ID, step)
					if err := step(&want); err != nil {
						r.fatalf("step: %v", err)
					}
					if d := difference(r.get(s, want.ID), want); d != "" {
						r.errorf("%s", d)
					}
				}
			}
		},
	},
}
