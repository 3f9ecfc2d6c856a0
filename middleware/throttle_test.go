package middleware_test

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/middleware"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

const ms = time.Millisecond

// clocked is a handler that notes when it is called.
func (w *world) clocked(at *notes[time.Duration]) func(context.Context, int) error {
	return func(context.Context, int) error { at.add(w.since().Round(ms)); return nil }
}

func TestThrottleHoldsTheRateAfterABurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var at notes[time.Duration]
		w.subscribe("s", w.clocked(&at), with(middleware.Throttle(middleware.ThrottleConfig{Rate: 10, Burst: 3})))
		w.publish(1, 2, 3, 4, 5)
		w.Idle(time.Hour)
		at.want(t, "calls", 0, 0, 0, 100*ms, 200*ms)
		time.Sleep(time.Minute) // of rest: the burst is back, and no more
		w.publish(6, 7, 8, 9)
		w.Idle(time.Hour)
		base := 200*ms + time.Minute
		at.want(t, "calls after a rest", 0, 0, 0, 100*ms, 200*ms, base, base, base, base+100*ms)
	})
}

func TestThrottleIsEachSubscriptionsOwnUnlessShared(t *testing.T) {
	for _, shared := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			// The same value for both, as of a runtime.
			w := newWorld(t, runtime.Config{Middleware: []runtime.Middleware{
				middleware.Throttle(middleware.ThrottleConfig{Rate: 1, Shared: shared})}})
			var at notes[time.Duration]
			w.subscribe("a", w.clocked(&at), with())
			w.subscribe("b", w.clocked(&at), with())
			w.publish(1, 2)
			w.Idle(time.Hour)
			want := []time.Duration{0, 0, time.Second, time.Second}
			if shared {
				want = []time.Duration{0, time.Second, 2 * time.Second, 3 * time.Second}
			}
			at.want(t, "calls", want...)
		})
	}
}

func TestThrottleOutlivesRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var at notes[time.Duration]
		cfg := with(middleware.Throttle(middleware.ThrottleConfig{Rate: 1}))
		cfg.Retry.BaseDelay = supervisor.NoDelay
		w.factory("s", func(_ context.Context, _, instance int) error {
			if at.add(w.since().Round(ms)); instance < 4 {
				panic("again")
			}
			return nil
		}, cfg)
		w.publish(1)
		w.Idle(time.Hour)
		at.want(t, "calls", 0, time.Second, 2*time.Second, 3*time.Second)
	})
}

// A deadline that comes before its turn costs an event nothing but time.
func TestThrottledEventIsNotChargedForItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var at notes[time.Duration]
		cfg := with(middleware.Throttle(middleware.ThrottleConfig{Rate: 0.1}))
		cfg.Timeout, cfg.Retry.MaxAttempts = time.Second, supervisor.NoRetry
		w.subscribe("s", w.clocked(&at), cfg)
		w.publish(1, 2, 3)
		w.Idle(time.Hour)
		at.want(t, "calls", 0, 10*time.Second, 20*time.Second)
		c := w.counts("s")
		wantEqual(t, "Done", c.Done, 3)
		wantEqual(t, "Failures", c.Failures, 0)
	})
}

func TestThrottleWaitThatIsCutPostpones(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		next := build(middleware.Throttle(middleware.ThrottleConfig{Rate: 0.1}), func(context.Context, any) error { return nil })
		if err := next(t.Context(), 1); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errBoom) })
		err := next(ctx, 2)
		if !supervisor.IsPostponed(err) || !errors.Is(err, middleware.ErrThrottled) || !errors.Is(err, errBoom) {
			t.Errorf("error = %v, want ErrThrottled and the cause, postponed", err)
		}
		// What was reserved for it is given back.
		began := time.Now()
		if err := next(t.Context(), 3); err != nil {
			t.Fatal(err)
		}
		wantEqual(t, "wait of the next", time.Since(began).Round(ms), 9*time.Second)
	})
}

func TestShutdownInTheMiddleOfAThrottleWait(t *testing.T) {
	for name, within := range map[string]time.Duration{"drains": time.Hour, "deadline": 15 * time.Second} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var at notes[time.Duration]
				w.subscribe("s", w.clocked(&at), with(middleware.Throttle(middleware.ThrottleConfig{Rate: 0.1})))
				w.publish(1, 2, 3, 4)
				synctest.Wait()
				w.shutdown(within)
				if name == "drains" {
					at.want(t, "calls", 0, 10*time.Second, 20*time.Second, 30*time.Second)
					return
				}
				at.want(t, "calls", 0, 10*time.Second)
				letters := w.Letters()
				if len(letters) != 2 {
					t.Fatalf("%d letters, want 2", len(letters))
				}
				for _, l := range letters {
					wantEqual(t, "Reason", l.Reason, supervisor.ReasonShutdown)
					wantEqual(t, "AttemptCount", l.AttemptCount, 0)
				}
			})
		})
	}
}

func TestRestartInTheMiddleOfAThrottleWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var instances notes[int]
		cfg := with(middleware.Throttle(middleware.ThrottleConfig{Rate: 0.1}))
		cfg.Retry.MaxAttempts = supervisor.NoRetry
		sub := w.factory("s", func(_ context.Context, _, instance int) error { instances.add(instance); return nil }, cfg)
		w.publish(1, 2)
		time.Sleep(time.Second)
		sub.Restart()
		w.Idle(time.Hour)
		instances.want(t, "instances", 1, 2)
		wantEqual(t, "since", w.since().Round(ms), 10*time.Second)
		wantEqual(t, "Failures", w.counts("s").Failures, 0)
	})
}

// Workers of one subscriber share one bucket.
func TestThrottleForSeveralWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var at notes[time.Duration]
		next := build(middleware.Throttle(middleware.ThrottleConfig{Rate: 100, Burst: 2}), func(ctx context.Context, _ any) error {
			at.add(w.since().Round(ms))
			return nil
		})
		var workers sync.WaitGroup
		for range 4 {
			workers.Go(func() {
				for range 25 {
					if err := next(t.Context(), 1); err != nil {
						t.Error(err)
					}
				}
			})
		}
		workers.Wait()
		wantEqual(t, "calls", len(at.all()), 100)
		wantEqual(t, "time", w.since().Round(ms), 980*ms)
	})
}

func TestInvalidConfigIsAnErrorOfSubscribe(t *testing.T) {
	w := newWorld(t)
	for want, m := range map[string]runtime.Middleware{
		"middleware.Timeout: 0s: must be positive":                                                 middleware.Timeout(0),
		"middleware.Throttle: Rate 0: must be positive":                                            middleware.Throttle(middleware.ThrottleConfig{}),
		"middleware.Throttle: Rate NaN: must be positive\nBurst -1: must not be negative":          middleware.Throttle(middleware.ThrottleConfig{Rate: math.NaN(), Burst: -1}),
		"middleware.Throttle: Rate +Inf: must be positive":                                         middleware.Throttle(middleware.ThrottleConfig{Rate: math.Inf(1)}),
		"middleware.WarnSlow: threshold -1ns: must be positive":                                    middleware.WarnSlow(nil, -1),
		"middleware.Deduplicate: Window -1ns: must not be negative\nMax -1: must not be negative":  middleware.Deduplicate(middleware.DeduplicateConfig{Window: -1, Max: -1}),
		"middleware.InjectFaults: Every 0, Rate 0: one of them must be set":                        middleware.InjectFaults(middleware.FaultConfig{}),
		"middleware.InjectFaults: Every 1, Rate 0.5: one of them must be set":                      middleware.InjectFaults(middleware.FaultConfig{Every: 1, Rate: 0.5}),
		"middleware.InjectFaults: Every -1: must not be negative\nRate 2: must be between 0 and 1": middleware.InjectFaults(middleware.FaultConfig{Every: -1, Rate: 2}),
		"middleware.InjectFaults: Delay -1ns: must not be negative\nPanic: must not be set together with Err": middleware.InjectFaults(
			middleware.FaultConfig{Every: 1, Delay: -1, Err: errBoom, Panic: 1}),
		"middleware.CircuitBreaker: Failures -1: must be between 0 and 1073741824\nRatio 2: must be between 0 and 1\n" +
			"MinCalls -1: must be between 0 and 1073741824\nWindow -1ns: must not be negative\nOpenFor -1ns: must not be negative\n" +
			"Probes -1: must be between 0 and 1073741824\nPatience -2ns: must not be negative, or NoPatience": middleware.CircuitBreaker(middleware.CircuitConfig{
			Failures: -1, Ratio: 2, MinCalls: -1, Window: -1, OpenFor: -1, Probes: -1, Patience: -2}),
	} {
		_, err := w.topic.Subscribe("s", func(context.Context, int) error { return nil }, with(m))
		if err == nil || !strings.HasSuffix(err.Error(), want) || !strings.HasPrefix(err.Error(), "topics: subscribe t/s: Middleware[0]: ") {
			t.Errorf("Subscribe = %v\nwant … %s", err, want)
		}
	}
}
