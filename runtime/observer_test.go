package runtime_test

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/memory"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
	"go.uber.org/zap"
)

// everything makes everything happen that an observer can be told of.
func everything(t *testing.T, rt *troupetest.Runtime) {
	store := rt.DeadLetters().(*patchy)
	lonely := open[int](t, rt, "lonely")
	publish(t, lonely, 1) // Accepted, Unrouted
	strict := open[int](t, rt, "strict", topics.Config{Unrouted: topics.RejectUnrouted})
	wantErr(t, "Publish", strict.Publish(t.Context(), 1), topics.ErrNoSubscriber) // Rejected

	topic := open[int](t, rt, "t")
	h := troupetest.NewHandler[int](t).
		On(1, troupetest.Fail(errBoom)).                                                   // Failed, Retrying; then Handled
		On(3, troupetest.Panic("boom")).                                                   // Restarting, Started, Fault of the stop hook
		On(5, troupetest.Fail(supervisor.Skip(errBoom))).                                  // Dropped
		On(6, troupetest.Fail(supervisor.Permanent(errBoom))).                             // DeadLettered
		When(func(c troupetest.Call[int]) bool { return c.Event == 5 }, troupetest.Hang()) // Hung, Late
	sub, err := topic.SubscribeFactory("s", func() topics.Behavior[int] {
		return topics.Behavior[int]{Receive: h.Handle, Stop: func(context.Context) error { return errors.New("stop hook") }}
	}, topics.SubscriberConfig{Capacity: 1, Timeout: time.Second, Grace: time.Second, Retry: supervisor.Retry{MaxAttempts: 2}})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 6 {
		publish(t, topic, n)
		rt.Idle()
	}
	h.Release()
	sub.Pause() // Paused
	publish(t, topic, 6)
	var held sync.WaitGroup
	held.Go(func() { publish(t, topic, 7) }) // Held
	time.Sleep(1500 * time.Millisecond)
	sub.Resume() // Resumed
	held.Wait()
	rt.Idle()

	page, err := store.List(t.Context(), deadletter.Query{Reason: supervisor.ReasonPermanent})
	if err != nil {
		t.Fatal(err)
	}
	if err := rt.Redrive(t.Context(), page.Letters[0].ID); err != nil { // Redriven
		t.Fatal(err)
	}
	rt.Idle()

	desperate := open[int](t, rt, "desperate")
	subscribe(t, desperate, "s", func(context.Context, int) error { panic("boom") }, topics.SubscriberConfig{
		Restart: supervisor.Restart{MaxRestarts: supervisor.NoRestarts, OnExceed: supervisor.ExceedEscalate}})
	publish(t, desperate, 1) // Escalated
	synctest.Wait()

	if _, err := topics.Spawn(rt.Runtime, "idle", func() topics.Behavior[int] {
		return topics.Behavior[int]{Receive: func(context.Context, int) error { return nil }}
	}, topics.SpawnConfig{PassivateAfter: time.Second}); err != nil { // Passivated
		t.Fatal(err)
	}
	failing := open[int](t, rt, "failing")
	subscribe(t, failing, "s", func(context.Context, int) error { return supervisor.Permanent(errBoom) })
	store.fail(func(context.Context, []deadletter.Letter) error { return errBoom })
	publish(t, failing, 1) // StoreFailing
	time.Sleep(time.Second)
	store.fail(nil)
	time.Sleep(time.Minute) // StoreRecovered

	e := memory.New()
	outside := open[int](t, rt, "outside", topics.Config{Engine: e, Outage: topics.OutageReject})
	e.Fail(engine.ErrUnavailable)
	wantErr(t, "Publish", outside.Publish(t.Context(), 1), engine.ErrUnavailable) // EngineFailing
	e.Fail(nil)
	publish(t, outside, 1)       // EngineRecovered
	shutdown(t, rt, time.Minute) // Stopped
}

func TestObserverIsToldOfEverything(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		told := map[string][]runtime.Event{}
		rt := troupetest.New(t, runtime.Config{DeadLetters: newPatchy(t), Observer: observerOf(func(what string, e runtime.Event) {
			mu.Lock()
			defer mu.Unlock()
			told[what] = append(told[what], e)
		})})
		everything(t, rt)
		mu.Lock()
		defer mu.Unlock()
		for i := range reflect.TypeFor[runtime.Observer]().NumField() {
			if name := reflect.TypeFor[runtime.Observer]().Field(i).Name; len(told[name]) == 0 {
				t.Errorf("%s was not told; told were %v", name, slices.Sorted(maps.Keys(told)))
			}
		}
		first := func(what string) runtime.Event { return told[what][0] }
		if t.Failed() {
			return
		}
		for what, want := range map[string]runtime.Event{
			"Unrouted":     {Topic: "lonely"},
			"Accepted":     {Topic: "lonely"},
			"Handled":      {Topic: "t", Subscriber: "s", Sequence: 1, Attempt: 2},
			"Started":      {Topic: "t", Subscriber: "s"},
			"Paused":       {Topic: "t", Subscriber: "s", Reason: actors.ReasonOperator},
			"Resumed":      {Topic: "t", Subscriber: "s"},
			"Passivated":   {Topic: "idle", Subscriber: "idle"},
			"Hung":         {Topic: "t", Subscriber: "s"},
			"Late":         {Topic: "t", Subscriber: "s"},
			"Held":         {Topic: "t", Subscriber: "s"},
			"Failed":       {Topic: "t", Subscriber: "s", Sequence: 1, Attempt: 1, Err: errBoom},
			"StoreFailing": {Err: errBoom, Count: 1},
		} {
			if got := first(what); got != want {
				t.Errorf("%s was told %+v, want %+v", what, got, want)
			}
		}
		if e := first("Rejected"); e.Topic != "strict" || e.Reason != supervisor.ReasonUnrouted || !errors.Is(e.Err, topics.ErrNoSubscriber) {
			t.Errorf("Rejected was told %+v", e)
		}
		if e := first("Retrying"); e.Delay <= 0 || e.Sequence != 1 || e.Err != errBoom {
			t.Errorf("Retrying was told %+v", e)
		}
		if e := first("Dropped"); e.Reason != supervisor.ReasonSkipped || e.Count != 1 || e.Sequence == 0 {
			t.Errorf("Dropped was told %+v", e)
		}
		if e := first("DeadLettered"); e.Reason != supervisor.ReasonPermanent || e.Attempt != 1 || !errors.Is(e.Err, errBoom) || e.Sequence == 0 {
			t.Errorf("DeadLettered was told %+v", e)
		}
		if e := first("Restarting"); e.Cause != supervisor.CausePanic || e.Err == nil {
			t.Errorf("Restarting was told %+v", e)
		}
		if e := first("Escalated"); e.Topic != "desperate" || e.Cause != supervisor.CausePanic {
			t.Errorf("Escalated was told %+v", e)
		}
		if e := first("Fault"); e.Err == nil || e.Err.Error() != "stop hook" {
			t.Errorf("Fault was told %+v", e)
		}
		if last := told["Held"][len(told["Held"])-1]; last.Delay < time.Second {
			t.Errorf("Held was told %+v, want again after a second", told["Held"])
		}
		if e := first("Redriven"); e.Topic != "t" || e.Subscriber != "s" || e.Reason == "" {
			t.Errorf("Redriven was told %+v", e)
		}
		for _, e := range told["Stopped"] {
			if e.Reason != supervisor.ReasonShutdown {
				t.Errorf("Stopped was told %+v", e)
			}
		}
	})
}

func TestObserverThatPanicsHurtsNobody(t *testing.T) {
	var want, got actors.Counts
	run := func(o runtime.Observer) (c actors.Counts) {
		synctest.Test(t, func(t *testing.T) {
			rt := troupetest.New(t, runtime.Config{DeadLetters: newPatchy(t), Observer: o})
			everything(t, rt)
			c = rt.Snapshot().Total
		})
		return c
	}
	want = run(runtime.Observer{})
	got = run(observerOf(func(string, runtime.Event) { panic("observer") }))
	if !reflect.DeepEqual(got, want) {
		t.Errorf("account = %+v, want that without the observer, %+v", got, want)
	}
}

// An observer may look at the runtime that tells it.
func TestObserverMayAskTheRuntime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var rt *runtime.Runtime
		var mu sync.Mutex
		bound := troupetest.New(t, runtime.Config{DeadLetters: newPatchy(t), Logger: zap.NewNop(), Observer: observerOf(func(string, runtime.Event) {
			mu.Lock()
			r := rt
			mu.Unlock()
			if r != nil {
				troupetest.CheckAccount(t, r.Snapshot())
				_ = r.Health()
				_, _ = r.Subscription("t", "s")
			}
		})})
		mu.Lock()
		rt = bound.Runtime
		mu.Unlock()
		everything(t, bound)
	})
}

func TestWithoutObserverSuccessAllocatesNothing(t *testing.T) {
	for _, overflow := range []mailbox.Overflow{mailbox.Block, mailbox.Unbounded, mailbox.DropOldest} {
		t.Run(overflow.String(), func(t *testing.T) {
			rt, err := runtime.New(runtime.Config{})
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if _, err := rt.Shutdown(context.Background()); err != nil {
					t.Error(err)
				}
			}()
			topic, err := topics.Open[int](rt, "t")
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"a", "b"} {
				if _, err := topic.Subscribe(name, ok[int], topics.SubscriberConfig{Overflow: overflow}); err != nil {
					t.Fatal(err)
				}
			}
			ctx := context.Background()
			n := testing.AllocsPerRun(20_000, func() {
				if err := topic.Publish(ctx, 1); err != nil {
					t.Error(err)
				}
			})
			if n > 0 { // the segments of the log are less than one for each
				t.Errorf("%v allocations for each event, want 0", n)
			}
		})
	}
}
