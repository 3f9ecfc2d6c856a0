package topics_test

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

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

func TestSubscribeReportsAllFaultsAtOnce(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	_, err := topic.Subscribe("s", ok, topics.SubscriberConfig{
		Retry: supervisor.Retry{MaxAttempts: -7}, Restart: supervisor.Restart{Window: -1},
		Capacity: -1, Overflow: 99, Timeout: -2, Grace: -3, MaxZombies: -4, Ordering: 9, MaxParked: -5,
	})
	if err == nil {
		t.Fatal("Subscribe = nil, want faults")
	}
	if !strings.HasPrefix(err.Error(), "topics: subscribe t/s: ") {
		t.Errorf("error = %q, want the names", err)
	}
	for _, field := range []string{"Capacity -1:", "Overflow overflow(99):", "Timeout -2ns:", "Grace -3ns:", "MaxZombies -4:", "Ordering 9:", "MaxParked -5:",
		"Retry.MaxAttempts -7:", "Restart.Window -1ns:"} {
		if !strings.Contains(err.Error(), field) {
			t.Errorf("error does not say %q: %v", field, err)
		}
	}
	// Nothing is left of it.
	subscribe(t, topic, "s", ok)
}

func TestSubscribeErrors(t *testing.T) {
	rt, elsewhere := troupetest.New(t), troupetest.New(t)
	topic := open(t, rt)
	subscribe(t, topic, "taken", ok)
	foreign, err := elsewhere.Group("g", actors.GroupConfig{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = topic.Subscribe("taken", ok)
	wantErr(t, "Subscribe", err, runtime.ErrNameTaken)
	for name, subscribe := range map[string]func() (*topics.Subscription, error){
		"handler: must not be nil": func() (*topics.Subscription, error) { return topic.Subscribe("s", nil) },
		"factory: must not be nil": func() (*topics.Subscription, error) { return topic.SubscribeFactory("s", nil) },
		"must not be empty":        func() (*topics.Subscription, error) { return topic.Subscribe("", ok) },
		"Group: must be of the same runtime": func() (*topics.Subscription, error) {
			return topic.Subscribe("s", ok, topics.SubscriberConfig{Group: foreign})
		},
	} {
		if sub, err := subscribe(); err == nil || sub != nil || !strings.Contains(err.Error(), name) {
			t.Errorf("Subscribe = %v, %v, want %q", sub, err, name)
		}
	}
	// The name is one of the topic's, not of the runtime's.
	other, err := topics.Open[int](rt.Runtime, "other")
	if err != nil {
		t.Fatal(err)
	}
	subscribe(t, other, "taken", ok)
}

func TestDeliveryFromTellsTheFacts(t *testing.T) {
	for name, timeout := range map[string]time.Duration{"without timeout": 0, "with timeout": time.Minute} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				if _, ok := topics.DeliveryFrom(t.Context()); ok {
					t.Error("facts outside of a handler")
				}
				rt := troupetest.New(t)
				topic := open(t, rt)
				h := troupetest.NewHandler[int](t).On(2, troupetest.Fail(errBoom)).On(3, troupetest.Panic("boom"))
				subscribe(t, topic, "s", h.Handle, topics.SubscriberConfig{Timeout: timeout,
					Retry: supervisor.Retry{BaseDelay: time.Second, Jitter: supervisor.NoJitter}})
				begin := time.Now()
				publish(t, topic, 10)
				rt.Idle()
				time.Sleep(time.Second)
				if err := topic.PublishWith(t.Context(), 20, topics.Meta{Headers: map[string]string{"k": "v"}}); err != nil {
					t.Fatal(err)
				}
				rt.Idle()
				for i, want := range []topics.Delivery{
					{Sequence: 1, Attempt: 1, PublishedAt: begin},
					{Sequence: 2, Attempt: 1, PublishedAt: begin.Add(time.Second)},
					{Sequence: 2, Attempt: 2, PublishedAt: begin.Add(time.Second)},
					{Sequence: 2, Attempt: 3, PublishedAt: begin.Add(time.Second)},
				} {
					got := h.Calls()[i]
					headers := map[bool]string{true: "v"}[want.Sequence == 2]
					if got.Topic != "t" || got.Subscriber != "s" || got.Sequence != want.Sequence || got.Attempt != want.Attempt ||
						!got.PublishedAt.Equal(want.PublishedAt) || got.Headers["k"] != headers || got.LetterID != "" {
						t.Errorf("call %d: %+v, want %+v", i+1, got.Delivery, want)
					}
				}
			})
		})
	}
}

func TestFactoryMakesAFreshInstanceForEachRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		var log notes[string]
		made := 0
		if _, err := topic.SubscribeFactory("s", func() topics.Behavior[int] {
			made++
			id, state := made, 0
			return topics.Behavior[int]{
				Start: func(context.Context) error { log.add(fmt.Sprint("start ", id)); return nil },
				Receive: func(ctx context.Context, n int) error {
					state += n
					log.add(fmt.Sprintf("%d has %d", id, state))
					if d, _ := topics.DeliveryFrom(ctx); n == 3 && d.Attempt == 1 {
						panic("boom")
					}
					return nil
				},
				Stop: func(context.Context) error { log.add(fmt.Sprint("stop ", id)); return nil },
			}
		}); err != nil {
			t.Fatal(err)
		}
		publish(t, topic, 1, 2, 3, 4)
		rt.Idle()
		if _, err := rt.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantSlice(t, "log", log.all(), "start 1", "1 has 1", "1 has 3", "1 has 6", "stop 1", "start 2", "2 has 3", "2 has 7", "stop 2")
	})
}

func TestOrderedRetriesLetNothingOvertake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t).When(func(c troupetest.Call[int]) bool { return c.Event == 2 && c.Attempt < 4 }, troupetest.Fail(errBoom))
		subscribe(t, topic, "s", h.Handle)
		publish(t, topic, 1, 2, 3, 4)
		rt.Idle()
		h.WantEvents(1, 2, 3, 4)
		if n := len(h.Calls()); n != 7 {
			t.Errorf("%d calls, want 7", n)
		}
	})
}

func TestParkedRetriesLetOthersPass(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t).When(func(c troupetest.Call[int]) bool { return c.Event%2 == 0 && c.Attempt == 1 }, troupetest.Fail(errBoom))
		subscribe(t, topic, "s", h.Handle, topics.SubscriberConfig{Ordering: topics.Parked,
			Retry: supervisor.Retry{BaseDelay: time.Second, Jitter: supervisor.NoJitter}})
		publish(t, topic, 1, 2, 3, 4, 5)
		rt.Idle()
		h.WantEvents(1, 3, 5, 2, 4)
	})
}

func TestPauseAndResumeByName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h, other := troupetest.NewHandler[int](t).On(1, troupetest.Hang()), troupetest.NewHandler[int](t)
		subscribe(t, topic, "s", h.Handle)
		subscribe(t, topic, "other", other.Handle)
		publish(t, topic, 1, 2)
		h.Await(1)
		for range 2 { // idempotent
			if err := rt.Pause("t", "s"); err != nil {
				t.Fatal(err)
			}
		}
		h.Release() // the one in hand is finished
		time.Sleep(time.Hour)
		h.WantEvents(1)
		other.WantEvents(1, 2)
		if s, _ := account(t, rt).Subscriber("s"); s.State != actors.StatePaused || s.Counts.Queued != 1 || s.Counts.Pauses != 1 {
			t.Errorf("subscriber = %+v, want paused once with 1 queued", s)
		}
		if err := rt.Resume("t", "s"); err != nil {
			t.Fatal(err)
		}
		rt.Idle()
		h.WantEvents(1, 2)
	})
}

func TestRestartByNameMakesAFreshInstance(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		var made atomic.Int64
		h := troupetest.NewHandler[int](t).On(1, troupetest.Wait())
		if _, err := topic.SubscribeFactory("s", func() topics.Behavior[int] {
			made.Add(1)
			return topics.Behavior[int]{Receive: h.Handle}
		}); err != nil {
			t.Fatal(err)
		}
		publish(t, topic, 1, 2)
		h.Await(1)
		if err := rt.Restart("t", "s"); err != nil {
			t.Fatal(err)
		}
		rt.Idle()
		h.WantEvents(1, 2)
		// The event in hand is attempted again, uncharged.
		if calls := h.Calls(); len(calls) != 3 || calls[1].Event != 1 || calls[1].Attempt != 1 || made.Load() != 2 {
			t.Errorf("%d instances, calls %+v, want 2 and event 1 again as a first attempt", made.Load(), calls)
		}
		if c := counts(t, rt, "s"); c.Restarts != 1 || c.Failures != 0 {
			t.Errorf("counts = %+v, want 1 restart and no failure", c)
		}
	})
}

func TestUnsubscribeModes(t *testing.T) {
	for _, c := range []struct {
		rest    actors.Rest
		handled []int
		letters []deadletter.Letter
		dropped uint64
	}{
		{runtime.Drain, []int{1, 2, 3}, nil, 0},
		{runtime.DeadLetterRest, []int{1}, []deadletter.Letter{
			{Subscriber: "s", Sequence: 2, Reason: supervisor.ReasonUnsubscribed, Payload: []byte("2")}, {Subscriber: "s", Sequence: 3}}, 0},
		{runtime.Discard, []int{1}, nil, 2},
	} {
		t.Run(c.rest.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt)
				h := troupetest.NewHandler[int](t).On(1, troupetest.Hang())
				sub := subscribe(t, topic, "s", h.Handle)
				publish(t, topic, 1, 2, 3)
				h.Await(1)
				go func() {
					time.Sleep(time.Minute)
					publish(t, topic, 4) // not its any more
					h.Release()
				}()
				begin := time.Now()
				if err := sub.Unsubscribe(t.Context(), c.rest); err != nil {
					t.Fatal(err)
				}
				// A barrier: it waits for the handler that runs, and none follows.
				if took := time.Since(begin); took != time.Minute {
					t.Errorf("took %v, want 1m", took)
				}
				select {
				case <-sub.Done():
				default:
					t.Error("not done after Unsubscribe")
				}
				h.WantEvents(c.handled...)
				rt.WantLetters(c.letters...)
				got := sub.Snapshot().Counts
				if got.Deliveries != 3 || got.Dropped[supervisor.ReasonUnsubscribed] != c.dropped {
					t.Errorf("counts = %+v, want 3 deliveries and %d dropped", got, c.dropped)
				}
				time.Sleep(time.Hour)
				h.WantEvents(c.handled...)
				if err := sub.Unsubscribe(t.Context(), runtime.Drain); err != nil { // idempotent
					t.Errorf("second Unsubscribe: %v", err)
				}
			})
		})
	}
}

func TestUnsubscribeRefusesAnUnknownRest(t *testing.T) {
	rt := troupetest.New(t)
	sub := subscribe(t, open(t, rt), "s", ok)
	if err := sub.Unsubscribe(t.Context(), 3); err == nil || !strings.Contains(err.Error(), "rest 3: must be") {
		t.Errorf("Unsubscribe = %v, want a fault", err)
	}
}

func TestUnsubscribeFromTheOwnHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		var sub *topics.Subscription
		calls := 0
		sub = subscribe(t, topic, "s", func(ctx context.Context, n int) error {
			calls++
			return sub.Unsubscribe(ctx, runtime.Discard)
		})
		sub.Pause()
		publish(t, topic, 1, 2, 3)
		sub.Resume()
		<-sub.Done()
		if c := sub.Snapshot().Counts; calls != 1 || c.Done != 1 || c.Dropped[supervisor.ReasonUnsubscribed] != 2 {
			t.Errorf("%d calls, counts %+v, want 1 done and 2 dropped", calls, c)
		}
	})
}

func TestUnsubscribeStopsWaitingWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t).When(nil, troupetest.Hang())
		sub := subscribe(t, topic, "s", h.Handle)
		publish(t, topic, 1, 2, 3)
		h.Await(1)
		cause := errors.New("enough")
		ctx, cancel := context.WithTimeoutCause(t.Context(), time.Second, cause)
		defer cancel()
		wantErr(t, "Unsubscribe", sub.Unsubscribe(ctx, runtime.Drain), cause)
		_, err := topic.Subscribe("s", ok)
		wantErr(t, "Subscribe while it drains", err, runtime.ErrNameTaken)
		// Another call hurries it.
		done := make(chan error)
		go func() { done <- sub.Unsubscribe(t.Context(), runtime.DeadLetterRest) }()
		synctest.Wait()
		h.Release()
		if err := <-done; err != nil {
			t.Errorf("Unsubscribe: %v", err)
		}
		h.WantEvents(1)
		rt.WantLetters(deadletter.Letter{Sequence: 2}, deadletter.Letter{Sequence: 3})
	})
}

func TestNameIsFreeRightAfterUnsubscribe(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	for round := range 200 {
		sub, err := topic.Subscribe("s", ok)
		if err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		publish(t, topic, round)
		if err := sub.Unsubscribe(t.Context(), actors.Rest(round%3)); err != nil {
			t.Fatal(err)
		}
	}
	if top := account(t, rt); top.Former.Deliveries != 200 || top.Unrouted != 0 {
		t.Errorf("account = %+v, want 200 deliveries", top)
	}
}

// A subscriber that comes and goes while others publish gets each event wholly or
// not at all: a run without holes for every publisher, and the account agrees.
func TestSubscribeWhilePublishing(t *testing.T) {
	for _, overflow := range []mailbox.Overflow{mailbox.Block, mailbox.Unbounded} {
		t.Run(overflow.String(), func(t *testing.T) {
			rt := troupetest.New(t)
			topic := open(t, rt)
			anchor := 0
			subscribe(t, topic, "anchor", func(context.Context, int) error { anchor++; return nil })
			const publishers, each = 3, 1 << 20
			ctx, cancel := context.WithCancel(t.Context())
			var sent atomic.Uint64
			var work sync.WaitGroup
			for p := range publishers {
				work.Go(func() {
					for i := 0; i < each && ctx.Err() == nil; i++ {
						if topic.Publish(ctx, p*each+i) != nil {
							return
						}
						sent.Add(1)
						if i%100 == 0 {
							goruntime.Gosched()
						}
					}
				})
			}
			var deliveries uint64
			for round := range 60 {
				var seen []int
				sub := subscribe(t, topic, "guest", func(_ context.Context, n int) error { seen = append(seen, n); return nil },
					topics.SubscriberConfig{Overflow: overflow, Capacity: 64})
				for before := sent.Load(); sent.Load() < before+uint64(round*5); {
					goruntime.Gosched()
				}
				if err := sub.Unsubscribe(t.Context(), runtime.Drain); err != nil {
					t.Fatal(err)
				}
				last := map[int]int{}
				for _, n := range seen {
					p, i := n/each, n%each
					if was, ok := last[p]; ok && i != was+1 {
						t.Fatalf("round %d: publisher %d: event %d after %d", round, p, i, was)
					}
					last[p] = i
				}
				c := sub.Snapshot().Counts
				if c.Done != uint64(len(seen)) || c.Deliveries != c.Done {
					t.Fatalf("round %d: handled %d, counts %+v", round, len(seen), c)
				}
				deliveries += c.Done
			}
			cancel()
			work.Wait()
			rt.Idle()
			if top := account(t, rt); top.Accepted != sent.Load() || anchor != int(sent.Load()) || top.Former.Done != deliveries {
				t.Errorf("sent %d, anchor handled %d, account %+v", sent.Load(), anchor, top)
			}
		})
	}
}

func TestGroupRestartsSiblingsTogether(t *testing.T) {
	for _, c := range []struct {
		strategy supervisor.Strategy
		want     []int // instances made of a, b, c after b has failed
	}{
		{supervisor.OneForOne, []int{1, 2, 1}},
		{supervisor.AllForOne, []int{2, 2, 2}},
		{supervisor.RestForOne, []int{1, 2, 2}},
	} {
		t.Run(c.strategy.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt)
				group, err := rt.Group("g", actors.GroupConfig{Strategy: c.strategy})
				if err != nil {
					t.Fatal(err)
				}
				var made [3]atomic.Int64
				h := troupetest.NewHandler[int](t)
				for i, name := range []string{"a", "b", "c"} {
					if _, err := topic.SubscribeFactory(name, func() topics.Behavior[int] {
						made[i].Add(1)
						return topics.Behavior[int]{Receive: func(ctx context.Context, n int) error {
							if d, _ := topics.DeliveryFrom(ctx); name == "b" && n == 1 && d.Attempt == 1 {
								panic("boom")
							}
							return h.Handle(ctx, n)
						}}
					}, topics.SubscriberConfig{Group: group}); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				publish(t, topic, 1, 2)
				rt.Idle()
				for i, want := range c.want {
					if got := made[i].Load(); got != int64(want) {
						t.Errorf("%d instances of %s, want %d", got, []string{"a", "b", "c"}[i], want)
					}
				}
				// No mailbox was lost.
				if n := len(h.Events()); n != 6 {
					t.Errorf("handled %d events, want 6", n)
				}
			})
		})
	}
}

func TestSpawnedActorIsInTheAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		h := troupetest.NewHandler[int](t).On(2, troupetest.Fail(supervisor.Permanent(errBoom)))
		ref, err := topics.Spawn(rt.Runtime, "counter", func() topics.Behavior[int] { return topics.Behavior[int]{Receive: h.Handle} })
		if err != nil {
			t.Fatal(err)
		}
		for n := range 3 {
			if err := ref.Tell(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		rt.WantLetters(deadletter.Letter{Topic: "counter", Subscriber: "counter", Payload: []byte("1")})
		h.WantEvents(0, 2)
		top, found := rt.Snapshot().Topic("counter")
		if !found || top.Accepted != 3 || top.Total.Done != 2 || top.Total.DeadLettered != 1 {
			t.Errorf("account = %+v, want 3 told", top)
		}
		if err := rt.Redrive(t.Context(), rt.Letters()[0].ID); err != nil {
			t.Fatal(err)
		}
		rt.WantLetters(deadletter.Letter{State: deadletter.StateResolved})
		h.WantEvents(0, 2, 1)

		// One name, one thing.
		_, err = topics.Spawn(rt.Runtime, "counter", func() topics.Behavior[int] { return topics.Behavior[int]{Receive: h.Handle} })
		wantErr(t, "Spawn", err, runtime.ErrNameTaken)
		_, err = topics.Open[int](rt.Runtime, "counter")
		wantErr(t, "Open", err, runtime.ErrNameTaken)
		open(t, rt)
		_, err = topics.Spawn(rt.Runtime, "t", func() topics.Behavior[int] { return topics.Behavior[int]{Receive: h.Handle} })
		wantErr(t, "Spawn", err, runtime.ErrNameTaken)

		report, err := rt.Shutdown(t.Context())
		if err != nil || !report.Clean {
			t.Errorf("shutdown = %+v, %v", report, err)
		}
		wantErr(t, "Tell after shutdown", ref.Tell(t.Context(), 1), actors.ErrStopped)
	})
}

// A handler's panic, its Goexit or its deafness is its own and nobody else's.
func TestFailuresTouchNobodyElse(t *testing.T) {
	for name, do := range map[string]troupetest.Action{
		"error": troupetest.Fail(errBoom), "panic": troupetest.Panic("boom"), "goexit": troupetest.Goexit(), "hang": troupetest.Hang(),
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt)
				bad, good := troupetest.NewHandler[int](t).When(nil, do), troupetest.NewHandler[int](t)
				subscribe(t, topic, "bad", bad.Handle, topics.SubscriberConfig{Retry: once, Timeout: time.Second, MaxZombies: 100})
				subscribe(t, topic, "good", good.Handle)
				begin := time.Now()
				publish(t, topic, 1, 2, 3)
				synctest.Wait()
				good.WantEvents(1, 2, 3)
				if time.Since(begin) != 0 {
					t.Error("the other one waited")
				}
				rt.Idle(time.Hour)
				if c := counts(t, rt, "bad"); c.DeadLettered != 3 {
					t.Errorf("counts of the bad one = %+v, want 3 dead-lettered", c)
				}
			})
		})
	}
}
