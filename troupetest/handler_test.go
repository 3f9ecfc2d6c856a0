package troupetest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

func TestHandlerFailsOnCommand(t *testing.T) {
	failure := errors.New("no")
	once := topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: supervisor.NoRetry}, Timeout: time.Second}
	for _, c := range []struct {
		name string
		do   troupetest.Action
		want deadletter.Letter
	}{
		{"error", troupetest.Fail(failure), deadletter.Letter{Cause: "error", Error: "no"}},
		{"permanent", troupetest.Fail(supervisor.Permanent(failure)), deadletter.Letter{Reason: "permanent"}},
		{"panic", troupetest.Panic("boom"), deadletter.Letter{Cause: "panic", PanicValue: "boom"}},
		{"goexit", troupetest.Goexit(), deadletter.Letter{Cause: "goexit"}},
		{"hang", troupetest.Hang(), deadletter.Letter{Cause: "hung", Reason: "hung"}},
		{"wait", troupetest.Wait(), deadletter.Letter{Cause: "timeout"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				h := troupetest.NewHandler[int](t).On(2, c.do)
				topic, _ := open(t, rt, h, once)
				publish(t, topic, 1, 2, 3)
				c.want.Payload = []byte("2")
				rt.WantLetters(c.want)
				h.WantEvents(1, 3)
				h.Release()
			})
		})
	}
}

func TestHandlerFirstRuleThatMatchesCounts(t *testing.T) {
	first, second := errors.New("first"), errors.New("second")
	h := troupetest.NewHandler[int](t).
		When(func(c troupetest.Call[int]) bool { return c.Event > 1 }, troupetest.Fail(first)).
		When(nil, troupetest.Fail(second))
	for n, want := range map[int]error{1: second, 2: first} {
		if err := h.Handle(context.Background(), n); err != want {
			t.Errorf("Handle(%d) = %v, want %v", n, err, want)
		}
	}
}

func TestHandlerRecordsCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		h := troupetest.NewHandler[int](t).
			When(func(c troupetest.Call[int]) bool { return c.Attempt == 1 && c.Event == 7 }, troupetest.Panic("boom")).
			On(4, troupetest.Hang())
		topic, sub := open(t, rt, h)
		if err := topic.PublishWith(t.Context(), 7, topics.Meta{Headers: map[string]string{"k": "v"}}); err != nil {
			t.Fatal(err)
		}
		publish(t, topic, 8, 9)
		h.Await(4)
		calls := h.Calls()
		if len(calls) != 4 {
			t.Fatalf("%d calls, want 4: %+v", len(calls), calls)
		}
		for i, want := range []struct {
			event, attempt int
			running        bool
		}{{7, 1, false}, {7, 2, false}, {8, 1, false}, {9, 1, true}} {
			c := calls[i]
			if c.Number != i+1 || c.Event != want.event || c.Attempt != want.attempt || c.Running != want.running || c.Topic != "n" || c.Subscriber != "s" {
				t.Errorf("call %d = %+v, want %+v", i+1, c, want)
			}
		}
		var p *supervisor.PanicError
		if !errors.As(calls[0].Err, &p) || p.Value != "boom" || calls[0].Headers["k"] != "v" {
			t.Errorf("first call = %+v, want a panic with the event's headers", calls[0])
		}
		h.WantEvents(7, 8)
		h.Release()
		rt.Idle()
		h.WantEvents(7, 8, 9)
		_ = sub
	})
}

func TestReleaseLetsGoWhatHangsNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		last := errors.New("after all")
		h := troupetest.NewHandler[int](t).On(1, troupetest.Hang(troupetest.Fail(last))).On(2, troupetest.Wait())
		topic, _ := open(t, rt, h, topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: supervisor.NoRetry}})
		publish(t, topic, 1, 2)
		h.Await(1)
		h.Release()
		h.Await(2)
		synctest.Wait()
		if calls := h.Calls(); calls[0].Err != last || !calls[1].Running {
			t.Errorf("calls = %+v, want the first ended with %v and the second running", calls, last)
		}
		h.Release()
		rt.WantLetters(deadletter.Letter{Error: "after all"})
		h.WantEvents(2)
	})
}

func TestWaitEndsWithItsContext(t *testing.T) {
	h := troupetest.NewHandler[int](t).When(nil, troupetest.Wait())
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(context.Background())
	cancel(cause)
	if err := h.Handle(ctx, 1); err != cause {
		t.Errorf("Handle = %v, want %v", err, cause)
	}
}

func TestHangingCallsAreReleasedWhenTheTestEnds(t *testing.T) {
	var rt *troupetest.Runtime
	record(func(t testing.TB) {
		rt = troupetest.New(t)
		h := troupetest.NewHandler[int](t).When(nil, troupetest.Hang())
		topic, _ := open(t, rt, h)
		publish(t, topic, 1, 2, 3) // 2 and 3 begin after the release
		h.Await(1)
	}).wantSuccess(t)
	if c := rt.Snapshot().Total; c.Done != 3 {
		t.Errorf("done = %d, want 3", c.Done)
	}
}

func TestWantEventsNamesTheDifference(t *testing.T) {
	run := func(want ...int) *recorder {
		return record(func(t testing.TB) {
			h := troupetest.NewHandler[int](t)
			for n := range 3 {
				_ = h.Handle(context.Background(), n)
			}
			h.WantEvents(want...)
		})
	}
	run(0, 1, 2).wantSuccess(t)
	run(0, 2, 1).wantFailure(t, "[1] = 1, want 2", "[2] = 2, want 1")
	run(0, 1).wantFailure(t, "handled 3 events, want 2", "[2] unwanted 2")
	run(0, 1, 2, 3).wantFailure(t, "[3] missing  3")
	run().wantFailure(t, "handled 3 events, want 0")
}

func TestAwaitEndsTheTest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := record(func(t testing.TB) {
			h := troupetest.NewHandler[int](t)
			_ = h.Handle(context.Background(), 1)
			h.Await(1)
			h.Await(2)
		})
		r.wantFailure(t, "1 calls of the handler within 30s, want 2")
		if !r.fatal {
			t.Error("the test went on")
		}
	})
}

func TestSeveralRuntimesInOneTest(t *testing.T) {
	a, b := troupetest.New(t, runtime.Config{Name: "a"}), troupetest.New(t, runtime.Config{Name: "b"})
	ha, hb := troupetest.NewHandler[int](t), troupetest.NewHandler[int](t)
	ta, _ := open(t, a, ha)
	tb, _ := open(t, b, hb)
	publish(t, ta, 1)
	publish(t, tb, 2)
	a.Idle()
	b.Idle()
	ha.WantEvents(1)
	hb.WantEvents(2)
}
