package deadlettertest

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

var auditCases = []testCase{
	{
		name:    "the audit trail",
		promise: "every entry is kept to the byte, newest first; nothing changes one",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			var all []deadletter.AuditEntry
			for _, n := range []int{3, 0, 7, 1, 9, 2, 8, 4, 6, 5} {
				e := deadletter.AuditEntry{
					ID: fmt.Sprintf("entry-%d", n), At: day.Add(time.Duration(n) * time.Minute).In(time.FixedZone("east", 3600)), By: []string{"ada", "grace"}[n%2],
					Action: []string{"redrive", "delete", "archive"}[n%3], Object: fmt.Sprintf("object %d", n%4), Query: `it's "x"`, Count: n, Why: "\x00 <b>", Operation: "op-1", Error: "no",
				}
				r.try("Record", s.Record(background, e))
				again := e
				again.Why = "changed"
				r.try("Record again", s.Record(background, again))
				all = append(all, e.Normalize(time.Time{}))
			}
			slices.SortFunc(all, func(a, b deadletter.AuditEntry) int { return strings.Compare(b.ID, a.ID) })
			for _, q := range []deadletter.AuditQuery{
				{}, {By: "ada"}, {By: "Ada"}, {Action: "delete"}, {Object: "object 1"}, {By: "grace", Action: "redrive", Object: "object 3"},
				{From: day.Add(3 * time.Minute)}, {Until: day.Add(3 * time.Minute)}, {From: day.Add(2 * time.Minute), Until: day.Add(7 * time.Minute), By: "ada"},
			} {
				var want, got []deadletter.AuditEntry
				for _, e := range all {
					if q.Matches(&e) {
						want = append(want, e)
					}
				}
				for q.Limit = 2; ; {
					p := must[deadletter.AuditPage](r, "Audit")(s.Audit(background, q))
					got = append(got, p.Entries...)
					if p.Total != len(want) {
						r.errorf("Total of %+v = %d, want %d", q, p.Total, len(want))
					}
					if p.Next == "" || len(got) > len(all) {
						break
					}
					q.After = p.Next
				}
				if !slices.Equal(got, want) {
					r.errorf("Audit(%+v) gives\n%+v, want\n%+v", q, got, want)
				}
			}
			_, err := s.Audit(background, deadletter.AuditQuery{Limit: -1})
			r.wants("Audit with a wrong limit", err, deadletter.ErrInvalidQuery)
		}),
	},
	{
		name:    "an entry gets an ID and a time",
		promise: "Record makes an ID and sets the time of an entry that has none",
		run: onLedger(func(r *recorder, s deadletter.Ledger) {
			before := time.Now().Add(-time.Millisecond)
			for range 3 {
				r.try("Record", s.Record(background, deadletter.AuditEntry{By: "ada", Action: "look"}))
			}
			p := must[deadletter.AuditPage](r, "Audit")(s.Audit(background, deadletter.AuditQuery{}))
			if len(p.Entries) != 3 {
				r.fatalf("Audit gives %d entries, want 3", len(p.Entries))
			}
			for _, e := range p.Entries {
				if len(e.ID) != 26 || e.At.Before(before) || e.At.After(time.Now()) {
					r.errorf("an entry is %+v", e)
				}
			}
		}),
	},
}
