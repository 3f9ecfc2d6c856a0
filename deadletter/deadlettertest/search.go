package deadlettertest

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
)

// where parses a query of the suite.
func where(text string) search.Expr {
	e, err := search.Parse(text)
	if err != nil {
		panic(err)
	}
	return e
}

// matching returns the IDs of the letters that the query selects, newest first. It
// is what the suite holds against a store.
func matching(letters []deadletter.Letter, q deadletter.Query) []string {
	matches := q.Matcher()
	var found []deadletter.Letter
	for _, l := range letters {
		l = l.Normalize()
		if matches(&l) {
			found = append(found, l)
		}
	}
	return newestFirst(found)
}

// expect lists what the query selects and compares it.
func (r *recorder) expect(s deadletter.Store, letters []deadletter.Letter, q deadletter.Query) {
	want := matching(letters, q)
	if got := r.all(s, q); !slices.Equal(got, want) {
		r.errorf("%s with %+v gives\n%q, want\n%q", q.Where, q, got, want)
	}
	if p := r.list(s, q); p.Total != len(want) || p.Partial {
		r.errorf("Total of %s = %d, partial %v, want %d", q.Where, p.Total, p.Partial, len(want))
	}
}

// quick checks what a query gives that does not wait, for its total or for what is
// rare: the same letters, on as many pages as it takes.
func (r *recorder) quick(s deadletter.Store, letters []deadletter.Letter, q deadletter.Query) {
	want := matching(letters, q)
	q.Quick, q.Within = true, time.Nanosecond
	var got []string
	searched := 0.0
	for {
		p := r.list(s, q)
		got = append(got, ids(p.Letters)...)
		switch {
		case p.Partial && (p.Total > len(want) || p.Total < len(p.Letters)), !p.Partial && p.Total != len(want):
			r.errorf("Total of %s, Quick, = %d, partial %v, want %d", q.Where, p.Total, p.Partial, len(want))
		case len(p.Letters) < q.Limit && p.Next != "" && p.Searched == 0:
			r.errorf("%s, Quick, gives %d letters of %d and a Next, and does not say how far it has searched", q.Where, len(p.Letters), q.Limit)
		case p.Searched != 0 && (p.Searched < searched || p.Searched >= 1 || p.Next == ""):
			r.errorf("%s, Quick, has searched %v of the store after %v, Next %q", q.Where, p.Searched, searched, p.Next)
		}
		if searched = max(searched, p.Searched); p.Next == "" {
			break
		}
		if p.Next == q.After || q.After != "" && p.Next > q.After || len(got) > 10_000 {
			r.fatalf("%s, Quick, gives Next %q after %q: paging does not advance", q.Where, p.Next, q.After)
		}
		q.After = p.Next
	}
	if !slices.Equal(got, want) {
		r.errorf("%s, Quick, gives\n%q, want\n%q", q.Where, got, want)
	}
}

var searchCases = []testCase{
	{
		name:    "deleted letters are hidden",
		promise: "a query selects tombstones only if it asks for them, and then no others are left out",
		run: func(r *recorder, s deadletter.Store) {
			var batch []deadletter.Letter
			for i, state := range []deadletter.State{deadletter.StateOpen, deadletter.StateRedriving, deadletter.StateResolved, deadletter.StateArchived, deadletter.StateDeleted} {
				l := small(i)
				l.State = state
				batch = append(batch, l)
			}
			r.add(s, batch...)
			for text, want := range map[string][]deadletter.Letter{
				"":                              batch[:4],
				"topic:orders.placed":           batch[:4],
				"state:deleted":                 batch[4:],
				"state:open or state:deleted":   {batch[0], batch[4]},
				"state:*":                       batch,
				"-state:deleted":                batch[:4],
				"-state:open":                   batch[1:4],
				"-(-state:deleted -state:open)": {batch[0], batch[4]},
			} {
				if got := r.all(s, deadletter.Query{Where: where(text), Limit: 2}); !slices.Equal(got, newestFirst(want)) {
					r.errorf("%s gives %q, want %q", text, got, newestFirst(want))
				}
				if got := r.list(s, deadletter.Query{Where: where(text)}).Total; got != len(want) {
					r.errorf("Total of %s = %d, want %d", text, got, len(want))
				}
			}
			if got := r.all(s, deadletter.Query{State: deadletter.StateDeleted}); !slices.Equal(got, newestFirst(batch[4:])) {
				r.errorf("List of the deleted gives %q", got)
			}
			if got := r.all(s, deadletter.Query{State: deadletter.StateOpen, Where: where("state:deleted")}); len(got) != 0 {
				r.errorf("List of the open that are deleted gives %q", got)
			}
			if l := r.get(s, batch[4].ID); l.State != deadletter.StateDeleted {
				r.errorf("Get of a tombstone gives state %q", l.State)
			}
			r.update(s, batch[4].ID, func(l *deadletter.Letter) error { return l.Restore() })
			if got := r.list(s, deadletter.Query{}).Total; got != 5 {
				r.errorf("Total = %d after a restore, want 5", got)
			}
		},
	},
	{
		name:    "a letter without a fingerprint gets one",
		promise: "every letter is in a group: what comes without a fingerprint gets that of Fingerprint",
		run: func(r *recorder, s deadletter.Store) {
			l := small(1)
			l.Error = "no route to host 17"
			r.add(s, l)
			want := deadletter.Fingerprint(l)
			if got := r.get(s, l.ID).Fingerprint; got != want {
				r.errorf("Fingerprint = %q, want %q", got, want)
			}
			if got := r.all(s, deadletter.Query{Fingerprint: want}); !slices.Equal(got, []string{l.ID}) {
				r.errorf("List by it gives %q", got)
			}
		},
	},
	{
		name:    "a search finds what matches",
		promise: "whatever the query, List gives the letters for which Query.Matches holds",
		run: func(r *recorder, s deadletter.Store) {
			rng := rand.New(rand.NewPCG(5, 2026))
			letters := randomLetters(rng, 200)
			r.add(s, letters...)
			for range 250 / slow {
				q := deadletter.Query{Where: randomExpr(rng), Now: day, Limit: deadletter.MaxLimit}
				switch rng.IntN(6) {
				case 0:
					q.State = pick(rng, randomStates)
				case 1:
					q.Reason = pick(rng, randomReasons)
				}
				r.expect(s, letters, q)
				if len(r.failures()) > 5 {
					return // it is clear by now
				}
			}
		},
	},
	{
		name:    "a quick search finds the same",
		promise: "a query that is Quick gives the letters of one that is not, if on more pages; its Total is exact, or Partial and not above",
		run: func(r *recorder, s deadletter.Store) {
			rng := rand.New(rand.NewPCG(5, 2028))
			letters := randomLetters(rng, 100)
			r.add(s, letters...)
			for range 60 {
				r.quick(s, letters, deadletter.Query{Where: randomExpr(rng), Now: day, Limit: 1 + rng.IntN(20)})
			}
		},
	},
	{
		name:    "a search is exact",
		promise: "numbers of any length are compared as they are written, names in their case, and no character is a wildcard but *",
		run: func(r *recorder, s deadletter.Store) {
			var letters []deadletter.Letter
			for i, v := range []string{"9007199254740992", "9007199254740993", "9007199254740994", "1e400", "1.0000000000000000000000001", "1", "-0", `"a%b"`, `"a_b"`, `"axb"`, `"A%B"`} {
				l := small(i)
				l.Payload = []byte(`{"v":` + v + `}`)
				l.Sequence = 1<<63 + uint64(i)
				l.Topic, l.Error = v, v
				letters = append(letters, l)
			}
			r.add(s, letters...)
			for _, text := range []string{
				"payload.v:9007199254740993", "payload.v:>9007199254740992", "payload.v:>=9007199254740993", "payload.v:<9007199254740993", "payload.v:<=9007199254740992",
				"payload.v:1e400", "payload.v:10e399", "payload.v:>1e399", "payload.v:1.0", "payload.v:>1", "payload.v:<1.0000000000000000000000001", "payload.v:0",
				`payload.v:a%b`, `payload.v:a*b`, `payload.v:a_b`, "seq:9223372036854775809", "seq:>9223372036854775815", "seq:<9223372036854775810.5", "seq:>1e30",
				`topic:"\"a_b\""`, `topic:*%*`, `topic:*_*`, `err:a%b`, `err:a_b`, `err:a*b`, `topic:"*"`, `err:"*"`, `-err:%`,
			} {
				r.expect(s, letters, deadletter.Query{Where: where(text)})
			}
		},
	},
	{
		name:    "a search finds what matches now",
		promise: "letters are found by what they are after an update, in all parts of the index",
		run: func(r *recorder, s deadletter.Store) {
			rng := rand.New(rand.NewPCG(5, 2027))
			letters := randomLetters(rng, 60)
			r.add(s, letters...)
			for i := range letters {
				to := randomLetter(rng, i)
				letters[i] = to
				r.update(s, to.ID, func(l *deadletter.Letter) error { *l = to.Clone(); return nil })
			}
			r.delete(s, ids(letters[50:])...)
			for range 150 / slow {
				r.expect(s, letters[:50], deadletter.Query{Where: randomExpr(rng), Now: day, Limit: 7})
				if len(r.failures()) > 5 {
					return
				}
			}
		},
	},
	{
		name:    "ages are as of Now",
		promise: "what a query says of ages is as of its Now, so that pages read later are as of the same moment",
		run: func(r *recorder, s deadletter.Store) {
			var letters []deadletter.Letter
			for i := range 10 {
				l := small(i)
				l.FirstFailedAt = day.Add(time.Duration(i) * time.Minute)
				l.SnoozedUntil = day.Add(time.Duration(i) * time.Minute)
				letters = append(letters, l)
			}
			r.add(s, letters...)
			for _, text := range []string{"age:>3m", "age:>=3m", "age:<3m", "age:<=3m", "first:<now-3m", "first:>=now-3m", "snoozed:yes", "snoozed:no"} {
				for _, minutes := range []int{0, 3, 5, 9, 100} {
					r.expect(s, letters, deadletter.Query{Where: where(text), Now: day.Add(time.Duration(minutes) * time.Minute), Limit: 2})
				}
			}
			young := small(20)
			young.FirstFailedAt = time.Now()
			r.add(s, young)
			if got := r.all(s, deadletter.Query{Where: where("age:<1h")}); !slices.Equal(got, []string{young.ID}) {
				r.errorf("age:<1h without Now gives %q, want the letter that failed just now", got)
			}
		},
	},
	{
		name:    "a wrong search is refused",
		promise: "an expression that Parse would not make gives ErrInvalidQuery instead of a guess",
		run: func(r *recorder, s deadletter.Store) {
			r.add(s, small(1))
			for _, root := range []search.Node{&search.Not{}, &search.Term{Field: "no such field"}, &search.Term{Field: "attempts", Value: "many"}} {
				if _, err := s.List(context.Background(), deadletter.Query{Where: search.Expr{Root: root}}); !errors.Is(err, deadletter.ErrInvalidQuery) {
					r.errorf("List = %v, want ErrInvalidQuery", err)
				}
			}
		},
	},
}
