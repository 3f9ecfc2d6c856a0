package deadlettertest_test

import (
	"math/rand/v2"
	"testing"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/deadlettertest"
	"github.com/troupe-go/troupe/deadletter/search"
)

// The suite holds stores against Query.Matches, so Matches itself is held against an
// evaluator that shares nothing with it.
func TestMatchesAgreesWithAPlainEvaluator(t *testing.T) {
	seed := rand.Uint64()
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	for round := range uint64(rounds) {
		rng := rand.New(rand.NewPCG(seed, round))
		letters := deadlettertest.RandomLetters(rng, 60)
		for i := range letters {
			letters[i] = letters[i].Normalize()
		}
		e := evaluator{now: deadlettertest.Day}
		for range 200 {
			q := deadletter.Query{Where: deadlettertest.RandomExpr(rng), Now: deadlettertest.Day}
			asks := e.asks(q.Where.Root, false)
			for _, l := range letters {
				got := q.Matches(&l)
				want := e.holds(q.Where.Root, &l) && (asks || l.State != deadletter.StateDeleted)
				if got != want {
					t.Fatalf("seed %d, round %d: %s matches: %v, want %v:\n%+v\npayload %q", seed, round, q.Where, got, want, l, l.Payload)
				}
			}
		}
	}
}

// A differential test is worth as much as its cases.
func TestRandomQueriesTellLettersApart(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	letters := deadlettertest.RandomLetters(rng, 200)
	some := map[string]int{}
	ops := map[search.Op]int{}
	for range 3000 {
		q := deadletter.Query{Where: deadlettertest.RandomExpr(rng), Now: deadlettertest.Day}
		n := 0
		for i := range letters {
			if q.Matches(&letters[i]) {
				n++
			}
		}
		if n == 0 || n == len(letters) {
			continue
		}
		terms, _ := q.Where.Terms()
		for _, term := range terms {
			some[term.Field]++
			ops[term.Op]++
		}
	}
	for _, f := range append(search.Fields(), search.Field{}) {
		if f.Kind != search.Presence && some[f.Name] < 20 {
			t.Errorf("%d of 3000 queries with the field %q select some letters and not all, want at least 20", some[f.Name], f.Name)
		}
	}
	for op := search.Match; op <= search.Exists; op++ {
		if ops[op] < 20 {
			t.Errorf("%d of 3000 queries with the operator %d select some letters and not all, want at least 20", ops[op], op)
		}
	}
}
