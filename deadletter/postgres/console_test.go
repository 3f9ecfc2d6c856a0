package postgres_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	osexec "os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/postgres"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

type placed struct {
	ID      int    `json:"id"`
	Country string `json:"country"`
}

// TestConsoleAndCommandLine runs the program troupe against a console over letters of
// two nodes, from finding them to having sent them back.
func TestConsoleAndCommandLine(t *testing.T) {
	name := schema(t)
	program := filepath.Join(t.TempDir(), "troupe")
	if out, err := osexec.Command("go", "build", "-C", "../..", "-o", program, "./cmd/troupe").CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	store := open(t, postgres.Config{Schema: name})
	rt, err := runtime.New(runtime.Config{Name: "shop", DeadLetters: store})
	check(t, err)
	orders, err := topics.Open[placed](rt, "orders.placed")
	check(t, err)
	var repaired atomic.Bool
	_, err = orders.Subscribe("billing", func(_ context.Context, o placed) error {
		if o.Country == "CH" && !repaired.Load() {
			return fmt.Errorf("order %d: tax service: 502", o.ID)
		}
		return nil
	}, topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: supervisor.NoRetry}})
	check(t, err)
	desk, err := ops.New(rt, ops.Config{})
	check(t, err)
	c, err := console.New(rt, console.Config{Desk: desk, Authorize: console.Token("t0ken"), Sample: console.NoSamples})
	check(t, err)
	server := httptest.NewServer(http.StripPrefix("/ops", c))
	t.Cleanup(func() {
		check(t, c.Close(within(t)))
		server.CloseClientConnections()
		server.Close()
		_, err := rt.Shutdown(within(t))
		check(t, err)
		check(t, desk.Close(within(t)))
	})
	for i := range 6 {
		check(t, orders.Publish(t.Context(), placed{i, "CH"}))
	}
	check(t, rt.Idle(within(t)))
	// Those of another node, by a store of its own.
	page, err := store.List(within(t), deadletter.Query{})
	check(t, err)
	if len(page.Letters) != 6 {
		t.Fatalf("%d letters, want 6", len(page.Letters))
	}
	var theirs []deadletter.Letter
	for i, l := range page.Letters[:4] {
		l.ID, l.Node = fmt.Sprintf("node-b-%d", i), "node-b"
		l.EventID += "b"
		theirs = append(theirs, l)
	}
	add(t, open(t, postgres.Config{Schema: name}), theirs...)

	troupe := func(args ...string) (string, error) {
		cmd := osexec.CommandContext(within(t), program, args...)
		cmd.Env = append(os.Environ(), "TROUPE_SERVER="+server.URL+"/ops/", "TROUPE_TOKEN=t0ken", "TROUPE_USER=ada")
		var faults bytes.Buffer
		cmd.Stderr = &faults
		out, err := cmd.Output()
		if err != nil {
			err = fmt.Errorf("troupe %s: %w\n%s%s", strings.Join(args, " "), err, out, faults.String())
		}
		return string(out), err
	}
	ok := func(args ...string) string {
		t.Helper()
		out, err := troupe(args...)
		check(t, err)
		return out
	}
	count := func(query string, want int) {
		t.Helper()
		if out := strings.TrimSpace(ok("search", query, "--count")); out != fmt.Sprint(want) {
			t.Errorf("search %s: %s, want %d", query, out, want)
		}
	}
	for query, want := range map[string]int{
		"state:open": 10, "node:node-b": 4, "sub:billing err:tax": 10, "topic:orders.* payload.country:CH node:node-b": 4,
		`"tax service"`: 10, "payload.id:0": 1, "age:>1h": 0, "redrives:>0": 0, "not node:node-b": 6, "payload.id:5": 2,
	} {
		count(query, want)
	}
	var groups deadletter.GroupPage
	check(t, json.Unmarshal([]byte(ok("groups", "-o", "json")), &groups))
	if len(groups.Groups) != 1 || groups.Groups[0].Counts[deadletter.StateOpen] != 10 {
		t.Fatalf("groups %+v, want one of 10", groups.Groups)
	}
	if out := ok("show", "node-b-0"); !strings.Contains(out, "node-b") || !strings.Contains(out, "tax service") {
		t.Errorf("show node-b-0 = %s, want its node and error", out)
	}
	ok("edit", "node-b-0", "--set", "country=LI", "--why", "moved", "--yes")
	eventually(t, "the edited letter is resolved", func() bool {
		l, err := store.Get(within(t), "node-b-0")
		return err == nil && l.State == deadletter.StateResolved
	})
	ok("archive", "node-b-1", "--yes")
	count("state:archived", 1)
	ok("restore", "node-b-1", "--yes")
	count("state:open", 9)
	file := filepath.Join(t.TempDir(), "letters.jsonl")
	ok("export", "--query", "node:node-b state:open", "--file", file)
	if out := ok("import", file, "--dry-run"); !strings.Contains(out, "3") {
		t.Errorf("import --dry-run = %s, want 3 that are there", out)
	}
	// It stops at the first step while all fail, and gets to its end when they do not.
	if out, err := troupe("redrive", "--group", groups.Groups[0].Fingerprint, "--canary", "--yes"); err == nil {
		t.Errorf("a canary that fails = %s, want an error", out)
	}
	var list deadletter.OperationPage
	check(t, json.Unmarshal([]byte(ok("ops", "-o", "json")), &list))
	if len(list.Operations) == 0 || list.Operations[0].State.Ended() {
		t.Fatalf("operations %+v, want one that has stopped", list.Operations)
	}
	repaired.Store(true)
	ok("ops", "cancel", list.Operations[0].ID)
	ok("redrive", "--query", "state:open", "--canary", "--why", "it is back", "--yes")
	count("state:open", 0)
	count("state:resolved node:node-b", 4)
	if out := ok("audit", "-o", "jsonl"); strings.Count(out, `"ada `) < 6 || !strings.Contains(out, "it is back") {
		t.Errorf("audit = %s, want what ada did, and why", out)
	}
	ok("verify")
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
	}
}
