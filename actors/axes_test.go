package actors_test

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/supervisor"
)

type custom struct{ N int }

// Every way to fail, and what follows for the event and for the actor.
func TestTwoAxes(t *testing.T) {
	always := func(err error) func(context.Context) error {
		return func(context.Context) error { return err }
	}
	for _, tc := range []struct {
		name   string
		cfg    actors.Config
		fail   func(context.Context) error // event 1; event 2 is handled
		letter string                      // of event 1; else it is done or dropped
		drop   string
		cause  supervisor.Cause
		err    error // in the letter
		calls  int   // for event 1
		made   int   // instances in the end
		took   time.Duration
	}{
		{
			name: "an error is retried with backoff and then a dead letter; the actor keeps its state",
			cfg:  actors.Config{Policy: retry}, fail: always(errBoom),
			letter: supervisor.ReasonExhausted, err: errBoom, calls: 3, made: 1, took: 3 * time.Second,
		},
		{
			name: "an error that passes is retried and done",
			cfg:  actors.Config{Policy: retry},
			fail: func(ctx context.Context) error {
				if attempt(ctx) < 3 {
					return errBoom
				}
				return nil
			},
			calls: 3, made: 1, took: 3 * time.Second,
		},
		{
			name: "Permanent is a dead letter at once",
			cfg:  actors.Config{Policy: retry}, fail: always(supervisor.Permanent(errBoom)),
			letter: supervisor.ReasonPermanent, err: errBoom, calls: 1, made: 1,
		},
		{
			name: "Skip drops and counts",
			cfg:  actors.Config{Policy: retry}, fail: always(supervisor.Skip(errBoom)),
			drop: supervisor.ReasonSkipped, calls: 1, made: 1,
		},
		{
			name: "RetryAfter waits as long as it says",
			cfg:  actors.Config{Policy: retry}, fail: always(supervisor.RetryAfter(errBoom, time.Minute)),
			letter: supervisor.ReasonExhausted, err: errBoom, calls: 3, made: 1, took: 2 * time.Minute,
		},
		{
			name: "a panic with an error is retried by a new instance",
			cfg:  actors.Config{Policy: retry}, fail: func(context.Context) error { panic(errBoom) },
			letter: supervisor.ReasonExhausted, cause: supervisor.CausePanic, err: errBoom, calls: 3, made: 4, took: 3 * time.Second,
		},
		{
			name: "a panic with a string",
			cfg:  actors.Config{Policy: retry}, fail: func(context.Context) error { panic("boom") },
			letter: supervisor.ReasonExhausted, cause: supervisor.CausePanic, calls: 3, made: 4, took: 3 * time.Second,
		},
		{
			name: "a panic with nil",
			cfg:  actors.Config{Policy: retry}, fail: func(context.Context) error { panic(nil) },
			letter: supervisor.ReasonExhausted, cause: supervisor.CausePanic, calls: 3, made: 4, took: 3 * time.Second,
		},
		{
			name: "a panic with a value of a type of the user's",
			cfg:  actors.Config{Policy: retry}, fail: func(context.Context) error { panic(custom{7}) },
			letter: supervisor.ReasonExhausted, cause: supervisor.CausePanic, calls: 3, made: 4, took: 3 * time.Second,
		},
		{
			name: "a marked error in a panic is a panic",
			cfg:  actors.Config{Policy: retry}, fail: func(context.Context) error { panic(supervisor.Skip(errBoom)) },
			letter: supervisor.ReasonExhausted, cause: supervisor.CausePanic, err: errBoom, calls: 3, made: 4, took: 3 * time.Second,
		},
		{
			name: "Goexit is retried by a new instance",
			cfg:  actors.Config{Policy: retry}, fail: func(context.Context) error { goruntime.Goexit(); return nil },
			letter: supervisor.ReasonExhausted, cause: supervisor.CauseGoexit, err: supervisor.ErrGoexit, calls: 3, made: 4, took: 3 * time.Second,
		},
		{
			name: "a deadline passed and returned within grace is retried; the actor keeps its state",
			cfg:  actors.Config{Policy: retry, Timeout: 10 * time.Second, Grace: time.Second},
			fail: func(ctx context.Context) error {
				<-ctx.Done()
				if context.Cause(ctx) != supervisor.ErrTimeout {
					return fmt.Errorf("cause %w", context.Cause(ctx))
				}
				return errBoom
			},
			letter: supervisor.ReasonExhausted, cause: supervisor.CauseTimeout, err: supervisor.ErrTimeout, calls: 3, made: 1, took: 33 * time.Second,
		},
		{
			name: "a verdict counts after the deadline, too",
			cfg:  actors.Config{Policy: retry, Timeout: 10 * time.Second},
			fail: func(ctx context.Context) error {
				<-ctx.Done()
				return supervisor.Permanent(errBoom)
			},
			letter: supervisor.ReasonPermanent, cause: supervisor.CauseTimeout, err: errBoom, calls: 1, made: 1, took: 10 * time.Second,
		},
		{
			name: "success after the deadline is success",
			cfg:  actors.Config{Policy: retry, Timeout: 10 * time.Second},
			fail: func(ctx context.Context) error {
				<-ctx.Done()
				return nil
			},
			calls: 1, made: 1, took: 10 * time.Second,
		},
		{
			name: "a handler that hangs is abandoned: dead letter and new instance",
			cfg:  actors.Config{Policy: retry, Timeout: 10 * time.Second, Grace: time.Second},
			fail: func(context.Context) error {
				time.Sleep(time.Hour)
				return nil
			},
			letter: supervisor.ReasonHung, cause: supervisor.CauseHung, err: supervisor.ErrHung, calls: 1, made: 2, took: 11 * time.Second,
		},
		{
			name: "a decider may overrule: a hung event is tried again",
			cfg: actors.Config{Timeout: 10 * time.Second, Grace: time.Second, Policy: supervisor.Policy{
				Decide: func(f supervisor.Failure, d supervisor.Decision) supervisor.Decision {
					d.Fate, d.Delay = supervisor.FateRetry, time.Second
					return d
				},
			}},
			fail: func(ctx context.Context) error {
				if attempt(ctx) == 1 {
					time.Sleep(time.Hour)
				}
				return nil
			},
			calls: 2, made: 2, took: 12 * time.Second,
		},
		{
			name: "a decider that panics is ignored",
			cfg: actors.Config{Policy: supervisor.Policy{Retry: retry.Retry,
				Decide: func(supervisor.Failure, supervisor.Decision) supervisor.Decision { panic("decider") },
			}},
			fail:   always(errBoom),
			letter: supervisor.ReasonExhausted, err: errBoom, calls: 3, made: 1, took: 3 * time.Second,
		},
		{
			name: "a decider that ends its goroutine is ignored",
			cfg: actors.Config{Policy: supervisor.Policy{Retry: retry.Retry,
				Decide: func(supervisor.Failure, supervisor.Decision) supervisor.Decision {
					goruntime.Goexit()
					panic("unreachable")
				},
			}},
			fail:   always(errBoom),
			letter: supervisor.ReasonExhausted, err: errBoom, calls: 3, made: 1, took: 3 * time.Second,
		},
	} {
		for _, ordering := range []actors.Ordering{actors.Ordered, actors.Parked} {
			t.Run(tc.name+"/"+ordering.String(), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					var calls, made atomic.Int64
					tc.cfg.Ordering = ordering
					start := time.Now()
					var took time.Duration
					s := w.cell(actors.CellConfig[int]{Config: tc.cfg, Factory: func() actors.Behavior[int] {
						made.Add(1)
						return actors.Behavior[int]{Receive: func(ctx context.Context, ev int) error {
							if ev != 1 {
								return nil
							}
							calls.Add(1)
							return tc.fail(ctx)
						}}
					}, Settled: func(ev int, _ error) {
						if ev == 1 {
							took = time.Since(start)
						}
					}})
					s.publish(1, 2)
					time.Sleep(30 * time.Minute)
					synctest.Wait()

					n := s.Counts()
					switch {
					case tc.letter != "":
						w.wantLetters("1 " + tc.letter)
						d := w.sink.all()[0]
						last := d.Attempts[len(d.Attempts)-1]
						if d.AttemptCount != tc.calls || len(d.Attempts) != tc.calls || last.Number != tc.calls || last.Cause != tc.cause {
							t.Errorf("letter has attempts %+v, want %d, cause %v", d.Attempts, tc.calls, tc.cause)
						}
						if tc.err != nil {
							wantErr(t, "error in the letter", last.Err, tc.err)
						}
						if d.Sequence != 1 || d.Topic != "topic" || d.Subscriber != "subject" || d.PublishedAt.IsZero() {
							t.Errorf("letter = %+v", d)
						}
						if n.DeadLettered != 1 || n.Done != 1 {
							t.Errorf("Counts = %+v", n)
						}
					case tc.drop != "":
						w.wantLetters()
						if n.Dropped[tc.drop] != 1 || n.Done != 1 {
							t.Errorf("Counts = %+v", n)
						}
					default:
						w.wantLetters()
						if n.Done != 2 {
							t.Errorf("Counts = %+v", n)
						}
					}
					if calls.Load() != int64(tc.calls) || made.Load() != int64(tc.made) {
						t.Errorf("calls, instances = %d, %d, want %d, %d", calls.Load(), made.Load(), tc.calls, tc.made)
					}
					if took != tc.took {
						t.Errorf("outcome after %v, want %v", took, tc.took)
					}
					if n.Restarts != uint64(tc.made-1) {
						t.Errorf("Restarts = %d, want %d", n.Restarts, tc.made-1)
					}
					s.wantState(actors.StateIdle)
					time.Sleep(time.Hour) // for what still hangs
				})
			})
		}
	}
}

func TestPanicErrorHasValueAndStackOfTheUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.handler(actors.Config{Policy: once}, func(context.Context, int) error { return panics(custom{7}) })
		s.publish(1)
		w.wantLetters("1 " + supervisor.ReasonExhausted)
		var p *supervisor.PanicError
		if !errors.As(w.sink.all()[0].Attempts[0].Err, &p) || p.Value != (custom{7}) {
			t.Fatalf("error = %v", w.sink.all()[0].Attempts[0].Err)
		}
		lines := strings.Split(p.Stack, "\n")
		if !strings.HasSuffix(lines[0], "actors_test.panics") || strings.Contains(p.Stack, "troupe/actors.") || strings.Contains(p.Stack, "protoactor") {
			t.Errorf("Stack =\n%s", p.Stack)
		}
	})
}

//go:noinline
func panics(v any) error { panic(v) }

func TestPanicOfNilPointerNamesTheUsersLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var nobody *custom
		ref, err := actors.Spawn(w.sys, "ref", func() actors.Behavior[int] {
			return actors.Behavior[int]{Receive: func(context.Context, int) error { nobody.N++; return nil }}
		}, actors.Config{Policy: once})
		if err != nil {
			t.Fatal(err)
		}
		_ = ref.Tell(t.Context(), 1)
		synctest.Wait()
		var p *supervisor.PanicError
		if !errors.As(w.sink.all()[0].Attempts[0].Err, &p) || !strings.HasPrefix(p.Stack, "github.com/troupe-go/troupe/actors_test.TestPanicOfNilPointer") ||
			strings.Contains(p.Stack, "troupe/actors.") {
			t.Errorf("Stack =\n%s", p.Stack)
		}
	})
}

// The handler of each zombie ends after an hour; deadline and grace end after
// 11 seconds.
func TestZombiesAreCountedAndCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.handler(actors.Config{Policy: once, Timeout: 10 * time.Second, Grace: time.Second, MaxZombies: 2},
			func(_ context.Context, ev int) error {
				if ev > 0 {
					time.Sleep(time.Hour)
				}
				return nil
			})
		s.publish(1, 2, 3, 0)
		time.Sleep(22*time.Second + 1)
		synctest.Wait()
		if n := s.Counts(); n.Zombies != 2 || n.Abandoned != 2 || n.InFlight != 1 || n.Late != 0 {
			t.Errorf("Counts = %+v", n)
		}
		time.Sleep(11 * time.Second)
		s.wantState(actors.StateHung) // the third one may not be abandoned
		w.wantLetters("1 hung", "2 hung")
		if l := w.seen.of("Hung"); len(l) != 3 || l[2].Reason != actors.ReasonZombieLimit {
			t.Errorf("Hung = %+v", l)
		}

		time.Sleep(time.Hour - 33*time.Second) // the first zombie returns: now it may
		s.wantState(actors.StateIdle)
		w.wantLetters("1 hung", "2 hung", "3 hung")
		time.Sleep(2 * time.Hour)
		s.wantCounts(actors.Counts{Deliveries: 4, Done: 1, DeadLettered: 3, Failures: 3, Restarts: 3, Abandoned: 3, Late: 3})
		w.wantSeen("Late", 3)
	})
}

func TestHungHandlerThatReturnsByItselfIsHandled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.handler(actors.Config{Policy: once, Timeout: 10 * time.Second, Grace: time.Second, MaxZombies: 1},
			func(_ context.Context, ev int) error { time.Sleep(time.Duration(ev) * time.Second); return nil })
		s.publish(3600, 60)
		time.Sleep(30 * time.Second)
		s.wantState(actors.StateHung)
		time.Sleep(time.Minute)
		s.wantState(actors.StateIdle)
		time.Sleep(time.Hour)
		s.wantCounts(actors.Counts{Deliveries: 2, Done: 1, DeadLettered: 1, Failures: 1, Restarts: 1, Abandoned: 1, Late: 1})
	})
}

// A zombie ends without a trace, however its handler ends.
func TestZombieTouchesNothing(t *testing.T) {
	for name, end := range map[string]func() error{
		"nil":    func() error { return nil },
		"error":  func() error { return errBoom },
		"panic":  func() error { panic("late") },
		"goexit": func() error { goruntime.Goexit(); return nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var outcomes tape[string]
				s := w.cell(actors.CellConfig[int]{
					Config: actors.Config{Policy: once, Timeout: time.Second, Grace: time.Second},
					Receive: func(ctx context.Context, ev int) error {
						if ev == 1 {
							time.Sleep(time.Minute)
							if d, ok := actors.DeliveryFrom(ctx); !ok || d.Sequence != 1 {
								t.Errorf("DeliveryFrom of a zombie = %+v", d)
							}
							return end()
						}
						return nil
					},
					Settled: func(ev int, err error) { outcomes.add(fmt.Sprintf("%d %v", ev, err)) },
				})
				s.publish(1, 2, 3)
				time.Sleep(time.Hour)
				synctest.Wait()
				want(t, "outcomes", outcomes.all(), []string{"1 " + supervisor.ErrHung.Error(), "2 <nil>", "3 <nil>"})
				n := s.Counts()
				if late := map[string]uint64{"nil": 1}[name]; n.Late != late || n.Zombies != 0 || n.Done != 2 || n.DeadLettered != 1 {
					t.Errorf("Counts = %+v", n)
				}
				w.wantSeen("Handled", 2)
				w.wantSeen("Failed", 1)
				w.wantSeen("Late", 1)
			})
		})
	}
}

func TestStartHookThatFailsChargesNoEvent(t *testing.T) {
	for _, tc := range []struct {
		name string
		fail func() error
		err  error
	}{
		{"error", func() error { return errBoom }, errBoom},
		{"panic", func() error { panic(errBoom) }, errBoom},
		{"goexit", func() error { goruntime.Goexit(); return nil }, supervisor.ErrGoexit},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var starts tape[time.Duration]
				begin := time.Now()
				s := w.cell(actors.CellConfig[int]{
					Config: actors.Config{Policy: supervisor.Policy{Restart: supervisor.Restart{BaseDelay: time.Second, MaxDelay: 3 * time.Second}}},
					Factory: func() actors.Behavior[int] {
						return actors.Behavior[int]{
							Start: func(context.Context) error {
								if starts.add(time.Since(begin)) < 5 {
									return tc.fail()
								}
								return nil
							},
							Receive: func(ctx context.Context, _ int) error {
								if a := attempt(ctx); a != 1 {
									t.Errorf("attempt = %d, want 1", a)
								}
								return nil
							},
						}
					},
				})
				s.publish(1)
				s.wantState(actors.StateBackoff)
				time.Sleep(time.Minute)
				s.wantState(actors.StateIdle)
				want(t, "starts", starts.all(), []time.Duration{0, time.Second, 3 * time.Second, 6 * time.Second, 9 * time.Second})
				s.wantCounts(actors.Counts{Deliveries: 1, Done: 1})
				faults := w.seen.of("Fault")
				if len(faults) != 4 {
					t.Fatalf("Fault = %+v", faults)
				}
				wantErr(t, "Fault", faults[0].Err, tc.err)
				w.wantSeen("Failed", 0)
				w.wantSeen("Restarting", 4)
				w.wantSeen("Started", 1)
			})
		})
	}
}

func TestRetryAfterOfStartHookIsRespected(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var starts tape[time.Duration]
		begin := time.Now()
		s := w.cell(actors.CellConfig[int]{Factory: func() actors.Behavior[int] {
			return actors.Behavior[int]{
				Start: func(context.Context) error {
					if starts.add(time.Since(begin)) == 1 {
						return supervisor.RetryAfter(errBoom, 42*time.Second)
					}
					return nil
				},
				Receive: func(context.Context, int) error { return nil },
			}
		}})
		time.Sleep(time.Hour)
		s.wantState(actors.StateIdle)
		want(t, "starts", starts.all(), []time.Duration{0, 42 * time.Second})
	})
}

func TestStartFailureThatIsForGoodStopsTheActor(t *testing.T) {
	receive := func(context.Context, int) error { return nil }
	for _, tc := range []struct {
		name    string
		factory func() actors.Behavior[int]
	}{
		{"no Receive", func() actors.Behavior[int] { return actors.Behavior[int]{} }},
		{"Permanent", func() actors.Behavior[int] {
			return actors.Behavior[int]{Receive: receive, Start: func(context.Context) error { return supervisor.Permanent(errBoom) }}
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				s := w.cell(actors.CellConfig[int]{Factory: func() actors.Behavior[int] { time.Sleep(time.Second); return tc.factory() }})
				s.publish(1, 2)
				s.wantState(actors.StateStarting)
				<-s.Done()
				s.wantState(actors.StateStopped)
				w.wantLetters("1 "+supervisor.ReasonStopped, "2 "+supervisor.ReasonStopped)
				w.wantSeen("Fault", 1)
				w.wantSeen("Stopped", 1)
			})
		})
	}
}

func TestFactoryThatPanicsIsAStartFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var made atomic.Int64
		s := w.cell(actors.CellConfig[int]{Factory: func() actors.Behavior[int] {
			if made.Add(1) < 3 {
				panic(errBoom)
			}
			return actors.Behavior[int]{Receive: func(context.Context, int) error { return nil }}
		}})
		s.publish(1)
		time.Sleep(time.Second)
		s.wantState(actors.StateIdle)
		s.wantCounts(actors.Counts{Deliveries: 1, Done: 1})
		wantErr(t, "Fault", w.seen.of("Fault")[0].Err, errBoom)
	})
}

func TestStartHookThatHangsIsAbandoned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var starts atomic.Int64
		s := w.cell(actors.CellConfig[int]{
			Config: actors.Config{Timeout: 10 * time.Second, Grace: time.Second, MaxZombies: 1},
			Factory: func() actors.Behavior[int] {
				return actors.Behavior[int]{
					Start: func(context.Context) error {
						if starts.Add(1) < 3 {
							time.Sleep(time.Hour)
						}
						return nil
					},
					Receive: func(context.Context, int) error { return nil },
				}
			},
		})
		s.publish(1)
		time.Sleep(30 * time.Second)
		s.wantState(actors.StateHung) // the second one may not be abandoned
		if n := s.Counts(); n.Zombies != 1 || n.Abandoned != 1 {
			t.Errorf("Counts = %+v", n)
		}
		time.Sleep(time.Hour)
		s.wantState(actors.StateIdle)
		time.Sleep(time.Hour)
		s.wantCounts(actors.Counts{Deliveries: 1, Done: 1, Abandoned: 2})
	})
}

func TestStopHookThatFailsHasNoEffect(t *testing.T) {
	for _, tc := range []struct {
		name string
		fail func() error
		err  error
	}{
		{"error", func() error { return errBoom }, errBoom},
		{"panic", func() error { panic(errBoom) }, errBoom},
		{"goexit", func() error { goruntime.Goexit(); return nil }, supervisor.ErrGoexit},
		{"hang", func() error { time.Sleep(time.Hour); return nil }, supervisor.ErrHung},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var stops atomic.Int64
				s := w.cell(actors.CellConfig[int]{
					Config: actors.Config{Policy: retry, Timeout: time.Second, Grace: time.Second},
					Factory: func() actors.Behavior[int] {
						return actors.Behavior[int]{
							Receive: func(ctx context.Context, ev int) error {
								if attempt(ctx) == 1 && ev == 1 {
									panic("boom")
								}
								return nil
							},
							Stop: func(ctx context.Context) error {
								if ctx.Err() != nil {
									t.Errorf("context of a stop hook: %v", ctx.Err())
								}
								stops.Add(1)
								return tc.fail()
							},
						}
					},
				})
				s.publish(1, 2)
				time.Sleep(time.Minute)
				s.wantState(actors.StateIdle)
				s.Stop(actors.Drain, "test")
				<-s.Done()
				if stops.Load() != 2 {
					t.Errorf("stop hook ran %d times, want 2: for the restart and for the end", stops.Load())
				}
				w.wantSeen("Fault", 2)
				wantErr(t, "Fault", w.seen.of("Fault")[1].Err, tc.err)
				time.Sleep(2 * time.Hour)
				if n := s.Counts(); n.Done != 2 || n.Restarts != 1 || n.Zombies != 0 {
					t.Errorf("Counts = %+v", n)
				}
			})
		})
	}
}

func TestStopHookIsNotRunForAnInstanceThatIsNotUpOrHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var starts, stops atomic.Int64
		s := w.cell(actors.CellConfig[int]{
			Config: actors.Config{Policy: once, Timeout: time.Second, Grace: time.Second},
			Factory: func() actors.Behavior[int] {
				return actors.Behavior[int]{
					Start: func(context.Context) error {
						if starts.Add(1) == 1 {
							return errBoom
						}
						return nil
					},
					Receive: func(context.Context, int) error { time.Sleep(time.Minute); return nil },
					Stop:    func(context.Context) error { stops.Add(1); return nil },
				}
			},
		})
		s.publish(1)
		time.Sleep(time.Hour)
		synctest.Wait()
		if starts.Load() != 3 || stops.Load() != 0 {
			t.Errorf("starts, stops = %d, %d, want 3, 0", starts.Load(), stops.Load())
		}
	})
}

func TestErrFinishedEndsTheActorAsItsRestartTypeSays(t *testing.T) {
	for _, tc := range []struct {
		typ     supervisor.RestartType
		stopped bool
	}{
		{supervisor.RestartAlways, false},
		{supervisor.RestartOnFailure, true},
		{supervisor.RestartNever, true},
	} {
		t.Run(tc.typ.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var made atomic.Int64
				s := w.cell(actors.CellConfig[int]{
					Config: actors.Config{Policy: supervisor.Policy{Restart: supervisor.Restart{Type: tc.typ}}},
					Factory: func() actors.Behavior[int] {
						made.Add(1)
						return actors.Behavior[int]{Receive: func(_ context.Context, ev int) error {
							if ev == 1 {
								return fmt.Errorf("done: %w", supervisor.ErrFinished)
							}
							return nil
						}}
					},
				})
				s.burst(1, 2)
				w.wantSeen("Failed", 0)
				if tc.stopped {
					<-s.Done()
					s.wantState(actors.StateStopped)
					w.wantLetters("2 " + supervisor.ReasonStopped)
					s.wantCounts(actors.Counts{Deliveries: 2, Done: 1, DeadLettered: 1, Pauses: 1})
					return
				}
				s.wantState(actors.StateIdle)
				s.wantCounts(actors.Counts{Deliveries: 2, Done: 2, Restarts: 1, Pauses: 1})
				if made.Load() != 2 {
					t.Errorf("instances = %d, want 2", made.Load())
				}
			})
		})
	}
}

func TestRestartNeverStopsAtThePanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := w.handler(actors.Config{Policy: supervisor.Policy{Restart: supervisor.Restart{Type: supervisor.RestartNever}}},
			func(context.Context, int) error { panic("boom") })
		s.burst(1, 2, 3)
		<-s.Done()
		w.wantLetters("1 "+supervisor.ReasonStopped, "2 "+supervisor.ReasonStopped, "3 "+supervisor.ReasonStopped)
		s.wantState(actors.StateStopped)
	})
}
