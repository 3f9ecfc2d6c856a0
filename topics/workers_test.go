package topics_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
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

func lastDigit(n int) string { return strconv.Itoa(n % 10) }

func TestWorkersHandleAtTheSameTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		var now, most atomic.Int32
		subscribe(t, topic, "s", func(context.Context, int) error {
			n := now.Add(1)
			most.Store(max(most.Load(), n))
			time.Sleep(time.Second)
			now.Add(-1)
			return nil
		}, topics.SubscriberConfig{Workers: 4})
		began := time.Now()
		for n := range 12 {
			publish(t, topic, n)
			time.Sleep(time.Millisecond) // each comes while the others sleep or work
		}
		rt.Idle()
		if took := time.Since(began); most.Load() != 4 || took > 3*time.Second+100*time.Millisecond {
			t.Errorf("%d at the same time, in %v, want 4 in 3 s", most.Load(), took)
		}
		if got := counts(t, rt, "s"); got.Done != 12 || got.Deliveries != 12 {
			t.Errorf("%+v, want 12 done", got)
		}
	})
}

// keyed checks that the events of each key are handled one after the other, in
// order, each until it has its outcome.
type keyed struct {
	t    *testing.T
	mu   sync.Mutex
	last map[string]int
	busy map[string]bool
	done []int
}

func (k *keyed) enter(n int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	key := lastDigit(n)
	if k.busy[key] {
		k.t.Errorf("event %d while another one of key %s is in hand", n, key)
	}
	if last, ok := k.last[key]; ok && last > n {
		k.t.Errorf("event %d after %d", n, last)
	}
	k.busy[key], k.last[key] = true, n
}

func (k *keyed) leave(n int, ok bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.busy[lastDigit(n)] = false
	if ok {
		k.done = append(k.done, n)
	}
}

// Keyed workers keep the order of each key whatever happens: errors, panics,
// timeouts with abandoned handlers, restarts by hand, pauses.
func TestKeyedWorkersKeepTheOrderOfEachKey(t *testing.T) {
	for _, workers := range []int{1, 2, 7} {
		for _, over := range []mailbox.Overflow{mailbox.Block, mailbox.Unbounded, mailbox.DropOldest} {
			t.Run(fmt.Sprintf("%d/%v", workers, over), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) { keyedWorkers(t, workers, over) })
			})
		}
	}
}

func keyedWorkers(t *testing.T, workers int, over mailbox.Overflow) {
	rnd := rand.New(rand.NewPCG(1, uint64(workers)))
	rt := troupetest.New(t)
	topic := open(t, rt)
	k := &keyed{t: t, last: map[string]int{}, busy: map[string]bool{}}
	var mu sync.Mutex
	fate := func() int {
		mu.Lock()
		defer mu.Unlock()
		return rnd.IntN(20)
	}
	sub := subscribe(t, topic, "s", func(_ context.Context, n int) error {
		k.enter(n)
		ok := false
		defer func() { k.leave(n, ok) }()
		switch fate() {
		case 0:
			return errBoom
		case 1:
			panic("boom")
		case 2:
			time.Sleep(time.Second)
		}
		ok = true
		return nil
	}, topics.SubscriberConfig{
		Key: topics.KeyOf(lastDigit), Workers: workers, Ordering: topics.Parked, Overflow: over, Capacity: 100,
		Retry: supervisor.Retry{MaxAttempts: 3, BaseDelay: 50 * time.Millisecond},
	})
	const events = 2000
	for n := range events {
		publish(t, topic, n)
		switch n % 200 {
		case 50:
			sub.Restart()
		case 100:
			sub.Pause()
			time.AfterFunc(100*time.Millisecond, sub.Resume)
		case 150:
			time.Sleep(2 * time.Second)
		}
	}
	rt.Idle(time.Hour)
	got := counts(t, rt, "s")
	if got.Deliveries != events || int(got.Done) != len(k.done) || got.Done+got.DeadLettered+got.TotalDropped() != events || got.Failures == 0 || got.Restarts == 0 {
		t.Errorf("%+v, want %d deliveries with failures and restarts, %d done", got, events, len(k.done))
	}
	slices.Sort(k.done)
	if len(slices.Compact(k.done)) != int(got.Done) {
		t.Error("an event was handled twice")
	}
}

// While an event of one key waits for its next attempt, the others go on, and so
// does the worker that had it.
func TestKeysDoNotHoldUpEachOther(t *testing.T) {
	for _, workers := range []int{1, 3} {
		synctest.Test(t, func(t *testing.T) {
			rt := troupetest.New(t)
			topic := open(t, rt)
			h := troupetest.NewHandler[int](t).On(1, troupetest.Fail(errBoom))
			subscribe(t, topic, "s", h.Handle, topics.SubscriberConfig{
				Key: topics.KeyOf(lastDigit), Workers: workers, Ordering: topics.Parked,
				Retry: supervisor.Retry{BaseDelay: time.Minute, Jitter: supervisor.NoJitter},
			})
			publish(t, topic, 1)
			synctest.Wait()
			publish(t, topic, 11, 2, 12, 3)
			synctest.Wait()
			if got := h.Events(); !slices.Equal(got, []int{2, 3, 12}) && !slices.Equal(got, []int{2, 12, 3}) {
				t.Errorf("%d workers: handled %v, want the other keys", workers, got)
			}
			rt.Idle(time.Hour)
			if got := h.Events(); len(got) != 5 || !slices.Equal(got[3:], []int{1, 11}) {
				t.Errorf("%d workers: handled %v, want 1 again and 11 after it", workers, got)
			}
		})
	}
}

// What becomes of events that wait, aside and in the mailbox, when workers end.
func TestWorkersEnd(t *testing.T) {
	for _, c := range []struct {
		rest          actors.Rest
		done, letters int
		dropped       uint64
	}{
		{runtime.Drain, 10, 0, 0},
		{runtime.DeadLetterRest, 2, 8, 0},
		{runtime.Discard, 2, 0, 8},
	} {
		t.Run(c.rest.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt)
				var tries atomic.Int32
				sub := subscribe(t, topic, "s", func(ctx context.Context, n int) error {
					if n < 2 && tries.Add(1) <= 2 {
						return errBoom // aside for a second
					}
					time.Sleep(100 * time.Millisecond)
					return nil
				}, topics.SubscriberConfig{Workers: 2, Key: topics.KeyOf(lastDigit), Retry: supervisor.Retry{BaseDelay: time.Second, Jitter: supervisor.NoJitter}})
				for n := range 10 {
					publish(t, topic, n)
				}
				synctest.Wait() // 0 and 1 are aside, 2 and 3 in hand
				if err := sub.Unsubscribe(t.Context(), c.rest); err != nil {
					t.Fatal(err)
				}
				rt.Idle()
				snap := sub.Snapshot()
				if got := snap.Counts; int(got.Done) != c.done || int(got.DeadLettered) != c.letters || got.TotalDropped() != c.dropped || got.Balance() != 0 {
					t.Errorf("%+v, want %d done, %d letters, %d dropped", got, c.done, c.letters, c.dropped)
				}
				if snap.State != actors.StateStopped || len(rt.Letters()) != c.letters {
					t.Errorf("state %s with %d letters, want stopped with %d", snap.State, len(rt.Letters()), c.letters)
				}
				subscribe(t, topic, "s", ok, topics.SubscriberConfig{Workers: 2}) // the name is free
			})
		})
	}
}

func TestWorkersHaveInstancesOfTheirOwn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		var made, stopped atomic.Int32
		sub, err := topic.SubscribeFactory("s", func() topics.Behavior[int] {
			made.Add(1)
			busy := false
			return topics.Behavior[int]{
				Receive: func(context.Context, int) error {
					if busy {
						t.Error("an instance has two events at the same time")
					}
					busy = true
					time.Sleep(time.Second)
					busy = false
					return nil
				},
				Stop: func(context.Context) error { stopped.Add(1); return nil },
			}
		}, topics.SubscriberConfig{Workers: 3})
		if err != nil {
			t.Fatal(err)
		}
		for n := range 9 {
			publish(t, topic, n)
		}
		rt.Idle()
		sub.Restart()
		synctest.Wait()
		if made.Load() != 6 || stopped.Load() != 3 {
			t.Errorf("%d made and %d stopped, want 6 and 3 after a restart", made.Load(), stopped.Load())
		}
		if n := counts(t, rt, "s").Restarts; n != 3 {
			t.Errorf("%d restarts, want 3", n)
		}
	})
}

// One worker that cools down, or hangs, leaves the work to the others.
func TestWorkersGoOnWithoutTheOneThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t).On(1, troupetest.Panic("boom"))
		sub := subscribe(t, topic, "s", h.Handle, topics.SubscriberConfig{
			Workers: 2, Retry: once,
			Restart: supervisor.Restart{MaxRestarts: supervisor.NoRestarts, Cooldown: time.Hour, MaxCooldown: time.Hour},
		})
		publish(t, topic, 1)
		synctest.Wait()
		if s := sub.Snapshot().State; s != actors.StateCooldown {
			t.Errorf("state = %s, want cooldown to be seen", s)
		}
		for n := range 10 {
			publish(t, topic, n)
		}
		synctest.Wait()
		if n := len(h.Events()); n != 10 {
			t.Errorf("%d events handled while one worker cools down, want 10", n)
		}
		sub.Resume()
		synctest.Wait()
		if s := sub.Snapshot().State; s != actors.StateIdle {
			t.Errorf("state = %s, want idle", s)
		}
	})
}

// A worker that its policy ends, ends the subscription: what is left are letters.
func TestWorkerThatIsStoppedEndsItsSubscription(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		sub := subscribe(t, topic, "s", func(_ context.Context, n int) error {
			if n == 0 {
				time.Sleep(time.Second)
				panic("boom")
			}
			time.Sleep(3 * time.Second) // the other has this one in hand when it happens
			return nil
		}, topics.SubscriberConfig{
			Workers: 2, Retry: once,
			Restart: supervisor.Restart{MaxRestarts: supervisor.NoRestarts, OnExceed: supervisor.ExceedStop},
		})
		publish(t, topic, 0, 1, 2, 3, 4)
		<-sub.Done()
		rt.Idle()
		got := sub.Snapshot()
		if got.State != actors.StateStopped || got.Counts.Done != 1 || got.Counts.DeadLettered != 4 || got.Counts.Balance() != 0 {
			t.Errorf("%s, %+v, want it stopped with 1 done and 4 letters", got.State, got.Counts)
		}
		if a := account(t, rt); len(a.Subscribers) != 0 {
			t.Errorf("subscribers = %+v, want none", a.Subscribers)
		}
	})
}

func TestWorkersTakeRedrivenEventsInTheTurnOfTheirKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		var busy atomic.Int32
		var mu sync.Mutex
		var order []int
		fail := true
		subscribe(t, topic, "s", func(ctx context.Context, n int) error {
			if busy.Add(1) > 1 {
				t.Error("two events of one key at the same time")
			}
			defer busy.Add(-1)
			d, _ := topics.DeliveryFrom(ctx)
			mu.Lock()
			defer mu.Unlock()
			if n == 1 && fail {
				return errBoom
			}
			if (n == 1) != (d.LetterID != "") {
				t.Errorf("event %d is a redelivery of %q", n, d.LetterID)
			}
			order = append(order, n)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			return nil
		}, topics.SubscriberConfig{Workers: 4, Key: topics.KeyOf(func(int) string { return "all" }), Retry: once})
		publish(t, topic, 1)
		rt.Idle()
		mu.Lock()
		fail = false
		mu.Unlock()
		publish(t, topic, 2, 3)
		synctest.Wait()
		letter := rt.Letters()[0]
		if err := rt.Redrive(t.Context(), letter.ID); err != nil {
			t.Fatal(err)
		}
		publish(t, topic, 4)
		rt.Idle()
		if !slices.Equal(order, []int{2, 3, 1, 4}) {
			t.Errorf("handled %v, want 1 behind those that waited", order)
		}
		if l := rt.Letters()[0]; l.State != deadletter.StateResolved {
			t.Errorf("letter is %s, want resolved", l.State)
		}
		if got := counts(t, rt, "s"); got.Redelivered != 1 || got.Deliveries != 5 || got.Done != 4 {
			t.Errorf("%+v, want 5 deliveries, one of them again", got)
		}
	})
}

// A worker may publish to its own topic as long as others can make room.
func TestWorkersWouldDeadlockOnlyTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		var refused atomic.Int32
		subscribe(t, topic, "s", func(ctx context.Context, n int) error {
			if n < 100 {
				if err := topic.Publish(ctx, 100+n); err != nil {
					wantErr(t, "publish", err, topics.ErrWouldDeadlock)
					refused.Add(1)
				}
				return nil
			}
			time.Sleep(time.Second)
			return nil
		}, topics.SubscriberConfig{Workers: 2, Capacity: 1})
		publish(t, topic, 200) // keeps one busy
		synctest.Wait()
		publish(t, topic, 1) // publishes 101, which has room
		synctest.Wait()
		publish(t, topic, 2)
		rt.Idle(time.Hour)
		if n := refused.Load(); n != 0 {
			t.Errorf("%d refused, want none while the other worker will make room", n)
		}
		// Now both publish into the full mailbox at the same time.
		two := make(chan struct{})
		var in atomic.Int32
		both := subscribe(t, topic, "both", func(ctx context.Context, n int) error {
			if n != 7 {
				return nil
			}
			if in.Add(1) == 2 {
				close(two)
			}
			<-two
			for range 3 {
				if err := topic.Publish(ctx, 300); err != nil {
					wantErr(t, "publish", err, topics.ErrWouldDeadlock)
					refused.Add(1)
				}
			}
			return nil
		}, topics.SubscriberConfig{Workers: 2, Capacity: 1, Filter: topics.Where(func(n int) bool { return n == 7 || n == 300 })})
		_ = both
		publish(t, topic, 7, 7)
		rt.Idle(time.Hour)
		if n := refused.Load(); n == 0 {
			t.Error("none refused, want the one that closes the circle")
		}
	})
}

func TestShutdownWithWorkers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t).On(2, troupetest.Hang())
		subscribe(t, topic, "s", h.Handle, topics.SubscriberConfig{Workers: 2})
		for n := range 10 {
			publish(t, topic, n)
		}
		h.Await(10)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		report, err := rt.Shutdown(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got := report.Snapshot.Total; report.Clean || got.Done != 9 || got.DeadLettered != 1 || got.Zombies != 1 {
			t.Errorf("%+v, want 9 done and the one that hangs a letter", got)
		}
		h.Release()
	})
}

// Urgent events go first, and the others are not forgotten.
func TestPriority(t *testing.T) {
	for _, workers := range []int{1, 2} {
		synctest.Test(t, func(t *testing.T) {
			rt := troupetest.New(t)
			topic := open(t, rt)
			h := troupetest.NewHandler[int](t)
			busy, release := make(chan struct{}), make(chan struct{})
			sub := subscribe(t, topic, "s", func(ctx context.Context, n int) error {
				if n == 5 {
					close(busy)
					<-release
					return nil
				}
				return h.Handle(ctx, n)
			}, topics.SubscriberConfig{
				Priority: topics.PriorityOf(3, func(n int) int { return n / 1000 }), Workers: workers,
			})
			if workers == 2 { // one is kept busy: two may be overtaken between taking and telling
				publish(t, topic, 5)
				<-busy
			}
			sub.Pause()
			publish(t, topic, 1, 2)
			for n := range 40 {
				publish(t, topic, 2000+n)
			}
			publish(t, topic, 1000, 9000) // beyond the lanes is the highest
			sub.Resume()
			h.Await(44)
			close(release)
			rt.Idle()
			got := h.Events()
			at := func(n int) int { return slices.Index(got, n) }
			if at(2000) > 1 || at(1) < 16 || at(1) > 18 || at(1000) > 18 || at(9000) < 40 || at(2) > 43 {
				t.Errorf("%d workers: 2000, 1, 1000, 2 and 9000 are handled as %d, %d, %d, %d and %d of %v",
					workers, at(2000), at(1), at(1000), at(2), at(9000), got)
			}
		})
	}
}

func TestWorkerAndPriorityErrors(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	for _, cfg := range []topics.SubscriberConfig{
		{Workers: -1}, {Workers: 1 << 20},
		{Priority: topics.PriorityOf(1, func(int) int { return 0 })},
		{Priority: topics.PriorityOf(3, func(string) int { return 0 })},
		{Key: topics.KeyOf(func(string) string { return "" }), Workers: 2},
	} {
		if _, err := topic.Subscribe("s", ok, cfg); err == nil {
			t.Errorf("Subscribe(%+v) = nil, want an error", cfg)
		}
	}
	if n := len(account(t, rt).Subscribers); n != 0 {
		t.Errorf("%d subscribers, want none half-registered", n)
	}
	subscribe(t, topic, "s", ok, topics.SubscriberConfig{Workers: 2})
	_, err := topic.Subscribe("s", ok, topics.SubscriberConfig{Workers: 2})
	wantErr(t, "the name again", err, runtime.ErrNameTaken)
}

// The handler of a keyed subscription needs no locks around what belongs to a key.
func ExampleKeyOf_workers() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		panic(err)
	}
	type deposit struct {
		Account string
		Cents   int
	}
	deposits, err := topics.Open[deposit](rt, "deposits")
	if err != nil {
		panic(err)
	}
	balance := map[string]*int{"ann": new(int), "bob": new(int)}
	if _, err := deposits.Subscribe("ledger", func(_ context.Context, d deposit) error {
		*balance[d.Account] += d.Cents
		return nil
	}, topics.SubscriberConfig{Workers: 8, Key: topics.KeyOf(func(d deposit) string { return d.Account })}); err != nil {
		panic(err)
	}
	ctx := context.Background()
	for range 1000 {
		_ = deposits.Publish(ctx, deposit{"ann", 2})
		_ = deposits.Publish(ctx, deposit{"bob", 1})
	}
	_, _ = rt.Shutdown(ctx)
	fmt.Println(*balance["ann"], *balance["bob"])
	// Output: 2000 1000
}
