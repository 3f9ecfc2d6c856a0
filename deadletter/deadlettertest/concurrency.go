package deadlettertest

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"

	"github.com/troupe-go/troupe/deadletter"
)

var concurrencyCases = []testCase{
	{
		name:    "concurrent updates lose nothing",
		promise: "Update reads and writes in one step: of many at once, each sees what the others did",
		run: func(r *recorder, s deadletter.Store) {
			const workers, rounds = 8, 25
			r.add(s, small(1), small(2))
			r.together(workers, func(w int) {
				for range rounds {
					for _, n := range []int{1, 2} {
						r.update(s, small(n).ID, func(l *deadletter.Letter) error {
							count := l.AttemptCount
							runtime.Gosched() // invites the others in
							l.AttemptCount = count + 1
							return nil
						})
					}
				}
			})
			for _, n := range []int{1, 2} {
				if got := r.get(s, small(n).ID).AttemptCount; got != workers*rounds {
					r.errorf("AttemptCount = %d after %d updates", got, workers*rounds)
				}
			}
		},
	},
	{
		name:    "one of many begins the redrive",
		promise: "of operators who redrive the same letter at once, one succeeds: an event must not be sent back twice",
		run: func(r *recorder, s deadletter.Store) {
			for n := range 20 {
				r.add(s, small(n))
				var begun atomic.Int32
				r.together(4, func(w int) {
					err := s.Update(context.Background(), small(n).ID, func(l *deadletter.Letter) error {
						_, err := l.BeginRedrive(fmt.Sprint(w), 1, day)
						runtime.Gosched()
						return err
					})
					if err == nil {
						begun.Add(1)
					} else if !errors.Is(err, deadletter.ErrNotOpen) {
						r.errorf("Update = %v, want ErrNotOpen", err)
					}
				})
				if l := r.get(s, small(n).ID); begun.Load() != 1 || l.RedriveCount() != 1 {
					r.fatalf("%d of 4 began the redrive, and the letter knows of %d", begun.Load(), l.RedriveCount())
				}
			}
		},
	},
	{
		name:    "concurrent adds store each letter once",
		promise: "batches that overlap, added at once, leave each letter once",
		run: func(r *recorder, s deadletter.Store) {
			const workers, letters = 8, 60
			r.together(workers, func(w int) {
				for from := 0; from < letters; from += 5 {
					at := (from + w*10) % letters
					batch := smalls(at, min(at+10, letters))
					for i := range batch {
						batch[i].Error = fmt.Sprint(w)
					}
					r.add(s, batch...)
				}
			})
			want := newestFirst(smalls(0, letters))
			if got := r.all(s, deadletter.Query{Limit: 7}); !slices.Equal(got, want) {
				r.errorf("List gives\n%q, want\n%q", got, want)
			}
			if got := r.list(s, deadletter.Query{}).Total; got != letters {
				r.errorf("Total = %d, want %d", got, letters)
			}
		},
	},
	{
		name:    "pages stand still under concurrent adds",
		promise: "whoever reads page after page sees each letter that was there at the start exactly once, while others add and delete",
		run: func(r *recorder, s deadletter.Store) {
			there := smalls(0, 400)
			var stay, leave []deadletter.Letter
			for i, l := range there {
				if i%4 == 0 {
					leave = append(leave, l)
				} else {
					stay = append(stay, l)
				}
			}
			r.add(s, there...)
			r.together(6, func(w int) {
				switch {
				case w < 2:
					for n := range 150 {
						r.add(s, small(1000+2*n+w))
					}
				case w == 2:
					for _, l := range leave {
						r.delete(s, l.ID)
					}
				default:
					for range 5 {
						got := r.all(s, deadletter.Query{Limit: 11 * w})
						for i := 1; i < len(got); i++ {
							if got[i-1] <= got[i] {
								r.fatalf("%q comes before %q", got[i-1], got[i])
							}
						}
						if i, missing := subset(newestFirst(stay), got); missing {
							r.fatalf("the pages do not hold %q, which was there throughout", newestFirst(stay)[i])
						}
					}
				}
			})
			if got, want := r.list(s, deadletter.Query{}).Total, len(stay)+300; got != want {
				r.errorf("Total = %d in the end, want %d", got, want)
			}
		},
	},
	{
		name:    "readers see whole letters",
		promise: "a reader sees a letter before or after an Update, never half of it, whichever way it reads",
		run: func(r *recorder, s deadletter.Store) {
			l := full("a")
			l.State = deadletter.StateOpen
			l.AttemptCount, l.Sequence, l.Headers["n"], l.Attempts[0].Number = 0, 0, "0", 0
			r.add(s, l)
			check := func(l deadletter.Letter) {
				if n := l.AttemptCount; l.Sequence != uint64(n) || l.Headers["n"] != fmt.Sprint(n) || l.Attempts[0].Number != n {
					r.fatalf("a torn letter: AttemptCount %d, Sequence %d, Headers %q, Attempts[0].Number %d",
						n, l.Sequence, l.Headers["n"], l.Attempts[0].Number)
				}
			}
			r.together(4, func(w int) {
				for range 100 {
					switch w {
					case 0, 1:
						r.update(s, "a", func(l *deadletter.Letter) error {
							check(*l)
							n := l.AttemptCount + 1
							l.AttemptCount = n
							runtime.Gosched()
							l.Sequence = uint64(n)
							l.Headers["n"] = fmt.Sprint(n)
							l.Attempts[0].Number = n
							return nil
						})
					case 2:
						l := r.get(s, "a")
						check(l)
						scribble(&l)
					default:
						for _, l := range r.list(s, deadletter.Query{Topic: "orders.placed"}).Letters {
							check(l)
							scribble(&l)
						}
					}
				}
			})
		},
	},
	{
		name:    "an Update does not bring back a deleted letter",
		promise: "once Delete has returned, the letter is gone, also if an Update was under way",
		run: func(r *recorder, s deadletter.Store) {
			for n := range 50 {
				r.add(s, small(n))
				id := small(n).ID
				var deleted atomic.Int32
				r.together(3, func(w int) {
					if w == 0 {
						runtime.Gosched()
						deleted.Add(int32(r.delete(s, id)))
						return
					}
					err := s.Update(context.Background(), id, func(l *deadletter.Letter) error {
						for range w * 3 {
							runtime.Gosched()
						}
						l.AttemptCount++
						return nil
					})
					if err != nil && !errors.Is(err, deadletter.ErrNotFound) {
						r.errorf("Update = %v, want nil or ErrNotFound", err)
					}
				})
				if deleted.Load() != 1 {
					r.errorf("Delete = %d, want 1", deleted.Load())
				}
				if _, err := s.Get(context.Background(), id); !errors.Is(err, deadletter.ErrNotFound) {
					r.fatalf("Get after Delete = %v, want ErrNotFound", err)
				}
			}
		},
	},
}

// subset returns the first element of a that b does not hold. Both are in
// descending order.
func subset(a, b []string) (i int, missing bool) {
	j := 0
	for i := range a {
		for j < len(b) && b[j] > a[i] {
			j++
		}
		if j == len(b) || b[j] != a[i] {
			return i, true
		}
	}
	return 0, false
}
