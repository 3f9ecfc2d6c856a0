package ops_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/sqlite"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

// The environment of a child: its folder, and how many letters it has to make first.
const (
	childFolder = "TROUPE_OPS_CHILD"
	childFills  = "TROUPE_OPS_CHILD_FILLS"
)

const killedLetters = 10_000

// TestMain is the child when a test starts it as a process.
func TestMain(m *testing.M) {
	folder := os.Getenv(childFolder)
	if folder == "" {
		os.Exit(m.Run())
	}
	if err := child(folder, os.Getenv(childFills) != ""); err != nil {
		fmt.Fprintln(os.Stderr, "child:", err)
		os.Exit(1)
	}
}

// child opens the shop in a folder. To fill it, all events fail; else it writes down
// which are handled, goes on with the redrive that is there, or begins one, and ends
// when that is done.
func child(folder string, fills bool) (err error) {
	ctx := context.Background()
	store, err := sqlite.Open(sqlite.Config{Path: filepath.Join(folder, "letters.db")})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	handled, err := os.OpenFile(filepath.Join(folder, "handled"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer handled.Close()
	rt, err := runtime.New(runtime.Config{DeadLetters: store})
	if err != nil {
		return err
	}
	defer func() {
		report, down := rt.Shutdown(ctx)
		err = errors.Join(err, down, report.Err())
	}()
	topic, err := topics.Open[order](rt, "orders")
	if err != nil {
		return err
	}
	_, err = topic.Subscribe("s", func(_ context.Context, o order) error {
		if fills {
			return errBoom
		}
		_, err := fmt.Fprintln(handled, o.ID) // is in the file when the process is killed
		return err
	}, topics.SubscriberConfig{Retry: once})
	if err != nil {
		return err
	}
	if fills {
		for i := range killedLetters {
			if err := topic.Publish(ctx, order{ID: i}); err != nil {
				return err
			}
		}
		return rt.Idle(ctx)
	}
	desk, err := ops.New(rt, ops.Config{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, desk.Close(ctx)) }()
	page, err := desk.Operations(ctx, deadletter.OperationQuery{})
	if err != nil {
		return err
	}
	var op ops.Operation
	if page.Total == 0 {
		if op, err = desk.Redrive(ctx, ada, ops.Redrive{Scope: ops.Scope{Query: "state:open"}}); err != nil {
			return err
		}
	} else {
		op.Operation = page.Operations[page.Total-1]
	}
	for !op.State.Ended() {
		time.Sleep(5 * time.Millisecond)
		if op, err = desk.Operation(ctx, op.ID); err != nil {
			return err
		}
	}
	return nil
}

// A process that is killed in the middle of a redrive of 10,000 letters, more than once,
// loses none: each is handled, or shown as in doubt. What is not in doubt was handled
// once.
func TestKillInTheMiddleOfARedrive(t *testing.T) {
	if testing.Short() {
		t.Skip("processes that are killed")
	}
	folder := t.TempDir()
	start := func(env ...string) *exec.Cmd {
		cmd := exec.Command(os.Args[0], "-test.run=^$")
		cmd.Env = append(append(os.Environ(), childFolder+"="+folder), env...)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		return cmd
	}
	if err := start(childFills + "=1").Wait(); err != nil {
		t.Fatalf("filling the store: %v", err)
	}
	handled := func() map[string]int {
		data, err := os.ReadFile(filepath.Join(folder, "handled"))
		if err != nil {
			t.Fatal(err)
		}
		calls := map[string]int{}
		for _, id := range strings.Fields(string(data)) {
			calls[id]++
		}
		return calls
	}
	kills := 0
	for range 4 {
		before := len(handled())
		cmd := start()
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		for began := time.Now(); len(handled()) == before && time.Since(began) < 30*time.Second; {
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(time.Duration(rand.IntN(150)) * time.Millisecond)
		t.Logf("handled %d before the kill", len(handled()))
		if err := cmd.Process.Kill(); err == nil {
			if err := <-ended; err != nil {
				kills++
			}
		}
	}
	if err := start().Wait(); err != nil {
		t.Fatalf("the last one: %v", err)
	}

	store, err := sqlite.OpenReadOnly(filepath.Join(folder, "letters.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	page, err := store.Operations(t.Context(), deadletter.OperationQuery{})
	if err != nil || page.Total != 1 {
		t.Fatalf("%+v, %v, want the one redrive", page, err)
	}
	op := page.Operations[0]
	done, doubt := op.Items[deadletter.ItemDone], op.Items[deadletter.ItemInDoubt]
	if done+doubt != killedLetters || op.State != deadletter.OperationDone {
		t.Errorf("%s, items = %v, want all done or in doubt", op.State, op.Items)
	}
	calls := handled()
	q := deadletter.ItemQuery{Operation: op.ID, After: -1, Limit: deadletter.MaxLimit}
	for more := true; more; more = q.After >= 0 {
		items, err := store.Items(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, it := range items.Items {
			l, err := store.Get(t.Context(), it.Letter)
			if err != nil {
				t.Fatal(err)
			}
			id := strings.Trim(string(l.Payload[strings.IndexByte(string(l.Payload), ':'):]), ":}")
			want := deadletter.StateResolved
			if it.State == deadletter.ItemInDoubt {
				want = deadletter.StateOpen
			}
			if l.State != want || it.State == deadletter.ItemDone && calls[id] != 1 || calls[id] > 1 {
				t.Errorf("letter of event %s: item %s, letter %s, handled %d times", id, it.State, l.State, calls[id])
			}
		}
		q.After = items.Next
	}
	account, err := store.Account(t.Context())
	if err != nil || account.Check() != nil || account.Open != int64(doubt) || account.Resolved != int64(done) {
		t.Errorf("%+v, %v, %v, want %d open and %d resolved", account, err, account.Check(), doubt, done)
	}
	if kills == 0 {
		t.Error("no process was killed before its end")
	}
	t.Logf("killed %d times: %d done, %d in doubt", kills, done, doubt)
}
