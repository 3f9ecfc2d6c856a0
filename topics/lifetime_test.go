package topics_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

// ended waits for the end of a subscription, and returns the sum over those that have
// ended.
func ended(t testing.TB, rt *troupetest.Runtime, sub *topics.Subscription) actors.Counts {
	t.Helper()
	<-sub.Done()
	rt.Idle()
	return account(t, rt).Former
}

// TestTakeHandlesSoManyAndBeginsNoOther: whatever waits behind, under every policy.
func TestTakeHandlesSoManyAndBeginsNoOther(t *testing.T) {
	for _, c := range []struct {
		cfg     topics.SubscriberConfig
		publish int
		calls   []int
		dropped string
		n       uint64
	}{
		{topics.SubscriberConfig{Take: 1}, 10, []int{0}, supervisor.ReasonUnsubscribed, 9},
		{topics.SubscriberConfig{Take: 3}, 500, []int{0, 1, 2}, supervisor.ReasonUnsubscribed, 497},
		{topics.SubscriberConfig{Take: 3}, 2, []int{0, 1}, "", 0}, // not yet
		{topics.SubscriberConfig{Take: 2, Timeout: time.Second}, 5, []int{0, 1}, supervisor.ReasonUnsubscribed, 3},
		{topics.SubscriberConfig{Take: 2, Overflow: mailbox.DropOldest, Capacity: 4}, 6, []int{2, 3}, supervisor.ReasonUnsubscribed, 2},
		{topics.SubscriberConfig{Take: 2, Overflow: mailbox.DropNewest, Capacity: 4}, 6, []int{0, 1}, supervisor.ReasonUnsubscribed, 2},
		{topics.SubscriberConfig{Take: 1, Overflow: mailbox.Reject, Capacity: 4}, 4, []int{0}, supervisor.ReasonUnsubscribed, 3},
		{topics.SubscriberConfig{Take: 1, DeadLetterRest: true}, 4, []int{0}, "", 0},
	} {
		for _, kind := range []string{"handler", "factory"} {
			t.Run(fmt.Sprintf("%s/%d of %d, %v", kind, c.cfg.Take, c.publish, c.cfg.Overflow), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					rt := troupetest.New(t)
					topic := open(t, rt)
					var calls notes[int]
					handle := func(_ context.Context, ev int) error { calls.add(ev); return nil }
					var sub *topics.Subscription
					if kind == "handler" {
						sub = subscribe(t, topic, "s", handle, c.cfg)
					} else {
						var err error
						sub, err = topic.SubscribeFactory("s", func() topics.Behavior[int] { return topics.Behavior[int]{Receive: handle} }, c.cfg)
						if err != nil {
							t.Fatal(err)
						}
					}
					sub.Pause()
					for ev := range c.publish {
						publish(t, topic, ev)
					}
					sub.Resume()
					synctest.Wait()
					wantSlice(t, "handled", calls.all(), c.calls...)
					if uint64(c.publish) < c.cfg.Take {
						if counts(t, rt, "s").Done != uint64(c.publish) {
							t.Error("it is over before its number")
						}
						return
					}
					n := ended(t, rt, sub)
					if n.Done != c.cfg.Take || n.Dropped[c.dropped] != c.n {
						t.Errorf("account %+v, want %d done and %d dropped, %s", n, c.cfg.Take, c.n, c.dropped)
					}
					if letters := len(rt.Letters()); c.cfg.DeadLetterRest && letters != c.publish-1 {
						t.Errorf("%d letters, want %d", letters, c.publish-1)
					}
					publish(t, topic, 1000) // is nobody's
				})
			})
		}
	}
}

// TestTakeCountsSuccesses: neither retries nor dead letters count, and an event that
// waits for its next attempt goes the way of the rest.
func TestTakeCountsSuccesses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t).
			On(1, troupetest.Fail(errBoom)).                      // 1, to be attempted again
			On(2, troupetest.Panic("boom")).                      // 1 again, in an instance that is replaced
			On(4, troupetest.Fail(supervisor.Permanent(errBoom))) // 2
		sub := subscribe(t, topic, "s", h.Handle, topics.SubscriberConfig{Take: 2})
		publish(t, topic, 1, 2, 3, 4)
		n := ended(t, rt, sub)
		h.WantEvents(1, 3)
		if n.Done != 2 || n.DeadLettered != 1 || n.Dropped[supervisor.ReasonUnsubscribed] != 1 {
			t.Errorf("account %+v, want 2 done, 1 dead-lettered, 1 dropped", n)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t).On(1, troupetest.Fail(supervisor.RetryAfter(errBoom, time.Hour)))
		sub := subscribe(t, topic, "s", h.Handle, topics.SubscriberConfig{Take: 1, Ordering: topics.Parked})
		sub.Pause() // until all of them wait
		publish(t, topic, 1, 2, 3)
		sub.Resume()
		n := ended(t, rt, sub)
		h.WantEvents(2)
		if n.Done != 1 || n.Dropped[supervisor.ReasonUnsubscribed] != 2 {
			t.Errorf("account %+v, want 1 done and 2 dropped", n)
		}
	})
}

// TestTakeUnderLoad: publishers race with the subscription's beginning and end.
func TestTakeUnderLoad(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 4 {
		wg.Go(func() {
			for ev := 0; ; ev++ {
				select {
				case <-stop:
					return
				default:
					if err := topic.Publish(context.Background(), ev); err != nil {
						t.Errorf("publish: %v", err)
						return
					}
				}
			}
		})
	}
	for n := range 20 {
		var calls atomic.Int64
		sub := subscribe(t, topic, "s", func(context.Context, int) error { calls.Add(1); return nil },
			topics.SubscriberConfig{Take: uint64(n + 1), Capacity: 16})
		<-sub.Done()
		if calls.Load() != int64(n+1) {
			t.Errorf("%d calls, want %d", calls.Load(), n+1)
		}
	}
	close(stop)
	wg.Wait()
	rt.Idle()
	if n := account(t, rt).Former; n.Done != 20*21/2 {
		t.Errorf("done %d, want %d", n.Done, 20*21/2)
	}
}

func TestTakeIsNotForActors(t *testing.T) {
	rt := troupetest.New(t)
	_, err := topics.Spawn(rt.Runtime, "a", func() topics.Behavior[int] { return topics.Behavior[int]{Receive: ok} }, topics.SpawnConfig{SubscriberConfig: topics.SubscriberConfig{Take: 1}})
	if err == nil || err.Error() != `topics: spawn "a": Key, Workers, Filter, Priority, Take, Batch: are for topics` {
		t.Errorf("Spawn = %v", err)
	}
}

// counting is a context that counts what waits for its end.
type counting struct {
	context.Context
	waiting *atomic.Int64
}

func (c counting) AfterFunc(f func()) func() bool {
	c.waiting.Add(1)
	stop := context.AfterFunc(c.Context, f)
	return func() bool {
		c.waiting.Add(-1)
		return stop()
	}
}

func TestUntilDone(t *testing.T) {
	for rest, want := range map[actors.Rest]func(actors.Counts) bool{
		runtime.Drain:          func(c actors.Counts) bool { return c.Done == 3 },
		runtime.Discard:        func(c actors.Counts) bool { return c.Done == 1 && c.Dropped[supervisor.ReasonUnsubscribed] == 2 },
		runtime.DeadLetterRest: func(c actors.Counts) bool { return c.Done == 1 && c.DeadLettered == 2 },
	} {
		t.Run(rest.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt)
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				var waiting atomic.Int64
				sub := subscribe(t, topic, "s", func(context.Context, int) error { time.Sleep(time.Hour); return nil })
				if err := sub.UntilDone(counting{ctx, &waiting}, rest); err != nil {
					t.Fatal(err)
				}
				publish(t, topic, 1, 2, 3)
				if n := ended(t, rt, sub); !want(n) {
					t.Errorf("account %+v", n)
				}
				if n := waiting.Load(); n != 0 {
					t.Errorf("%d still wait for the context", n)
				}
			})
		})
	}
}

func TestUntilDoneLeavesNothingAtTheContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		var waiting atomic.Int64
		ctx := counting{t.Context(), &waiting}
		for range 10 {
			sub := subscribe(t, topic, "s", ok, topics.SubscriberConfig{Take: 1})
			if err := sub.UntilDone(ctx, runtime.Discard); err != nil {
				t.Fatal(err)
			}
			publish(t, topic, 1)
			<-sub.Done()
		}
		synctest.Wait()
		if n := waiting.Load(); n != 0 {
			t.Errorf("%d still wait for the context", n)
		}
		sub := subscribe(t, topic, "s", ok)
		if err := sub.UntilDone(ctx, 9); err == nil {
			t.Error("no error for a rest that is none")
		}
		over, cancel := context.WithCancel(t.Context())
		cancel()
		if err := sub.UntilDone(over, runtime.Discard); err != nil {
			t.Error(err)
		}
		<-sub.Done()
		if err := sub.UntilDone(ctx, runtime.Discard); err != nil || waiting.Load() != 0 {
			t.Errorf("of one that has ended: %v, %d wait", err, waiting.Load())
		}
	})
}
