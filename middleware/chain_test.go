package middleware_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/middleware"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"go.uber.org/zap"
)

// everything is the whole chain in the order of the package comment.
func everything(logger *zap.Logger, more ...topics.Middleware) []topics.Middleware {
	return append([]topics.Middleware{
		middleware.Correlate(middleware.CorrelateConfig{}),
		middleware.Log(logger),
		middleware.Deduplicate(middleware.DeduplicateConfig{}),
		middleware.CircuitBreaker(middleware.CircuitConfig{Failures: 1000}),
		middleware.Throttle(middleware.ThrottleConfig{Rate: 1000, Burst: 1000}),
		middleware.WarnSlow(logger, time.Minute),
		middleware.Timeout(time.Minute),
	}, more...)
}

func panicker() { panic("at home") }

// A panic goes through the whole chain: the letter shows the user's own stack, from
// where it panicked, above what it was called by.
func TestPanicThroughTheChainKeepsItsStack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, _ := logged(zap.DebugLevel)
		w := newWorld(t)
		cfg := with(everything(logger)...)
		cfg.Retry.MaxAttempts = 2
		w.factory("s", func(context.Context, int, int) error { panicker(); return nil }, cfg)
		w.publishID(1, "x")
		w.Idle(time.Hour)
		l := w.Letters()[0]
		wantEqual(t, "Cause", l.Cause, "panic")
		wantEqual(t, "PanicValue", l.PanicValue, "at home")
		wantEqual(t, "AttemptCount", l.AttemptCount, 2)
		wantEqual(t, "id", l.EventID, "x")
		wantEqual(t, "payload", string(l.Payload), "1")
		var frames []string
		for line := range strings.Lines(l.Stack) {
			if !strings.HasPrefix(line, "\t") {
				frames = append(frames, strings.TrimSpace(line))
			}
		}
		if len(frames) < 2 || !strings.HasSuffix(frames[0], ".panicker") || !strings.Contains(frames[1], "TestPanicThroughTheChainKeepsItsStack") {
			t.Errorf("stack =\n%s\nwant the handler's frames on top", l.Stack)
		}
		if strings.Contains(l.Stack, "/actors.") || !strings.Contains(l.Stack, "middleware.Timeout") {
			t.Errorf("stack =\n%s\nwant the middleware below, and none of actors", l.Stack)
		}
	})
}

// Middleware of the user's that recovers and panics again does not hide it either.
func TestPanicThatIsPanickedAgainKeepsItsStack(t *testing.T) {
	w := newWorld(t)
	again := func(next topics.Next) topics.Next {
		return func(ctx context.Context, ev any) error {
			defer func() {
				if r := recover(); r != nil {
					panic(r)
				}
			}()
			return next(ctx, ev)
		}
	}
	cfg := with(middleware.Timeout(time.Hour), again)
	cfg.Retry.MaxAttempts = supervisor.NoRetry
	w.subscribe("s", func(context.Context, int) error { panicker(); return nil }, cfg)
	w.publish(1)
	w.Idle()
	if l := w.Letters()[0]; !strings.HasPrefix(l.Stack, "github.com/troupe-go/troupe/middleware_test.panicker") {
		t.Errorf("stack =\n%s\nwant where it panicked first", l.Stack)
	}
}

// What the handler says reaches supervision through the whole chain.
func TestVerdictsPassTheChain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, _ := logged(zap.DebugLevel)
		w := newWorld(t)
		calls := map[int]int{}
		w.subscribe("s", func(_ context.Context, ev int) error {
			calls[ev]++
			switch ev {
			case 1:
				return supervisor.Permanent(errBoom)
			case 2:
				return supervisor.Skip(errBoom)
			case 3:
				return supervisor.RetryAfter(errBoom, 30*time.Minute)
			case 4:
				return supervisor.ErrFinished
			case 5:
				if calls[ev] < 20 {
					return supervisor.Postpone(errBoom, time.Minute)
				}
			}
			return nil
		}, with(everything(logger)...))
		w.publish(1, 2, 3, 4, 5, 6)
		w.Idle(24 * time.Hour)
		c := w.counts("s")
		wantEqual(t, "Done", c.Done, 3)
		wantEqual(t, "skipped", c.Dropped[supervisor.ReasonSkipped], 1)
		wantEqual(t, "calls of the one that was postponed", calls[5], 20)
		letters := w.Letters()
		if len(letters) != 2 || letters[0].Reason != supervisor.ReasonPermanent || letters[1].Reason != supervisor.ReasonExhausted {
			t.Fatalf("letters = %+v", letters)
		}
		wantEqual(t, "attempts of RetryAfter", letters[1].AttemptCount, 5)
		wantEqual(t, "its wait", letters[1].Attempts[1].Started.Sub(letters[1].Attempts[0].Started), 30*time.Minute)
	})
}

// Whatever goes wrong on the way, every event has one outcome, and of those that are
// done the handler has succeeded. The account is checked at the end of each test.
func TestFaultsInTheChainLoseNothing(t *testing.T) {
	for seed := range uint64(5) {
		synctest.Test(t, func(t *testing.T) {
			const events = 300
			logger, _ := logged(zap.WarnLevel)
			fault := func(cfg middleware.FaultConfig) runtime.Middleware {
				cfg.Seed = 10*seed + uint64(cfg.Delay) + uint64(cfg.Rate*100)
				return middleware.InjectFaults(cfg)
			}
			w := newWorld(t, runtime.Config{Middleware: everything(logger)})
			var mu sync.Mutex
			succeeded := map[int]bool{}
			cfg := with(
				middleware.CircuitBreaker(middleware.CircuitConfig{OpenFor: 10 * time.Second}),
				fault(middleware.FaultConfig{Rate: 0.1}),
				fault(middleware.FaultConfig{Rate: 0.05, Panic: "injected"}),
				fault(middleware.FaultConfig{Rate: 0.06, Err: supervisor.Skip(errBoom)}),
				fault(middleware.FaultConfig{Rate: 0.07, Delay: 2 * time.Second}),
				fault(middleware.FaultConfig{Rate: 0.08, After: true}),
			)
			cfg.Timeout, cfg.Grace, cfg.Retry.MaxAttempts = time.Second, time.Second, 2
			cfg.Restart.MaxRestarts = supervisor.Unlimited
			w.factory("s", func(_ context.Context, ev, _ int) error {
				mu.Lock()
				defer mu.Unlock()
				succeeded[ev] = true
				return nil
			}, cfg)
			for ev := range events {
				w.publishID(ev, fmt.Sprint(ev))
			}
			w.Idle(24 * time.Hour)
			c := w.counts("s")
			wantEqual(t, "outcomes", c.Done+c.DeadLettered+c.Dropped[supervisor.ReasonSkipped], events)
			if c.DeadLettered == 0 || c.Dropped[supervisor.ReasonSkipped] == 0 || c.Done < events/2 {
				t.Errorf("counts = %+v, want some of each", c)
			}
			if int(c.Done) > len(succeeded) {
				t.Errorf("%d done, the handler has succeeded for %d", c.Done, len(succeeded))
			}
		})
	}
}

func BenchmarkChain(b *testing.B) {
	logger, _ := logged(zap.WarnLevel)
	for _, bc := range []struct {
		name string
		list []topics.Middleware
	}{
		{"none", nil},
		{"Correlate", []topics.Middleware{middleware.Correlate(middleware.CorrelateConfig{})}},
		{"Log", []topics.Middleware{middleware.Log(logger)}},
		{"Deduplicate", []topics.Middleware{middleware.Deduplicate(middleware.DeduplicateConfig{})}}, // events without an id
		{"CircuitBreaker", []topics.Middleware{middleware.CircuitBreaker(middleware.CircuitConfig{})}},
		{"Throttle", []topics.Middleware{middleware.Throttle(middleware.ThrottleConfig{Rate: 1e9, Burst: 1e9})}},
		{"WarnSlow", []topics.Middleware{middleware.WarnSlow(logger, time.Minute)}},
		{"Timeout", []topics.Middleware{middleware.Timeout(time.Minute)}},
		{"Log+CircuitBreaker+Timeout", []topics.Middleware{middleware.Log(logger), middleware.CircuitBreaker(middleware.CircuitConfig{}), middleware.Timeout(time.Minute)}},
	} {
		b.Run(bc.name, func(b *testing.B) {
			w := newWorld(b)
			handled := 0
			w.subscribe("s", func(context.Context, int) error { handled++; return nil }, with(bc.list...))
			b.ReportAllocs()
			published := 0
			for b.Loop() {
				published++
				if err := w.topic.Publish(b.Context(), 1000+published); err != nil {
					b.Fatal(err)
				}
			}
			w.Idle()
			if handled != published {
				b.Fatalf("%d of %d handled", handled, published)
			}
		})
	}
}
