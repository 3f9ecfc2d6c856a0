package sqlite_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
	"github.com/troupe-go/troupe/deadletter/sqlite"
)

// A block is never left out that has a letter which is selected.
func TestSummariesAllowWhatMatches(t *testing.T) {
	exprs := make([]search.Expr, len(queries))
	for i, text := range queries {
		var err error
		if exprs[i], err = search.Parse(text); err != nil {
			t.Fatal(err)
		}
	}
	matched, left := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		var letters []deadletter.Letter
		for range rapid.IntRange(1, 4).Draw(t, "n") {
			letters = append(letters, letterOf(t, "l"))
		}
		for i, e := range exprs {
			q := deadletter.Query{Where: e, Now: day}
			matches := false
			for _, l := range letters {
				matches = matches || q.Matches(&l)
			}
			allows := sqlite.SummaryAllows(q, letters...)
			if matches && !allows {
				t.Fatalf("%q selects one of %+v, and its block is left out", queries[i], letters)
			}
			if matches {
				matched++
			} else if !allows {
				left++
			}
		}
	})
	if matched < 20 || left < 10 {
		t.Errorf("%d times a query selected a letter, %d times its block was left out", matched, left)
	}
}

// What is rare is found by blocks that are few.
func TestSummariesLeaveOut(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	var block []deadletter.Letter
	for i := range 256 {
		l := typical(i, at.Add(time.Duration(i)*time.Second))
		l.SnoozedUntil, l.Redrives, l.ImportedFrom = time.Time{}, nil, ""
		block = append(block, l)
	}
	for text, allowed := range map[string]bool{
		"node:host-3": true, "node:canary": false, "attempts:3": true, "attempts:>3": false, "attempts:<3": false, "attempts:>=3": true, "attempts:2.5": false,
		"redrives:>0": false, "redrives:0": true, "size:>100000": false, "size:<10": false, "size:>10": true, "type:*url.Error": true, "type:fs.PathError": false,
		"has:panic": false, "has:stack": false, "stack:main": false, "has:imported": false, "imported:*": true, "imported:x*": false, "snoozed:yes": false, "snoozed:no": true,
		"resolved:>2020-01-01": false, "has:resolved": false, "published:<2020-01-01": false, "published:>2020-01-01": true, "op:x": false, "closed:edited": false,
		"seq:100": true, "seq:300": false, "seq:>255": false, "seq:<1e30": true, "node:canary or attempts:3": true, "node:canary or attempts:4": false, "-node:host-3": true,
		"content:text/plain": false, "gotype:shop.OrderPlaced": true, "gotype:shop.Other": false, "cause:panic": false, "header.tenant:x": true, "err:nothing": true,
	} {
		where, err := search.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if got := sqlite.SummaryAllows(deadletter.Query{Where: where, Now: at}, block...); got != allowed {
			t.Errorf("a block without such letters is looked into for %q: %v, want %v", text, got, allowed)
		}
	}
}
