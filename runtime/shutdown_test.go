package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	goruntime "runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

func TestShutdownRefusesOutsidePublishesWhileHandlersStillPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		in, out := open[int](t, rt, "in"), open[int](t, rt, "out")
		var inside, outside error
		subscribe(t, in, "relay", func(ctx context.Context, n int) error {
			time.Sleep(time.Second)
			inside = out.Publish(ctx, n)
			outside = out.Publish(context.Background(), n) // not with its context: from outside
			return nil
		})
		sink := troupetest.NewHandler[int](t)
		subscribe(t, out, "sink", sink.Handle)
		publish(t, in, 1)
		go func() {
			time.Sleep(time.Millisecond) // during the shutdown
			wantErr(t, "Publish from outside", in.Publish(context.Background(), 2), runtime.ErrClosed)
			_, err := topics.Open[int](rt.Runtime, "late")
			wantErr(t, "Open", err, runtime.ErrClosed)
			_, err = topics.Open[int](rt.Runtime, "in")
			wantErr(t, "Open of a topic that is there", err, runtime.ErrClosed)
			_, err = in.Subscribe("late", ok[int])
			wantErr(t, "Subscribe", err, runtime.ErrClosed)
			wantErr(t, "Redrive", rt.Redrive(context.Background(), "x"), runtime.ErrClosed)
			if s := rt.Snapshot().State; s != runtime.StateDraining {
				t.Errorf("state = %s, want draining", s)
			}
		}()
		report := shutdown(t, rt, time.Minute)
		if inside != nil {
			t.Errorf("publication of a handler: %v, want accepted", inside)
		}
		wantErr(t, "publication of a handler without its context", outside, runtime.ErrClosed)
		sink.WantEvents(1)
		if !report.Clean || report.Err() != nil {
			t.Errorf("report = %+v, want clean", report)
		}
		if r := report.Snapshot.Topics[0]; r.Name != "in" || r.Rejected["closed"] != 1 {
			t.Errorf("account of in = %+v, want 1 rejected, closed", r.Publications)
		}
	})
}

func TestShutdownFlushesThePipeline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		const stages = 5
		var at [stages + 1]*topics.Topic[int]
		for i := range at {
			at[i] = open[int](t, rt, fmt.Sprint("stage.", i))
		}
		for i := range stages {
			subscribe(t, at[i], "next", func(ctx context.Context, n int) error {
				d, _ := topics.DeliveryFrom(ctx)
				if d.Attempt == 1 && n%3 == 0 {
					return errBoom // what waits for a retry is waited for, too
				}
				time.Sleep(time.Millisecond)
				return at[i+1].Publish(ctx, n)
			}, topics.SubscriberConfig{Capacity: 2})
		}
		last := troupetest.NewHandler[int](t)
		subscribe(t, at[stages], "last", last.Handle)
		var want []int
		for n := range 10 {
			publish(t, at[0], n)
			want = append(want, n)
		}
		report := shutdown(t, rt, time.Hour)
		last.WantEvents(want...)
		if !report.Clean {
			t.Errorf("report = %+v, want clean", report)
		}
	})
}

func TestShutdownStopsSubscribersInReverseOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		var stops notes[string]
		for i := range 5 {
			topic := open[int](t, rt, fmt.Sprint("t", i%2))
			name := fmt.Sprint("s", i)
			if _, err := topic.SubscribeFactory(name, func() topics.Behavior[int] {
				return topics.Behavior[int]{Receive: ok[int], Stop: func(context.Context) error {
					time.Sleep(time.Duration(i) * time.Second) // the next one waits for it
					stops.add(name)
					return nil
				}}
			}); err != nil {
				t.Fatal(err)
			}
		}
		shutdown(t, rt, time.Minute)
		wantSlice(t, "stops", stops.all(), "s4", "s3", "s2", "s1", "s0")
	})
}

func TestShutdownDeadlineEndsContextsWithACause(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"without timeout": 0, "with timeout": time.Hour} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open[int](t, rt, "t")
				var cause error
				var took time.Duration
				begin := time.Now()
				subscribe(t, topic, "s", func(ctx context.Context, _ int) error {
					<-ctx.Done()
					cause, took = context.Cause(ctx), time.Since(begin)
					return ctx.Err()
				}, topics.SubscriberConfig{Timeout: timeout})
				publish(t, topic, 1, 2)
				report := shutdown(t, rt, 3*time.Second)
				if took != 3*time.Second || report.Took != 3*time.Second {
					t.Errorf("context ended after %v, shutdown took %v, want 3s", took, report.Took)
				}
				if cause == nil || errors.Is(cause, context.Canceled) || !strings.Contains(cause.Error(), "shutdown deadline") {
					t.Errorf("cause = %v, want the shutdown's deadline", cause)
				}
				// The one in hand was told to stop, so it is left uncharged.
				rt.WantLetters(deadletter.Letter{Sequence: 1, Reason: supervisor.ReasonShutdown},
					deadletter.Letter{Sequence: 2, Reason: supervisor.ReasonShutdown})
				for _, l := range rt.Letters() {
					if l.AttemptCount != 0 {
						t.Errorf("letter of event %d has %d attempts, want 0", l.Sequence, l.AttemptCount)
					}
				}
			})
		})
	}
}

func TestShutdownCountsWhatReturnsWithinTheGraceAsDone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t, runtime.Config{CancelGrace: 2 * time.Second})
		topic := open[int](t, rt, "t")
		subscribe(t, topic, "s", func(ctx context.Context, _ int) error {
			<-ctx.Done()
			time.Sleep(time.Second) // cleans up
			return nil
		})
		publish(t, topic, 1)
		report := shutdown(t, rt, time.Second)
		if !report.Clean || report.Snapshot.Total.Done != 1 || report.Took != 2*time.Second {
			t.Errorf("report = %+v, want clean with 1 done after 2s", report)
		}
	})
}

func TestShutdownAbandonsDeafHandlersAfterTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t, runtime.Config{CancelGrace: 2 * time.Second})
		topic := open[int](t, rt, "t")
		deaf := troupetest.NewHandler[int](t).When(nil, troupetest.Hang())
		for _, name := range []string{"a", "b", "c"} {
			subscribe(t, topic, name, deaf.Handle)
		}
		quick := troupetest.NewHandler[int](t)
		subscribe(t, topic, "quick", quick.Handle)
		publish(t, topic, 1, 2)
		synctest.Wait()
		report := shutdown(t, rt, time.Second)
		if report.Took != 3*time.Second {
			t.Errorf("took %v, want 3s: the deadline and one grace for all", report.Took)
		}
		slices.Sort(report.StillRunning)
		wantSlice(t, "StillRunning", report.StillRunning, "t/a", "t/b", "t/c")
		if len(report.Left) != 3 || report.Clean || !errors.Is(report.Err(), runtime.ErrUnclean) {
			t.Errorf("report = %+v, want 3 left", report)
		}
		for _, part := range []string{"t/a: 1 events", "t/b: handler still runs"} {
			if !strings.Contains(report.Err().Error(), part) {
				t.Errorf("error %q does not say %q", report.Err(), part)
			}
		}
		quick.WantEvents(1, 2)
		var want []deadletter.Letter
		for _, name := range []string{"a", "b", "c"} {
			want = append(want, deadletter.Letter{Subscriber: name, Sequence: 1, Reason: supervisor.ReasonHung, Payload: []byte("1")},
				deadletter.Letter{Subscriber: name, Sequence: 2, Reason: supervisor.ReasonShutdown, Payload: []byte("2")})
		}
		rt.WantLetters(want...)

		deaf.Release()
		synctest.Wait()
		if c := rt.Snapshot().Total; c.Zombies != 0 || c.Late != 3 || c.Done != 2 {
			t.Errorf("after the release: %+v, want 3 late and the account as before", c)
		}
	})
}

func TestShutdownMakesLeftoversDeadLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open[int](t, rt, "t")
		subscribe(t, topic, "retries", func(context.Context, int) error { return errBoom },
			topics.SubscriberConfig{Retry: supervisor.Retry{BaseDelay: time.Hour}})
		subscribe(t, topic, "parked", func(context.Context, int) error { return errBoom },
			topics.SubscriberConfig{Retry: supervisor.Retry{BaseDelay: time.Hour}, Ordering: topics.Parked})
		subscribe(t, topic, "slow", func(ctx context.Context, _ int) error {
			select {
			case <-time.After(time.Minute):
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
		publish(t, topic, 1, 2, 3)
		report := shutdown(t, rt, time.Second)
		if len(report.Left) != 3 || len(report.StillRunning) != 0 || report.Lost != 0 {
			t.Errorf("report = %+v, want 3 left", report)
		}
		for _, l := range report.Left {
			if l.Topic != "t" || l.Events != 3 {
				t.Errorf("left = %+v, want 3 events", l)
			}
		}
		letters := rt.Letters()
		if len(letters) != 9 {
			t.Fatalf("%d letters, want 9", len(letters))
		}
		for _, l := range letters {
			// Of what has been attempted, the letter tells.
			attempts := map[string]int{"retries": 0, "parked": 1, "slow": 0}[l.Subscriber]
			if l.Subscriber == "retries" && l.Sequence == 1 {
				attempts = 1
			}
			if l.Reason != supervisor.ReasonShutdown || l.AttemptCount != attempts || len(l.Payload) == 0 {
				t.Errorf("letter = %+v, want reason shutdown, %d attempts and a payload", l, attempts)
			}
		}
	})
}

func TestShutdownDoesNotWaitForWhoOnlyAPersonCanMove(t *testing.T) {
	for name, stuck := range map[string]func(t *testing.T, rt *troupetest.Runtime, topic *topics.Topic[int]){
		"paused": func(t *testing.T, rt *troupetest.Runtime, topic *topics.Topic[int]) {
			subscribe(t, topic, "s", ok[int]).Pause()
			publish(t, topic, 1, 2)
		},
		"escalated": func(t *testing.T, rt *troupetest.Runtime, topic *topics.Topic[int]) {
			subscribe(t, topic, "s", func(context.Context, int) error { panic("boom") }, topics.SubscriberConfig{
				Restart: supervisor.Restart{MaxRestarts: supervisor.NoRestarts, OnExceed: supervisor.ExceedEscalate}})
			publish(t, topic, 1, 2)
			synctest.Wait()
			if err := rt.Health(); err == nil || !strings.Contains(err.Error(), "t/s: escalated") {
				t.Errorf("Health = %v, want escalated", err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open[int](t, rt, "t")
				// Others are waited for all the same.
				subscribe(t, topic, "slow", func(context.Context, int) error { time.Sleep(time.Minute); return nil })
				stuck(t, rt, topic)
				report := shutdown(t, rt, time.Hour)
				if report.Took != 2*time.Minute || len(report.Left) != 1 || report.Left[0] != (runtime.Left{Topic: "t", Subscriber: "s", Events: 2}) {
					t.Errorf("report = %+v, want 2 events left at t/s after 2m", report)
				}
				rt.WantLetters(deadletter.Letter{Subscriber: "s", Sequence: 1, Reason: supervisor.ReasonShutdown},
					deadletter.Letter{Subscriber: "s", Sequence: 2, Reason: supervisor.ReasonShutdown})
			})
		})
	}
}

func TestShutdownEndsThePublishersThatWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open[int](t, rt, "t")
		subscribe(t, topic, "s", ok[int], topics.SubscriberConfig{Capacity: 1}).Pause()
		publish(t, topic, 1)
		result := make(chan error, 1)
		go func() { result <- topic.Publish(context.Background(), 2) }()
		synctest.Wait()
		report := shutdown(t, rt, time.Hour)
		wantErr(t, "Publish that waited", <-result, runtime.ErrClosed)
		if report.Took != 0 {
			t.Errorf("took %v, want none", report.Took)
		}
	})
}

func TestDeadLetterActorStopsLast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPatchy(t)
		var stopped, written atomic.Int64
		store.fail(func(ctx context.Context, ls []deadletter.Letter) error {
			if stopped.Load() < 3 {
				t.Error("letters are written while subscribers still stop")
			}
			if written.Add(1) < 3 {
				return errBoom // the end waits for a store that recovers
			}
			return store.Memory.Add(ctx, ls)
		})
		rt := troupetest.New(t, runtime.Config{DeadLetters: store})
		topic := open[int](t, rt, "t")
		for i := range 3 {
			sub, err := topic.SubscribeFactory(fmt.Sprint("s", i), func() topics.Behavior[int] {
				return topics.Behavior[int]{Receive: ok[int], Stop: func(context.Context) error {
					stopped.Add(1)
					return nil
				}}
			})
			if err != nil {
				t.Fatal(err)
			}
			sub.Pause()
		}
		publish(t, topic, 1, 2)
		// The first subscriber's letters come before the last one has stopped.
		stopped.Store(2)
		report := shutdown(t, rt, time.Minute)
		if report.Lost != 0 || report.Snapshot.Total.DeadLettered != 6 {
			t.Errorf("report = %+v, want 6 dead-lettered and none lost", report)
		}
	})
}

func TestRacingPublishersGetAnOutcomeOrErrClosed(t *testing.T) {
	for round := range 20 {
		rt := troupetest.New(t, runtime.Config{CancelGrace: 10 * time.Second})
		topic := open[int](t, rt, "t")
		var handled, accepted atomic.Int64
		subscribe(t, topic, "s", func(context.Context, int) error { handled.Add(1); return nil },
			topics.SubscriberConfig{Capacity: 1 << (round % 8)})
		var publishers sync.WaitGroup
		for range 4 {
			publishers.Go(func() {
				for n := 0; ; n++ {
					err := topic.Publish(context.Background(), n)
					if err != nil {
						wantErr(t, "Publish", err, runtime.ErrClosed)
						return
					}
					accepted.Add(1)
				}
			})
		}
		for accepted.Load() < int64(round*50) {
			goruntime.Gosched()
		}
		report := shutdown(t, rt, time.Minute)
		publishers.Wait()
		if !report.Clean || handled.Load() != accepted.Load() || report.Snapshot.Total.Done != uint64(accepted.Load()) {
			t.Fatalf("accepted %d, handled %d, report %+v", accepted.Load(), handled.Load(), report)
		}
	}
}

func TestRacingSubscribersAreAttachedOrGetErrClosed(t *testing.T) {
	for range 20 {
		rt := troupetest.New(t)
		topic := open[int](t, rt, "t")
		var attached atomic.Int64
		var subscribers sync.WaitGroup
		for i := range 4 {
			subscribers.Go(func() {
				for n := 0; ; n++ {
					sub, err := topic.Subscribe(fmt.Sprintf("s%d-%d", i, n), ok[int])
					if err != nil {
						wantErr(t, "Subscribe", err, runtime.ErrClosed)
						return
					}
					attached.Add(1)
					if n%2 == 0 {
						if err := sub.Unsubscribe(context.Background(), runtime.Drain); err != nil {
							t.Errorf("unsubscribe: %v", err)
						}
					}
				}
			})
		}
		for attached.Load() < 20 {
			goruntime.Gosched()
		}
		report := shutdown(t, rt, time.Minute)
		subscribers.Wait()
		if !report.Clean {
			t.Fatalf("report = %+v, want clean", report)
		}
		for _, sub := range rt.Snapshot().Topics[0].Subscribers {
			if sub.State != actors.StateStopped {
				t.Fatalf("%s is %s, want stopped", sub.Name, sub.State)
			}
		}
	}
}

func TestShutdownIsIdempotentAndConcurrent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open[int](t, rt, "t")
		subscribe(t, topic, "s", func(context.Context, int) error { time.Sleep(time.Minute); return nil })
		publish(t, topic, 1)
		var reports notes[time.Duration]
		var calls sync.WaitGroup
		for range 5 {
			calls.Go(func() {
				report, err := rt.Shutdown(context.Background())
				if err != nil || !report.Clean {
					t.Errorf("shutdown = %+v, %v", report, err)
				}
				reports.add(report.Took)
			})
		}
		synctest.Wait()
		// A further call waits no longer than its own ctx, and shortens nothing.
		cause := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(context.Background(), time.Second, cause)
		defer cancel()
		_, err := rt.Shutdown(ctx)
		wantErr(t, "Shutdown with a ctx that ends", err, cause)
		calls.Wait()
		wantSlice(t, "times", reports.all(), time.Minute, time.Minute, time.Minute, time.Minute, time.Minute)
		if report := shutdown(t, rt, time.Hour); report.Took != time.Minute {
			t.Errorf("later call: %+v, want the report of the first", report)
		}
	})
}

func TestShutdownFromAHandlerWouldDeadlock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open[int](t, rt, "t")
		var err error
		subscribe(t, topic, "s", func(ctx context.Context, _ int) error {
			_, err = rt.Shutdown(ctx)
			return nil
		})
		publish(t, topic, 1)
		rt.Idle()
		wantErr(t, "Shutdown", err, runtime.ErrWouldDeadlock)
		if s := rt.Snapshot().State; s != runtime.StateRunning {
			t.Errorf("state = %s, want running", s)
		}
	})
}

// Nothing of the user's that does not return keeps Shutdown from returning
// within its deadline and three times the grace.
func TestShutdownDoesNotHang(t *testing.T) {
	const deadline, grace = time.Second, 2 * time.Second
	for name, set := range map[string]func(t *testing.T, rt *troupetest.Runtime, store *patchy, hang func()){
		"deaf handler": func(t *testing.T, rt *troupetest.Runtime, _ *patchy, hang func()) {
			topic := open[int](t, rt, "t")
			subscribe(t, topic, "s", func(context.Context, int) error { hang(); return nil })
			publish(t, topic, 1, 2)
		},
		"deaf handler with a timeout": func(t *testing.T, rt *troupetest.Runtime, _ *patchy, hang func()) {
			topic := open[int](t, rt, "t")
			subscribe(t, topic, "s", func(context.Context, int) error { hang(); return nil },
				topics.SubscriberConfig{Timeout: time.Hour, MaxZombies: 1})
			publish(t, topic, 1, 2)
		},
		"deaf handlers beyond the limit of zombies": func(t *testing.T, rt *troupetest.Runtime, _ *patchy, hang func()) {
			topic := open[int](t, rt, "t")
			subscribe(t, topic, "s", func(context.Context, int) error { hang(); return nil },
				topics.SubscriberConfig{Timeout: time.Millisecond, Grace: time.Millisecond, MaxZombies: 1})
			publish(t, topic, 1, 2, 3)
			time.Sleep(time.Second)
		},
		"deaf redelivery": func(t *testing.T, rt *troupetest.Runtime, _ *patchy, hang func()) {
			topic := open[int](t, rt, "t")
			subscribe(t, topic, "s", func(ctx context.Context, _ int) error {
				if d, _ := topics.DeliveryFrom(ctx); d.LetterID == "" {
					return supervisor.Permanent(errBoom)
				}
				hang()
				return nil
			})
			publish(t, topic, 1)
			rt.Idle()
			if err := rt.Redrive(t.Context(), rt.Letters()[0].ID); err != nil {
				t.Fatal(err)
			}
		},
		"deaf start hook": func(t *testing.T, rt *troupetest.Runtime, _ *patchy, hang func()) {
			topic := open[int](t, rt, "t")
			if _, err := topic.SubscribeFactory("s", func() topics.Behavior[int] {
				return topics.Behavior[int]{Receive: ok[int], Start: func(context.Context) error { hang(); return nil }}
			}); err != nil {
				t.Fatal(err)
			}
			publish(t, topic, 1)
		},
		"deaf factory": func(t *testing.T, rt *troupetest.Runtime, _ *patchy, hang func()) {
			topic := open[int](t, rt, "t")
			if _, err := topic.SubscribeFactory("s", func() topics.Behavior[int] {
				hang()
				return topics.Behavior[int]{Receive: ok[int]}
			}); err != nil {
				t.Fatal(err)
			}
		},
		"deaf stop hook": func(t *testing.T, rt *troupetest.Runtime, _ *patchy, hang func()) {
			topic := open[int](t, rt, "t")
			if _, err := topic.SubscribeFactory("s", func() topics.Behavior[int] {
				return topics.Behavior[int]{Receive: ok[int], Stop: func(context.Context) error { hang(); return nil }}
			}); err != nil {
				t.Fatal(err)
			}
			publish(t, topic, 1)
		},
		"deaf store": func(t *testing.T, rt *troupetest.Runtime, store *patchy, hang func()) {
			store.fail(func(context.Context, []deadletter.Letter) error { hang(); return nil })
			topic := open[int](t, rt, "t")
			subscribe(t, topic, "s", func(context.Context, int) error { return supervisor.Permanent(errBoom) })
			publish(t, topic, 1, 2)
		},
		"failing store": func(t *testing.T, rt *troupetest.Runtime, store *patchy, hang func()) {
			store.fail(func(context.Context, []deadletter.Letter) error { return errBoom })
			topic := open[int](t, rt, "t")
			subscribe(t, topic, "s", func(context.Context, int) error { return supervisor.Permanent(errBoom) })
			publish(t, topic, 1, 2, 3)
		},
		"handler and publisher that wait for room": func(t *testing.T, rt *troupetest.Runtime, _ *patchy, hang func()) {
			a, b := open[int](t, rt, "a"), open[int](t, rt, "b")
			subscribe(t, b, "s", ok[int], topics.SubscriberConfig{Capacity: 1}).Pause()
			publish(t, b, 1)
			subscribe(t, a, "s", func(ctx context.Context, n int) error {
				return b.Publish(context.WithoutCancel(ctx), n) // deaf, too
			})
			publish(t, a, 2)
			go func() { _ = b.Publish(context.Background(), 3) }()
		},
		"deaf codec": func(t *testing.T, rt *troupetest.Runtime, _ *patchy, hang func()) {
			topic := open[int](t, rt, "t", topics.Config{Codec: codec{marshal: func(any) ([]byte, error) { hang(); return nil, nil }}})
			subscribe(t, topic, "s", ok[int]).Pause()
			publish(t, topic, 1, 2)
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				release := make(chan struct{})
				store := newPatchy(t)
				rt := troupetest.New(t, runtime.Config{DeadLetters: store, CancelGrace: grace})
				t.Cleanup(func() { close(release) })
				set(t, rt, store, func() { <-release })
				synctest.Wait()
				begin := time.Now()
				report := shutdown(t, rt, deadline)
				if took := time.Since(begin); took > deadline+3*grace {
					t.Errorf("took %v, want %v at the most", took, deadline+3*grace)
				}
				if report.Snapshot.State != runtime.StateClosed {
					t.Errorf("state = %s, want closed", report.Snapshot.State)
				}
			})
		})
	}
}

// codec is one of which a test replaces methods.
type codec struct {
	marshal   func(any) ([]byte, error)
	unmarshal func([]byte, any) error
}

func (codec) ContentType() string                     { return "test/codec" }
func (c codec) Marshal(v any) ([]byte, error)         { return c.marshal(v) }
func (c codec) Unmarshal(data []byte, into any) error { return c.unmarshal(data, into) }

func TestReportCountsLettersThatTheStoreDidNotTake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newPatchy(t)
		store.fail(func(context.Context, []deadletter.Letter) error { return errBoom })
		rt := troupetest.New(t, runtime.Config{DeadLetters: store})
		topic := open[int](t, rt, "t")
		subscribe(t, topic, "s", func(context.Context, int) error { return supervisor.Permanent(errBoom) })
		publish(t, topic, 1, 2)
		synctest.Wait()
		report := shutdown(t, rt, time.Second)
		if report.Lost != 2 || report.Clean || !strings.Contains(report.Err().Error(), "2 dead letters lost") {
			t.Errorf("report = %+v, %v, want 2 lost", report, report.Err())
		}
		if n := report.Snapshot.Total.Dropped[actors.ReasonDeadLettersUnavailable]; n != 2 {
			t.Errorf("dropped = %d, want 2", n)
		}
	})
}

func TestShutdownWithAnEndedContextIsImmediate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open[int](t, rt, "t")
		subscribe(t, topic, "s", func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() })
		publish(t, topic, 1)
		synctest.Wait()
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		report, err := rt.Shutdown(ctx)
		if err != nil || report.Took != 0 || len(report.Left) != 1 {
			t.Errorf("shutdown = %+v, %v, want 1 left at once", report, err)
		}
	})
}

func TestShutdownOfAnEmptyRuntimeIsClean(t *testing.T) {
	rt := troupetest.New(t)
	if report := shutdown(t, rt, time.Minute); !report.Clean || report.Err() != nil {
		t.Errorf("report = %+v, want clean", report)
	}
}

func TestRunDrainsWhenItsContextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open[int](t, rt, "t")
		h := troupetest.NewHandler[int](t)
		subscribe(t, topic, "s", func(ctx context.Context, n int) error { time.Sleep(time.Second); return h.Handle(ctx, n) })
		ctx, cancel := context.WithCancel(context.Background())
		result := make(chan error, 1)
		go func() { result <- rt.Run(ctx) }()
		publish(t, topic, 1, 2, 3)
		synctest.Wait()
		select {
		case err := <-result:
			t.Fatalf("Run returned %v before its context ended", err)
		default:
		}
		cancel()
		if err := <-result; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
		h.WantEvents(1, 2, 3)
	})
}

func TestRunSaysWhatWasLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t, runtime.Config{DrainTimeout: 3 * time.Second})
		topic := open[int](t, rt, "t")
		subscribe(t, topic, "s", func(ctx context.Context, n int) error { <-ctx.Done(); return ctx.Err() })
		publish(t, topic, 1)
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		begin := time.Now()
		err := rt.Run(ctx)
		wantErr(t, "Run", err, runtime.ErrUnclean)
		if took := time.Since(begin); took != 3*time.Second || !strings.Contains(err.Error(), "t/s: 1 events dead-lettered") {
			t.Errorf("Run = %v after %v, want the names after 3s", err, took)
		}
	})
}

func TestRunReturnsWhenShutdownIsCalledElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		result := make(chan error, 1)
		go func() { result <- rt.Run(context.Background()) }()
		synctest.Wait()
		shutdown(t, rt, time.Minute)
		if err := <-result; err != nil {
			t.Errorf("Run = %v, want nil", err)
		}
	})
}

func TestSeveralRuntimesLiveSideBySide(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := troupetest.New(t, runtime.Config{Name: "a"}), troupetest.New(t, runtime.Config{Name: "b"})
		ta, tb := open[int](t, a, "t"), open[string](t, b, "t") // the same name, another type
		ha, hb := troupetest.NewHandler[int](t), troupetest.NewHandler[string](t)
		subscribe(t, ta, "s", ha.Handle)
		subscribe(t, tb, "s", hb.Handle)
		publish(t, ta, 1)
		publish(t, tb, "x")
		shutdown(t, a, time.Minute)
		publish(t, tb, "y")
		b.Idle()
		ha.WantEvents(1)
		hb.WantEvents("x", "y")
		wantErr(t, "Publish on the one that was shut down", ta.Publish(t.Context(), 2), runtime.ErrClosed)
		if err := b.Health(); err != nil {
			t.Errorf("Health of the other = %v", err)
		}
	})
}

// TestMain looks for goroutines in the end; this looks right after.
func TestNoGoroutineIsLeftAfterShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // a bubble does not end before its goroutines have
		rt := troupetest.New(t)
		for i := range 5 {
			topic := open[int](t, rt, fmt.Sprint("t", i))
			subscribe(t, topic, "s", func(context.Context, int) error { panic("boom") }, topics.SubscriberConfig{Ordering: topics.Parked})
			publish(t, topic, 1, 2, 3)
		}
		time.Sleep(150 * time.Millisecond)
		shutdown(t, rt, 0)
	})
	before := goruntime.NumGoroutine()
	rt := troupetest.New(t)
	subscribe(t, open[int](t, rt, "t"), "s", ok[int])
	shutdown(t, rt, time.Minute)
	for range 1000 {
		if goruntime.NumGoroutine() <= before {
			return
		}
		goruntime.Gosched()
	}
	for range 100 {
		if goruntime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond) // of the scheduler's: they are ending
	}
	t.Errorf("%d goroutines, want %d", goruntime.NumGoroutine(), before)
}

func TestIdleSubscribersHoldNoGoroutine(t *testing.T) {
	rt := troupetest.New(t)
	topic := open[int](t, rt, "t")
	subscribe(t, topic, "first", ok[int])
	rt.Idle()
	before := goruntime.NumGoroutine()
	for i := range 100 {
		subscribe(t, topic, fmt.Sprint("s", i), ok[int])
	}
	publish(t, topic, 1)
	rt.Idle()
	for range 200 {
		if goruntime.NumGoroutine() <= before {
			return
		}
		time.Sleep(time.Millisecond)
	}
	t.Errorf("%d goroutines with 100 idle subscribers, want %d", goruntime.NumGoroutine(), before)
}

// A library must not take signals or end the process.
func TestNoSignalHandlersAndNoExit(t *testing.T) {
	for _, dir := range []string{".", "../topics", "../actors", "../mailbox", "../supervisor", "../deadletter", "../troupetest"} {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil || len(files) == 0 {
			t.Fatalf("no files in %s: %v", dir, err)
		}
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool {
				if sel, ok := n.(*ast.SelectorExpr); ok {
					if pkg, ok := sel.X.(*ast.Ident); ok && (pkg.Name == "signal" || pkg.Name+sel.Sel.Name == "osExit" || pkg.Name == "log" && strings.HasPrefix(sel.Sel.Name, "Fatal")) {
						t.Errorf("%s uses %s.%s", name, pkg.Name, sel.Sel.Name)
					}
				}
				return true
			})
		}
	}
}
