package topics_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
)

func TestPublishWaitReturnsTheOutcomeOfEachSubscriber(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var accepted notes[runtime.Event]
		rt := troupetest.New(t, runtime.Config{Observer: runtime.Observer{Accepted: accepted.add}})
		topic := open(t, rt)
		var headers notes[string]
		subscribe(t, topic, "fine", func(ctx context.Context, _ int) error {
			d, _ := topics.DeliveryFrom(ctx)
			headers.add(d.Headers["k"])
			return nil
		})
		subscribe(t, topic, "retries", func(ctx context.Context, _ int) error {
			if d, _ := topics.DeliveryFrom(ctx); d.Attempt < 3 {
				return errBoom
			}
			return nil
		})
		subscribe(t, topic, "fails", func(context.Context, int) error { panic("boom") }, topics.SubscriberConfig{Retry: once})
		subscribe(t, topic, "skips", func(context.Context, int) error { return supervisor.Skip(errBoom) })
		subscribe(t, topic, "full", ok, topics.SubscriberConfig{Capacity: 1, Overflow: mailbox.DropOldest}).Pause()

		time.AfterFunc(time.Minute, func() { publish(t, topic, 2); _ = rt.Resume("t", "full") })
		outcomes, err := topic.PublishWait(t.Context(), 1, topics.Meta{Headers: map[string]string{"k": "v"}})
		if len(outcomes) != 5 {
			t.Fatalf("outcomes = %+v", outcomes)
		}
		for name, want := range map[string]topics.Outcome{
			"fine":    {Kind: topics.OutcomeDone, Attempts: 1},
			"retries": {Kind: topics.OutcomeDone, Attempts: 3},
			"fails":   {Kind: topics.OutcomeDeadLettered, Reason: supervisor.ReasonExhausted, Attempts: 1},
			"skips":   {Kind: topics.OutcomeDropped, Reason: supervisor.ReasonSkipped, Attempts: 1, Err: errBoom},
			"full":    {Kind: topics.OutcomeDropped, Reason: actors.ReasonOverflowOldest, Err: actors.ErrDropped},
		} {
			o, found := outcomes.Of(name)
			if !found || o.Kind != want.Kind || o.Reason != want.Reason || o.Attempts != want.Attempts || o.Topic != "t" {
				t.Errorf("outcome of %s = %+v, want %+v", name, o, want)
			}
			if name != "fails" { // looked at below
				wantErr(t, name, o.Err, want.Err)
			}
		}
		// The letter is in the store by now.
		o, _ := outcomes.Of("fails")
		if l, err := rt.DeadLetters().Get(t.Context(), o.LetterID); err != nil || l.Subscriber != "fails" {
			t.Errorf("letter %q = %+v, %v", o.LetterID, l, err)
		}
		var panicked *supervisor.PanicError
		if !errors.As(err, &panicked) {
			t.Errorf("PublishWait = %v, want the panic in it", err)
		}
		wantErr(t, "PublishWait", err, errBoom)
		wantErr(t, "PublishWait", err, actors.ErrDropped)
		wantErr(t, "Outcomes.Err", outcomes.Err(), errBoom)
		var failed *topics.OutcomeError
		if !errors.As(err, &failed) || failed.Kind == topics.OutcomeDone {
			t.Errorf("PublishWait = %v, want an OutcomeError", err)
		}
		for _, part := range []string{"topics: publish t: ", "fails: dead_lettered (attempts_exhausted): panic: boom", "skips: dropped (skipped): boom"} {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("error = %q, want %q in it", err, part)
			}
		}
		rt.Idle()
		wantSlice(t, "headers", headers.all(), "v", "")
		if n := len(accepted.all()); n != 2 {
			t.Errorf("observer was told of %d accepted, want 2", n)
		}
		outcomes, err = topic.PublishWait(t.Context(), 3)
		if _, found := outcomes.Of("nobody"); found || err == nil {
			t.Errorf("PublishWait = %v, %v", outcomes, err)
		}
	})
}

func TestPublishWaitOfAnEventThatAllHandleHasNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		subscribe(t, topic, "a", ok)
		subscribe(t, topic, "b", func(context.Context, int) error { time.Sleep(time.Second); return nil })
		begin := time.Now()
		outcomes, err := topic.PublishWait(t.Context(), 1)
		if err != nil || outcomes.Err() != nil || len(outcomes) != 2 || outcomes[1].Subscriber != "b" || time.Since(begin) != time.Second {
			t.Errorf("PublishWait = %+v, %v after %v", outcomes, err, time.Since(begin))
		}
	})
}

func TestPublishWaitEndsWithItsContextAndNamesWhoIsBusy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		slow := troupetest.NewHandler[int](t).When(nil, troupetest.Wait())
		subscribe(t, topic, "fast", ok)
		subscribe(t, topic, "slow", slow.Handle)
		subscribe(t, topic, "paused", ok).Pause()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		outcomes, err := topic.PublishWait(ctx, 1)
		wantErr(t, "PublishWait", err, context.DeadlineExceeded)
		if err == nil || err.Error() != "topics: publish t: waiting for paused, slow: context deadline exceeded" {
			t.Errorf("error = %v, want who is busy", err)
		}
		if len(outcomes) != 1 || outcomes[0].Subscriber != "fast" {
			t.Errorf("outcomes = %+v, want that of fast", outcomes)
		}
		// The event goes on.
		slow.Release()
		_ = rt.Resume("t", "paused")
		rt.Idle()
		if c := account(t, rt).Total; c.Done != 3 {
			t.Errorf("account = %+v, want 3 done", c)
		}
	})
}

func TestPublishWaitWithoutASubscriber(t *testing.T) {
	for _, tc := range []struct {
		unrouted topics.Unrouted
		err      error
	}{{topics.CountUnrouted, nil}, {topics.RejectUnrouted, topics.ErrNoSubscriber}, {topics.DeadLetterUnrouted, nil}} {
		rt := troupetest.New(t)
		topic := open(t, rt, topics.Config{Unrouted: tc.unrouted})
		outcomes, err := topic.PublishWait(t.Context(), 1)
		if len(outcomes) != 0 || !errors.Is(err, tc.err) {
			t.Errorf("%v: PublishWait = %v, %v, want no outcome, %v", tc.unrouted, outcomes, err, tc.err)
		}
		rt.Idle()
		if top := account(t, rt); top.Attempted != 1 || (top.Unrouted == 1) != (tc.err == nil) {
			t.Errorf("%v: account = %+v", tc.unrouted, top.Publications)
		}
	}
}

func TestPublishWaitThatIsRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		subscribe(t, topic, "s", ok, topics.SubscriberConfig{Capacity: 1, Overflow: mailbox.Reject}).Pause()
		publish(t, topic, 1)
		outcomes, err := topic.PublishWait(t.Context(), 2)
		wantErr(t, "PublishWait", err, topics.ErrFull)
		if outcomes != nil || account(t, rt).Rejected["full"] != 1 {
			t.Errorf("outcomes = %v, account %+v", outcomes, account(t, rt).Publications)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, _ = rt.Shutdown(ctx)
		_, err = topic.PublishWait(t.Context(), 2)
		wantErr(t, "PublishWait after Shutdown", err, runtime.ErrClosed)
	})
}

// ctx bounds the wait for room as well as that for outcomes.
func TestPublishWaitForRoomEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		subscribe(t, topic, "s", ok, topics.SubscriberConfig{Capacity: 1}).Pause()
		publish(t, topic, 1)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		outcomes, err := topic.PublishWait(ctx, 2)
		wantErr(t, "PublishWait", err, context.DeadlineExceeded)
		if outcomes != nil || account(t, rt).Rejected["canceled"] != 1 {
			t.Errorf("outcomes = %v, account %+v", outcomes, account(t, rt).Publications)
		}
	})
}

func TestPublishWaitIsToldOfTheEnd(t *testing.T) {
	for _, tc := range []struct {
		name string
		end  func(*troupetest.Runtime, *topics.Subscription)
		want topics.Outcome
	}{
		{"unsubscribed, discard", func(_ *troupetest.Runtime, s *topics.Subscription) {
			_ = s.Unsubscribe(context.Background(), runtime.Discard)
		},
			topics.Outcome{Kind: topics.OutcomeDropped, Reason: supervisor.ReasonUnsubscribed, Err: actors.ErrStopped}},
		{"unsubscribed, dead letter", func(_ *troupetest.Runtime, s *topics.Subscription) {
			_ = s.Unsubscribe(context.Background(), runtime.DeadLetterRest)
		},
			topics.Outcome{Kind: topics.OutcomeDeadLettered, Reason: supervisor.ReasonUnsubscribed, Err: actors.ErrStopped}},
		{"shutdown", func(rt *troupetest.Runtime, _ *topics.Subscription) {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_, _ = rt.Shutdown(ctx)
		}, topics.Outcome{Kind: topics.OutcomeDeadLettered, Reason: supervisor.ReasonShutdown, Err: actors.ErrStopped}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt)
				sub := subscribe(t, topic, "s", ok)
				sub.Pause()
				time.AfterFunc(time.Minute, func() { tc.end(rt, sub) })
				outcomes, err := topic.PublishWait(t.Context(), 1)
				wantErr(t, "PublishWait", err, tc.want.Err)
				if len(outcomes) != 1 || outcomes[0].Kind != tc.want.Kind || outcomes[0].Reason != tc.want.Reason {
					t.Errorf("outcomes = %+v, want %+v", outcomes, tc.want)
				}
			})
		})
	}
}

// A handler that is deaf to everything holds nobody beyond a shutdown.
func TestPublishWaitForADeafHandlerEndsWithTheShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t).When(nil, troupetest.Hang())
		subscribe(t, topic, "deaf", h.Handle)
		time.AfterFunc(time.Minute, func() {
			ctx, cancel := context.WithTimeout(context.Background(), time.Second)
			defer cancel()
			_, _ = rt.Shutdown(ctx)
			h.Release()
		})
		outcomes, err := topic.PublishWait(t.Context(), 1)
		wantErr(t, "PublishWait", err, supervisor.ErrHung)
		if len(outcomes) != 1 || outcomes[0].Kind != topics.OutcomeDeadLettered {
			t.Errorf("outcomes = %+v", outcomes)
		}
	})
}

// brokenStore takes no letters.
type brokenStore struct{ deadletter.Store }

func (brokenStore) Add(context.Context, []deadletter.Letter) error { return errBoom }

func TestPublishWaitWhileTheStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, err := deadletter.NewMemory(deadletter.MemoryConfig{})
		if err != nil {
			t.Fatal(err)
		}
		rt := troupetest.New(t, runtime.Config{DeadLetters: brokenStore{store}})
		topic := open(t, rt)
		subscribe(t, topic, "s", func(context.Context, int) error { return errBoom }, topics.SubscriberConfig{Retry: once})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = topic.PublishWait(ctx, 1)
		wantErr(t, "PublishWait", err, context.DeadlineExceeded)
		// A requester does not wait for the letter.
		_, err = topics.Request[int](t.Context(), topic, 2)
		wantErr(t, "Request", err, errBoom)

		end, cancelEnd := context.WithTimeout(t.Context(), time.Minute)
		defer cancelEnd()
		go func() { time.Sleep(time.Second); _, _ = rt.Shutdown(end) }()
		outcomes, err := topic.PublishWait(t.Context(), 3)
		wantErr(t, "PublishWait", err, errBoom)
		if len(outcomes) != 1 || outcomes[0].Kind != topics.OutcomeDropped || outcomes[0].Reason != actors.ReasonDeadLettersUnavailable {
			t.Errorf("outcomes = %+v, want it dropped for want of a store", outcomes)
		}
	})
}

func TestPublishWaitInAHandlerThatItDependsOn(t *testing.T) {
	t.Run("itself", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			rt := troupetest.New(t)
			topic := open(t, rt)
			var got notes[error]
			subscribe(t, topic, "s", func(ctx context.Context, n int) error {
				_, err := topic.PublishWait(ctx, n+1)
				got.add(err)
				return nil
			})
			publish(t, topic, 1)
			rt.Idle()
			if len(got.all()) != 1 { // nothing was published
				t.Fatalf("PublishWait = %v, want one call", got.all())
			}
			wantErr(t, "PublishWait", got.all()[0], topics.ErrWouldDeadlock)
			if top := account(t, rt); top.Rejected["would_deadlock"] != 1 || !strings.Contains(got.all()[0].Error(), "t/s waits for itself") {
				t.Errorf("%v, account = %+v", got.all(), top.Publications)
			}
		})
	})
	t.Run("a circle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			rt := troupetest.New(t)
			var ring [3]*topics.Topic[int]
			for i := range ring {
				ring[i], _ = topics.Open[int](rt.Runtime, fmt.Sprint("ring.", i))
			}
			for i := range ring {
				if _, err := ring[i].Subscribe("s", func(ctx context.Context, n int) error {
					if n == 0 {
						return nil
					}
					_, err := ring[(i+1)%3].PublishWait(ctx, n-1)
					if err != nil {
						return supervisor.Permanent(err)
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := ring[0].PublishWait(t.Context(), 2); err != nil { // ends before it closes
				t.Errorf("PublishWait = %v", err)
			}
			begin := time.Now()
			_, err := ring[0].PublishWait(t.Context(), 5)
			wantErr(t, "PublishWait", err, topics.ErrWouldDeadlock)
			if time.Since(begin) > 0 {
				t.Errorf("found after %v, want at once", time.Since(begin))
			}
		})
	})
	// A handler may wait for others, also while these publish to it.
	t.Run("no circle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			rt := troupetest.New(t)
			topic := open(t, rt)
			down, _ := topics.Open[int](rt.Runtime, "down")
			var got notes[string]
			if _, err := down.Subscribe("s", func(ctx context.Context, n int) error {
				got.add(fmt.Sprint("down ", n))
				return topic.Publish(ctx, 0)
			}); err != nil {
				t.Fatal(err)
			}
			sub := subscribe(t, topic, "s", func(ctx context.Context, n int) error {
				if n > 0 {
					if _, err := down.PublishWait(ctx, n); err != nil {
						return err
					}
				}
				got.add(fmt.Sprint("up ", n))
				return nil
			})
			sub.Pause() // until both are there
			publish(t, topic, 1, 2)
			sub.Resume()
			rt.Idle()
			wantSlice(t, "order", got.all(), "down 1", "up 1", "down 2", "up 2", "up 0", "up 0")
		})
	})
}

// Handlers may wait for outcomes while the runtime drains.
func TestPublishWaitInAHandlerWhileDraining(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		down, _ := topics.Open[int](rt.Runtime, "down")
		if _, err := down.Subscribe("s", func(context.Context, int) error { time.Sleep(time.Second); return nil }); err != nil {
			t.Fatal(err)
		}
		var outcomes topics.Outcomes
		subscribe(t, topic, "s", func(ctx context.Context, n int) (err error) {
			time.Sleep(time.Second)
			outcomes, err = down.PublishWait(ctx, n)
			return err
		})
		publish(t, topic, 1)
		report, err := rt.Shutdown(t.Context())
		if err != nil || !report.Clean || len(outcomes) != 1 || outcomes[0].Kind != topics.OutcomeDone {
			t.Errorf("Shutdown = %+v, %v; outcomes %+v", report.Clean, err, outcomes)
		}
	})
}

// Events of a topic that is waited for on now and then keep their order with others.
func TestPublishWaitKeepsTheOrder(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	var got, want []int
	subscribe(t, topic, "s", func(_ context.Context, n int) error { got = append(got, n); return nil })
	for n := range 3000 {
		want = append(want, n)
		if n%7 == 0 {
			if _, err := topic.PublishWait(t.Context(), n); err != nil {
				t.Fatal(err)
			}
			if len(got) != n+1 {
				t.Fatalf("%d events handled when event %d was waited for", len(got), n)
			}
			continue
		}
		publish(t, topic, n)
	}
	rt.Idle()
	if !slices.Equal(got, want) {
		t.Errorf("handled %d events, not in order", len(got))
	}
}

func BenchmarkPublishWait(b *testing.B) {
	for _, subscribers := range []int{1, 10} {
		b.Run(fmt.Sprint("subscribers=", subscribers), func(b *testing.B) {
			rt := troupetest.New(b)
			topic := open(b, rt)
			for i := range subscribers {
				subscribe(b, topic, fmt.Sprint("s", i), ok)
			}
			b.ReportAllocs()
			for b.Loop() {
				if _, err := topic.PublishWait(context.Background(), 1); err != nil {
					b.Fatal(err)
				}
			}
			if n := account(b, rt).Total.Done; n != uint64(subscribers*b.N) {
				b.Fatalf("%d done, want %d", n, subscribers*b.N)
			}
		})
	}
}
