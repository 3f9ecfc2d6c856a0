package aggregate_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/aggregate"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

func TestExecute(t *testing.T) {
	rt, store := troupetest.New(t), eventstore.NewMemory()
	a := open(t, rt, store, base(t))
	first := execute(t, a, "a", deposit{500})
	second := execute(t, a, "a", withdraw{200})
	if first.Version != 1 || second.Version != 2 || len(second.Events) != 1 || second.Events[0] != (event)(withdrawn{200}) || first.Position >= second.Position {
		t.Errorf("Execute = %+v and %+v", first, second)
	}
	if nothing := execute(t, a, "a", deposit{0}); nothing.Version != 2 || nothing.Position != eventstore.Start || len(nothing.Events) != 0 {
		t.Errorf("Execute of a command that changes nothing = %+v", nothing)
	}
	_, err := a.Execute(t.Context(), "a", withdraw{301})
	if !errors.Is(err, errPoor) || err.Error() != "withdraw 301 of 300: not enough money" {
		t.Errorf("Execute of what is refused = %v, want what Decide says", err)
	}
	execute(t, a, "b", deposit{7})
	wantBalance(t, a, "a", 300, 2)
	wantBalance(t, a, "b", 7, 1)
	wantBalance(t, a, "nobody", 0, 0)
	if _, err := a.Execute(t.Context(), "", deposit{1}); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("Execute without an ID = %v, want ErrInvalid", err)
	}
	rt.Idle()
	rt.WantLetters()
	if n := a.Loaded(); n != 2 {
		t.Errorf("Loaded = %d, want 2", n)
	}
	if err := a.Close(t.Context()); err != nil || a.Loaded() != 0 {
		t.Errorf("Close = %v with %d loaded", err, a.Loaded())
	}
	if _, err := a.Execute(t.Context(), "a", deposit{1}); !errors.Is(err, topics.ErrNoSubscriber) {
		t.Errorf("Execute after Close = %v, want ErrNoSubscriber", err)
	}
}

func TestEventsSayWhereTheyComeFrom(t *testing.T) {
	rt, store := troupetest.New(t), eventstore.NewMemory()
	a := open(t, rt, store, base(t))
	if _, err := a.Execute(t.Context(), "a", deposit{1}, topics.Meta{ID: "c-1", Headers: map[string]string{"user": "jane", topics.HeaderCorrelation: "order-7"}}); err != nil {
		t.Fatal(err)
	}
	for ev, err := range store.Read(t.Context(), eventstore.Stream{Category: "account", ID: "a"}, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if m := ev.Metadata; ev.ID != "c-1-0" || m["user"] != "jane" || m[topics.HeaderCorrelation] != "order-7" || m[topics.HeaderCausation] != "c-1" {
			t.Errorf("event %s has metadata %q", ev.ID, m)
		}
	}
}

func TestPanicIsRetriedOnALoadedState(t *testing.T) {
	rt, store := troupetest.New(t), &faulty{Store: eventstore.NewMemory()}
	cfg := base(t)
	cfg.Subscriber = quick
	var panics atomic.Int64
	cfg.Decide = func(ctx context.Context, a account, c command) ([]event, error) {
		if panics.Add(-1) >= 0 {
			panic("boom")
		}
		return decide(ctx, a, c)
	}
	a := open(t, rt, store, cfg)
	execute(t, a, "a", deposit{5})
	panics.Store(1)
	if done := execute(t, a, "a", deposit{5}); done.Version != 2 || done.Repeated {
		t.Errorf("Execute after a panic = %+v", done)
	}
	if n := a.Subscription().Snapshot().Counts.Restarts; n != 1 {
		t.Errorf("%d restarts after a panic, want 1", n)
	}
	panics.Store(3)
	_, err := a.Execute(t.Context(), "a", deposit{5})
	if p, ok := errors.AsType[*topics.PanicError](err); !ok || p.Value != "boom" {
		t.Errorf("Execute of a command that panics each time = %v, want the *PanicError", err)
	}
	wantBalance(t, a, "a", 10, 2)
	execute(t, a, "a", deposit{1})

	// It is not lost: an operator gives it back.
	rt.Idle()
	letters := rt.Letters()
	if len(letters) != 1 {
		t.Fatalf("%d dead letters, want 1", len(letters))
	}
	redrive(t, rt, letters[0].ID)
	rt.Idle()
	wantBalance(t, a, "a", 16, 4)
}

func TestPanicInEvolveForgetsTheState(t *testing.T) {
	rt, store := troupetest.New(t), eventstore.NewMemory()
	cfg := base(t)
	cfg.Subscriber = quick
	var once sync.Once
	cfg.Evolve = func(a account, ev event) account {
		once.Do(func() { panic("boom") })
		return evolve(a, ev)
	}
	a := open(t, rt, store, cfg)
	// The event is stored before Evolve is called: the second attempt finds it.
	if done := execute(t, a, "a", deposit{5}); done.Version != 1 || !done.Repeated {
		t.Errorf("Execute = %+v, want version 1, repeated", done)
	}
	execute(t, a, "a", deposit{1})
	wantBalance(t, a, "a", 6, 2)
}

func TestLostAnswerAppendsOnce(t *testing.T) {
	rt, store := troupetest.New(t), &faulty{Store: eventstore.NewMemory()}
	cfg := base(t)
	cfg.Subscriber = quick
	a := open(t, rt, store, cfg)
	execute(t, a, "a", deposit{1})
	store.set(nil, down("append", 1))
	if done := execute(t, a, "a", deposit{10}); !done.Repeated || done.Version != 2 || done.Events[0] != (event)(deposited{10}) || done.Position == eventstore.Start {
		t.Errorf("Execute whose first answer was lost = %+v, want it repeated", done)
	}
	wantBalance(t, a, "a", 11, 2)
	// All answers lost: a dead letter, which given back does nothing again.
	store.set(down("read", 2), down("append", 1))
	if _, err := a.Execute(t.Context(), "a", deposit{100}); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Execute without a store = %v, want ErrUnavailable", err)
	}
	rt.Idle()
	for _, l := range rt.Letters() {
		redrive(t, rt, l.ID)
	}
	rt.Idle()
	wantBalance(t, a, "a", 111, 3)
}

func TestCommandIDIsHandledOnce(t *testing.T) {
	rt, store := troupetest.New(t), eventstore.NewMemory()
	a := open(t, rt, store, base(t))
	for i := range 3 {
		done, err := a.Execute(t.Context(), "a", deposit{5}, topics.Meta{ID: "click-1"})
		if err != nil || done.Version != 1 || done.Repeated != (i > 0) {
			t.Errorf("Execute %d of the same command = %+v, %v", i, done, err)
		}
	}
	if _, err := a.Execute(t.Context(), "a", deposit{5}, topics.Meta{ID: "click-2"}); err != nil {
		t.Error(err)
	}
	wantBalance(t, a, "a", 10, 2)
	if _, err := a.Execute(t.Context(), "a", deposit{5}, topics.Meta{ID: strings.Repeat("x", 181)}); !errors.Is(err, eventstore.ErrInvalid) {
		t.Errorf("Execute with a long ID = %v, want ErrInvalid", err)
	}
}

// TestConflict has two processes at the same accounts, and one in each that has no other
// way to see what the other does than the store.
func TestConflict(t *testing.T) {
	store := eventstore.NewMemory()
	cfg := base(t)
	cfg.Snapshots.Every = 7
	cfg.Conflicts = 1000
	var both []*accounts
	for range 2 {
		both = append(both, open(t, troupetest.New(t), store, cfg))
	}
	const workers, each = 8, 30
	var wg sync.WaitGroup
	var taken, refused atomic.Int64
	for w := range workers {
		wg.Go(func() {
			for i := range each {
				id := fmt.Sprint("a", i%2)
				if i%3 < 2 {
					if _, err := both[w%2].Execute(t.Context(), id, deposit{10}); err != nil {
						t.Errorf("deposit: %v", err)
					}
					continue
				}
				switch _, err := both[w%2].Execute(t.Context(), id, withdraw{15}); {
				case err == nil:
					taken.Add(15)
				case errors.Is(err, errPoor):
					refused.Add(1)
				default:
					t.Errorf("withdraw: %v", err)
				}
			}
		})
	}
	wg.Wait()
	var sum, changes int64
	for _, id := range []string{"a0", "a1"} {
		got, _, err := both[0].Load(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		sum, changes = sum+got.Cents, changes+got.Changes
		if got.Cents < 0 {
			t.Errorf("%s has %d cents: two have decided on the same state", id, got.Cents)
		}
	}
	if want := int64(workers*each/3*2*10) - taken.Load(); sum != want {
		t.Errorf("%d cents, want %d", sum, want)
	}
	if want := workers*each - refused.Load(); changes != want {
		t.Errorf("%d changes, want %d", changes, want)
	}
}

func TestOneCommandOfAnIDAtATime(t *testing.T) {
	rt, store := troupetest.New(t), eventstore.NewMemory()
	cfg := base(t)
	var busy [3]atomic.Int64
	cfg.New = func(id string) account { return account{Changes: int64(id[0]-'a') << 32} }
	cfg.Decide = func(ctx context.Context, a account, c command) ([]event, error) {
		of := &busy[a.Changes>>32]
		if of.Add(1) > 1 {
			t.Error("two commands of an ID at the same time")
		}
		defer of.Add(-1)
		return decide(ctx, a, c)
	}
	a := open(t, rt, store, cfg)
	var wg sync.WaitGroup
	for w := range 9 {
		wg.Go(func() {
			for range 30 {
				execute(t, a, string(rune('a'+w%3)), deposit{1})
			}
		})
	}
	wg.Wait()
	for _, id := range []string{"a", "b", "c"} {
		if got, v, err := a.Load(t.Context(), id); err != nil || got.Cents != 90 || v != 90 {
			t.Errorf("%s = %+v at %d, %v, want 90", id, got, v, err)
		}
	}
}

func TestConflictsInARowAreAFailure(t *testing.T) {
	rt, store := troupetest.New(t), eventstore.NewMemory()
	cfg := base(t)
	cfg.Conflicts, cfg.Subscriber = 2, quick
	var calls atomic.Int64
	cfg.Decide = func(ctx context.Context, a account, c command) ([]event, error) {
		calls.Add(1)
		ev, err := cfg.Schema.Encode(deposited{1})
		if err != nil {
			t.Error(err)
		}
		// Somebody is faster each time.
		if _, err := store.Append(ctx, eventstore.Stream{Category: "account", ID: "a"}, eventstore.Any, ev); err != nil {
			t.Error(err)
		}
		return decide(ctx, a, c)
	}
	a := open(t, rt, store, cfg)
	_, err := a.Execute(t.Context(), "a", deposit{1})
	if conflict, ok := errors.AsType[*eventstore.ConflictError](err); !ok || conflict.Actual <= conflict.Expected {
		t.Errorf("Execute against somebody who is always faster = %v, want a *ConflictError", err)
	}
	if n := calls.Load(); n != 9 {
		t.Errorf("Decide was called %d times, want 3 attempts of 3", n)
	}
}

func TestHistoryThatCannotBeRead(t *testing.T) {
	rt, store := troupetest.New(t), eventstore.NewMemory()
	a := open(t, rt, store, base(t))
	if _, err := store.Append(t.Context(), eventstore.Stream{Category: "account", ID: "a"}, 0, eventstore.Event{Type: "merged"}); err != nil {
		t.Fatal(err)
	}
	_, err := a.Execute(t.Context(), "a", deposit{1})
	if !errors.Is(err, eventstore.ErrUnknownType) || !strings.Contains(err.Error(), "account/a: version 1") {
		t.Errorf("Execute on an unknown event = %v, want ErrUnknownType with its place", err)
	}
	if _, _, err := a.Load(t.Context(), "a"); !errors.Is(err, eventstore.ErrUnknownType) {
		t.Errorf("Load = %v, want ErrUnknownType", err)
	}
}

func TestOpenReportsEveryFault(t *testing.T) {
	rt := troupetest.New(t)
	_, err := aggregate.Open(rt.Runtime, eventstore.NewMemory(), config{
		Category: "a b", Conflicts: -1, MaxLoaded: -1, PassivateAfter: -1, Snapshots: aggregate.Snapshots{Every: -1, Schema: -1},
		Subscriber: topics.SubscriberConfig{Key: topics.KeyOf(func(int) string { return "" })},
	})
	for _, field := range []string{"Category", "Schema", "Decide", "Evolve", "Conflicts", "MaxLoaded", "PassivateAfter", "Snapshots.Every", "Snapshots.Schema", "Subscriber.Key"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("Open = %v, want it to say what is wrong with %s", err, field)
		}
	}
	open(t, rt, eventstore.NewMemory(), base(t))
	if _, err := aggregate.Open(rt.Runtime, eventstore.NewMemory(), base(t)); !errors.Is(err, runtime.ErrNameTaken) {
		t.Errorf("Open of the same category again = %v, want ErrNameTaken", err)
	}
}
