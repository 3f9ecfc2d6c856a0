package topics_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	goruntime "runtime"
	"slices"
	"strconv"
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
	"pgregory.net/rapid"
)

// Latest without a key keeps the newest event, which waits for the period.
func TestBatchOfTheLatest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		b := newBatches(nil)
		subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{Overflow: mailbox.Latest, Batch: size(2)})
		c := newBatches(nil)
		subscribeBatch(t, topic, "keyed", c.handle, topics.SubscriberConfig{Overflow: mailbox.Latest, Key: topics.KeyOf(lastDigit), Batch: size(2)})
		publish(t, topic, 1)
		synctest.Wait()
		publish(t, topic, 11, 21)
		rt.Idle()
		b.want(t, "[21] at 1s")
		c.want(t, "[21] at 1s")
	})
}

// What the filter does not want is not waited for, and urgent events come first.
func TestBatchesOfFilteredAndUrgentEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		b := newBatches(nil)
		sub := subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{
			Batch: size(4), Capacity: 4, Filter: topics.Where(func(n int) bool { return n%2 == 0 }),
			Priority: topics.PriorityOf(2, func(n int) int { return n / 10 }),
		})
		burst(t, topic, sub, 1, 2, 3, 14, 5, 6, 17)
		b.want(t)
		publish(t, topic, 18)
		b.want(t, "[14 18 2 6] at 0s")
	})
}

// Of a key no event is in two batches at once, a batch has those of a key in their
// order, and all keys have their turn.
func TestBatchesOfKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		b := newBatches(func(context.Context, []int) error { time.Sleep(100 * time.Millisecond); return nil })
		sub := subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{
			Batch: size(4), Workers: 2, Key: topics.KeyOf(lastDigit),
		})
		burst(t, topic, sub, 1, 11, 21, 31, 41, 2, 12, 3)
		b.want(t, "[1 2 3 11] at 0s") // 21, 31, 41 and 12 wait for their keys
		publish(t, topic, 4, 5)
		time.Sleep(90 * time.Millisecond)
		b.want(t, "[1 2 3 11] at 0s", "[4 5] at 0s") // six wait, so what there is begins
		rt.Idle()
		b.want(t, "[1 2 3 11] at 0s", "[4 5] at 0s", "[12 21 31 41] at 100ms")
	})
}

func TestBatchesOfAPattern(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		var got notes[string]
		handle := func(ctx context.Context, batch []topics.Any) error {
			for i, d := range topics.DeliveriesFrom(ctx) {
				got.add(fmt.Sprint(d.Topic, batch[i].Topic, batch[i].Event, " of ", len(batch)))
			}
			return fails(errBoom, 2)(ctx, anyInts(batch))
		}
		if _, err := topics.SubscribePatternBatch(rt.Runtime, "p.*", "s", handle, topics.SubscriberConfig{Batch: size(3), Retry: once}); err != nil {
			t.Fatal(err)
		}
		factory := func() topics.Behavior[[]topics.Any] { return topics.Behavior[[]topics.Any]{Receive: handle} }
		if _, err := topics.SubscribePatternBatchFactory(rt.Runtime, "q.*", "s", factory, topics.SubscriberConfig{Batch: size(3), Retry: once}); err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{"p", "q"} {
			for i, name := range []string{"a", "b"} {
				topic, err := topics.Open[int](rt.Runtime, p+"."+name)
				if err != nil {
					t.Fatal(err)
				}
				if err := topic.Publish(t.Context(), i+1); err != nil {
					t.Fatal(err)
				}
			}
			rt.Idle()
		}
		wantSlice(t, "events", got.all(),
			"p.ap.a1 of 2", "p.bp.b2 of 2", "p.ap.a1 of 1", "p.bp.b2 of 1",
			"q.aq.a1 of 2", "q.bq.b2 of 2", "q.aq.a1 of 1", "q.bq.b2 of 1")
		if l := rt.Letters(); len(l) != 2 || l[0].Topic != "p.b" || l[1].Topic != "q.b" {
			t.Errorf("letters: %+v", l)
		}
	})
}

func anyInts(batch []topics.Any) (ints []int) {
	for _, a := range batch {
		ints = append(ints, a.Event.(int))
	}
	return ints
}

// A slow store of letters holds up the subscriber and loses none of several letters
// of one batch.
func TestLettersOfABatchWaitForRoom(t *testing.T) {
	for _, restart := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			memory, err := deadletter.NewMemory(deadletter.MemoryConfig{})
			if err != nil {
				t.Fatal(err)
			}
			store := &shutStore{Store: memory}
			rt := troupetest.New(t, runtime.Config{DeadLetters: store, MaxParkedLetters: 1})
			topic := open(t, rt)
			b := newBatches(partly(func(ev int) error {
				if ev < 4 {
					return supervisor.Permanent(errBoom)
				}
				return nil
			}))
			sub := subscribeBatch(t, topic, "s", b.handle, topics.SubscriberConfig{Batch: size(6), Retry: once})
			burst(t, topic, sub, seq(6)...)
			publish(t, topic, 6)
			time.Sleep(10 * time.Second)
			if got := counts(t, rt, "s"); got.Parked != 4 || got.Queued != 1 || len(b.calls()) != 1 {
				t.Errorf("without room: %+v, %v", got, b.calls())
			}
			if restart {
				time.AfterFunc(time.Second, func() { store.opened.Store(true) })
				if err := sub.Unsubscribe(t.Context(), runtime.DeadLetterRest); err != nil {
					t.Error(err)
				}
			}
			store.opened.Store(true)
			rt.Idle(time.Hour)
			want := []string{"0 permanent", "1 permanent", "2 permanent", "3 permanent"}
			if restart {
				want = append(want, "6 unsubscribed")
			}
			wantSlice(t, "letters", reasons(rt), want...)
		})
	}
}

// shutStore refuses letters while it is shut.
type shutStore struct {
	deadletter.Store
	opened atomic.Bool
}

func (s *shutStore) Add(ctx context.Context, letters []deadletter.Letter) error {
	if !s.opened.Load() {
		return errBoom
	}
	return s.Store.Add(ctx, letters)
}

// script is one run of TestBatchesKeepWhatTheyPromise.
type script struct {
	cfg     topics.SubscriberConfig
	keyed   bool
	ordered bool // no call names events: they are done in their order
	poison  map[int]bool
	seed    uint64
	events  int
}

func drawScript(r *rapid.T) script {
	capacity := rapid.SampledFrom([]int{8, 20, 200}).Draw(r, "capacity")
	s := script{poison: map[int]bool{}, seed: rapid.Uint64().Draw(r, "seed"), events: 80}
	s.ordered = rapid.Bool().Draw(r, "ordered")
	s.keyed = rapid.Bool().Draw(r, "keyed")
	for _, n := range rapid.SliceOfN(rapid.IntRange(0, s.events-1), 0, 12).Draw(r, "poison") {
		s.poison[n] = true
	}
	s.cfg = topics.SubscriberConfig{
		Capacity: capacity,
		Batch: topics.BatchConfig{
			Size:   rapid.IntRange(1, min(capacity, 16)).Draw(r, "size"),
			Period: rapid.SampledFrom([]time.Duration{supervisor.NoDelay, 10 * time.Millisecond, time.Second}).Draw(r, "period"),
		},
		Overflow: rapid.SampledFrom([]mailbox.Overflow{
			mailbox.Block, mailbox.Unbounded, mailbox.DropOldest, mailbox.DropNewest, mailbox.DeadLetter, mailbox.Latest,
		}).Draw(r, "overflow"),
		Ordering:  rapid.SampledFrom([]actors.Ordering{topics.Ordered, topics.Parked}).Draw(r, "ordering"),
		Workers:   rapid.SampledFrom([]int{1, 1, 3}).Draw(r, "workers"),
		MaxParked: rapid.SampledFrom([]int{0, 1, 10}).Draw(r, "parked"),
		Timeout:   rapid.SampledFrom([]time.Duration{0, time.Second}).Draw(r, "timeout"),
		Retry:     supervisor.Retry{MaxAttempts: rapid.IntRange(1, 3).Draw(r, "attempts"), BaseDelay: 50 * time.Millisecond},
		Restart:   supervisor.Restart{MaxRestarts: supervisor.Unlimited},
	}
	if s.keyed {
		s.cfg.Key = topics.KeyOf(lastDigit)
	}
	return s
}

// Whatever fails and however, and whoever restarts and pauses: every event that is
// not poison is done exactly once, every poison is a letter, the account says so, and
// the order that was promised is kept.
func TestBatchesKeepWhatTheyPromise(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		s := drawScript(r)
		var faults []string
		synctest.Test(t, func(t *testing.T) { faults = s.run(t) })
		if len(faults) > 0 {
			r.Fatalf("%s", strings.Join(faults, "\n"))
		}
	})
}

func (s script) run(t *testing.T) (faults []string) {
	var mu sync.Mutex
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	rnd := rand.New(rand.NewPCG(s.seed, 1))
	rt := troupetest.New(t, runtime.Config{Logger: zap.NewNop()})
	topic := open(t, rt)
	done, blips := map[int]int{}, map[int]int{}
	busy := map[string]bool{}
	var order []int
	handle := func(_ context.Context, batch []int) error {
		mu.Lock()
		if s.keyed && s.cfg.Overflow != mailbox.Latest && (s.cfg.Workers > 1 || s.cfg.Ordering == topics.Parked) {
			keys := map[string]bool{}
			for _, ev := range batch {
				keys[lastDigit(ev)] = true
			}
			for k := range keys {
				if busy[k] {
					fault("key %s is in two batches at once", k)
				}
				busy[k] = true
			}
			defer func() {
				mu.Lock()
				defer mu.Unlock()
				for k := range keys {
					delete(busy, k)
				}
			}()
		}
		if len(batch) == 0 || len(batch) > s.cfg.Batch.Size {
			fault("a batch of %d", len(batch))
		}
		var bad []int
		for i, ev := range batch {
			if s.poison[ev] {
				bad = append(bad, i)
			}
		}
		blip := false // nobody's fault
		if len(bad) == 0 && rnd.IntN(8) == 0 {
			blip = len(batch) > 1
			if ev := batch[0]; !blip && blips[ev] < s.cfg.Retry.MaxAttempts-1 {
				blips[ev]++
				blip = true
			}
		}
		how := rnd.IntN(6)
		sleep := time.Duration(rnd.IntN(3)) * 10 * time.Millisecond
		named := !s.ordered && len(bad) > 0 && how >= 4
		if len(bad) == 0 && !blip || named {
			for i, ev := range batch {
				if !slices.Contains(bad, i) {
					done[ev]++
					order = append(order, ev)
				}
			}
		}
		mu.Unlock()
		time.Sleep(sleep)
		switch {
		case named:
			var failed topics.BatchError
			for _, i := range bad {
				failed.Fail(i, errBoom)
			}
			return failed.Err()
		case len(bad) == 0 && !blip:
			return nil
		case how == 0:
			panic("boom")
		case how == 1:
			goexit()
		case how == 2 && s.cfg.Timeout > 0:
			time.Sleep(s.cfg.Timeout)
		case how == 3 && len(bad) > 0:
			return supervisor.Permanent(errBoom)
		}
		return errBoom
	}
	sub := subscribeBatch(t, topic, "s", handle, s.cfg)
	mine := rand.New(rand.NewPCG(s.seed, 2))
	for n := range s.events {
		publish(t, topic, n)
		switch mine.IntN(20) {
		case 0:
			time.Sleep(time.Duration(mine.IntN(2000)) * time.Millisecond)
		case 1:
			sub.Pause()
			time.AfterFunc(100*time.Millisecond, sub.Resume)
		case 2:
			synctest.Wait()
			troupetest.CheckAccount(t, rt.Snapshot())
		}
	}
	if mine.IntN(2) == 0 {
		if err := sub.Unsubscribe(t.Context(), runtime.Drain); err != nil {
			fault("unsubscribe: %v", err)
		}
	}
	rt.Idle(100 * time.Hour)
	got := account(t, rt).Total
	if int(got.Deliveries) != s.events || int(got.Done) != len(order) || got.Done+got.DeadLettered+got.TotalDropped() != got.Deliveries {
		fault("%d handled, account: %+v", len(order), got)
	}
	for ev, n := range done {
		if n > 1 || s.poison[ev] {
			fault("event %d was handled %d times", ev, n)
		}
	}
	letters := map[int]string{}
	for _, l := range rt.Letters() {
		ev, _ := strconv.Atoi(string(l.Payload))
		letters[ev] = l.Reason
		if !s.poison[ev] && l.Reason != supervisor.ReasonOverflow {
			fault("letter of %d, which is no poison: %s, %+v", ev, l.Reason, l.Attempts)
		}
	}
	if len(letters) != int(got.DeadLettered) {
		fault("%d letters, account: %+v", len(letters), got)
	}
	for ev := range s.poison {
		if letters[ev] == "" && got.TotalDropped() == 0 {
			fault("no letter of poison %d", ev)
		}
	}
	if s.ordered && s.cfg.Overflow != mailbox.Latest {
		last := map[string]int{}
		for _, ev := range order {
			key := ""
			if s.cfg.Workers > 1 || s.cfg.Ordering == topics.Parked {
				if key = lastDigit(ev); !s.keyed {
					key = strconv.Itoa(ev)
				}
			}
			if before, ok := last[key]; ok && before > ev {
				fault("%d was handled after %d: %v", ev, before, order)
			}
			last[key] = ev
		}
	}
	return faults
}

// With a period that never ends, batches begin by their size alone: the last event
// of one that wakes nobody would stop everything.
func TestBatchesBySizeAloneMissNoEvent(t *testing.T) {
	for _, c := range []topics.SubscriberConfig{
		{Capacity: 8}, {Capacity: 64, Workers: 3}, {Capacity: 8, Overflow: mailbox.Reject}, {Overflow: mailbox.Unbounded},
		{Capacity: 8, Key: topics.KeyOf(lastDigit), Workers: 2}, {Capacity: 1 << 20, Overflow: mailbox.DropOldest},
		{Capacity: 8, Filter: topics.Where(func(int) bool { return true })},
	} {
		c.Batch = topics.BatchConfig{Size: 8, Period: time.Hour}
		c.Retry = supervisor.Retry{BaseDelay: supervisor.NoDelay}
		t.Run(fmt.Sprint(c.Overflow, c.Workers, c.Capacity), func(t *testing.T) {
			events := 20000
			if testing.Short() {
				events = 4000
			}
			rt := troupetest.New(t)
			topic := open(t, rt)
			var handled, tries atomic.Int64
			all := make(chan struct{})
			sub := subscribeBatch(t, topic, "s", func(_ context.Context, batch []int) error {
				if tries.Add(1)%5 == 0 && len(batch) > 1 {
					return errBoom
				}
				if handled.Add(int64(len(batch))) == int64(events) {
					close(all)
				}
				return nil
			}, c)
			over := make(chan struct{})
			var onlooker sync.WaitGroup
			defer onlooker.Wait()
			defer close(over)
			onlooker.Go(func() {
				for {
					select {
					case <-over:
						return
					default:
						troupetest.CheckAccount(t, rt.Snapshot()) // adds up at any moment
						time.Sleep(100 * time.Microsecond)
					}
				}
			})
			var wg sync.WaitGroup
			for p := range 4 {
				wg.Go(func() {
					for n := p; n < events; n += 4 {
						for topic.Publish(t.Context(), n) != nil {
							time.Sleep(time.Microsecond)
						}
					}
				})
			}
			wg.Wait()
			// Of the rest, which may have less than a batch, a Drain takes care.
			for began := time.Now(); rt.Snapshot().Total.Queued >= 8; time.Sleep(time.Millisecond) {
				if time.Since(began) > 20*time.Second {
					t.Fatalf("a batch waits and nobody was woken: %+v", rt.Snapshot().Total)
				}
			}
			if err := sub.Unsubscribe(t.Context(), runtime.Drain); err != nil {
				t.Error(err)
			}
			select {
			case <-all:
			case <-time.After(time.Minute):
				t.Fatalf("%d of %d handled: %+v", handled.Load(), events, rt.Snapshot().Total)
			}
		})
	}
}

func goexit() { goruntime.Goexit() }
