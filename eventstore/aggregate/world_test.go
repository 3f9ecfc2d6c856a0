package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/aggregate"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The domain: accounts.
type (
	account struct{ Cents, Changes int64 }

	command  interface{ command() }
	deposit  struct{ Cents int64 }
	withdraw struct{ Cents int64 }

	event     interface{ event() }
	deposited struct{ Cents int64 }
	withdrawn struct{ Cents int64 }
)

func (deposit) command()  {}
func (withdraw) command() {}
func (deposited) event()  {}
func (withdrawn) event()  {}

var errPoor = errors.New("not enough money")

func decide(_ context.Context, a account, c command) ([]event, error) {
	switch c := c.(type) {
	case deposit:
		if c.Cents == 0 {
			return nil, nil
		}
		return []event{deposited(c)}, nil
	case withdraw:
		if c.Cents > a.Cents {
			return nil, fmt.Errorf("withdraw %d of %d: %w", c.Cents, a.Cents, errPoor)
		}
		return []event{withdrawn(c)}, nil
	}
	return nil, fmt.Errorf("unknown command %T", c)
}

func evolve(a account, ev event) account {
	switch ev := ev.(type) {
	case deposited:
		a.Cents += ev.Cents
	case withdrawn:
		a.Cents -= ev.Cents
	}
	a.Changes++
	return a
}

type accounts = aggregate.Aggregates[account, command, event]
type config = aggregate.Config[account, command, event]

func base(t testing.TB) config {
	t.Helper()
	events, err := eventstore.NewSchema[event](nil, eventstore.TypeOf[deposited]("deposited"), eventstore.TypeOf[withdrawn]("withdrawn"))
	if err != nil {
		t.Fatal(err)
	}
	commands, err := eventstore.NewSchema[command](nil, eventstore.TypeOf[deposit]("deposit"), eventstore.TypeOf[withdraw]("withdraw"))
	if err != nil {
		t.Fatal(err)
	}
	return config{Category: "account", Schema: events, Commands: commands, Decide: decide, Evolve: evolve}
}

// quick retries without waiting.
var quick = topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: 3, BaseDelay: supervisor.NoDelay}}

func open(t testing.TB, rt *troupetest.Runtime, store eventstore.Store, cfg config) *accounts {
	t.Helper()
	a, err := aggregate.Open(rt.Runtime, store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func execute(t testing.TB, a *accounts, id string, c command) aggregate.Result[event] {
	t.Helper()
	done, err := a.Execute(t.Context(), id, c)
	if err != nil {
		t.Fatalf("Execute of %#v: %v", c, err)
	}
	return done
}

func wantBalance(t testing.TB, a *accounts, id string, cents, changes int64) {
	t.Helper()
	got, v, err := a.Load(t.Context(), id)
	if err != nil || got != (account{cents, changes}) || v != eventstore.Version(changes) {
		t.Errorf("Load = %+v at %d, %v, want %d cents after %d changes", got, v, err, cents, changes)
	}
}

// faulty is a store whose calls fail on command.
type faulty struct {
	eventstore.Store
	mu     sync.Mutex
	before func(op string) error // returned before the store is asked
	after  func(op string) error // returned after it has done its work
	read   atomic.Int64          // events that were read
}

func (s *faulty) fail(at func(*faulty) func(string) error, op string) error {
	s.mu.Lock()
	f := at(s)
	s.mu.Unlock()
	if f == nil {
		return nil
	}
	return f(op)
}

func (s *faulty) set(before, after func(op string) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.before, s.after = before, after
}

func before(s *faulty) func(string) error { return s.before }
func after(s *faulty) func(string) error  { return s.after }

func (s *faulty) Append(ctx context.Context, stream eventstore.Stream, expected eventstore.Version, events ...eventstore.Event) (eventstore.Appended, error) {
	if err := s.fail(before, "append"); err != nil {
		return eventstore.Appended{}, err
	}
	done, err := s.Store.Append(ctx, stream, expected, events...)
	if lost := s.fail(after, "append"); err == nil && lost != nil {
		return eventstore.Appended{}, lost
	}
	return done, err
}

func (s *faulty) Read(ctx context.Context, stream eventstore.Stream, from eventstore.Version) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		if err := s.fail(before, "read"); err != nil {
			yield(eventstore.Recorded{}, err)
			return
		}
		for ev, err := range s.Store.Read(ctx, stream, from) {
			s.read.Add(1)
			if !yield(ev, err) {
				return
			}
		}
	}
}

func (s *faulty) SaveSnapshot(ctx context.Context, snap eventstore.Snapshot) error {
	if err := s.fail(before, "snapshot"); err != nil {
		return err
	}
	return s.Store.SaveSnapshot(ctx, snap)
}

func redrive(t testing.TB, rt *troupetest.Runtime, id string) {
	t.Helper()
	if err := rt.Redrive(t.Context(), id); err != nil {
		t.Fatalf("Redrive: %v", err)
	}
}

// down makes the next n calls of that op fail.
func down(op string, n int) func(string) error {
	var left atomic.Int64
	left.Store(int64(n))
	return func(asked string) error {
		if asked == op && left.Add(-1) >= 0 {
			return fmt.Errorf("store: %s: %w", op, engine.ErrUnavailable)
		}
		return nil
	}
}

// faults records what the observer is told of faults.
type faults struct {
	mu   sync.Mutex
	errs []error
}

func (f *faults) observer() runtime.Observer {
	return runtime.Observer{Fault: func(e runtime.Event) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.errs = append(f.errs, e.Err)
	}}
}

func (f *faults) all() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.errs...)
}
