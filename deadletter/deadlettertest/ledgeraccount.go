package deadlettertest

import (
	"errors"
	"slices"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

var accountCases = []testCase{
	{
		name:    "the account adds up",
		promise: "every letter that was ever added is in the account exactly once, whatever became of it",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			check := func(when string, want deadletter.Account) {
				got := must[deadletter.Account](r, "Account")(s.Account(background))
				if err := got.Check(); err != nil {
					r.errorf("%s: %v", when, err)
				}
				if got.Bytes < 0 || got.Fill < 0 || got.Fill > 1 || (got.Bytes == 0) != (want.Added == 0) {
					r.errorf("%s: Bytes %d, Fill %v", when, got.Bytes, got.Fill)
				}
				got.Bytes, got.Fill = 0, 0
				if got != want {
					r.errorf("%s: %+v\nwant %+v", when, got, want)
				}
			}
			check("empty", deadletter.Account{})
			letters := smalls(0, 20)
			for i := range letters {
				letters[i].FirstFailedAt = day.Add(time.Duration(20-i) * time.Hour)
			}
			letters[3].FirstFailedAt = time.Time{}
			r.add(s, letters...)
			r.add(s, letters[:5]...)
			check("20 added, some twice", deadletter.Account{Added: 20, Open: 20, Oldest: day.Add(time.Hour)})

			closing := deadletter.Closing{By: "ada", At: day, PurgeAt: time.Now().Add(time.Hour)}
			do := func(n int, fn func(l *deadletter.Letter) error) { r.update(s, letters[n].ID, fn) }
			do(0, func(l *deadletter.Letter) error { return l.Resolve(closing) })
			do(1, func(l *deadletter.Letter) error { return l.Archive(closing) })
			do(2, func(l *deadletter.Letter) error { return l.Delete(closing) })
			do(19, func(l *deadletter.Letter) error { return l.Delete(closing) })
			do(4, func(l *deadletter.Letter) error { _, err := l.BeginRedrive("ada", 1, day); return err })
			check("one of each", deadletter.Account{Added: 20, Open: 15, Resolved: 1, Archived: 1, Deleted: 2, Redriving: 1, Oldest: day.Add(2 * time.Hour)})

			do(2, func(l *deadletter.Letter) error { return l.Restore() })
			r.delete(s, letters[2].ID, letters[19].ID, letters[5].ID, "nobody")
			check("deleted for good", deadletter.Account{Added: 20, Open: 14, Resolved: 1, Archived: 1, Deleted: 3, Redriving: 1, Oldest: day.Add(2 * time.Hour)})

			r.add(s, letters[19])
			check("added again", deadletter.Account{Added: 21, Open: 15, Resolved: 1, Archived: 1, Deleted: 3, Redriving: 1, Oldest: day.Add(time.Hour)})
		}),
	},
	{
		name:    "a tombstone goes when its time has come",
		promise: "a deleted letter whose PurgeAt has passed is gone, and counted as deleted; one that was restored in time stays",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			r.add(s, smalls(0, 3)...)
			past := time.Now().Add(-time.Hour)
			for n := range 2 {
				at := past
				if n == 1 {
					at = time.Now().Add(time.Hour)
				}
				r.update(s, small(n).ID, func(l *deadletter.Letter) error { return l.Delete(deadletter.Closing{At: past, PurgeAt: at}) })
			}
			// A ledger may let go of tombstones now and then only.
			deadline := time.Now().Add(patience / 2)
			for {
				_, err := s.Get(background, small(0).ID)
				if errors.Is(err, deadletter.ErrNotFound) {
					break
				}
				r.wants("Get", err, nil)
				if time.Now().After(deadline) {
					r.fatalf("a tombstone is there long after its PurgeAt")
				}
				time.Sleep(10 * time.Millisecond)
			}
			if l := r.get(s, small(1).ID); l.State != deadletter.StateDeleted {
				r.errorf("the other tombstone is %s", l.State)
			}
			a := must[deadletter.Account](r, "Account")(s.Account(background))
			if a.Deleted != 2 || a.Open != 1 || a.Added != 3 || a.Check() != nil {
				r.errorf("Account = %+v, want 2 deleted of 3", a)
			}
			if got := r.all(s, deadletter.Query{State: deadletter.StateDeleted}); !slices.Equal(got, []string{small(1).ID}) {
				r.errorf("List of the deleted gives %q", got)
			}
		}),
	},
}
