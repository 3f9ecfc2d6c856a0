package cli_test

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/cmd/troupe/internal/cli"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/sqlite"
)

var update = flag.Bool("update", false, "write the golden files")

var three = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

// id is the ID of the nth letter of golden.
func id(n int) string { return fmt.Sprintf("01JD3X00000000000000000%03d", n) }

// golden is a store in which everything is always the same.
func golden(t *testing.T) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "letters.db")
	s, err := sqlite.Open(sqlite.Config{Path: file})
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	var all []deadletter.Letter
	for i := range 6 {
		at := three.Add(-time.Duration(60-i*10) * time.Minute)
		l := deadletter.Letter{
			ID: id(i), Node: "web-1", Topic: "orders.placed", Subscriber: "payment", Sequence: uint64(1040 + i),
			Payload:     fmt.Appendf(nil, `{"id":9007199254740993,"n":%d,"customer":{"name":"Zo\u00eb"}}`, i),
			ContentType: "application/json", GoType: "shop.Order", SchemaVersion: 1,
			Headers: map[string]string{"tenant": "acme"}, Reason: "attempts_exhausted", Cause: "error",
			Error: fmt.Sprintf("order %d: tax service: 502 Bad Gateway", i), ErrorTypes: []string{"*fmt.wrapError", "*errors.errorString"},
			PublishedAt: at.Add(-time.Second), EventID: fmt.Sprintf("event-%d", i), CorrelationID: fmt.Sprintf("event-%d", i),
		}
		l.AddAttempt(deadletter.Attempt{Number: 1, Started: at.Add(-time.Second), Duration: 1500 * time.Microsecond, Cause: "error", Error: l.Error})
		l.AddAttempt(deadletter.Attempt{Number: 2, Started: at, Duration: 900 * time.Microsecond, Cause: "error", Error: l.Error})
		if i == 5 { // what comes from anywhere must not reach a terminal as it is
			l.Subscriber, l.Cause, l.Reason, l.Error = "shipment", "panic", "permanent", "panic: \x1b[2J\x1b]0;owned\a\u202egnp.exe\u009b2J\U000E0041\nsecond line"
			l.PanicValue, l.Stack = "\x1b[31mred", "shop.label\n\t/src/shop/label.go:12\nshop.(*shop).ship\n\t/src/shop/ship.go:40"
			l.Payload, l.ContentType = []byte("not JSON \x1b[5m"), "text/plain"
		}
		all = append(all, l)
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(s.Add(ctx, all))
	must(s.Update(ctx, id(0), func(l *deadletter.Letter) error {
		if _, err := l.BeginRedriveFor("01JD3Y0000000000000000OP01", "ada", 0, three.Add(-30*time.Minute)); err != nil {
			return err
		}
		return l.EndRedrive(deadletter.OutcomeDone, "", three.Add(-29*time.Minute))
	}))
	must(s.Update(ctx, id(1), func(l *deadletter.Letter) error {
		return l.Archive(deadletter.Closing{By: "ben", At: three.Add(-20 * time.Minute), Why: "refunded"})
	}))
	must(s.AddOperation(ctx, deadletter.Operation{
		ID: "01JD3Y0000000000000000OP01", Kind: "redrive", State: deadletter.OperationStopped, Stopped: "1 of 2 in step 1 of 4 failed, more than 10 %",
		By: "ada", Why: "1.4 is out", Query: "sub:payment", CreatedAt: three.Add(-30 * time.Minute),
	}, []string{id(0), id(2), id(3)}))
	must(s.UpdateItems(ctx, "01JD3Y0000000000000000OP01", []deadletter.Item{
		{Position: 0, Letter: id(0), State: deadletter.ItemDone, IssuedAt: three.Add(-30 * time.Minute), EndedAt: three.Add(-29 * time.Minute)},
		{Position: 1, Letter: id(2), State: deadletter.ItemFailed, Error: "order 2: tax service: 502 Bad Gateway", IssuedAt: three.Add(-30 * time.Minute), EndedAt: three.Add(-29 * time.Minute)},
	}))
	must(s.Record(ctx, deadletter.AuditEntry{ID: "01JD3Y0000000000000000AU01", At: three.Add(-30 * time.Minute), By: "ada", Action: "redrive", Query: "sub:payment", Count: 3, Why: "1.4 is out", Operation: "01JD3Y0000000000000000OP01", Object: "01JD3Y0000000000000000OP01"}))
	must(s.Record(ctx, deadletter.AuditEntry{ID: "01JD3Y0000000000000000AU02", At: three.Add(-10 * time.Minute), By: "eve", Action: "delete", Query: "*", Count: 6, Error: "ops: conflict: there are 5 letters now"}))
	must(s.Close())
	return file
}

// TestTables holds what people read, of a store file.
func TestTables(t *testing.T) {
	file := golden(t)
	for name, args := range map[string][]string{
		"groups":      {"groups", "--since", "1h"},
		"group":       {"groups", "show", "GROUP"},
		"ls":          {"ls"},
		"ls_all":      {"ls", "--all", "-l", "2"},
		"show":        {"show", "01JD3X00000000000000000002"},
		"show_closed": {"show", id(0), id(1)},
		"show_evil":   {"show", id(5)},
		"search":      {"search", "payload.id:9007199254740993 -state:archived"},
		"stats":       {"stats", "--since", "1h"},
		"verify":      {"verify"},
		"ops":         {"ops"},
		"ops_show":    {"ops", "show", "01JD3Y"},
		"ops_items":   {"ops", "show", "01JD3Y", "--items"},
		"audit":       {"audit"},
		"json_ls":     {"ls", "-l", "1", "-o", "json"},
		"jsonl_ops":   {"ops", "-o", "jsonl"},
		"help":        {"help"},
	} {
		t.Run(name, func(t *testing.T) {
			var out, errs bytes.Buffer
			env := cli.Env{In: strings.NewReader(""), Out: &out, Err: &errs, Now: func() time.Time { return three }, Getenv: func(string) string { return "" }}
			for i := range args {
				if args[i] == "GROUP" {
					args[i] = deadletter.Fingerprint(deadletter.Letter{Subscriber: "payment", Reason: "attempts_exhausted", Cause: "error",
						Error: "order 1: tax service: 502 Bad Gateway", ErrorTypes: []string{"*fmt.wrapError", "*errors.errorString"}})[:6]
				}
			}
			if code := cli.Run(context.Background(), env, append(args, "--store", file, "--utc")...); code != cli.ExitOK {
				t.Fatalf("troupe %s: exit code %d: %s", strings.Join(args, " "), code, &errs)
			}
			got := out.String()
			if errs.Len() > 0 {
				got += "-- error output --\n" + errs.String()
			}
			if strings.ContainsAny(got, "\x1b\a\u202e\u009b\U000E0041") {
				t.Errorf("a control character of a letter reaches the terminal: %q", got)
			}
			path := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("troupe %s says\n%s\nwant, as in %s,\n%s", strings.Join(args, " "), got, path, want)
			}
		})
	}
}
