package middleware_test

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/middleware"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// changes notes how a circuit goes.
func (w *world) changes(n *notes[string]) func(middleware.CircuitChange) {
	return func(c middleware.CircuitChange) {
		n.add(fmt.Sprintf("%v %s/%s %s>%s", w.since().Round(time.Second), c.Topic, c.Subscriber, c.From, c.To))
	}
}

// An outage: everything fails until it is over. The first event opens the circuit
// and tries it; nothing becomes a letter, and what waits is handled in order.
func TestOutageMakesNoDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var changed notes[string]
		var handled notes[int]
		calls := 0
		w.subscribe("s", func(_ context.Context, ev int) error {
			if calls++; w.since() < 4*time.Minute {
				return errBoom
			}
			handled.add(ev)
			return nil
		}, with(middleware.CircuitBreaker(middleware.CircuitConfig{OpenFor: time.Minute, OnChange: w.changes(&changed)})))
		w.publish(1, 2, 3, 4, 5)
		w.Idle(time.Hour)
		handled.want(t, "handled", 1, 2, 3, 4, 5)
		c := w.counts("s")
		wantEqual(t, "DeadLettered", c.DeadLettered, 0)
		wantEqual(t, "Failures", c.Failures, 3) // those that opened it
		wantEqual(t, "calls", calls, 3+3+5)     // and three tries
		changed.want(t, "changes",
			"3s t/s closed>open",
			"1m3s t/s open>half_open", "1m3s t/s half_open>open",
			"2m3s t/s open>half_open", "2m3s t/s half_open>open",
			"3m3s t/s open>half_open", "3m3s t/s half_open>open",
			"4m3s t/s open>half_open", "4m3s t/s half_open>closed")
	})
}

// One event that fails by itself must not keep the circuit open for ever: beyond
// Patience its tries are charged, and others get through.
func TestPatienceOfACircuitEnds(t *testing.T) {
	for patience, want := range map[time.Duration]time.Duration{
		middleware.NoPatience: 2 * time.Minute,
		0:                     6 * time.Minute,
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var handled notes[int]
			w.subscribe("s", func(_ context.Context, ev int) error {
				if ev == 1 {
					return errBoom
				}
				handled.add(ev)
				return nil
			}, with(middleware.CircuitBreaker(middleware.CircuitConfig{OpenFor: time.Minute, Patience: patience})))
			w.publish(1, 2)
			w.Idle(time.Hour)
			handled.want(t, "handled", 2)
			letters := w.Letters()
			if len(letters) != 1 || letters[0].AttemptCount != 5 || letters[0].Error != errBoom.Error() {
				t.Fatalf("letters = %+v, want one of 5 attempts", letters)
			}
			// From the third failure, then the tries, and one more until event 2.
			wantEqual(t, "the letter came after", letters[0].LastFailedAt.Sub(letters[0].Attempts[2].Started).Round(time.Second), want)
		})
	}
}

func TestWhatCountsAsAFailureOfACircuit(t *testing.T) {
	var nilSlip *slip
	for name, c := range map[string]struct {
		fail  func() error
		opens bool
	}{
		"error":                    {func() error { return errBoom }, true},
		"retry after":              {func() error { return supervisor.RetryAfter(errBoom, time.Hour) }, true},
		"error whose methods fail": {func() error { return nilSlip }, true},
		"panic":                    {func() error { panic("boom") }, true},
		"goexit":                   {func() error { goruntime.Goexit(); return nil }, true},
		"permanent":                {func() error { return supervisor.Permanent(errBoom) }, false},
		"skip":                     {func() error { return fmt.Errorf("a: %w", supervisor.Skip(errBoom)) }, false},
		"postponed":                {func() error { return supervisor.Postpone(errBoom, 0) }, false},
		"finished":                 {func() error { return supervisor.ErrFinished }, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				calls := 0
				next := build(middleware.CircuitBreaker(middleware.CircuitConfig{Failures: 2}), func(context.Context, any) error {
					calls++
					return c.fail()
				})
				var err error
				for range 3 {
					call(func() { err = next(t.Context(), 1) })
				}
				if got := errors.Is(err, middleware.ErrCircuitOpen); got != c.opens || supervisor.IsPostponed(err) != c.opens && name != "postponed" {
					t.Errorf("third call = %v, want an open circuit: %v", err, c.opens)
				}
				if want := map[bool]int{true: 2, false: 3}[c.opens]; calls != want {
					t.Errorf("%d calls, want %d", calls, want)
				}
			})
		})
	}
}

// call calls f as supervision does: whatever it does, the caller goes on.
func call(f func()) (panicked any) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() { panicked = recover() }()
		f()
	}()
	<-done
	return panicked
}

func TestCountsOfTheConfigDecides(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		other := errors.New("other")
		fail := other
		next := build(middleware.CircuitBreaker(middleware.CircuitConfig{Failures: 1, Counts: func(err error) bool { return err == errBoom }}),
			func(context.Context, any) error { return fail })
		for range 5 {
			wantEqual(t, "error that does not count", next(t.Context(), 1), other)
		}
		fail = errBoom
		wantEqual(t, "error that counts", next(t.Context(), 1), errBoom)
		if err := next(t.Context(), 1); !errors.Is(err, middleware.ErrCircuitOpen) {
			t.Errorf("after it: %v, want an open circuit", err)
		}
	})
}

func TestRatioOpensACircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := 0
		next := build(middleware.CircuitBreaker(middleware.CircuitConfig{Failures: 100, Ratio: 0.5, MinCalls: 10, Window: time.Minute}),
			func(context.Context, any) error {
				if n++; n%2 == 0 {
					return errBoom
				}
				return nil
			})
		open := func() bool { return errors.Is(next(t.Context(), 1), middleware.ErrCircuitOpen) }
		for range 9 {
			if open() {
				t.Fatalf("open after %d calls, want 10 first", n)
			}
		}
		time.Sleep(2 * time.Minute) // these are forgotten
		for range 11 {              // the tenth is a success, the eleventh fails and opens it
			if open() {
				t.Fatalf("open after %d calls, want 10 in a window first", n)
			}
		}
		if !open() {
			t.Errorf("not open after %d calls, half of which failed", n)
		}
	})
}

// A call whose handler is deaf, or ends its goroutine, occupies the place of a try.
// It must be given back, or the circuit would stay half open for ever.
func TestTryThatDoesNotReturnDoesNotKeepTheCircuitHalfOpen(t *testing.T) {
	for name, try := range map[string]func(release chan struct{}){
		"deaf":   func(release chan struct{}) { <-release },
		"goexit": func(chan struct{}) { goruntime.Goexit() },
		"panic":  func(chan struct{}) { panic("boom") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var handled notes[int]
				release := make(chan struct{})
				var calls atomic.Int64 // of goroutines that know nothing of each other
				cfg := with(middleware.CircuitBreaker(middleware.CircuitConfig{Failures: 1, OpenFor: time.Minute}))
				cfg.Timeout, cfg.Grace, cfg.Retry.MaxAttempts = time.Second, time.Second, 2
				w.subscribe("s", func(_ context.Context, ev int) error {
					switch calls.Add(1) {
					case 1:
						return errBoom
					case 2:
						try(release)
					}
					handled.add(ev)
					return nil
				}, cfg)
				w.publish(1, 2)
				w.Idle(time.Hour)
				close(release)
				synctest.Wait()
				if h := handled.all(); len(h) == 0 || h[0] != 2 {
					t.Errorf("handled = %v, want 2", h)
				}
				wantEqual(t, "letters", len(w.Letters()), 1) // hung, or the second attempt
				if w.since() > 3*time.Minute {
					t.Errorf("took %v, want one more OpenFor", w.since())
				}
			})
		})
	}
}

// A call that a restart or a shutdown has ended says nothing about what is protected.
func TestEndedContextIsNoFailureOfACircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		next := build(middleware.CircuitBreaker(middleware.CircuitConfig{Failures: 1}), func(ctx context.Context, _ any) error {
			calls++
			<-ctx.Done()
			return ctx.Err()
		})
		for range 3 {
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(time.Second, cancel)
			wantEqual(t, "error", next(ctx, 1), context.Canceled)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		wantEqual(t, "error", next(ctx, 1), context.DeadlineExceeded)
		if err := next(t.Context(), 1); !errors.Is(err, middleware.ErrCircuitOpen) || calls != 4 {
			t.Errorf("after a deadline: %v after %d calls, want an open circuit after 4", err, calls)
		}
	})
}

func TestCircuitIsEachSubscriptionsOwnUnlessShared(t *testing.T) {
	for _, shared := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, runtime.Config{Middleware: []runtime.Middleware{
				middleware.CircuitBreaker(middleware.CircuitConfig{Failures: 1, Shared: shared})}})
			w.subscribe("bad", func(context.Context, int) error { return errBoom }, with())
			var at notes[time.Duration]
			w.subscribe("good", w.clocked(&at), with())
			w.publish(1)
			time.Sleep(2 * time.Second) // bad has opened its circuit
			w.publish(2)
			w.Idle(time.Hour)
			late := at.all()[1] > 2*time.Second
			wantEqual(t, fmt.Sprintf("shared %v: the good one waits", shared), late, shared)
		})
	}
}

func TestCircuitOutlivesRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var at notes[time.Duration]
		cfg := with(middleware.CircuitBreaker(middleware.CircuitConfig{Failures: 3, OpenFor: time.Minute}))
		cfg.Retry.BaseDelay = supervisor.NoDelay
		w.factory("s", func(_ context.Context, _, instance int) error {
			if at.add(w.since().Round(ms)); instance < 4 {
				panic("again")
			}
			return nil
		}, cfg)
		w.publish(1)
		w.Idle(time.Hour)
		at.want(t, "calls", 0, 0, 0, time.Minute)
	})
}

func TestParkedEventsWaitForTheCircuitTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var handled notes[int]
		cfg := with(middleware.CircuitBreaker(middleware.CircuitConfig{OpenFor: time.Minute}))
		cfg.Ordering = topics.Parked
		w.subscribe("s", func(_ context.Context, ev int) error {
			if w.since() < 90*time.Second {
				return errBoom
			}
			handled.add(ev)
			return nil
		}, cfg)
		for ev := range 100 {
			w.publish(ev)
		}
		w.Idle(time.Hour)
		wantEqual(t, "handled", len(handled.all()), 100)
		wantEqual(t, "Failures", w.counts("s").Failures, 3)
	})
}

func TestShutdownWithAnOpenCircuit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.subscribe("s", func(context.Context, int) error { return errBoom },
			with(middleware.CircuitBreaker(middleware.CircuitConfig{Failures: 1, OpenFor: time.Hour})))
		w.publish(1, 2, 3)
		synctest.Wait()
		w.shutdown(time.Minute)
		for i, l := range w.Letters() {
			wantEqual(t, "Reason", l.Reason, supervisor.ReasonShutdown)
			wantEqual(t, "AttemptCount", l.AttemptCount, map[bool]int{true: 1}[i == 0])
		}
		wantEqual(t, "DeadLettered", w.counts("s").DeadLettered, 3)
	})
}

// What a hook does is part of the call, and nothing is locked while it is called.
func TestOnChangeIsPartOfTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var next runtime.Next
		told := 0
		next = build(middleware.CircuitBreaker(middleware.CircuitConfig{Failures: 1, OnChange: func(middleware.CircuitChange) {
			if told++; told == 1 {
				if err := next(t.Context(), 1); !errors.Is(err, middleware.ErrCircuitOpen) {
					t.Errorf("call from the hook = %v, want an open circuit", err)
				}
				panic("hook")
			}
		}}), func(context.Context, any) error { return errBoom })
		if got := call(func() { _ = next(t.Context(), 1) }); got != "hook" {
			t.Errorf("panicked with %v, want the hook's panic", got)
		}
	})
}

// Workers of one subscriber: of those that come while the circuit is half open only
// as many as Probes get through, and every call is counted once.
func TestCircuitForSeveralWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var down atomic.Bool
		var inside, most atomic.Int64
		var half atomic.Bool
		next := build(middleware.CircuitBreaker(middleware.CircuitConfig{Failures: 3, OpenFor: time.Second, Probes: 2,
			OnChange: func(c middleware.CircuitChange) { half.Store(c.To == middleware.CircuitHalfOpen) }}),
			func(context.Context, any) error {
				n := inside.Add(1)
				defer inside.Add(-1)
				if half.Load() {
					most.Store(max(most.Load(), n))
				}
				time.Sleep(ms)
				if down.Load() {
					return errBoom
				}
				return nil
			})
		var workers sync.WaitGroup
		var done, refused atomic.Int64
		down.Store(true)
		time.AfterFunc(10*time.Second, func() { down.Store(false) })
		for range 8 {
			workers.Go(func() {
				for range 100 {
					for {
						err := next(t.Context(), 1)
						if err == nil {
							done.Add(1)
							break
						}
						if errors.Is(err, middleware.ErrCircuitOpen) {
							refused.Add(1)
						}
						time.Sleep(100 * ms)
					}
				}
			})
		}
		workers.Wait()
		wantEqual(t, "done", done.Load(), 800)
		if refused.Load() < 8*90 || most.Load() > 2 {
			t.Errorf("%d refused, %d at a time while half open, want many and at most 2", refused.Load(), most.Load())
		}
	})
}

func TestLetterOfACircuitNamesTheUsersError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		cfg := with(middleware.CircuitBreaker(middleware.CircuitConfig{Failures: 1}))
		cfg.Retry.MaxAttempts = supervisor.NoRetry
		w.subscribe("s", func(context.Context, int) error { return fmt.Errorf("store: %w", errBoom) }, cfg)
		w.publish(1)
		w.Idle(time.Hour)
		l := w.Letters()[0]
		wantEqual(t, "Error", l.Error, "store: boom")
		if strings.Contains(strings.Join(l.ErrorTypes, " "), "middleware") {
			t.Errorf("ErrorTypes = %v", l.ErrorTypes)
		}
	})
}

// Once the circuit is closed again, failures are charged as before it opened.
func TestFailuresAreChargedAgainOnceTheCircuitIsClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		calls := 0
		w.subscribe("s", func(context.Context, int) error {
			if calls++; calls <= 4 || calls == 6 || calls == 7 { // three and a try; then two of the next event
				return errBoom
			}
			return nil
		}, with(middleware.CircuitBreaker(middleware.CircuitConfig{OpenFor: time.Second, Patience: time.Hour})))
		w.publish(1, 2)
		w.Idle(time.Hour)
		c := w.counts("s")
		wantEqual(t, "Done", c.Done, 2)
		wantEqual(t, "Failures", c.Failures, 5)
	})
}

// The handler may notice the end of its context before the circuit does.
func TestHandlerThatReturnsAsItsContextEnds(t *testing.T) {
	for range 100 {
		ctx, cancel := context.WithCancel(t.Context())
		next := build(middleware.CircuitBreaker(middleware.CircuitConfig{Failures: 1}), func(context.Context, any) error {
			cancel()
			return errBoom
		})
		wantEqual(t, "first call", next(ctx, 1), errBoom)
		wantEqual(t, "second call", next(t.Context(), 1), errBoom)
	}
}
