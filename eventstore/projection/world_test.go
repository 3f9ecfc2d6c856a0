package projection_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/projection"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/troupetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	errBoom = errors.New("boom")
	// quick retries without waiting.
	quick = supervisor.Retry{MaxAttempts: 3, BaseDelay: supervisor.NoDelay}
)

const patience = 30 * time.Second

func ctx(t testing.TB) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return c
}

// short is for a wait that will be repeated.
func short(t testing.TB) context.Context {
	t.Helper()
	c, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	t.Cleanup(cancel)
	return c
}

// add appends n events to streams of the category in turn, and returns the last position.
func add(t testing.TB, s eventstore.Store, category string, n int) eventstore.Position {
	t.Helper()
	var at eventstore.Position
	for i := range n {
		done, err := s.Append(t.Context(), eventstore.Stream{Category: category, ID: fmt.Sprint(i % 3)}, eventstore.Any, eventstore.Event{Type: "counted", Data: fmt.Append(nil, i)})
		if err != nil {
			t.Fatal(err)
		}
		at = done.Position
	}
	return at
}

// recorder is a handler that records positions, and fails as it is told.
type recorder struct {
	mu   sync.Mutex
	seen []eventstore.Position
	fail func(ev eventstore.Recorded, n int) error // n counts the calls from 1
	n    int
}

func (r *recorder) handle(_ context.Context, ev eventstore.Recorded) error {
	r.mu.Lock()
	r.n++
	fail, n := r.fail, r.n
	r.mu.Unlock()
	if fail != nil {
		if err := fail(ev, n); err != nil {
			return err
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, ev.Position)
	return nil
}

func (r *recorder) set(fail func(eventstore.Recorded, int) error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fail = fail
}

func (r *recorder) positions() []eventstore.Position {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]eventstore.Position(nil), r.seen...)
}

// all returns the positions of all events of the categories.
func all(t testing.TB, s eventstore.Store, n int, categories ...string) []eventstore.Position {
	t.Helper()
	f, err := s.Follow(t.Context(), eventstore.Start, categories...)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var want []eventstore.Position
	for len(want) < n {
		some, err := f.Next(ctx(t), n)
		if err != nil {
			t.Fatal(err)
		}
		for _, ev := range some {
			want = append(want, ev.Position)
		}
	}
	return want
}

func open(t testing.TB, rt *troupetest.Runtime, s eventstore.Store, name string, handle func(context.Context, eventstore.Recorded) error, cfg ...projection.Config) *projection.Projection {
	t.Helper()
	p, err := projection.Open(rt.Runtime, s, name, handle, cfg...)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// until waits until what has become true.
func until(t testing.TB, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %v", what, patience)
		}
		time.Sleep(time.Millisecond)
	}
}

// database is one with transactions: a map, of which each has a copy that it commits.
type database struct {
	mu   sync.Mutex
	rows map[string]int
	at   map[string]eventstore.Position
	// lose and refuse are asked at the end of each transaction, whether the answer to its
	// commit gets lost, and whether it is not committed.
	lose, refuse func() error
}

type tx struct{ rows map[string]int }

func newDatabase() *database {
	return &database{rows: map[string]int{}, at: map[string]eventstore.Position{}}
}

func (d *database) LoadCheckpoint(_ context.Context, name string) (eventstore.Position, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at[name], nil
}

func (d *database) Transact(ctx context.Context, name string, from, to eventstore.Position, apply func(context.Context, *tx) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if at := d.at[name]; at != from {
		return &eventstore.CheckpointError{Name: name, Expected: from, Actual: at}
	}
	t := &tx{rows: maps.Clone(d.rows)}
	if apply != nil {
		if err := apply(ctx, t); err != nil {
			return err
		}
	}
	if d.refuse != nil {
		if err := d.refuse(); err != nil {
			return err
		}
	}
	d.rows, d.at[name] = t.rows, to
	if d.lose != nil {
		return d.lose()
	}
	return nil
}

func (d *database) row(name string) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.rows[name]
}

// count is a handler that is right if it is called exactly once.
func count(_ context.Context, t *tx, ev eventstore.Recorded) error {
	t.rows[ev.Stream.ID]++
	t.rows["sum"]++
	return nil
}
