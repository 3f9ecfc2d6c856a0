package runtime_test

import (
	"context"
	"fmt"
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
	"go.uber.org/zap"
)

// Publishers, failing handlers, operators and subscribers that come and go, and
// all the while snapshots that add up and whose outcomes never become fewer.
func TestSnapshotAlwaysAddsUp(t *testing.T) {
	rt := troupetest.New(t, runtime.Config{Logger: zap.NewNop()})
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var work sync.WaitGroup
	var tops []*topics.Topic[int]
	for i, overflow := range []mailbox.Overflow{mailbox.Block, mailbox.Reject, mailbox.DropOldest, mailbox.DropNewest, mailbox.Latest, mailbox.DeadLetter} {
		topic := open[int](t, rt, fmt.Sprint("t", i))
		tops = append(tops, topic)
		var calls atomic.Uint64
		handle := func(context.Context, int) error {
			switch n := calls.Add(1); {
			case n%1000 == 7:
				panic("boom")
			case n%100 == 1:
				return errBoom
			case n%101 == 2:
				return supervisor.Skip(errBoom)
			case n%103 == 3:
				return supervisor.Permanent(errBoom)
			}
			return nil
		}
		cfg := topics.SubscriberConfig{Capacity: 32, Overflow: overflow, Ordering: actors.Ordering(i % 2),
			Retry: supervisor.Retry{BaseDelay: time.Millisecond}, Restart: supervisor.Restart{MaxRestarts: supervisor.Unlimited}}
		subscribe(t, topic, "a", handle, cfg)
		subscribe(t, topic, "b", handle, cfg)
		work.Go(func() { // a publisher
			for n := 0; ctx.Err() == nil; n++ {
				_ = topic.Publish(ctx, n)
				if n%64 == 0 {
					time.Sleep(time.Millisecond) // leaves others a processor
				}
			}
		})
		work.Go(func() { // a subscriber that comes and goes
			for n := 0; ctx.Err() == nil; n++ {
				sub, err := topic.Subscribe("guest", handle, cfg)
				if err != nil {
					t.Errorf("subscribe: %v", err)
					return
				}
				time.Sleep(time.Millisecond)
				if err := sub.Unsubscribe(context.Background(), actors.Rest(n%3)); err != nil {
					t.Errorf("unsubscribe: %v", err)
					return
				}
			}
		})
	}
	work.Go(func() { // an operator
		for n := 0; ctx.Err() == nil; n++ {
			name := fmt.Sprint("t", n%len(tops))
			_ = rt.Pause(name, "a")
			_ = rt.Restart(name, "b")
			_ = rt.Resume(name, "a")
			time.Sleep(time.Millisecond)
		}
	})
	snapshots := 0
	ended := map[string]uint64{}
	for snapshots < 300 && ctx.Err() == nil {
		snap := rt.Snapshot()
		troupetest.CheckAccount(t, snap)
		for _, top := range snap.Topics {
			for what, n := range map[string]uint64{"accepted": top.Accepted, "deliveries": top.Total.Deliveries,
				"ended": top.Total.Done + top.Total.DeadLettered + top.Total.TotalDropped()} {
				if key := top.Name + " " + what; n < ended[key] {
					t.Fatalf("%s = %d, was %d before", key, n, ended[key])
				} else {
					ended[key] = n
				}
			}
		}
		if snapshots++; t.Failed() {
			break
		}
	}
	cancel()
	work.Wait()
	if ended["t0 ended"] == 0 || ended["t5 ended"] == 0 {
		t.Errorf("%d snapshots, %v: nothing was tested", snapshots, ended)
	}
	rt.Idle()
	snap := rt.Snapshot()
	for _, top := range snap.Topics {
		c := top.Total
		if c.Done+c.DeadLettered+c.TotalDropped() != c.Deliveries {
			t.Errorf("%s at rest: %+v, want every delivery ended", top.Name, c)
		}
	}
}

func TestSnapshotKeepsTheAccountOfFormerSubscribers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open[int](t, rt, "t")
		for range 3 {
			sub := subscribe(t, topic, "s", ok[int])
			publish(t, topic, 1, 2)
			if err := sub.Unsubscribe(t.Context(), runtime.Drain); err != nil {
				t.Fatal(err)
			}
			if s := sub.Snapshot(); s.State != actors.StateStopped || s.Counts.Done != 2 {
				t.Errorf("snapshot of the subscription = %+v, want stopped with 2 done", s)
			}
		}
		top, found := rt.Snapshot().Topic("t")
		if !found || len(top.Subscribers) != 0 || top.Former.Done != 6 || top.Total.Done != 6 || top.Accepted != 6 {
			t.Errorf("topic = %+v, want 6 done by former subscribers", top)
		}
		if _, found := top.Subscriber("s"); found {
			t.Error("a former subscriber is found by name")
		}
		if _, found := rt.Snapshot().Topic("x"); found {
			t.Error("an unknown topic is found by name")
		}
	})
}

func TestSnapshotDescribesSubscribers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t, runtime.Config{Name: "shop"})
		topic := open[int](t, rt, "t")
		h := troupetest.NewHandler[int](t).When(nil, troupetest.Hang())
		subscribe(t, topic, "busy", h.Handle, topics.SubscriberConfig{Capacity: 7, Overflow: mailbox.DropOldest})
		subscribe(t, topic, "idle", ok[int])
		publish(t, topic, 1)
		h.Await(1)
		time.Sleep(3 * time.Second)
		snap := rt.Snapshot()
		if snap.Name != "shop" || snap.State != runtime.StateRunning || snap.Topics[0].Type != "int" {
			t.Errorf("snapshot = %+v", snap)
		}
		busy, idle := snap.Topics[0].Subscribers[0], snap.Topics[0].Subscribers[1]
		if busy.Name != "busy" || busy.State != actors.StateRunning || busy.Capacity != 7 || busy.Overflow != "drop_oldest" || busy.Busy != 3*time.Second {
			t.Errorf("busy = %+v", busy)
		}
		if idle.State != actors.StateIdle || idle.Capacity != actors.DefaultCapacity || idle.Overflow != "block" || idle.Busy != 0 {
			t.Errorf("idle = %+v", idle)
		}
	})
}

func TestHealthNamesWhatNeedsAPerson(t *testing.T) {
	restart := supervisor.Restart{MaxRestarts: supervisor.NoRestarts}
	for name, c := range map[string]struct {
		hurt func(t *testing.T, rt *troupetest.Runtime)
		want string
	}{
		"escalated": {func(t *testing.T, rt *troupetest.Runtime) {
			topic := open[int](t, rt, "t")
			r := restart
			r.OnExceed = supervisor.ExceedEscalate
			subscribe(t, topic, "s", func(context.Context, int) error { panic("boom") }, topics.SubscriberConfig{Restart: r})
			publish(t, topic, 1)
		}, "t/s: escalated"},
		"cooling down": {func(t *testing.T, rt *troupetest.Runtime) {
			topic := open[int](t, rt, "t")
			subscribe(t, topic, "s", func(context.Context, int) error { panic("boom") }, topics.SubscriberConfig{Restart: restart})
			publish(t, topic, 1)
		}, "t/s: cooldown"},
		"hung": {func(t *testing.T, rt *troupetest.Runtime) {
			topic := open[int](t, rt, "t")
			h := troupetest.NewHandler[int](t).When(nil, troupetest.Hang())
			subscribe(t, topic, "s", h.Handle, topics.SubscriberConfig{Timeout: time.Second, Grace: time.Second, MaxZombies: 1})
			publish(t, topic, 1, 2)
			time.Sleep(time.Minute)
		}, "t/s: hung"},
		"held back": {func(t *testing.T, rt *troupetest.Runtime) {
			topic := open[int](t, rt, "t")
			subscribe(t, topic, "s", ok[int], topics.SubscriberConfig{Capacity: 1}).Pause()
			publish(t, topic, 1)
			go func() { _ = topic.Publish(context.Background(), 2) }() // until the end
		}, "t/s: full, holds back publishers (1 wait), paused"},
		"store": {func(t *testing.T, rt *troupetest.Runtime) {
			rt.DeadLetters().(*patchy).fail(func(context.Context, []deadletter.Letter) error { return errBoom })
			topic := open[int](t, rt, "t")
			subscribe(t, topic, "s", func(context.Context, int) error { return supervisor.Permanent(errBoom) })
			publish(t, topic, 1)
		}, "dead-letter store: failing since 2000-01-01T00:00:00"},
		"closed": {func(t *testing.T, rt *troupetest.Runtime) { shutdown(t, rt, time.Minute) }, "runtime troupe: closed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t, runtime.Config{DeadLetters: newPatchy(t)})
				if err := rt.Health(); err != nil {
					t.Errorf("Health = %v, want nil", err)
				}
				c.hurt(t, rt)
				synctest.Wait()
				if err := rt.Health(); err == nil || !strings.Contains(err.Error(), c.want) {
					t.Errorf("Health = %v, want %q", err, c.want)
				}
			})
		})
	}
}

func TestPausedSubscriberIsHealthyUntilItHoldsOthersUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open[int](t, rt, "t")
		subscribe(t, topic, "s", ok[int], topics.SubscriberConfig{Capacity: 1}).Pause()
		publish(t, topic, 1)
		if err := rt.Health(); err != nil {
			t.Errorf("Health = %v, want nil", err)
		}
	})
}
