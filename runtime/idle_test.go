package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

func TestIdleWaitsForPipelinesOfPublishingHandlers(t *testing.T) {
	for _, capacity := range []int{1, 4096} {
		t.Run(fmt.Sprint("capacity ", capacity), func(t *testing.T) {
			rt := troupetest.New(t)
			const stages, events = 6, 200
			var at [stages + 1]*topics.Topic[int]
			for i := range at {
				at[i] = open[int](t, rt, fmt.Sprint("stage.", i))
			}
			for i := range stages {
				subscribe(t, at[i], "next", func(ctx context.Context, n int) error { return at[i+1].Publish(ctx, n) },
					topics.SubscriberConfig{Capacity: capacity})
			}
			last := troupetest.NewHandler[int](t)
			subscribe(t, at[stages], "last", last.Handle)
			for round := range 20 {
				for n := range events {
					publish(t, at[0], n)
				}
				rt.Idle()
				if n := len(last.Events()); n != (round+1)*events {
					t.Fatalf("idle with %d events at the end of the pipeline, want %d", n, (round+1)*events)
				}
			}
		})
	}
}

func TestIdleWaitsForEventsThatFanOut(t *testing.T) {
	// Each event becomes two of the next size until they are 0: what is in hand
	// is nowhere queued while it publishes.
	rt := troupetest.New(t)
	topic := open[int](t, rt, "t")
	h := troupetest.NewHandler[int](t)
	subscribe(t, topic, "split", func(ctx context.Context, n int) error {
		for range 2 * min(n, 1) {
			if err := topic.Publish(ctx, n-1); err != nil {
				return err
			}
		}
		return h.Handle(ctx, n)
	})
	for round := range 10 {
		publish(t, topic, 7)
		rt.Idle()
		if n := len(h.Calls()); n != (round+1)*255 {
			t.Fatalf("idle after %d calls, want %d", n, (round+1)*255)
		}
	}
}

func TestIdleNamesWhoIsBusy(t *testing.T) {
	for name, c := range map[string]struct {
		busy func(t *testing.T, rt *troupetest.Runtime)
		want []string
	}{
		"in hand and queued": {func(t *testing.T, rt *troupetest.Runtime) {
			topic := open[int](t, rt, "t")
			h := troupetest.NewHandler[int](t).When(nil, troupetest.Hang())
			subscribe(t, topic, "s", h.Handle)
			publish(t, topic, 1, 2, 3)
			h.Await(1)
		}, []string{"t/s (running): 2 queued, 1 in hand"}},
		"paused": {func(t *testing.T, rt *troupetest.Runtime) {
			topic := open[int](t, rt, "t")
			subscribe(t, topic, "a", ok[int]).Pause()
			subscribe(t, topic, "b", ok[int]).Pause()
			subscribe(t, topic, "idle", ok[int])
			publish(t, topic, 1)
		}, []string{"t/a (paused): 1 queued, t/b (paused): 1 queued"}},
		"waiting for a retry": {func(t *testing.T, rt *troupetest.Runtime) {
			topic := open[int](t, rt, "t")
			subscribe(t, topic, "s", func(context.Context, int) error { return errBoom },
				topics.SubscriberConfig{Retry: supervisor.Retry{BaseDelay: time.Hour}})
			publish(t, topic, 1)
		}, []string{"t/s (retry_wait): 1 waiting for a retry"}},
		"waiting for the store": {func(t *testing.T, rt *troupetest.Runtime) {
			rt.DeadLetters().(*patchy).fail(func(context.Context, []deadletter.Letter) error { return errBoom })
			topic := open[int](t, rt, "t", topics.Config{Unrouted: topics.DeadLetterUnrouted})
			publish(t, topic, 0)
			sub := subscribe(t, topic, "s", func(context.Context, int) error { return supervisor.Permanent(errBoom) })
			publish(t, topic, 1)
			synctest.Wait()
			_ = sub.Unsubscribe(t.Context(), runtime.Drain)
		}, []string{"t, of former subscribers: 1 waiting for the dead-letter store", "t, without subscribers: 1 waiting for the dead-letter store", "dead-letter store: 2 to write"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t, runtime.Config{DeadLetters: newPatchy(t)})
				c.busy(t, rt)
				cause := errors.New("enough")
				ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
				defer cancel()
				begin := time.Now()
				err := rt.Runtime.Idle(ctx)
				wantErr(t, "Idle", err, cause)
				if time.Since(begin) != time.Second {
					t.Errorf("Idle returned after %v, want 1s", time.Since(begin))
				}
				for _, part := range c.want {
					if err == nil || !strings.Contains(err.Error(), part) {
						t.Errorf("Idle = %v, want %q", err, part)
					}
				}
			})
		})
	}
}

func TestIdleReturnsAsSoonAsItIs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open[int](t, rt, "t")
		rt.Idle(0) // nothing was ever published
		subscribe(t, topic, "s", func(context.Context, int) error { time.Sleep(time.Second); return nil })
		publish(t, topic, 1, 2)
		begin := time.Now()
		rt.Idle()
		if took := time.Since(begin); took != 2*time.Second {
			t.Errorf("Idle returned after %v, want 2s", took)
		}
	})
}

func TestIdleWaitsForAPauseToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open[int](t, rt, "t")
		subscribe(t, topic, "s", ok[int]).Pause()
		publish(t, topic, 1)
		go func() {
			time.Sleep(10 * time.Second)
			if err := rt.Resume("t", "s"); err != nil {
				t.Error(err)
			}
		}()
		begin := time.Now()
		rt.Idle()
		if took := time.Since(begin); took != 10*time.Second {
			t.Errorf("Idle returned after %v, want 10s", took)
		}
	})
}
