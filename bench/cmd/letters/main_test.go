package main

import (
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
)

// Each filter is a query, and there are letters that most of them find.
func TestFiltersFindSomething(t *testing.T) {
	now := time.Now()
	letters := batch(0, 10_000, func(n int) time.Time { return now.Add(-time.Duration(10_000-n) * time.Minute) })
	nothing := map[string]bool{"nosuchtextanywhere": true, "redrives:>0": true, "customer-31337@": true}
	for _, text := range filters() {
		where, err := search.Parse(text)
		if err != nil {
			t.Fatalf("%q: %v", text, err)
		}
		matches, found := (deadletter.Query{Where: where, Now: now}).Matcher(), 0
		for i := range letters {
			if matches(&letters[i]) {
				found++
			}
		}
		if (found == 0) != nothing[text] {
			t.Errorf("%q finds %d letters", text, found)
		}
	}
}

func TestReport(t *testing.T) {
	var r report
	r.table("a", "b")
	r.row("x|y", timings{3 * time.Millisecond, time.Millisecond, 2 * time.Millisecond}.at(0.5))
	if got := r.String(); got != "| a | b |\n| --- | --- |\n| x\\|y | 2.00 ms |\n" {
		t.Errorf("the report says %q", got)
	}
	if !strings.HasPrefix(numbered(7).ID, "00000") {
		t.Error("the letters of killed processes have no numbers for IDs")
	}
}
