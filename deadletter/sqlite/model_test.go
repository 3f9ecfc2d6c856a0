package sqlite_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
	"github.com/troupe-go/troupe/deadletter/sqlite"
)

var day = time.Date(2026, 3, 14, 3, 0, 0, 123456789, time.UTC)

// queries are of every field, and of what SQL and Go could see differently: NULL
// under a negation, bounds of numbers, patterns, text that is no UTF-8.
var queries = []string{
	"", "topic:orders.*", "topic:orders.eu sub:billing", "-topic:orders.*", "sub:*ing", "pattern:orders.*", "has:pattern",
	"state:open", "state:deleted", "-state:open", "state:re*", "state:open OR topic:orders.eu", "-(state:open topic:orders.eu)",
	"reason:rejected", "cause:panic", "-has:cause", "group:g1", "group:g*", "err:timeout", "err:TIMEOUT", "err:time*out", `err:"o k"`, "-err:timeout",
	"timeout", "tim", "ti", "é", "straße", "timeout OR refused", "timeout refused", "-timeout", "err:timeout payload:cart",
	"type:*fs.PathError", "type:*", "panic:index", "stack:main", "has:stack", "payload:cart", "payload.order.id:7", "payload.order.id:>3", "has:payload.order.id",
	"-payload.order.id:7", "header.tenant:acme", "has:header.Tenant", "content:application/*", "gotype:shop.*", "size:>20", "size:<20.5", "size:>=0", "size:12",
	"age:>1h", "has:age", "age:<90m", "-age:>1h", "failed:>now-1h", "failed:2026-03-14", "-failed:2026-03-14", "first:<2026-03-14T02", "published:2026-03", "has:published",
	"resolved:2026", "-has:resolved", "attempts:>=2", "attempts:0", "redrives:>0", "redrives:0", "redrives:<=1.5", "snoozed:yes", "snoozed:no", "state:open snoozed:no", "snoozed:no topic:orders.*", "has:snoozed",
	"closed:archived", "closed:*", "-has:closed", "op:op-1", "has:op", "op:op-*", "id:l*", "id:l00*", "seq:3", "seq:>9223372036854775807", "event:e1", "causation:c*", "corr:k1",
	"node:web-1", "imported:*.jsonl", "has:imported", "topic:orders.eu err:timeout state:open age:>1m", "(topic:orders.eu OR sub:mail) (err:timeout OR state:resolved)",
	"first:>1500 first:<2400",
}

// parse reads a query of the table, or skips what the language does not have.
func parse(t interface{ Fatalf(string, ...any) }, text string) search.Expr {
	e, err := search.Parse(text)
	if err != nil {
		t.Fatalf("Parse(%q): %v", text, err)
	}
	return e
}

func letterOf(t *rapid.T, id string) deadletter.Letter {
	one := func(name string, of ...string) string { return rapid.SampledFrom(of).Draw(t, name) }
	num := func(name string, max int) int { return rapid.IntRange(0, max).Draw(t, name) }
	l := deadletter.Letter{
		ID: id, Topic: one("topic", "orders.eu", "orders.us", "mail"), Subscriber: one("sub", "billing", "mail", ""),
		Reason: one("reason", "rejected", "attempts_exhausted"), Fingerprint: one("print", "g1", "g2", "g3", "h"),
		Pattern: one("pattern", "", "orders.*"), Cause: one("cause", "", "error", "panic"), Node: one("node", "web-1", ""),
		Error:   one("err", "", "timeout", "Timeout after 5 ms", "refused", "o k", "STRASSE straße", "\xe9 \x00 timeout\xff", "time is out", "tı\u212Aim"),
		Payload: []byte(one("payload", "", `{"order":{"id":7}}`, `{"order":{"id":"7"},"cart":[1]}`, "\xff\xfe timeout", "É\x80É", "a cart")),
		Stack:   one("stack", "", "main.go"), PanicValue: one("panic", "", "Index out"), ContentType: one("content", "application/json", ""),
		GoType: one("gotype", "shop.Order", ""), EventID: one("event", "e1", "e2"), CausationID: one("causation", "", "c1"), CorrelationID: one("corr", "k1", ""),
		ImportedFrom: one("imported", "", "x.jsonl"), Sequence: []uint64{0, 3, 1<<64 - 1}[num("seq", 2)],
		State: deadletter.State(one("state", "open", "open", "redriving", "resolved")),
	}
	if num("headers", 1) == 1 {
		l.Headers = map[string]string{"Tenant": one("tenant", "acme", "\xff")}
	}
	if num("types", 1) == 1 {
		l.ErrorTypes = []string{"*fmt.wrapError", "*fs.PathError"}
	}
	if n := num("failed", 4); n > 0 {
		l.FirstFailedAt, l.LastFailedAt = day.Add(-time.Duration(n)*time.Hour), day.Add(-time.Duration(num("last", 90))*time.Minute)
	}
	if num("published", 1) == 1 {
		l.PublishedAt = day.Add(-24 * time.Hour)
	}
	for i := range num("attempts", 3) {
		l.AddAttempt(deadletter.Attempt{Number: i + 1, Cause: "error", Error: l.Error})
	}
	return l
}

// change does one of the things that happen to letters.
func change(n int, at time.Time) func(*deadletter.Letter) error {
	return func(l *deadletter.Letter) error {
		switch n {
		case 0:
			_, err := l.BeginRedriveFor("op-1", "ada", 1, at)
			return err
		case 1:
			return l.EndRedrive(deadletter.OutcomeDone, "", at)
		case 2:
			l.LastFailedAt, l.Error = at, "timeout again"
			return l.EndRedrive(deadletter.OutcomeFailed, "again", at)
		case 3:
			return l.Archive(deadletter.Closing{By: "ada", At: at, Why: "\xff", Operation: "op-2"})
		case 4:
			return l.Delete(deadletter.Closing{By: "ada", At: at, PurgeAt: at.AddDate(200, 0, 0)})
		case 5:
			return l.Restore()
		case 6:
			return l.Snooze(day.Add(time.Minute))
		case 7:
			return l.Resolve(deadletter.Closing{By: "ada", At: at})
		case 8:
			l.Fingerprint, l.Payload = "g2", []byte(`{"order":{"id":4}}`)
		}
		return nil
	}
}

// Whatever is done to a store in a file and to one in memory, they answer every
// query alike.
func TestStoreIsAsMemory(t *testing.T) {
	t.Run("as it is with few letters", asMemory)
	defer sqlite.ForMany()()
	t.Run("as it is with many", asMemory)
}

func asMemory(t *testing.T) {
	ctx := t.Context()
	exprs := make([]search.Expr, len(queries))
	for i, text := range queries {
		exprs[i] = parse(t, text)
	}
	rapid.Check(t, func(t *rapid.T) {
		dir := temp(t)
		file, err := sqlite.Open(sqlite.Config{Path: filepath.Join(dir, "letters.db")})
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		memory, err := deadletter.NewMemory(deadletter.MemoryConfig{})
		if err != nil {
			t.Fatal(err)
		}
		both := []deadletter.Ledger{file, memory}
		id := func() string { return fmt.Sprintf("l%03d", rapid.IntRange(0, 30).Draw(t, "id")) }
		same := func(what string, got, want any) {
			if g, w := fmt.Sprintf("%+v", got), fmt.Sprintf("%+v", want); g != w {
				t.Fatalf("%s\n got %s\nwant %s", what, g, w)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"add": func(t *rapid.T) {
				var batch []deadletter.Letter
				for range rapid.IntRange(1, 6).Draw(t, "n") {
					batch = append(batch, letterOf(t, id()))
				}
				for _, s := range both {
					if err := s.Add(ctx, batch); err != nil {
						t.Fatal(err)
					}
				}
			},
			"change": func(t *rapid.T) {
				ids := []string{id(), id(), id()}
				n := rapid.IntRange(0, 8).Draw(t, "what")
				var results [2][]error
				for i, s := range both {
					results[i], err = s.Change(ctx, ids, change(n, day))
					if err != nil {
						t.Fatal(err)
					}
				}
				for i := range ids {
					same("error of Change", results[0][i] == nil, results[1][i] == nil)
				}
			},
			"index": func(t *rapid.T) {
				if err := file.Indexed(ctx); err != nil {
					t.Fatal(err)
				}
			},
			"delete": func(t *rapid.T) {
				ids := []string{id(), id()}
				n, _ := file.Delete(ctx, ids...)
				m, _ := memory.Delete(ctx, ids...)
				same("Delete", n, m)
			},
			"": func(t *rapid.T) {
				i := rapid.IntRange(0, len(exprs)-1).Draw(t, "query")
				q := deadletter.Query{Where: exprs[i], Now: day, Limit: 3}
				if rapid.IntRange(0, 3).Draw(t, "field") == 0 {
					q.Topic, q.State = "orders.eu", deadletter.State(rapid.SampledFrom([]string{"", "open", "deleted"}).Draw(t, "state"))
				}
				for {
					quick, err := quickly(ctx, file, q)
					if err != nil {
						t.Fatalf("List(%q): %v", queries[i], err)
					}
					got, err := file.List(ctx, q)
					if err != nil {
						t.Fatalf("List(%q): %v", queries[i], err)
					}
					if quick.Partial && quick.Total <= got.Total {
						quick.Total = got.Total
					}
					if quick.Next != "" { // there may be more, or not
						quick.Next = got.Next
					}
					same(fmt.Sprintf("List(%q), quick", queries[i]), shown(quick), shown(got))
					want, err := memory.List(ctx, q)
					if err != nil {
						t.Fatal(err)
					}
					same(fmt.Sprintf("List(%q, topic %q, state %q, after %q)", queries[i], q.Topic, q.State, q.After), shown(got), shown(want))
					if q.After = got.Next; q.After == "" {
						break
					}
				}
				q.Limit = 0
				got, err := file.IDs(ctx, q)
				if err != nil {
					t.Fatal(err)
				}
				want, _ := memory.IDs(ctx, q)
				same("IDs", got, want)
				gq := deadletter.GroupQuery{Letters: q, Limit: 2, Spark: 4, SparkSince: day.Add(-2 * time.Hour)}
				gq.State = deadletter.GroupState(rapid.SampledFrom([]string{"", "new", "regressed", "acknowledged"}).Draw(t, "group state"))
				for {
					got, err := file.Groups(ctx, gq)
					if err != nil {
						t.Fatal(err)
					}
					want, err := memory.Groups(ctx, gq)
					if err != nil {
						t.Fatal(err)
					}
					same("Groups of "+queries[i], got, want)
					if gq.After = got.Next; gq.After == "" {
						break
					}
				}
				spans, err := file.Timeline(ctx, q, day.Add(-3*time.Hour), day.Add(time.Minute), 7)
				if err != nil {
					t.Fatal(err)
				}
				wantSpans, _ := memory.Timeline(ctx, q, day.Add(-3*time.Hour), day.Add(time.Minute), 7)
				same("Timeline of "+queries[i], spans, wantSpans)
				a, err := file.Account(ctx)
				if err != nil {
					t.Fatal(err)
				}
				b, _ := memory.Account(ctx)
				b.Fill = 0
				same("Account", a, b)
				if err := a.Check(); err != nil {
					t.Fatal(err)
				}
			},
			"acknowledge": func(t *rapid.T) {
				g := rapid.SampledFrom([]string{"g1", "g2", "none"}).Draw(t, "group")
				at := day.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "at")) * time.Minute)
				var errs [2]error
				for i, s := range both {
					errs[i] = s.UpdateGroup(ctx, g, func(r *deadletter.GroupRecord) error { r.AcknowledgedAt, r.Note = at, "seen"; return nil })
				}
				same("UpdateGroup", errs[0] == nil, errs[1] == nil)
			},
		})
		if _, err := file.Verify(ctx); err != nil {
			t.Fatal(err)
		}
	})
}

// shown is a page without what makes no difference: empty and nil.
func shown(p deadletter.Page) string {
	s := fmt.Sprintf("total %d next %q", p.Total, p.Next)
	for _, l := range p.Letters {
		closed := "open"
		for c := l.Closed; c != nil; c = c.Before {
			closed += fmt.Sprintf(" %+v", *c)[:20] + fmt.Sprintf("%q%q%v%v", c.Why, c.By, c.At, c.PurgeAt)
		}
		l.Closed = nil
		s += fmt.Sprintf("\n%+v %s", l, closed)
	}
	return s
}

func temp(t *rapid.T) string {
	dir := tempDir()
	t.Cleanup(func() { removeAll(dir) })
	return dir
}

var _ = slices.Sort[[]int]

// quickly reads a page by queries that are Quick and have no time.
func quickly(ctx context.Context, s deadletter.Store, q deadletter.Query) (whole deadletter.Page, err error) {
	limit := q.Limit
	q.Quick, q.Within = true, 1
	for n := 0; ; n++ {
		q.Limit = limit - len(whole.Letters)
		p, err := s.List(ctx, q)
		if err != nil {
			return whole, err
		}
		if p.Partial && p.Total > 0 {
			p.Total += len(whole.Letters)
		}
		p.Letters = append(whole.Letters, p.Letters...)
		whole = p
		if p.Searched == 0 || len(p.Letters) == limit {
			return whole, nil
		}
		if q.After != "" && p.Next >= q.After || n > 1_000_000 {
			return whole, fmt.Errorf("page %d ends at %q, after %q", n, p.Next, q.After)
		}
		q.After = p.Next
	}
}
