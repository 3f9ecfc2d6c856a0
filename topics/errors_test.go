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
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// kind is one row of the taxonomy: how an error of it comes about, how it is
// recognized, and what becomes of an event whose handler returns it.
type kind struct {
	name string
	// fail returns the error from inside of a handler.
	fail func(ctx context.Context, w *errorWorld) error
	is   error
	as   func(error) error // what is wrong with the data that errors.As finds
	// What becomes of the event, of two attempts.
	letter  string // reason of its dead letter, "" if it is none
	calls   int
	dropped string
}

// errorWorld is a runtime in which everything can go wrong.
type errorWorld struct {
	rt      *troupetest.Runtime
	own     *topics.Topic[int] // of the handler
	full    *topics.Topic[int] // with a subscriber "slow" that rejects
	unheard *topics.Topic[int]
	closed  *topics.Topic[int] // of a runtime that has ended
}

var kinds = []kind{
	{name: "permanent", letter: supervisor.ReasonPermanent, calls: 1, is: topics.ErrPermanent,
		fail: func(context.Context, *errorWorld) error { return supervisor.Permanent(errBoom) }},
	{name: "permanent, bare", letter: supervisor.ReasonPermanent, calls: 1, is: topics.ErrPermanent,
		fail: func(context.Context, *errorWorld) error { return topics.ErrPermanent }},
	{name: "permanent with a reason", letter: "invalid_order", calls: 1, is: topics.ErrPermanent,
		fail: func(context.Context, *errorWorld) error { return supervisor.PermanentAs("invalid_order", errBoom) }},
	{name: "skip", dropped: supervisor.ReasonSkipped, calls: 1, is: topics.ErrSkip,
		fail: func(context.Context, *errorWorld) error { return supervisor.Skip(errBoom) }},
	{name: "retry after", letter: supervisor.ReasonExhausted, calls: 2, is: errBoom,
		fail: func(context.Context, *errorWorld) error { return supervisor.RetryAfter(errBoom, time.Minute) },
		as: func(err error) error {
			var after *topics.RetryAfterError
			if !errors.As(err, &after) || after.Delay != time.Minute {
				return fmt.Errorf("RetryAfterError %+v, want a minute", after)
			}
			return nil
		}},
	{name: "timeout", letter: supervisor.ReasonExhausted, calls: 2, is: topics.ErrTimeout,
		fail: func(ctx context.Context, _ *errorWorld) error { <-ctx.Done(); return context.Cause(ctx) }},
	{name: "panic", letter: supervisor.ReasonExhausted, calls: 2, is: errBoom,
		fail: func(context.Context, *errorWorld) error { return recovered(func() { panic(errBoom) }) },
		as: func(err error) error {
			var p *topics.PanicError
			if !errors.As(err, &p) || p.Value != errBoom || !strings.Contains(p.Stack, "recovered") {
				return fmt.Errorf("PanicError %+v, want value and stack", p)
			}
			return nil
		}},
	{name: "mailbox full", letter: supervisor.ReasonExhausted, calls: 2, is: topics.ErrFull,
		fail: func(ctx context.Context, w *errorWorld) error { return w.full.Publish(ctx, 1) },
		as: func(err error) error {
			var full *topics.FullError
			if !errors.As(err, &full) || full.Mailbox != "full/slow" || full.Capacity != 1 {
				return fmt.Errorf("FullError %+v, want full/slow with 1", full)
			}
			return nil
		}},
	{name: "closed", letter: supervisor.ReasonShutdown, calls: 1, is: topics.ErrClosed,
		fail: func(ctx context.Context, w *errorWorld) error { return w.closed.Publish(ctx, 1) }},
	{name: "would deadlock", letter: supervisor.ReasonExhausted, calls: 2, is: topics.ErrWouldDeadlock,
		fail: func(ctx context.Context, w *errorWorld) error {
			for {
				if err := w.own.Publish(ctx, -1); err != nil {
					return err
				}
			}
		}},
	{name: "no subscriber", letter: supervisor.ReasonExhausted, calls: 2, is: topics.ErrNoSubscriber,
		fail: func(ctx context.Context, w *errorWorld) error { return w.unheard.Publish(ctx, 1) }},
	{name: "type mismatch", letter: supervisor.ReasonPermanent, calls: 1, is: topics.ErrTypeMismatch,
		fail: func(_ context.Context, w *errorWorld) error {
			_, err := topics.Open[string](w.rt.Runtime, "full")
			return err
		}},
	{name: "any other", letter: supervisor.ReasonExhausted, calls: 2, is: errBoom,
		fail: func(context.Context, *errorWorld) error { return errBoom }},
}

// recovered is what a middleware may do.
func recovered(f func()) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &topics.PanicError{Value: v, Stack: "in recovered"}
		}
	}()
	f()
	return nil
}

var wraps = map[string]func(error) error{
	"bare":         func(err error) error { return err },
	"wrapped":      func(err error) error { return fmt.Errorf("a: %w", fmt.Errorf("b: %w", err)) },
	"joined":       func(err error) error { return errors.Join(errors.New("cleanup"), err) },
	"joined first": func(err error) error { return errors.Join(err, errors.New("cleanup")) },
}

// TestTaxonomy holds the table at the top of errors.go: every kind is recognized
// through any wrapping, and supervision acts on it.
func TestTaxonomy(t *testing.T) {
	for _, k := range kinds {
		for how, wrap := range wraps {
			t.Run(k.name+"/"+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newErrorWorld(t)
					var calls notes[error]
					sub, err := w.own.Subscribe("s", func(ctx context.Context, ev int) error {
						if ev < 0 {
							return nil
						}
						err := wrap(k.fail(ctx, w))
						calls.add(err)
						return err
					}, topics.SubscriberConfig{
						Retry:   supervisor.Retry{MaxAttempts: 2, BaseDelay: time.Second},
						Timeout: 10 * time.Second, Capacity: 2, Overflow: mailbox.Block,
					})
					if err != nil {
						t.Fatal(err)
					}
					publish(t, w.own, 1)
					<-time.After(5 * time.Minute)
					synctest.Wait()

					got := calls.all()
					if len(got) != k.calls {
						t.Fatalf("handler was called %d times with %v, want %d", len(got), got, k.calls)
					}
					for _, err := range got {
						wantErr(t, "handler", err, k.is)
						if k.as != nil {
							if fault := k.as(err); fault != nil {
								t.Error(fault)
							}
						}
					}
					c := subscriberCounts(t, w.rt, "own", "s")
					if k.dropped != "" && c.Dropped[k.dropped] != 1 || k.dropped == "" && c.TotalDropped() > 0 {
						t.Errorf("dropped %v, want %q", c.Dropped, k.dropped)
					}
					if c.Restarts != 0 {
						t.Errorf("%d restarts for a returned error, want none", c.Restarts)
					}
					var letters []deadletter.Letter
					for _, l := range w.rt.Letters() {
						if l.Topic == "own" {
							letters = append(letters, l)
						}
					}
					if k.letter == "" {
						if len(letters) > 0 {
							t.Errorf("letters = %+v, want none", letters)
						}
					} else if len(letters) != 1 || letters[0].Reason != k.letter || letters[0].AttemptCount != k.calls {
						t.Errorf("letters = %+v, want one, reason %s", letters, k.letter)
					}
					_ = sub
					w.end()
				})
			})
		}
	}
}

func newErrorWorld(t *testing.T) *errorWorld {
	w := &errorWorld{rt: troupetest.New(t)}
	of := func(rt *runtime.Runtime, name string, cfg topics.Config) *topics.Topic[int] {
		topic, err := topics.Open[int](rt, name, cfg)
		if err != nil {
			t.Fatal(err)
		}
		return topic
	}
	w.own = of(w.rt.Runtime, "own", topics.Config{})
	w.full = of(w.rt.Runtime, "full", topics.Config{})
	w.unheard = of(w.rt.Runtime, "unheard", topics.Config{Unrouted: topics.RejectUnrouted})
	slow := subscribe(t, w.full, "slow", ok, topics.SubscriberConfig{Capacity: 1, Overflow: mailbox.Reject})
	slow.Pause()
	publish(t, w.full, 1)
	other, err := runtime.New(runtime.Config{Name: "other"})
	if err != nil {
		t.Fatal(err)
	}
	w.closed = of(other, "closed", topics.Config{})
	if _, err := other.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *errorWorld) end() {
	if sub, err := w.rt.Subscription("full", "slow"); err == nil {
		sub.Resume()
	}
}

func subscriberCounts(t *testing.T, rt *troupetest.Runtime, topic, name string) actors.Counts {
	t.Helper()
	snap := rt.Snapshot()
	troupetest.CheckAccount(t, snap)
	top, _ := snap.Topic(topic)
	sub, found := top.Subscriber(name)
	if !found {
		t.Fatalf("no subscriber %s/%s", topic, name)
	}
	return sub.Counts
}

// The outermost verdict counts over the one that comes with a kind.
func TestHandlerOverrulesTheKind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t).
			On(1, troupetest.Fail(supervisor.RetryAfter(fmt.Errorf("elsewhere: %w", topics.ErrTypeMismatch), time.Second))).
			On(2, troupetest.Fail(supervisor.Skip(fmt.Errorf("elsewhere: %w", topics.ErrClosed))))
		subscribe(t, topic, "s", h.Handle)
		publish(t, topic, 1)
		rt.WantLetters()
		if c := counts(t, rt, "s"); c.Dropped[supervisor.ReasonSkipped] != 1 || len(h.Calls()) != 2 {
			t.Errorf("counts = %+v after %d calls, want skipped after 2", c, len(h.Calls()))
		}
	})
}

// Errors as nobody should write them.
type (
	panicsInAll   struct{}
	unwrapsToSelf struct{}
	typedNil      struct{ err error }
)

func (panicsInAll) Error() string     { panic("Error") }
func (panicsInAll) Is(error) bool     { panic("Is") }
func (panicsInAll) As(any) bool       { panic("As") }
func (panicsInAll) Unwrap() error     { panic("Unwrap") }
func (unwrapsToSelf) Error() string   { return "self" }
func (e unwrapsToSelf) Unwrap() error { return e }
func (e *typedNil) Error() string     { return e.err.Error() }
func (e *typedNil) Unwrap() error     { return e.err }

func TestErrorsThatMisbehaveAreDeadLettersLikeOthers(t *testing.T) {
	for name, evil := range map[string]error{
		"panics": panicsInAll{}, "unwraps to itself": unwrapsToSelf{}, "typed nil": (*typedNil)(nil),
		"nil of ours": (*supervisor.PanicError)(nil), "nil retry": (*supervisor.RetryAfterError)(nil),
	} {
		for how, action := range map[string]troupetest.Action{
			"returned": troupetest.Fail(evil), "joined": troupetest.Fail(errors.Join(errBoom, evil)), "panic": troupetest.Panic(evil),
		} {
			t.Run(name+"/"+how, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					rt := troupetest.New(t, runtime.Config{Logger: zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), zapcore.AddSync(io.Discard), zap.DebugLevel))})
					topic := open(t, rt)
					h := troupetest.NewHandler[int](t).When(nil, action)
					subscribe(t, topic, "s", h.Handle, topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: 2}})
					publish(t, topic, 1)
					rt.WantLetters(deadletter.Letter{Reason: supervisor.ReasonExhausted, AttemptCount: 2})
					account(t, rt)
				})
			})
		}
	}
}

// A handler that publishes from outside, as the shutdown sees it, meets the end of
// the runtime: its event waits for no further attempt, and its letter says why.
func TestHandlerThatMeetsTheShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		to, err := topics.Open[int](rt.Runtime, "to")
		if err != nil {
			t.Fatal(err)
		}
		subscribe(t, to, "s", ok)
		subscribe(t, topic, "s", func(_ context.Context, ev int) error {
			time.Sleep(time.Second)
			return fmt.Errorf("pass on: %w", to.Publish(context.Background(), ev)) // not with the handler's ctx
		}, topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: 100, BaseDelay: time.Hour}})
		publish(t, topic, 1)
		began := time.Now()
		report, err := rt.Shutdown(t.Context())
		if err != nil || time.Since(began) > time.Minute {
			t.Fatalf("Shutdown took %v, %v, want it not to wait for a retry", time.Since(began), err)
		}
		troupetest.CheckAccount(t, report.Snapshot)
		letters := rt.Letters()
		if len(letters) != 1 || letters[0].Reason != supervisor.ReasonShutdown || letters[0].AttemptCount != 1 || !strings.Contains(letters[0].Error, "runtime: closed") {
			t.Errorf("letters = %+v, want one, reason shutdown, after an attempt", letters)
		}
	})
}
