package ops_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

var (
	errBoom = errors.New("boom")
	ada     = ops.By{Name: "ada", Why: "fixed in 1.4"}
	once    = supervisor.Retry{MaxAttempts: supervisor.NoRetry}
)

// order is the event of the tests.
type order struct {
	ID    int    `json:"id"`
	Key   string `json:"key,omitempty"`
	Total int64  `json:"total,omitempty"`
}

// world is a runtime with one topic, one subscriber and a desk, over a ledger.
type world struct {
	*troupetest.Runtime
	t      *testing.T
	ledger deadletter.Ledger
	topic  *topics.Topic[order]
	sub    *topics.Subscription
	desk   *ops.Desk

	mu     sync.Mutex
	handle func(context.Context, order) error
	calls  []order
}

func memory(t testing.TB) deadletter.Ledger {
	t.Helper()
	m, err := deadletter.NewMemory(deadletter.MemoryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// newWorld opens a world over the ledger, a new one in memory if it is nil. Every event
// fails until does says otherwise.
func newWorld(t *testing.T, ledger deadletter.Ledger, cfg ops.Config, sub ...topics.SubscriberConfig) *world {
	t.Helper()
	if ledger == nil {
		ledger = memory(t)
	}
	w := &world{t: t, ledger: ledger, handle: func(context.Context, order) error { return errBoom }}
	w.Runtime = troupetest.New(t, runtime.Config{DeadLetters: ledger, Name: "shop"})
	var err error
	if w.topic, err = topics.Open[order](w.Runtime.Runtime, "orders"); err != nil {
		t.Fatal(err)
	}
	c := topics.SubscriberConfig{Retry: once}
	if len(sub) > 0 {
		c = sub[0]
	}
	if w.sub, err = w.topic.Subscribe("billing", w.receive, c); err != nil {
		t.Fatal(err)
	}
	w.open(cfg)
	return w
}

func (w *world) open(cfg ops.Config) {
	w.t.Helper()
	var err error
	if w.desk, err = ops.New(w.Runtime.Runtime, cfg); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) receive(ctx context.Context, o order) error {
	w.mu.Lock()
	w.calls = append(w.calls, o)
	handle := w.handle
	w.mu.Unlock()
	return handle(ctx, o)
}

// does says what the handler does from now on, and forgets its calls.
func (w *world) does(handle func(context.Context, order) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handle, w.calls = handle, nil
}

// called returns the events that the handler has had since does.
func (w *world) called() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	ids := []int{}
	for _, o := range w.calls {
		ids = append(ids, o.ID)
	}
	return ids
}

// fail makes letters of events 0 to n-1.
func (w *world) fail(n int) {
	w.t.Helper()
	for i := range n {
		if err := w.topic.Publish(w.t.Context(), order{ID: i, Key: fmt.Sprint("k", i%3), Total: 9007199254740993}); err != nil {
			w.t.Fatal(err)
		}
	}
	w.Idle(time.Hour)
}

func ok(context.Context, order) error { return nil }

// everything is the plan of a redrive of all letters.
func everything(r ops.Redrive) ops.Redrive {
	r.Scope = ops.Scope{Query: "*"}
	return r
}

func (w *world) redrive(r ops.Redrive) ops.Operation {
	w.t.Helper()
	op, err := w.desk.Redrive(w.t.Context(), ada, everything(r))
	if err != nil {
		w.t.Fatalf("Redrive: %v", err)
	}
	return op
}

func (w *world) operation(id string) ops.Operation {
	w.t.Helper()
	op, err := w.desk.Operation(w.t.Context(), id)
	if err != nil {
		w.t.Fatalf("Operation: %v", err)
	}
	return op
}

// until waits until the operation has that state, in virtual time.
func (w *world) until(id string, state deadletter.OperationState) ops.Operation {
	w.t.Helper()
	var op ops.Operation
	for range 100000 {
		synctest.Wait()
		if op = w.operation(id); op.State == state {
			return op
		}
		time.Sleep(5 * time.Millisecond)
	}
	w.t.Fatalf("operation is %s with %v, stopped %q, want %s", op.State, op.Items, op.Stopped, state)
	return op
}

// wantItems compares the counts of an operation's items, and checks that every letter
// has one.
func (w *world) wantItems(op ops.Operation, want map[deadletter.ItemState]int) {
	w.t.Helper()
	got := w.operation(op.ID).Items
	sum := 0
	for s, n := range got {
		sum += n
		if want[s] != n {
			w.t.Errorf("items = %v, want %v", got, want)
			break
		}
	}
	if sum != op.Total {
		w.t.Errorf("%d items, want one for each of %d letters", sum, op.Total)
	}
	for s, n := range want {
		if got[s] != n {
			w.t.Errorf("items = %v, want %v", got, want)
			break
		}
	}
}

func (w *world) items(id string) []deadletter.Item {
	w.t.Helper()
	var all []deadletter.Item
	q := deadletter.ItemQuery{Operation: id, After: -1, Limit: deadletter.MaxLimit}
	for more := true; more; more = q.After >= 0 {
		page, err := w.desk.Items(w.t.Context(), q)
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, page.Items...)
		q.After = page.Next
	}
	return all
}

// wantLetters counts letters by state.
func (w *world) wantLetters(want map[deadletter.State]int) {
	w.t.Helper()
	a, err := w.desk.Verify(w.t.Context())
	if err != nil {
		w.t.Errorf("Verify: %v", err)
	}
	got := map[deadletter.State]int{
		deadletter.StateOpen: int(a.Open), deadletter.StateRedriving: int(a.Redriving), deadletter.StateResolved: int(a.Resolved),
		deadletter.StateArchived: int(a.Archived), deadletter.StateDeleted: int(a.Deleted),
	}
	for s, n := range got {
		if want[s] != n {
			w.t.Errorf("letters = %v, want %v", got, want)
			return
		}
	}
}

// audits returns the audit trail as action:error, oldest first.
func (w *world) audits() []deadletter.AuditEntry {
	w.t.Helper()
	page, err := w.desk.Audit(w.t.Context(), deadletter.AuditQuery{Limit: deadletter.MaxLimit})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Reverse(page.Entries)
	return page.Entries
}

func wantErr(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: error = %v, want %v", what, got, want)
	}
}

func sorted(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}
