package actors_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/supervisor"
)

// do is a message that says itself what is to be done.
type do func(ctx context.Context) error

// doer starts an actor that does what it is told.
func doer(w *world, name string, cfg actors.Config) *actors.Ref[do] {
	w.Helper()
	return spawn(w, name, cfg, func(ctx context.Context, m do) error { return m(ctx) })
}

// tell has the actor do something and waits until nothing moves.
func tell(t testing.TB, ref *actors.Ref[do], m do) {
	t.Helper()
	if err := ref.Tell(context.Background(), m); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

// obituary writes down who has terminated and why.
func obituary(got *tape[string]) func(actors.Terminated) do {
	return func(end actors.Terminated) do {
		return func(context.Context) error {
			got.add(fmt.Sprint(end.Name, " ", end.Reason, " ", end.Err))
			return nil
		}
	}
}

func TestWatchTellsWhyAnActorHasStopped(t *testing.T) {
	never := supervisor.Policy{Retry: once.Retry, Restart: supervisor.Restart{Type: supervisor.RestartNever}}
	for _, tc := range []struct {
		name string
		cfg  actors.Config
		end  func(*actors.Ref[do])
		want string
	}{
		{"told to", actors.Config{}, func(r *actors.Ref[do]) { _ = r.Stop(context.Background(), actors.Drain) }, "other subscriber_stopped <nil>"},
		{"for a reason", actors.Config{}, func(r *actors.Ref[do]) { r.Cell().Stop(actors.Discard, "weekend") }, "other weekend <nil>"},
		{"by its supervisor", actors.Config{Policy: never}, func(r *actors.Ref[do]) {
			_ = r.Tell(context.Background(), func(context.Context) error { panic("boom") })
		}, "other subscriber_stopped panic: boom"},
	} {
		for _, before := range []bool{true, false} {
			t.Run(fmt.Sprint(tc.name, " ", before), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					var got tape[string]
					watcher, other := doer(w, "watcher", actors.Config{}), doer(w, "other", tc.cfg)
					if !before {
						tc.end(other)
						synctest.Wait()
					}
					tell(t, watcher, func(ctx context.Context) error { return actors.Watch(ctx, other, obituary(&got)) })
					if before {
						tc.end(other)
						synctest.Wait()
					}
					want(t, "told", got.all(), []string{tc.want})
					n := watcher.Cell().Counts()
					if n.Own != 1 || n.Done != 2 || n.Deliveries != 2 {
						t.Errorf("Counts = %+v", n)
					}
				})
			})
		}
	}
}

func TestRestartIsNoEndAndAWatchLivesThroughThoseOfTheWatcher(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var got tape[string]
		watcher, other := doer(w, "watcher", actors.Config{Policy: once}), doer(w, "other", actors.Config{Policy: once})
		boom := func(context.Context) error { panic("boom") }
		tell(t, watcher, func(ctx context.Context) error { return actors.Watch(ctx, other, obituary(&got)) })
		tell(t, other, boom)
		tell(t, watcher, boom)
		want(t, "told", got.all(), nil)
		_ = other.Stop(t.Context(), actors.Drain)
		synctest.Wait()
		want(t, "told", got.all(), []string{"other subscriber_stopped <nil>"})
	})
}

func TestTerminatedComesToAFullMailboxFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var got tape[string]
		watcher, other := doer(w, "watcher", actors.Config{Capacity: 1}), doer(w, "other", actors.Config{})
		tell(t, watcher, func(ctx context.Context) error { return actors.Watch(ctx, other, obituary(&got)) })
		watcher.Cell().Pause()
		tell(t, watcher, func(context.Context) error { got.add("waited"); return nil })
		_ = other.Stop(t.Context(), actors.Drain)
		synctest.Wait() // it has stopped, and tells those who watch now
		watcher.Cell().Resume()
		synctest.Wait()
		want(t, "told", got.all(), []string{"other subscriber_stopped <nil>", "waited"})
	})
}

func TestUnwatchAndWatchAgain(t *testing.T) {
	for _, tc := range []struct {
		name    string
		then    func(*actors.Ref[do], *tape[string]) do
		waiting bool // the message waits already
		want    []string
		dropped uint64
	}{
		{"unwatch", unwatch, false, nil, 0},
		{"unwatch what waits", unwatch, true, nil, 1},
		{"again", again, false, []string{"again"}, 0},
		{"again what waits", again, true, []string{"again"}, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var got tape[string]
				watcher, other := doer(w, "watcher", actors.Config{}), doer(w, "other", actors.Config{})
				tell(t, watcher, func(ctx context.Context) error { return actors.Watch(ctx, other, obituary(&got)) })
				tell(t, watcher, func(ctx context.Context) error {
					if tc.waiting {
						_ = other.Stop(context.Background(), actors.Drain)
						time.Sleep(time.Second)
					}
					return tc.then(other, &got)(ctx)
				})
				time.Sleep(time.Hour)
				_ = other.Stop(t.Context(), actors.Drain)
				synctest.Wait()
				want(t, "told", got.all(), tc.want)
				if n := watcher.Cell().Counts(); n.Dropped[actors.ReasonCanceled] != tc.dropped {
					t.Errorf("Counts = %+v, want %d canceled", n, tc.dropped)
				}
				w.wantSeen("Dropped", int(tc.dropped))
			})
		})
	}
}

func unwatch(other *actors.Ref[do], _ *tape[string]) do {
	return func(ctx context.Context) error {
		if !actors.Unwatch(ctx, other) || actors.Unwatch(ctx, other) {
			return errors.New("Unwatch does not know what it does")
		}
		return nil
	}
}

func again(other *actors.Ref[do], got *tape[string]) do {
	return func(ctx context.Context) error {
		return actors.Watch(ctx, other, func(actors.Terminated) do {
			return func(context.Context) error { got.add("again"); return nil }
		})
	}
}

func TestWatchRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		watcher, other := doer(w, "watcher", actors.Config{}), doer(w, "other", actors.Config{})
		end := func(actors.Terminated) do { return nil }
		wantErr(t, "outside", actors.Watch(t.Context(), other, end), actors.ErrNoActor)
		tell(t, watcher, func(ctx context.Context) error {
			wantErr(t, "itself", actors.Watch(ctx, watcher, end), actors.ErrWouldDeadlock)
			wantErr(t, "type", actors.Watch(ctx, other, func(actors.Terminated) int { return 1 }), actors.ErrTypeMismatch)
			if actors.Watch[do](ctx, other, nil) == nil {
				t.Error("no build: no error")
			}
			return nil
		})
	})
}

// What builds the message is part of its handling.
func TestPanicOfABuilderIsThatOfAHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		watcher, other := doer(w, "watcher", actors.Config{Policy: retry}), doer(w, "other", actors.Config{})
		tell(t, watcher, func(ctx context.Context) error {
			return actors.Watch(ctx, other, func(actors.Terminated) do { panic("boom") })
		})
		_ = other.Stop(t.Context(), actors.Drain)
		time.Sleep(time.Hour)
		if n := watcher.Cell().Counts(); n.DeadLettered != 1 || n.Failures != 3 || n.Restarts != 3 {
			t.Errorf("Counts = %+v, want it attempted 3 times", n)
		}
	})
}

// A watcher that stops first leaves nothing behind at whom it watched.
func TestWatcherThatStopsFirstIsForgotten(t *testing.T) {
	w := newWorld(t)
	other := doer(w, "other", actors.Config{})
	freed := make(chan struct{})
	func() {
		type big struct{ _ [1 << 16]byte }
		b := new(big)
		runtime.AddCleanup(b, func(c chan struct{}) { close(c) }, freed)
		ref, err := actors.Spawn(w.sys, "watcher", func() actors.Behavior[do] {
			return actors.Behavior[do]{Receive: func(ctx context.Context, m do) error { return m(ctx) }}
		}, actors.Config{})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		_ = ref.Tell(t.Context(), func(ctx context.Context) error {
			defer close(done)
			return actors.Watch(ctx, other, func(actors.Terminated) do { _ = b; return nil })
		})
		<-done
		_ = ref.Stop(t.Context(), actors.Drain)
	}()
	for range 100 {
		runtime.GC()
		select {
		case <-freed:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Error("the watcher's closure is still held")
}

// Whoever watches while the other stops is told exactly once.
func TestWatchRacesWithStop(t *testing.T) {
	rounds := 300
	if testing.Short() {
		rounds = 50
	}
	w := newWorldWith(t, &graveyard{}, actors.Observer{})
	const watchers = 4
	refs := make([]*actors.Ref[do], watchers)
	for i := range refs {
		refs[i] = doer(w, fmt.Sprint("w", i), actors.Config{})
	}
	for range rounds {
		other, err := actors.Spawn(w.sys, "other", func() actors.Behavior[int] {
			return actors.Behavior[int]{Receive: func(context.Context, int) error { return nil }}
		}, actors.Config{})
		if err != nil {
			t.Fatal(err)
		}
		var told, all sync.WaitGroup
		told.Add(watchers)
		for _, ref := range refs {
			all.Go(func() {
				_ = ref.Tell(context.Background(), func(ctx context.Context) error {
					return actors.Watch(ctx, other, func(actors.Terminated) do {
						return func(context.Context) error { told.Done(); return nil }
					})
				})
			})
		}
		all.Go(func() { _ = other.Tell(context.Background(), 1) })
		all.Go(func() { _ = other.Stop(context.Background(), actors.Drain) })
		all.Wait()
		told.Wait() // a second message makes it panic
	}
	for _, ref := range refs {
		_ = ref.Stop(t.Context(), actors.Drain)
		if n := ref.Cell().Counts(); n.Own != uint64(rounds) || n.Done != uint64(2*rounds) || n.Balance() != 0 {
			t.Errorf("Counts = %+v", n)
		}
	}
}

// Watchers and watched that stop at once: nobody hangs and every account adds up.
func TestWatchersAndWatchedStopTogether(t *testing.T) {
	w := newWorldWith(t, &graveyard{}, actors.Observer{})
	rounds := 200
	if testing.Short() {
		rounds = 40
	}
	for range rounds {
		a, b := doerUnbound(t, w, "a"), doerUnbound(t, w, "b")
		watch := func(whom *actors.Ref[do]) do {
			return func(ctx context.Context) error {
				err := actors.Watch(ctx, whom, func(actors.Terminated) do { return func(context.Context) error { return nil } })
				if err != nil && !errors.Is(err, actors.ErrStopped) {
					return err
				}
				return nil
			}
		}
		var all sync.WaitGroup
		for _, f := range []func(){
			func() { _ = a.Tell(context.Background(), watch(b)) },
			func() { _ = b.Tell(context.Background(), watch(a)) },
			func() { _ = a.Stop(context.Background(), actors.DeadLetterRest) },
			func() { _ = b.Stop(context.Background(), actors.Discard) },
		} {
			all.Go(f)
		}
		all.Wait()
		balancedRef(t, a)
		balancedRef(t, b)
	}
}

func doerUnbound(t testing.TB, w *world, name string) *actors.Ref[do] {
	t.Helper()
	ref, err := actors.Spawn(w.sys, name, func() actors.Behavior[do] {
		return actors.Behavior[do]{Receive: func(ctx context.Context, m do) error { return m(ctx) }}
	}, actors.Config{})
	if err != nil {
		t.Fatal(err)
	}
	return ref
}
