package main

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
)

// without are filters that no letter of those in this test fits.
var without = []string{
	"type:*fs.PathError", "content:text/plain", "first:<now-167h", "published:<now-167h", "attempts:>99", "size:>1000000", "seq:777777", "closed:edited", "op:nothing",
	"node:nowhere", "node:host-canary attempts:>=12 state:open", `err:"order 7777:"`, "nosuchtextanywhere", "customer-31337@", "-springfield", "payload.order.id:7777", "payload.order.total:<0", "event:event-000007777",
	"corr:flow-000002592", "causation:none", "header.tenant:nobody", "imported:*.jsonl", "zz",
}

// Each filter is a query, and there are letters that most of them find.
func TestFiltersFindSomething(t *testing.T) {
	now := time.Now()
	const first, n = 20_000, 10_000
	letters := batch(first, n, func(i int) time.Time { return now.Add(-time.Duration(first+n-i) * time.Minute) })
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
		if nothing := slices.Contains(without, text); nothing != (found == 0) {
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
