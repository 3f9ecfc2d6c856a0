package projection_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/projection"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/troupetest"
)

func TestProjectionCatchesUpAndGoesOn(t *testing.T) {
	rt, store, r := troupetest.New(t), eventstore.NewMemory(), &recorder{}
	add(t, store, "account", 20)
	add(t, store, "order", 5)
	p := open(t, rt, store, "balances", r.handle, projection.Config{Categories: []string{"account"}, Batch: 7})
	if err := p.CaughtUp(ctx(t)); err != nil {
		t.Fatal(err)
	}
	at := add(t, store, "account", 10)
	if err := errors.Join(p.Wait(ctx(t), at), p.CaughtUp(ctx(t))); err != nil {
		t.Fatal(err)
	}
	if got, want := r.positions(), all(t, store, 30, "account"); !slices.Equal(got, want) {
		t.Errorf("the handler has seen %q, want %q", got, want)
	}
	s, err := p.Status(ctx(t))
	if err != nil || s.Lag != 0 || !s.CaughtUp || s.Position != at || s.Handled != 30 || s.Err != nil {
		t.Errorf("Status = %+v, %v", s, err)
	}
	if err := p.Ready(ctx(t)); err != nil {
		t.Errorf("Ready = %v", err)
	}
	if d := rt.Describe().String(); !strings.Contains(d, "projections.balances") {
		t.Errorf("Describe does not know the projection:\n%s", d)
	}
	if err := p.Close(ctx(t)); err != nil {
		t.Errorf("Close = %v", err)
	}
	if got, err := store.LoadCheckpoint(ctx(t), "balances"); err != nil || got != at {
		t.Errorf("the checkpoint is at %q after Close, %v, want %q", got, err, at)
	}
	if err := p.Wait(ctx(t), "x"); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Wait after Close = %v, want ErrClosed", err)
	}
}

func TestProjectionGoesOnAfterARestart(t *testing.T) {
	store, r := eventstore.NewMemory(), &recorder{}
	for range 3 {
		rt := troupetest.New(t)
		at := add(t, store, "account", 10)
		p := open(t, rt, store, "balances", r.handle)
		if err := p.Wait(ctx(t), at); err != nil {
			t.Fatal(err)
		}
		// The end of the runtime is that of the projection, which saves.
		if _, err := rt.Shutdown(ctx(t)); err != nil {
			t.Fatal(err)
		}
		if got, err := store.LoadCheckpoint(ctx(t), "balances"); err != nil || got != at {
			t.Errorf("the checkpoint is at %q after Shutdown, %v, want %q", got, err, at)
		}
	}
	if got, want := r.positions(), all(t, store, 30); !slices.Equal(got, want) {
		t.Errorf("the handler has seen %q, want each once: %q", got, want)
	}
}

func TestCheckpointIsSavedAfterEventsOrTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, store, r := troupetest.New(t), eventstore.NewMemory(), &recorder{}
		p := open(t, rt, store, "p", r.handle, projection.Config{SaveEvery: 10, SavePeriod: time.Minute})
		checkpoint := func() eventstore.Position {
			synctest.Wait()
			at, err := store.LoadCheckpoint(t.Context(), "p")
			if err != nil {
				t.Fatal(err)
			}
			return at
		}
		synctest.Wait()
		first := add(t, store, "a", 3)
		if at := checkpoint(); at != eventstore.Start {
			t.Errorf("the checkpoint is at %q at once, want nowhere", at)
		}
		time.Sleep(59 * time.Second)
		if at := checkpoint(); at != eventstore.Start {
			t.Errorf("the checkpoint is at %q before its time", at)
		}
		time.Sleep(2 * time.Second)
		if at := checkpoint(); at != first {
			t.Errorf("the checkpoint is at %q after SavePeriod, want %q", at, first)
		}
		for range 10 {
			add(t, store, "a", 1)
			synctest.Wait()
		}
		if at := checkpoint(); at == first {
			t.Errorf("the checkpoint is at %q after SaveEvery events", at)
		}
		if err := p.Close(t.Context()); err != nil {
			t.Error(err)
		}
		store.Close(t.Context())
	})
}

func TestPoisonPauses(t *testing.T) {
	rt, store, r := troupetest.New(t), eventstore.NewMemory(), &recorder{}
	add(t, store, "account", 20)
	positions := all(t, store, 20)
	poison := positions[12]
	var attempts atomic.Int64
	r.set(func(ev eventstore.Recorded, _ int) error {
		if ev.Position == poison {
			attempts.Add(1)
			return errBoom
		}
		return nil
	})
	other := &recorder{}
	open(t, rt, store, "other", other.handle)
	p := open(t, rt, store, "balances", r.handle, projection.Config{Retry: quick})
	escalated := func() bool { return p.Subscription().Snapshot().State == actors.StateEscalated }
	until(t, "the projection pauses", escalated)
	if n := attempts.Load(); n != 3 {
		t.Errorf("the event was attempted %d times before, want 3", n)
	}
	if got := r.positions(); !slices.Equal(got, positions[:12]) {
		t.Errorf("the handler has done %d events, want the 12 before", len(got))
	}
	err := p.Ready(ctx(t))
	if ev, ok := errors.AsType[*projection.EventError](err); !ok || ev.Event.Position != poison || !errors.Is(err, errBoom) {
		t.Errorf("Ready = %v, want the *EventError", err)
	}
	if err := rt.Health(); err == nil || !strings.Contains(err.Error(), "projections.balances") {
		t.Errorf("Health = %v, want it to name the projection", err)
	}
	if s, err := p.Status(ctx(t)); err != nil || s.Lag != 8 || s.Position != positions[11] {
		t.Errorf("Status = %+v, %v, want a lag of 8", s, err)
	}
	// The operator has repaired nothing.
	if err := rt.Resume("projections.balances", "projection"); err != nil {
		t.Fatal(err)
	}
	until(t, "the projection pauses again", func() bool { return attempts.Load() == 4 && escalated() })
	// Others go on.
	at := add(t, store, "account", 5)
	until(t, "the other projection goes on", func() bool { return len(other.positions()) == 25 })
	r.set(nil)
	p.Subscription().Resume()
	if err := p.Wait(ctx(t), at); err != nil {
		t.Fatal(err)
	}
	if got, want := r.positions(), all(t, store, 25); !slices.Equal(got, want) {
		t.Errorf("the handler has done %q, want each once, in order", got)
	}
	rt.WantLetters()
	if err := p.CaughtUp(ctx(t)); err != nil {
		t.Fatal(err)
	}
	if err := p.Ready(ctx(t)); err != nil {
		t.Errorf("Ready after the repair = %v", err)
	}
}

func TestVerdictsOfHandlers(t *testing.T) {
	rt, store, r := troupetest.New(t), eventstore.NewMemory(), &recorder{}
	at := add(t, store, "account", 10)
	positions := all(t, store, 10)
	var permanent atomic.Bool
	permanent.Store(true)
	r.set(func(ev eventstore.Recorded, n int) error {
		switch {
		case ev.Position == positions[2]:
			return supervisor.Skip(errBoom)
		case ev.Position == positions[4] && n < 7:
			panic("boom")
		case ev.Position == positions[6] && permanent.Load():
			return supervisor.Permanent(errBoom)
		}
		return nil
	})
	p := open(t, rt, store, "p", r.handle, projection.Config{Retry: quick})
	until(t, "the projection pauses", func() bool { return p.Subscription().Snapshot().State == actors.StateEscalated })
	if got := len(r.positions()); got != 5 {
		t.Errorf("%d events are done before the permanent failure, want 5", got)
	}
	if n := p.Subscription().Snapshot().Counts.Restarts; n != 2 {
		t.Errorf("%d restarts, want one for each of 2 panics", n)
	}
	permanent.Store(false)
	p.Subscription().Resume()
	if err := p.Wait(ctx(t), at); err != nil {
		t.Fatal(err)
	}
	if got, want := r.positions(), append(positions[:2:2], positions[3:]...); !slices.Equal(got, want) {
		t.Errorf("the handler has done %q, want all but the one that it skips", got)
	}
}

func TestOutageIsNoReasonToPause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt, store, r := troupetest.New(t), eventstore.NewMemory(), &recorder{}
		at := add(t, store, "account", 3)
		back := time.Now().Add(time.Hour)
		r.set(func(eventstore.Recorded, int) error {
			if time.Now().Before(back) {
				return engine.ErrUnavailable
			}
			return nil
		})
		p := open(t, rt, store, "p", r.handle)
		if err := p.Wait(context.Background(), at); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(back); took < 0 || took > time.Minute {
			t.Errorf("done %v after the database is back", took)
		}
		p.Close(t.Context())
		store.Close(t.Context())
	})
}

func TestCheckpointOfAnotherStorePauses(t *testing.T) {
	rt, store, r := troupetest.New(t), eventstore.NewMemory(), &recorder{}
	add(t, store, "account", 3)
	if err := store.SaveCheckpoint(t.Context(), "p", eventstore.Start, "00000000000000ff"); err != nil {
		t.Fatal(err)
	}
	p := open(t, rt, store, "p", r.handle)
	until(t, "the projection pauses", func() bool { return p.Subscription().Snapshot().State == actors.StateEscalated })
	if err := p.Ready(ctx(t)); !errors.Is(err, engine.ErrMismatch) {
		t.Errorf("Ready = %v, want ErrMismatch", err)
	}
	if err := store.SaveCheckpoint(t.Context(), "p", "00000000000000ff", eventstore.Start); err != nil {
		t.Fatal(err)
	}
	p.Subscription().Resume()
	if err := p.CaughtUp(ctx(t)); err != nil || len(r.positions()) != 3 {
		t.Errorf("CaughtUp after the repair = %v with %d events", err, len(r.positions()))
	}
}

func TestRebuild(t *testing.T) {
	rt, store, r := troupetest.New(t), eventstore.NewMemory(), &recorder{}
	at := add(t, store, "account", 10)
	p := open(t, rt, store, "p", r.handle, projection.Config{Retry: quick})
	if err := p.Wait(ctx(t), at); err != nil {
		t.Fatal(err)
	}
	clear := func(context.Context) error {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.seen = nil
		return nil
	}
	for range 3 {
		if err := p.Rebuild(ctx(t), clear); err != nil {
			t.Fatal(err)
		}
		if err := p.CaughtUp(ctx(t)); err != nil {
			t.Fatal(err)
		}
		if got, want := r.positions(), all(t, store, 10); !slices.Equal(got, want) {
			t.Errorf("after a rebuild the handler has done %q, want %q", got, want)
		}
	}
	// One that is paused on an event that the new handler can handle.
	r.set(func(eventstore.Recorded, int) error { return errBoom })
	add(t, store, "account", 1)
	until(t, "the projection pauses", func() bool { return p.Subscription().Snapshot().State == actors.StateEscalated })
	r.set(nil)
	if err := p.Rebuild(ctx(t), clear); err != nil {
		t.Fatal(err)
	}
	if err := p.CaughtUp(ctx(t)); err != nil {
		t.Fatal(err)
	}
	if got, want := r.positions(), all(t, store, 11); !slices.Equal(got, want) {
		t.Errorf("after a rebuild the handler has done %q, want %q", got, want)
	}
	if err := p.Rebuild(ctx(t), func(context.Context) error { return errBoom }); !errors.Is(err, errBoom) {
		t.Errorf("Rebuild whose clear fails = %v", err)
	}
	if err := p.Rebuild(ctx(t), func(context.Context) error { panic("boom") }); err == nil || !strings.Contains(err.Error(), "boom") {
		t.Errorf("Rebuild whose clear panics = %v", err)
	}
	if err := p.Close(ctx(t)); err != nil {
		t.Fatal(err)
	}
	if err := p.Rebuild(ctx(t), nil); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Rebuild after Close = %v, want ErrClosed", err)
	}
}

func TestTwoProcessesTellEachOther(t *testing.T) {
	store, r := eventstore.NewMemory(), &recorder{}
	var told atomic.Int64
	observer := runtime.Observer{Fault: func(e runtime.Event) {
		if errors.Is(e.Err, eventstore.ErrConflict) {
			told.Add(1)
		}
	}}
	cfg := projection.Config{SaveEvery: 1}
	p := open(t, troupetest.New(t, runtime.Config{Observer: observer}), store, "p", r.handle, cfg)
	q := open(t, troupetest.New(t, runtime.Config{Observer: observer}), store, "p", r.handle, cfg)
	var at eventstore.Position
	until(t, "one is told", func() bool {
		at = add(t, store, "account", 3)
		return told.Load() > 0
	})
	if err := errors.Join(p.Wait(ctx(t), at), q.Wait(ctx(t), at)); err != nil {
		t.Error(err)
	}
}

func TestOpenReportsFaults(t *testing.T) {
	rt, store := troupetest.New(t), eventstore.NewMemory()
	_, err := projection.Open(rt.Runtime, store, "a b", nil, projection.Config{
		Categories: []string{"a.b"}, Batch: -1, SaveEvery: -1, SavePeriod: -1, Retry: supervisor.Retry{MaxAttempts: -7},
	})
	for _, field := range []string{`"a b"`, "handle", "Categories", "Batch", "SaveEvery", "SavePeriod", "Retry"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("Open = %v, want it to say what is wrong with %s", err, field)
		}
	}
	r := &recorder{}
	open(t, rt, store, "p", r.handle)
	if _, err := projection.Open(rt.Runtime, store, "p", r.handle); !errors.Is(err, runtime.ErrNameTaken) {
		t.Errorf("Open of the same name again = %v, want ErrNameTaken", err)
	}
}
