package deadlettertest

import (
	"context"
	"errors"
	"slices"

	"github.com/troupe-go/troupe/deadletter"
)

var listCases = []testCase{
	{
		name:    "List is newest first",
		promise: "the order is descending by ID, whatever the order in which the letters came, were updated or failed",
		run: func(r *recorder, s deadletter.Store) {
			batch := smalls(0, 30)
			for _, n := range []int{7, 3, 29, 0, 12, 28, 1} {
				r.add(s, batch[n])
			}
			r.add(s, batch...)
			r.update(s, batch[3].ID, func(l *deadletter.Letter) error {
				l.State, l.LastFailedAt = deadletter.StateResolved, day.AddDate(1, 0, 0)
				return nil
			})
			if got, want := ids(r.list(s, deadletter.Query{}).Letters), newestFirst(batch); !slices.Equal(got, want) {
				r.errorf("List gives\n%q, want\n%q", got, want)
			}
		},
	},
	{
		name:    "pages give every letter once",
		promise: "page after page gives each letter once and in order, Total is the same on all of them, and only the last has no Next",
		run: func(r *recorder, s deadletter.Store) {
			batch := smalls(0, 12)
			r.add(s, batch...)
			for limit := 1; limit <= 13; limit++ {
				q := deadletter.Query{Limit: limit}
				var got []string
				for {
					p := r.list(s, q)
					got = append(got, ids(p.Letters)...)
					if p.Total != len(batch) {
						r.errorf("Total = %d at limit %d after %q, want %d", p.Total, limit, q.After, len(batch))
					}
					if last := len(got) >= len(batch); last != (p.Next == "") {
						r.fatalf("Next = %q after %d of %d letters at limit %d", p.Next, len(got), len(batch), limit)
					}
					if p.Next == "" {
						break
					}
					if len(p.Letters) != limit {
						r.fatalf("a page of limit %d holds %d letters and is not the last", limit, len(p.Letters))
					}
					q.After = p.Next
				}
				if want := newestFirst(batch); !slices.Equal(got, want) {
					r.errorf("pages of %d give\n%q, want\n%q", limit, got, want)
				}
			}
		},
	},
	{
		name:    "pages stand still while letters come and go",
		promise: "new letters shift no page, and a page can be followed after the letter at its end, or any before, has been deleted",
		run: func(r *recorder, s deadletter.Store) {
			batch := smalls(0, 20)
			r.add(s, batch...)
			var got []string
			q := deadletter.Query{Limit: 3}
			for n := 100; ; n++ {
				p := r.list(s, q)
				got = append(got, ids(p.Letters)...)
				if p.Next == "" {
					break
				}
				if len(got) > len(batch) {
					r.fatalf("more letters than there were: %q", got)
				}
				q.After = p.Next
				r.add(s, small(n)) // newer than all
				r.delete(s, got...)
			}
			if want := newestFirst(batch); !slices.Equal(got, want) {
				r.errorf("pages give\n%q, want\n%q", got, want)
			}
		},
	},
	{
		name:    "pages of a filter",
		promise: "paging and Total count the letters that match, also where few of many do",
		run: func(r *recorder, s deadletter.Store) {
			batch := smalls(0, 200)
			var want []deadletter.Letter
			for i := range batch {
				if i%9 == 0 {
					batch[i].Subscriber = "mail"
					want = append(want, batch[i])
				}
			}
			r.add(s, batch...)
			q := deadletter.Query{Subscriber: "mail", Limit: 5}
			if got := r.all(s, q); !slices.Equal(got, newestFirst(want)) {
				r.errorf("pages give\n%q, want\n%q", got, newestFirst(want))
			}
			if got := r.list(s, q).Total; got != len(want) {
				r.errorf("Total = %d, want %d", got, len(want))
			}
		},
	},
	{
		name:    "limits",
		promise: "no limit means DefaultLimit, MaxLimit is allowed, and a query that breaks a rule gives ErrInvalidQuery instead of a guess",
		run: func(r *recorder, s deadletter.Store) {
			r.add(s, smalls(0, deadletter.MaxLimit+1)...)
			for limit, want := range map[int]int{0: deadletter.DefaultLimit, 1: 1, deadletter.MaxLimit: deadletter.MaxLimit} {
				if p := r.list(s, deadletter.Query{Limit: limit}); len(p.Letters) != want || p.Next == "" {
					r.errorf("a page of limit %d holds %d letters and Next %q, want %d and a next page", limit, len(p.Letters), p.Next, want)
				}
			}
			for _, q := range []deadletter.Query{{Limit: -1}, {Limit: deadletter.MaxLimit + 1}, {State: "no such state"}} {
				if _, err := s.List(context.Background(), q); !errors.Is(err, deadletter.ErrInvalidQuery) {
					r.errorf("List(%+v) = %v, want ErrInvalidQuery", q, err)
				}
			}
		},
	},
}

var filterCases = []testCase{
	{
		name:    "filters",
		promise: "each field of a query selects by that field of the letter, and together they select what matches all",
		run: func(r *recorder, s deadletter.Store) {
			var batch []deadletter.Letter
			n := 0
			for _, topic := range []string{"t1", "t2"} {
				for _, sub := range []string{"s1", "s2"} {
					for _, reason := range []string{"r1", "r2"} {
						for _, print := range []string{"f1", "f2"} {
							for _, state := range []deadletter.State{deadletter.StateOpen, deadletter.StateRedriving, deadletter.StateResolved, deadletter.StateArchived} {
								l := small(n)
								l.Topic, l.Subscriber, l.Reason, l.Fingerprint, l.State = topic, sub, reason, print, state
								batch = append(batch, l)
								n++
							}
						}
					}
				}
			}
			r.add(s, batch...)
			for bits := range 32 {
				q := deadletter.Query{Limit: 7}
				if bits&1 != 0 {
					q.Topic = "t2"
				}
				if bits&2 != 0 {
					q.Subscriber = "s1"
				}
				if bits&4 != 0 {
					q.Reason = "r2"
				}
				if bits&8 != 0 {
					q.Fingerprint = "f1"
				}
				if bits&16 != 0 {
					q.State = deadletter.StateRedriving
				}
				var want []deadletter.Letter
				for _, l := range batch {
					if q.Matches(&l) {
						want = append(want, l)
					}
				}
				if got := r.all(s, q); !slices.Equal(got, newestFirst(want)) {
					r.errorf("List(%+v) gives\n%q, want\n%q", q, got, newestFirst(want))
				}
				if got := r.list(s, q).Total; got != len(want) {
					r.errorf("Total of %+v = %d, want %d", q, got, len(want))
				}
			}
		},
	},
	{
		name:    "filters are exact",
		promise: "a filter is text, not a pattern: no wildcards, no prefixes, no folding of case or blanks",
		run: func(r *recorder, s deadletter.Store) {
			names := []string{"orders.placed", "Orders.placed", "orders", "orders.", "orders.*", "orders%", "orders_placed", "orders.placed ", "order[s]", "'"}
			var batch []deadletter.Letter
			for i, name := range names {
				l := small(i)
				l.Topic, l.Subscriber, l.Reason, l.Fingerprint = name, name, name, name
				batch = append(batch, l)
			}
			r.add(s, batch...)
			for i, name := range names {
				for _, q := range []deadletter.Query{{Topic: name}, {Subscriber: name}, {Reason: name}, {Fingerprint: name}} {
					if got := r.list(s, q); len(got.Letters) != 1 || got.Letters[0].ID != batch[i].ID || got.Total != 1 {
						r.errorf("List(%+v) gives %q and Total %d, want the one letter %q", q, ids(got.Letters), got.Total, batch[i].ID)
					}
				}
			}
		},
	},
	{
		name:    "filters follow updates",
		promise: "a letter is found by what it is now, no more by what it was",
		run: func(r *recorder, s deadletter.Store) {
			r.add(s, smalls(0, 5)...)
			id := small(2).ID
			states := []deadletter.State{deadletter.StateOpen, deadletter.StateRedriving, deadletter.StateResolved}
			for _, now := range []deadletter.State{deadletter.StateRedriving, deadletter.StateOpen, deadletter.StateRedriving, deadletter.StateResolved} {
				r.update(s, id, func(l *deadletter.Letter) error { l.State = now; return nil })
				for _, q := range states {
					got := r.list(s, deadletter.Query{State: q})
					want := 0
					if q == deadletter.StateOpen {
						want = 4
					}
					if q == now {
						want++
					}
					if slices.Contains(ids(got.Letters), id) != (q == now) || got.Total != want || len(got.Letters) != want {
						r.errorf("the letter is %s, and List of the %s gives %q and Total %d, want %d", now, q, ids(got.Letters), got.Total, want)
					}
				}
			}
			r.update(s, id, func(l *deadletter.Letter) error {
				l.Topic, l.Subscriber, l.Reason, l.Fingerprint = "t", "s", "r", "f"
				return nil
			})
			for _, q := range []deadletter.Query{{Topic: "t"}, {Subscriber: "s"}, {Reason: "r"}, {Fingerprint: "f"}} {
				if got := r.list(s, q); !slices.Equal(ids(got.Letters), []string{id}) || got.Total != 1 {
					r.errorf("List(%+v) gives %q and Total %d, want %q", q, ids(got.Letters), got.Total, id)
				}
			}
			if got := r.list(s, deadletter.Query{Topic: small(2).Topic}); slices.Contains(ids(got.Letters), id) || got.Total != 4 {
				r.errorf("List by the topic the letter had gives %q and Total %d, want the other 4", ids(got.Letters), got.Total)
			}
			r.delete(s, id)
			if got := r.list(s, deadletter.Query{State: deadletter.StateResolved}); len(got.Letters) != 0 || got.Total != 0 {
				r.errorf("List of the resolved gives %q and Total %d after the only one is deleted", ids(got.Letters), got.Total)
			}
		},
	},
}
