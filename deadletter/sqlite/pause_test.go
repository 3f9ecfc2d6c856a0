package sqlite_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
	"github.com/troupe-go/troupe/deadletter/sqlite"
)

// scattered returns letters of many blocks: most in the order of their IDs, some a
// little late, a few from long ago, as an import brings them.
func scattered(rng *rand.Rand, n int) []deadletter.Letter {
	letters := make([]deadletter.Letter, n)
	for i := range letters {
		at := 10*i + rng.IntN(400)
		if rng.IntN(50) == 0 {
			at = rng.IntN(10 * n)
		}
		l := typical(i, day.Add(time.Duration(at)*time.Second))
		l.ID = fmt.Sprintf("%08d-%05d", at, i)
		l.Node = fmt.Sprintf("host-%d", rng.IntN(3))
		if rng.IntN(500) == 0 {
			l.Node, l.Error = "canary", "disk quota exceeded"
			l.AttemptCount = 9
		}
		if rng.IntN(10) == 0 {
			_ = l.Resolve(deadletter.Closing{}) // it is open
		}
		letters[i] = l
	}
	return letters
}

// Pages of queries that have no time are short, but together they have what one has
// that takes it, and each comes closer to the end.
func TestPausesLoseNothing(t *testing.T) {
	const n = 5000
	rng := rand.New(rand.NewPCG(3, 14))
	s := open(t, sqlite.Config{})
	letters := scattered(rng, n)
	for batch := range slices.Chunk(letters, 700) {
		if err := s.Add(t.Context(), batch); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Indexed(t.Context()); err != nil {
		t.Fatal(err)
	}
	all := map[string]deadletter.Letter{}
	for _, l := range letters {
		all[l.ID] = l
	}
	// A part that the full-text index does not know, and one that has changed.
	more := scatteredAfter(rng, n)
	if err := s.Add(t.Context(), more); err != nil {
		t.Fatal(err)
	}
	for _, l := range more {
		all[l.ID] = l
	}
	for range 20 {
		l := letters[rng.IntN(n)]
		if err := s.Update(t.Context(), l.ID, func(l *deadletter.Letter) error {
			l.Error += " of the canary"
			l.Node, l.AttemptCount = "canary", 20+rng.IntN(3)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		l, err := s.Get(t.Context(), l.ID)
		if err != nil {
			t.Fatal(err)
		}
		all[l.ID] = l
	}
	paused := 0
	for _, text := range []string{
		"node:canary", "-node:host-*", "attempts:9", "attempts:>8 node:canary", "attempts:>20", "payload.order.customer.id:>4990", `err:"disk quota"`, "err:ms",
		"canary", "zzzz", "zz", "redrives:>0", "size:<10", "state:resolved node:canary", "topic:orders.region-07 node:canary", "type:*url.Error node:canary",
		"node:host-1 or node:canary", "age:<1h node:canary", "has:panic", "seq:>4995", "failed:>now-1m attempts:>8",
	} {
		where, err := search.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		q := deadletter.Query{Where: where, Now: day.Add(14 * time.Hour), Limit: 50}
		var want, got []string
		for _, l := range all {
			if q.Matches(&l) {
				want = append(want, l.ID)
			}
		}
		slices.Sort(want)
		ids, err := s.IDs(t.Context(), q)
		if err != nil || !slices.Equal(ids, want) {
			t.Errorf("IDs of %s: %d, %v, want %d", text, len(ids), err, len(want))
		}
		slices.Reverse(want)
		searched := 0.0
		q.Quick, q.Within = true, 1
		for {
			p, err := s.List(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			for _, l := range p.Letters {
				got = append(got, l.ID)
			}
			if p.Searched != 0 {
				paused++
				if p.Next == "" || p.Searched >= 1 || p.Searched < searched {
					t.Fatalf("%s: searched %v after %v, Next %q", text, p.Searched, searched, p.Next)
				}
				searched = p.Searched
			}
			if p.Next == "" {
				break
			}
			if q.After != "" && p.Next >= q.After {
				t.Fatalf("%s: Next %q after %q", text, p.Next, q.After)
			}
			q.After = p.Next
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %d letters by short pages, want %d", text, len(got), len(want))
		}
	}
	if paused < 40 {
		t.Errorf("only %d pages were short", paused)
	}
}

// scatteredAfter returns a few more.
func scatteredAfter(rng *rand.Rand, from int) []deadletter.Letter {
	more := scattered(rng, 600)
	for i := range more {
		more[i].ID = fmt.Sprintf("%08d-%05d", 10*from+10*i, from+i)
	}
	return more
}
