package topics_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

// do is a message that says itself what is to be done.
type do func(ctx context.Context) error

func doer() topics.Behavior[do] {
	return topics.Behavior[do]{Receive: func(ctx context.Context, m do) error { return m(ctx) }}
}

func spawnDoer(t testing.TB, rt *troupetest.Runtime, name string, cfg ...topics.SpawnConfig) *actors.Ref[do] {
	t.Helper()
	ref, err := topics.Spawn(rt.Runtime, name, doer, cfg...)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// act has the actor do something and waits until nothing moves.
func act(t testing.TB, ref *actors.Ref[do], m do) {
	t.Helper()
	if err := ref.Tell(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
}

func counter(h *troupetest.Handler[int]) func() topics.Behavior[int] {
	return func() topics.Behavior[int] { return topics.Behavior[int]{Receive: h.Handle} }
}

func subscriberNames(rt *troupetest.Runtime, topic string) (names []string) {
	top, _ := rt.Snapshot().Topic(topic)
	for _, s := range top.Subscribers {
		names = append(names, s.Name)
	}
	return names
}

func TestChildrenAreInTheAccountOfTheirParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		h := troupetest.NewHandler[int](t).On(2, troupetest.Fail(supervisor.Permanent(errBoom)))
		parent := spawnDoer(t, rt, "p")
		var child *actors.Ref[do]
		var grandchild *actors.Ref[int]
		act(t, parent, func(ctx context.Context) (err error) {
			child, err = topics.SpawnChild(ctx, "c", doer)
			return err
		})
		act(t, child, func(ctx context.Context) (err error) {
			grandchild, err = topics.SpawnChild(ctx, "g", counter(h))
			return err
		})
		wantSlice(t, "names", []string{parent.Name(), child.Name(), grandchild.Name()}, "p", "p/c", "p/c.g")
		wantSlice(t, "subscribers", subscriberNames(rt, "p"), "p", "c", "c.g")
		for n := range 3 {
			if err := grandchild.Tell(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		rt.WantLetters(deadletter.Letter{Topic: "p", Subscriber: "c.g", Payload: []byte("1")})
		if err := rt.Redrive(t.Context(), rt.Letters()[0].ID); err != nil {
			t.Fatal(err)
		}
		rt.WantLetters(deadletter.Letter{State: deadletter.StateResolved})
		h.WantEvents(0, 2, 1)
		snap := rt.Snapshot()
		troupetest.CheckAccount(t, snap)
		if top, _ := snap.Topic("p"); top.Accepted != 5 || top.Total.Done != 5 || top.Total.DeadLettered != 1 {
			t.Errorf("account = %+v", top)
		}
		if err := rt.Pause("p", "c.g"); err != nil || grandchild.Cell().State() != actors.StatePaused {
			t.Errorf("Pause = %v, state %s", err, grandchild.Cell().State())
		}
		if err := rt.Resume("p", "c.g"); err != nil {
			t.Error(err)
		}
		report, err := rt.Shutdown(t.Context())
		if err != nil || !report.Clean {
			t.Errorf("shutdown = %+v, %v", report, err)
		}
	})
}

// Children that come and go leave only their sums.
func TestShortLivedChildrenLeaveTheirSumsOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		parent := spawnDoer(t, rt, "p")
		for n := range 100 {
			act(t, parent, func(ctx context.Context) error {
				h := troupetest.NewHandler[int](t)
				child, err := topics.SpawnChild(ctx, fmt.Sprint("c", n%2), counter(h))
				if err != nil {
					return err
				}
				return errors.Join(child.Tell(ctx, n), child.Stop(ctx, actors.Drain))
			})
		}
		wantSlice(t, "subscribers", subscriberNames(rt, "p"), "p")
		snap := rt.Snapshot()
		troupetest.CheckAccount(t, snap)
		if top, _ := snap.Topic("p"); top.Former.Done != 100 || top.Accepted != 200 || len(snap.Topics) != 1 {
			t.Errorf("account = %+v", snap)
		}
	})
}

func TestRestartedParentSpawnsItsChildrenAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		h := troupetest.NewHandler[int](t)
		parent, err := topics.Spawn(rt.Runtime, "p", func() topics.Behavior[do] {
			b := doer()
			b.Start = func(ctx context.Context) error {
				_, err := topics.SpawnChild(ctx, "c", counter(h))
				return err
			}
			return b
		}, topics.SpawnConfig{SubscriberConfig: topics.SubscriberConfig{Retry: once}})
		if err != nil {
			t.Fatal(err)
		}
		for range 5 {
			act(t, parent, func(context.Context) error { panic("boom") })
			child, err := topics.Lookup[int](rt.Runtime, "p/c")
			if err != nil {
				t.Fatal(err)
			}
			if err := child.Tell(t.Context(), 1); err != nil {
				t.Error(err)
			}
			synctest.Wait()
		}
		rt.Idle(time.Minute)
		h.WantEvents(1, 1, 1, 1, 1)
		if n := parent.Cell().Counts(); n.Restarts != 5 {
			t.Errorf("Counts = %+v", n)
		}
	})
}

func TestShutdownStopsChildrenBeforeTheirParents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		var order notes[string]
		behavior := func(name string, start func(context.Context) error) func() topics.Behavior[int] {
			return func() topics.Behavior[int] {
				return topics.Behavior[int]{
					Start:   start,
					Receive: func(context.Context, int) error { time.Sleep(time.Second); order.add(name); return nil },
					Stop:    func(context.Context) error { order.add("stop " + name); return nil },
				}
			}
		}
		_, err := topics.Spawn(rt.Runtime, "p", behavior("p", func(ctx context.Context) error {
			a, err := topics.SpawnChild(ctx, "a", behavior("a", nil))
			if err != nil {
				return err
			}
			_, err = topics.SpawnChild(ctx, "b", behavior("b", nil))
			return errors.Join(err, a.Tell(ctx, 1))
		}))
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		report, err := rt.Shutdown(t.Context())
		if err != nil || !report.Clean {
			t.Errorf("shutdown = %+v, %v", report, err)
		}
		wantSlice(t, "order", order.all(), "a", "stop b", "stop a", "stop p")
	})
}

// A shutdown does not wait for what is set aside until a message comes that
// nobody is left to send; and no timer sends one.
func TestShutdownDoesNotWaitForStashedMessagesOrTimers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		ref, err := topics.Spawn(rt.Runtime, "a", func() topics.Behavior[string] {
			return topics.Behavior[string]{
				Start: func(ctx context.Context) error { return actors.Every(ctx, "tick", time.Hour, "tick") },
				Receive: func(ctx context.Context, m string) error {
					if m == "tick" {
						return actors.UnstashAll(ctx)
					}
					return actors.Stash(ctx)
				},
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		_ = ref.Tell(t.Context(), "waits")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		begin := time.Now()
		report, err := rt.Shutdown(ctx)
		if err != nil || len(report.Left) != 1 || report.Left[0].Events != 1 || time.Since(begin) > time.Second {
			t.Errorf("shutdown after %v = %+v, %v", time.Since(begin), report, err)
		}
		rt.WantLetters(deadletter.Letter{Topic: "a", Subscriber: "a", Payload: []byte(`"waits"`), Reason: supervisor.ReasonShutdown})
	})
}

func TestShutdownWithADeafChildComesToItsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		parent := spawnDoer(t, rt, "p")
		var child *actors.Ref[do]
		act(t, parent, func(ctx context.Context) (err error) {
			child, err = topics.SpawnChild(ctx, "c", doer)
			return err
		})
		act(t, child, func(context.Context) error { time.Sleep(80 * time.Second); return nil })
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		report, err := rt.Shutdown(ctx)
		if err != nil || report.Took > 2*time.Minute {
			t.Errorf("shutdown = %+v, %v", report, err)
		}
		wantSlice(t, "still running", report.StillRunning, "p/c")
	})
}

func TestSpawnChildRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		h := troupetest.NewHandler[int](t)
		_, err := topics.SpawnChild(t.Context(), "c", counter(h))
		wantErr(t, "outside", err, topics.ErrNoActor)
		topic := open(t, rt)
		subscribe(t, topic, "s", func(ctx context.Context, _ int) error {
			_, err := topics.SpawnChild(ctx, "c", counter(h))
			wantErr(t, "in a subscriber", err, topics.ErrNoActor)
			return nil
		})
		publish(t, topic, 1)
		group, err := rt.Group("g", actors.GroupConfig{})
		if err != nil {
			t.Fatal(err)
		}
		parent := spawnDoer(t, rt, "p")
		act(t, parent, func(ctx context.Context) error {
			for _, tc := range []struct {
				name string
				cfg  topics.SpawnConfig
				want string
			}{
				{"", topics.SpawnConfig{}, "must not be empty"},
				{"p", topics.SpawnConfig{}, "name taken"},
				{"c/d", topics.SpawnConfig{}, "must not contain"},
				{"c", topics.SpawnConfig{SubscriberConfig: topics.SubscriberConfig{Group: group}}, "Group: must be nil"},
				{"c", topics.SpawnConfig{SubscriberConfig: topics.SubscriberConfig{Key: topics.KeyOf(func(int) string { return "" })}}, "Key, Workers, Filter, Priority, Take, Batch: are for topics"},
				{"c", topics.SpawnConfig{MaxStash: -1}, "MaxStash -1"},
			} {
				if _, err := topics.SpawnChild(ctx, tc.name, counter(h), tc.cfg); err == nil || !strings.Contains(err.Error(), tc.want) {
					t.Errorf("SpawnChild(%q, %+v) = %v, want %q", tc.name, tc.cfg, err, tc.want)
				}
			}
			return nil
		})
		wantSlice(t, "subscribers", subscriberNames(rt, "p"), "p")
	})
}

// A parent that has to restart while a shutdown drains gets its children again,
// and what waits is handled.
func TestParentRestartsWithItsChildrenWhileAShutdownDrains(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		h := troupetest.NewHandler[int](t)
		parent, err := topics.Spawn(rt.Runtime, "p", func() topics.Behavior[do] {
			b := doer()
			b.Start = func(ctx context.Context) error {
				_, err := topics.SpawnChild(ctx, "c", counter(h))
				return err
			}
			return b
		}, topics.SpawnConfig{SubscriberConfig: topics.SubscriberConfig{Retry: once}})
		if err != nil {
			t.Fatal(err)
		}
		_ = parent.Tell(t.Context(), func(context.Context) error { time.Sleep(time.Second); panic("boom") })
		_ = parent.Tell(t.Context(), func(ctx context.Context) error {
			c, ok := actors.Child[int](ctx, "c")
			if !ok {
				return supervisor.Permanent(errBoom)
			}
			return c.Tell(ctx, 1)
		})
		synctest.Wait()
		report, err := rt.Shutdown(t.Context())
		if err != nil || !report.Clean || report.Took > time.Minute {
			t.Errorf("shutdown = %+v, %v", report, err)
		}
		h.WantEvents(1)
		rt.WantLetters(deadletter.Letter{Reason: supervisor.ReasonExhausted})
		wantErr(t, "SpawnChild after shutdown", func() error {
			_, err := topics.Spawn(rt.Runtime, "late", doer)
			return err
		}(), runtime.ErrClosed)
	})
}

func TestLookupFindsActorsByNameAndType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		open(t, rt)
		h := troupetest.NewHandler[int](t)
		parent := spawnDoer(t, rt, "p")
		act(t, parent, func(ctx context.Context) error {
			_, err := topics.SpawnChild(ctx, "c", counter(h))
			return err
		})
		pool, err := topics.SpawnPool(rt.Runtime, "pool", 2, actors.RoundRobin[int](), counter(h))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := topics.Lookup[do](rt.Runtime, "p"); got != parent || err != nil {
			t.Errorf("Lookup(p) = %v, %v", got, err)
		}
		if got, err := topics.Lookup[int](rt.Runtime, "p/c"); err != nil || got.Name() != "p/c" {
			t.Errorf("Lookup(p/c) = %v, %v", got, err)
		}
		if got, err := topics.Lookup[int](rt.Runtime, "pool/2"); err != nil || got != pool.Refs()[1] {
			t.Errorf("Lookup(pool/2) = %v, %v", got, err)
		}
		for name, want := range map[string]error{
			"p": topics.ErrTypeMismatch, "t": topics.ErrTypeMismatch, "pool": topics.ErrTypeMismatch,
			"nobody": topics.ErrNoActor, "p/x": topics.ErrNoActor, "": topics.ErrNoActor, "pool/3": topics.ErrNoActor,
		} {
			_, err := topics.Lookup[int](rt.Runtime, name)
			wantErr(t, "Lookup "+name, err, want)
		}
		_ = parent.Stop(t.Context(), actors.Drain)
		_, err = topics.Lookup[do](rt.Runtime, "p")
		wantErr(t, "Lookup of one that has stopped", err, topics.ErrNoActor)
		_, err = topics.Lookup[int](rt.Runtime, "p/c")
		wantErr(t, "Lookup of its child", err, topics.ErrNoActor)
	})
}

func TestPoolIsATopicWithItsMembersAsSubscribers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		h := troupetest.NewHandler[int](t).On(3, troupetest.Fail(supervisor.Permanent(errBoom)))
		pool, err := topics.SpawnPool(rt.Runtime, "pool", 3, actors.RoundRobin[int](), counter(h))
		if err != nil {
			t.Fatal(err)
		}
		for n := range 9 {
			if err := pool.Tell(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		rt.Idle(time.Minute)
		wantSlice(t, "subscribers", subscriberNames(rt, "pool"), "1", "2", "3")
		snap := rt.Snapshot()
		troupetest.CheckAccount(t, snap)
		top, _ := snap.Topic("pool")
		for _, s := range top.Subscribers {
			if s.Counts.Deliveries != 3 {
				t.Errorf("counts of %s = %+v", s.Name, s.Counts)
			}
		}
		if top.Accepted != 9 || top.Total.Done != 8 || top.Total.DeadLettered != 1 {
			t.Errorf("account = %+v", top)
		}
		if err := rt.Redrive(t.Context(), rt.Letters()[0].ID); err != nil {
			t.Error(err)
		}
		rt.Idle(time.Minute)

		_, err = topics.SpawnPool(rt.Runtime, "pool", 1, actors.RoundRobin[int](), counter(h))
		wantErr(t, "second pool", err, runtime.ErrNameTaken)
		_, err = topics.Spawn(rt.Runtime, "pool", counter(h))
		wantErr(t, "actor", err, runtime.ErrNameTaken)
		if err := pool.Stop(t.Context(), runtime.Drain); err != nil {
			t.Error(err)
		}
		wantErr(t, "Tell", pool.Tell(t.Context(), 1), actors.ErrStopped)
		wantErr(t, "Resize", pool.Resize(t.Context(), 2), actors.ErrStopped)
		if _, err = topics.SpawnPool(rt.Runtime, "pool", 1, actors.RoundRobin[int](), counter(h)); err != nil {
			t.Errorf("SpawnPool after Stop = %v", err)
		}
	})
}

func TestPoolResizes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		h := troupetest.NewHandler[int](t)
		pool, err := topics.SpawnPool(rt.Runtime, "pool", 2, actors.LeastBusy[int](), counter(h))
		if err != nil {
			t.Fatal(err)
		}
		resize := func(n int, want ...string) {
			t.Helper()
			if err := pool.Resize(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			wantSlice(t, "subscribers", subscriberNames(rt, "pool"), want...)
		}
		resize(4, "1", "2", "3", "4")
		for _, ref := range pool.Refs() {
			ref.Cell().Pause()
		}
		for n := range 8 {
			_ = pool.Tell(t.Context(), n)
		}
		time.AfterFunc(time.Minute, func() {
			_, _ = rt.Resume("pool", "3"), rt.Resume("pool", "4")
		})
		resize(2, "1", "2") // what 3 and 4 had is handled first
		if n := len(h.Events()); n != 4 {
			t.Errorf("%d handled, want 4", n)
		}
		_ = pool.Refs()[0].Stop(t.Context(), runtime.DeadLetterRest)
		resize(2, "2", "5")
		for _, n := range []int{0, -1, 1 << 20} {
			if err := pool.Resize(t.Context(), n); err == nil {
				t.Errorf("Resize(%d): no error", n)
			}
		}
		_, err = topics.SpawnPool(rt.Runtime, "other", 0, actors.RoundRobin[int](), counter(h))
		if err == nil {
			t.Error("SpawnPool of none: no error")
		}
		_, err = topics.SpawnPool[int](rt.Runtime, "other", 1, actors.RoundRobin[int](), nil)
		if err == nil {
			t.Error("SpawnPool without a factory: no error")
		}
		_, err = topics.SpawnPool(rt.Runtime, "other", 2, actors.RoundRobin[int](), counter(h), topics.SpawnConfig{MaxStash: -1})
		if err == nil {
			t.Error("SpawnPool with a fault: no error")
		}
		wantSlice(t, "subscribers of the one refused", subscriberNames(rt, "other"))
	})
}

func TestPassiveActorIsInTheSnapshotAndFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		ref := spawnDoer(t, rt, "a", topics.SpawnConfig{PassivateAfter: time.Minute})
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		top, _ := rt.Snapshot().Topic("a")
		if top.Subscribers[0].State != actors.StatePassive {
			t.Errorf("state = %s", top.Subscribers[0].State)
		}
		rt.Idle(time.Minute)
		if err := rt.Health(); err != nil {
			t.Errorf("Health = %v", err)
		}
		if got, err := topics.Lookup[do](rt.Runtime, "a"); got != ref || err != nil {
			t.Errorf("Lookup = %v, %v", got, err)
		}
	})
}
