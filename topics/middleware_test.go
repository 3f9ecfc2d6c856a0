package topics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

// named notes when a call passes it, in and out, and when it is built.
func named(n *notes[string], name string) topics.Middleware {
	return func(next topics.Next) topics.Next {
		n.add("build " + name)
		return func(ctx context.Context, ev any) error {
			n.add("> " + name)
			defer n.add("< " + name)
			return next(ctx, ev)
		}
	}
}

func chain(list ...topics.Middleware) topics.SubscriberConfig {
	return topics.SubscriberConfig{Middleware: list}
}

// replace passes another event on.
func replace(ev any) topics.Middleware {
	return func(next topics.Next) topics.Next {
		return func(ctx context.Context, _ any) error { return next(ctx, ev) }
	}
}

func TestMiddlewareOfTheRuntimeIsOutsideOfTheSubscribers(t *testing.T) {
	var n notes[string]
	list := []topics.Middleware{named(&n, "a"), named(&n, "b")}
	rt := troupetest.New(t, runtime.Config{Middleware: list})
	list[0] = nil // the runtime has a copy
	topic := open(t, rt)
	subscribe(t, topic, "s", func(context.Context, int) error { n.add("handler"); return nil }, chain(named(&n, "c"), named(&n, "d")))
	n.list = nil
	publish(t, topic, 1)
	rt.Idle()
	wantSlice(t, "calls", n.all(), "> a", "> b", "> c", "> d", "handler", "< d", "< c", "< b", "< a")
}

// Built once, so that what a middleware remembers outlives restarts; and each
// subscription has a chain of its own.
func TestChainIsBuiltOnceForEachSubscription(t *testing.T) {
	var n notes[string]
	rt := troupetest.New(t, runtime.Config{Middleware: []topics.Middleware{named(&n, "a")}})
	topic := open(t, rt)
	var instances notes[int]
	_, err := topic.SubscribeFactory("s", func() topics.Behavior[int] {
		id := len(instances.all())
		instances.add(id)
		return topics.Behavior[int]{Receive: func(_ context.Context, ev int) error {
			if n.add(fmt.Sprintf("instance %d: %d", id, ev)); ev == 1 && id == 0 {
				panic("once")
			}
			return nil
		}}
	}, topics.SubscriberConfig{Retry: supervisor.Retry{BaseDelay: supervisor.NoDelay}, Middleware: []topics.Middleware{named(&n, "b")}})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, topic, 1, 2)
	rt.Idle()
	wantSlice(t, "calls", n.all(), "build b", "build a",
		"> a", "> b", "instance 0: 1", "< b", "< a", // the panic
		"> a", "> b", "instance 1: 1", "< b", "< a",
		"> a", "> b", "instance 1: 2", "< b", "< a")
	n.list = nil
	subscribe(t, topic, "other", ok)
	wantSlice(t, "another subscription", n.all(), "build a")
}

func TestMiddlewareThatIsRefusedIsAnErrorOfSubscribe(t *testing.T) {
	through := func(next topics.Next) topics.Next { return next }
	for want, bad := range map[string]topics.Middleware{
		"Middleware[1]: must not be nil":               nil,
		"Middleware[1]: must not return a nil Next":    func(topics.Next) topics.Next { return nil },
		"Middleware[1]: no such thing":                 func(topics.Next) topics.Next { panic(errors.New("no such thing")) },
		"Middleware[1]: panic: 7":                      func(topics.Next) topics.Next { panic(7) },
		"Middleware[1]: panic: runtime error: integer": func(topics.Next) topics.Next { z := 0; _ = 1 / z; return nil },
	} {
		t.Run(want, func(t *testing.T) {
			rt := troupetest.New(t)
			topic := open(t, rt)
			cfg := chain(through, bad)
			behavior := func() topics.Behavior[int] { return topics.Behavior[int]{Receive: ok} }
			_, err1 := topic.Subscribe("s", ok, cfg)
			_, err2 := topic.SubscribeFactory("s", behavior, cfg)
			_, err3 := topics.Spawn(rt.Runtime, "actor", behavior, topics.SpawnConfig{SubscriberConfig: cfg})
			for prefix, err := range map[string]error{"topics: subscribe t/s: ": errors.Join(err1), "topics: subscribe t/s:": err2, `topics: spawn "actor": `: err3} {
				if err == nil || !strings.HasPrefix(err.Error(), prefix) || !strings.Contains(err.Error(), want) {
					t.Errorf("error = %v, want %s%s", err, prefix, want)
				}
			}
			// Nothing is left of them.
			subscribe(t, topic, "s", ok)
			if _, err := topics.Open[string](rt.Runtime, "actor"); err != nil {
				t.Error(err)
			}

			_, err := runtime.New(runtime.Config{Middleware: []topics.Middleware{through, nil}})
			if err == nil || !strings.Contains(err.Error(), "Middleware[1]: must not be nil") {
				t.Errorf("runtime.New = %v, want the index of what is nil", err)
			}
			if bad == nil {
				return
			}
			all := troupetest.New(t, runtime.Config{Middleware: []topics.Middleware{through, bad}})
			if _, err = open(t, all).Subscribe("s", ok); err == nil || !strings.Contains(err.Error(), "runtime.Config."+want) {
				t.Errorf("Subscribe = %v, want runtime.Config.%s", err, want)
			}
		})
	}
}

func TestEventOfAnotherTypeIsPermanent(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	called := false
	handle := func(context.Context, int) error { called = true; return nil }
	for i, ev := range []any{"text", int64(1), nil} {
		name := fmt.Sprint("s", i)
		subscribe(t, topic, name, handle, chain(replace(ev)))
		if _, err := topic.SubscribeFactory(name+"f", func() topics.Behavior[int] { return topics.Behavior[int]{Receive: handle} }, chain(replace(ev))); err != nil {
			t.Fatal(err)
		}
	}
	publish(t, topic, 1)
	rt.Idle()
	letters := rt.Letters()
	if len(letters) != 6 || called {
		t.Fatalf("%d letters, handler called: %v, want 6, false", len(letters), called)
	}
	for _, l := range letters {
		if l.Reason != supervisor.ReasonPermanent || l.AttemptCount != 1 || string(l.Payload) != "1" ||
			!strings.HasPrefix(l.Error, topics.ErrTypeMismatch.Error()) || !strings.HasSuffix(l.Error, "the event is int") {
			t.Errorf("letter = %q %q after %d attempts, payload %s", l.Reason, l.Error, l.AttemptCount, l.Payload)
		}
	}
}

func TestMiddlewareMayChangeTheEvent(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	h := troupetest.NewHandler[int](t)
	subscribe(t, topic, "s", h.Handle, chain(replace(7)))
	publish(t, topic, 1)
	rt.Idle()
	h.WantEvents(7)
}

// A nil in an interface is an event of the type, not one of another.
func TestNilEventOfAnInterfaceTypePassesMiddleware(t *testing.T) {
	rt := troupetest.New(t)
	topic, err := topics.Open[error](rt.Runtime, "errors")
	if err != nil {
		t.Fatal(err)
	}
	var got notes[error]
	through := func(next topics.Next) topics.Next { return next }
	if _, err := topic.Subscribe("s", func(_ context.Context, ev error) error { got.add(ev); return nil }, chain(through)); err != nil {
		t.Fatal(err)
	}
	for _, ev := range []error{nil, io.EOF} {
		if err := topic.Publish(t.Context(), ev); err != nil {
			t.Fatal(err)
		}
	}
	rt.Idle()
	wantSlice(t, "events", got.all(), nil, io.EOF)
}

// The instance travels in the context, so one that was not made from it cannot
// find it. That must be said, not guessed.
func TestForeignContextIsPermanent(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	foreign := func(next topics.Next) topics.Next {
		return func(_ context.Context, ev any) error { return next(context.Background(), ev) }
	}
	if _, err := topic.SubscribeFactory("s", func() topics.Behavior[int] { return topics.Behavior[int]{Receive: ok} }, chain(foreign)); err != nil {
		t.Fatal(err)
	}
	publish(t, topic, 1)
	rt.Idle()
	if l := rt.Letters(); len(l) != 1 || l[0].Reason != supervisor.ReasonPermanent || !strings.Contains(l[0].Error, "context that was not made from its own") {
		t.Errorf("letters = %+v", l)
	}
}

func TestDeliveryIsThereInsideAndOutsideOfTheChain(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	var got notes[uint64]
	note := func(ctx context.Context) {
		d, _ := topics.DeliveryFrom(ctx)
		got.add(d.Sequence)
	}
	mw := func(next topics.Next) topics.Next {
		return func(ctx context.Context, ev any) error { note(ctx); return next(ctx, ev) }
	}
	if _, err := topic.SubscribeFactory("s", func() topics.Behavior[int] {
		return topics.Behavior[int]{Receive: func(ctx context.Context, _ int) error { note(ctx); return nil }}
	}, chain(mw)); err != nil {
		t.Fatal(err)
	}
	publish(t, topic, 1, 2)
	rt.Idle()
	wantSlice(t, "sequences", got.all(), 1, 1, 2, 2)
}

func TestMiddlewareIsAroundSpawnedActors(t *testing.T) {
	type question struct {
		n     int
		reply func(int)
	}
	var seen notes[any]
	rt := troupetest.New(t)
	mw := func(next topics.Next) topics.Next {
		return func(ctx context.Context, ev any) error { seen.add(ev.(question).n); return next(ctx, ev) }
	}
	ref, err := topics.Spawn(rt.Runtime, "double", func() topics.Behavior[question] {
		return topics.Behavior[question]{Receive: func(_ context.Context, q question) error { q.reply(2 * q.n); return nil }}
	}, topics.SpawnConfig{SubscriberConfig: chain(mw)})
	if err != nil {
		t.Fatal(err)
	}
	got, err := actors.Ask(t.Context(), ref, func(reply func(int)) question { return question{21, reply} })
	if got != 42 || err != nil {
		t.Errorf("Ask = %d, %v, want 42", got, err)
	}
	wantSlice(t, "seen", seen.all(), any(21))
	if _, err := topics.Spawn[question](rt.Runtime, "none", nil, topics.SpawnConfig{SubscriberConfig: chain(mw)}); err == nil || !strings.Contains(err.Error(), "factory: must not be nil") {
		t.Errorf("Spawn without a factory = %v", err)
	}
}

// A Behavior without Receive is a fault of the factory, with and without a chain.
func TestBehaviorWithoutReceiveIsSeenThroughTheChain(t *testing.T) {
	var faults notes[string]
	rt := troupetest.New(t, runtime.Config{Observer: runtime.Observer{Fault: func(e runtime.Event) { faults.add(e.Err.Error()) }}})
	sub, err := open(t, rt).SubscribeFactory("s", func() topics.Behavior[int] { return topics.Behavior[int]{} },
		chain(func(next topics.Next) topics.Next { return next }))
	if err != nil {
		t.Fatal(err)
	}
	<-sub.Done()
	if f := faults.all(); len(f) == 0 || !strings.Contains(f[0], "Receive") {
		t.Errorf("faults = %q, want one about Receive", f)
	}
}

func TestPostponedEventIsNotCharged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var retrying notes[time.Duration]
		failed := 0
		rt := troupetest.New(t, runtime.Config{Observer: runtime.Observer{
			Failed:   func(runtime.Event) { failed++ },
			Retrying: func(e runtime.Event) { retrying.add(e.Delay) },
		}})
		topic := open(t, rt)
		var attempts notes[int]
		subscribe(t, topic, "s", func(ctx context.Context, ev int) error {
			d, _ := topics.DeliveryFrom(ctx)
			attempts.add(d.Attempt)
			switch len(attempts.all()) {
			case 1, 3:
				return errBoom
			}
			return supervisor.Postpone(io.EOF, time.Duration(len(attempts.all()))*time.Minute)
		}, topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: 3, BaseDelay: time.Second, Jitter: supervisor.NoJitter}})
		publish(t, topic, 1)
		time.Sleep(time.Hour)
		wantSlice(t, "attempts", attempts.all(), 1, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3)
		c := counts(t, rt, "s")
		if c.Failures != 2 || c.RetryWait != 1 || failed != 2 {
			t.Errorf("Failures %d, observed %d, RetryWait %d, want 2, 2, 1", c.Failures, failed, c.RetryWait)
		}
		if r := retrying.all(); len(r) != 11 || r[1] != 2*time.Minute {
			t.Errorf("retries in %v, want all 11 told", r)
		}
		// At the deadline of a shutdown it is a letter, which tells of the two
		// attempts that were made.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := rt.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		if l := rt.Letters(); len(l) != 1 || l[0].Reason != supervisor.ReasonShutdown || l[0].AttemptCount != 2 || l[0].Error != errBoom.Error() {
			t.Errorf("letters = %+v, want one of 2 attempts", l)
		}
	})
}

func TestPostponedRedeliveryKeepsItsBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		calls := 0
		subscribe(t, topic, "s", func(context.Context, int) error {
			switch calls++; calls {
			case 1:
				return supervisor.Permanent(errBoom)
			case 5:
				return nil
			}
			return supervisor.Postpone(io.EOF, time.Minute)
		})
		publish(t, topic, 1)
		rt.Idle()
		if err := rt.Redrive(t.Context(), rt.Letters()[0].ID, runtime.RedriveConfig{Budget: 1}); err != nil {
			t.Fatal(err)
		}
		rt.Idle(time.Hour)
		if l := rt.Letters()[0]; calls != 5 || l.AttemptCount != 1 || l.State != "resolved" {
			t.Errorf("%d calls, letter %s after %d attempts, want 5, resolved, 1", calls, l.State, l.AttemptCount)
		}
	})
}

func BenchmarkMiddleware(b *testing.B) {
	through := func(next topics.Next) topics.Next {
		return func(ctx context.Context, ev any) error { return next(ctx, ev) }
	}
	for _, n := range []int{0, 1, 3} {
		for _, kind := range []string{"handler", "factory"} {
			b.Run(fmt.Sprintf("%s/%d", kind, n), func(b *testing.B) {
				rt := troupetest.New(b)
				topic := open(b, rt)
				handled := 0
				handle := func(context.Context, int) error { handled++; return nil }
				var cfg topics.SubscriberConfig
				for range n {
					cfg.Middleware = append(cfg.Middleware, through)
				}
				var err error
				if kind == "handler" {
					_, err = topic.Subscribe("s", handle, cfg)
				} else {
					_, err = topic.SubscribeFactory("s", func() topics.Behavior[int] { return topics.Behavior[int]{Receive: handle} }, cfg)
				}
				if err != nil {
					b.Fatal(err)
				}
				b.ReportAllocs()
				published := 0
				for b.Loop() {
					published++
					if err := topic.Publish(b.Context(), 1000+published); err != nil { // small ones are not allocated
						b.Fatal(err)
					}
				}
				rt.Idle()
				if handled != published {
					b.Fatalf("%d of %d handled", handled, published)
				}
			})
		}
	}
}
