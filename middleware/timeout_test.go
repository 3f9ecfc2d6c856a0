package middleware_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/middleware"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

func TestTimeoutIsTheCauseOfTheFailure(t *testing.T) {
	for name, fail := range map[string]func(context.Context) error{
		"error of the context": context.Context.Err,
		"its cause":            context.Cause,
		"an error of its own":  func(context.Context) error { return errBoom },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var causes notes[supervisor.Cause]
				w := newWorld(t, runtime.Config{Observer: runtime.Observer{Failed: func(e runtime.Event) { causes.add(e.Cause) }}})
				cfg := with(middleware.Timeout(time.Minute))
				cfg.Retry.MaxAttempts = 2
				w.subscribe("s", func(ctx context.Context, _ int) error {
					<-ctx.Done()
					if !errors.Is(context.Cause(ctx), supervisor.ErrTimeout) {
						t.Errorf("cause of the context = %v", context.Cause(ctx))
					}
					return fail(ctx)
				}, cfg)
				w.publish(1)
				w.Idle(time.Hour)
				synctest.Wait() // observers come last
				causes.want(t, "causes", supervisor.CauseTimeout, supervisor.CauseTimeout)
				l := w.Letters()[0]
				wantEqual(t, "Cause", l.Cause, "timeout")
				wantEqual(t, "Reason", l.Reason, supervisor.ReasonExhausted)
				wantEqual(t, "AttemptCount", l.AttemptCount, 2)
				wantEqual(t, "Duration", l.Attempts[0].Duration, time.Minute)
				if !strings.HasPrefix(l.Error, "middleware: timeout of 1m0s") || strings.Count(l.Error, "timeout") != 1 {
					t.Errorf("Error = %q, want the timeout said once", l.Error)
				}
			})
		})
	}
}

func TestTimeoutPassesVerdictsAndOutcomes(t *testing.T) {
	for _, c := range []struct {
		name string
		late bool
		err  error
		is   func(error) bool
	}{
		{"done", false, nil, func(err error) bool { return err == nil }},
		{"done late", true, nil, func(err error) bool { return err == nil }},
		{"error in time", false, errBoom, func(err error) bool { return err == errBoom }},
		{"error of a deadline of its own", false, context.DeadlineExceeded, func(err error) bool { return err == context.DeadlineExceeded }},
		{"late error", true, errBoom, func(err error) bool {
			return errors.Is(err, errBoom) && supervisor.CauseOf(err) == supervisor.CauseTimeout
		}},
		{"late permanent", true, supervisor.Permanent(errBoom), supervisor.IsPermanent},
		{"late skip", true, supervisor.Skip(errBoom), supervisor.IsSkip},
		{"late finished", true, supervisor.ErrFinished, supervisor.IsFinished},
		{"late retry after", true, supervisor.RetryAfter(errBoom, time.Hour), func(err error) bool {
			d, ok := supervisor.RetryDelay(err)
			return ok && d == time.Hour
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				next := build(middleware.Timeout(time.Second), func(context.Context, any) error {
					if c.late {
						time.Sleep(time.Minute)
					}
					return c.err
				})
				if err := next(t.Context(), 1); !c.is(err) {
					t.Errorf("error = %v", err)
				}
			})
		})
	}
}

// A failure is that of the deadline that came first.
func TestNestedTimeouts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wait := func(ctx context.Context, _ any) error { <-ctx.Done(); return errBoom }
		short, long := middleware.Timeout(time.Second), middleware.Timeout(time.Minute)
		for name, next := range map[string]runtime.Next{"short in long": long(short(wait)), "long in short": short(long(wait)), "the same twice": short(short(wait))} {
			err := next(t.Context(), 1)
			wantEqual(t, name, err.Error(), "middleware: timeout of 1s: boom")
		}
	})
}

// SubscriberConfig.Timeout abandons what is deaf, Timeout asks only; both name
// timeout as the cause, and neither takes the other's for its own.
func TestTimeoutInsideOfTheSubscribers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		release := make(chan struct{})
		cfg := with(middleware.Timeout(time.Second))
		cfg.Timeout, cfg.Grace, cfg.Retry.MaxAttempts = 10*time.Second, time.Second, 1
		w.subscribe("deaf", func(ctx context.Context, ev int) error {
			if ev == 1 {
				<-release
			}
			return nil
		}, cfg)
		cfg.Middleware = with(middleware.Timeout(time.Hour)).Middleware
		w.subscribe("polite", func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }, cfg)
		w.publish(1, 2)
		w.Idle(time.Hour)
		close(release)
		for _, l := range w.Letters() {
			switch l.Subscriber {
			case "deaf":
				wantEqual(t, "deaf: reason", l.Reason, supervisor.ReasonHung)
			case "polite":
				wantEqual(t, "polite: cause", l.Cause, "timeout")
				if strings.Contains(l.Error, "middleware") {
					t.Errorf("polite: error = %q, want no word of middleware", l.Error)
				}
			}
		}
		wantEqual(t, "letters of deaf", w.counts("deaf").DeadLettered, 1)
		wantEqual(t, "letters of polite", w.counts("polite").DeadLettered, 2)
	})
}
