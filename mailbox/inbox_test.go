package mailbox_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	goruntime "runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/troupe-go/troupe/mailbox"
)

// gang is several consumers of one inbox that is fed by several logs, in the manner
// of the pools of package actors.
type gang struct {
	t       *testing.T
	in      *mailbox.Inbox[shot]
	cfg     mailbox.CursorConfig[shot]
	members []*member

	steps   atomic.Uint64
	handled atomic.Int64
	wanted  atomic.Int64 // published, accepted and wanted by the filter
	busy    sync.Map     // key to *atomic.Bool, of keyed ones
	last    sync.Map     // key and log to *atomic.Int64
	held    sync.WaitGroup
	done    chan struct{} // closed when the last member has left
	left    atomic.Int32
	leaving atomic.Bool
}

type member struct {
	g      *gang
	r      *mailbox.Reader[shot]
	state  atomic.Uint32
	signal atomic.Bool
}

func (g *gang) wake() {
	for _, m := range g.members {
		if m.state.CompareAndSwap(actorIdle, actorRunning) {
			go m.run()
			return
		}
	}
}

func (g *gang) wakeAll() {
	for _, m := range g.members {
		m.signal.Store(true)
		if m.state.CompareAndSwap(actorIdle, actorRunning) {
			go m.run()
		}
	}
}

func (m *member) run() {
	g := m.g
	for {
		m.signal.Store(false)
		for {
			v, ok := m.r.Next()
			if !ok {
				break
			}
			g.handle(m.r, v)
		}
		m.r.Publish(false)
		m.r.Settle()
		if g.leaving.Load() && m.r.Drained() {
			if g.left.Add(-1) == 0 {
				close(g.done)
			}
			return
		}
		ready := func() bool { return m.r.Ready() || g.leaving.Load() && m.r.Drained() }
		if ready() {
			continue
		}
		g.in.Sleep() // B1
		if ready() {
			continue // B2
		}
		m.state.Store(actorIdle)
		if !m.signal.Load() && g.in.Sleeps() || !m.state.CompareAndSwap(actorIdle, actorRunning) { // B5
			return
		}
	}
}

func (g *gang) handle(r *mailbox.Reader[shot], v shot) {
	g.steps.Add(1)
	if *v.again != [2]int{v.producer, v.n} {
		g.t.Errorf("event in hand = %+v, want it whole", v)
	}
	if g.cfg.Filter != nil && !g.cfg.Filter(v, nil) {
		g.t.Errorf("event %d has passed the filter", v.n)
	}
	if !g.cfg.Keyed {
		g.handled.Add(1)
		if rand.IntN(8) == 0 {
			goruntime.Gosched()
		}
		return
	}
	key := g.cfg.Key(v)
	b, _ := g.busy.LoadOrStore(key, new(atomic.Bool))
	busy := b.(*atomic.Bool)
	if busy.Swap(true) {
		g.t.Errorf("two events of key %s are in hand", key)
	}
	l, _ := g.last.LoadOrStore(fmt.Sprint(key, "/", v.producer), new(atomic.Int64))
	if last := l.(*atomic.Int64).Swap(int64(v.n)); last >= int64(v.n) {
		g.t.Errorf("key %s of producer %d: event %d after %d", key, v.producer, v.n, last)
	}
	switch rand.IntN(10) {
	case 0: // it failed, and waits aside
		hold := r.Hold()
		g.held.Add(1)
		go func() {
			defer g.held.Done()
			for range rand.IntN(20) {
				goruntime.Gosched()
			}
			busy.Store(false)
			g.handled.Add(1)
			hold.Release()
		}()
		return
	case 1:
		goruntime.Gosched()
	}
	busy.Store(false)
	g.handled.Add(1)
	r.Release()
}

// Whatever the number of logs, producers and consumers: every event that the filter
// wants is handled once, the events of a key one after the other and in order, and
// nobody sleeps while there is something to do.
func TestManyConsumersShareAnInbox(t *testing.T) {
	each := 4000
	if testing.Short() {
		each = 800
	}
	byProducer := func(v shot) string { return strconv.Itoa(v.producer) }
	byNumber := func(v shot) string { return strconv.Itoa(v.n % 7) }
	for _, over := range []mailbox.Overflow{mailbox.Block, mailbox.Unbounded} {
		for _, size := range []struct{ logs, producers, consumers, capacity int }{
			{1, 1, 1, 1}, {1, 1, 4, 1}, {1, 4, 1, 3}, {1, 4, 4, 64}, {3, 4, 1, 2}, {3, 4, 3, 64}, {8, 2, 2, 1000},
		} {
			for i, cfg := range []mailbox.CursorConfig[shot]{
				{},
				{Keyed: true, Key: byProducer},
				{Keyed: true, Key: byNumber, Filter: func(v shot, _ *mailbox.Meta) bool { return v.n%3 == 0 }},
				{Filter: func(v shot, _ *mailbox.Meta) bool { return v.n%50 == 0 }},
				{Priority: func(v shot) int { return v.n % 3 }, Lanes: 3},
				{Priority: func(v shot) int { return v.n % 3 }, Lanes: 3, Keyed: true, Key: byNumber},
			} {
				cfg.Overflow, cfg.Capacity = over, size.capacity
				t.Run(fmt.Sprintf("%v/%d logs/%d to %d/%d/%d", over, size.logs, size.producers, size.consumers, size.capacity, i), func(t *testing.T) {
					shareInbox(t, cfg, size.logs, size.producers, size.consumers, each)
				})
			}
		}
	}
}

func shareInbox(t *testing.T, cfg mailbox.CursorConfig[shot], logs, producers, consumers, each int) {
	g := &gang{t: t, cfg: cfg, done: make(chan struct{})}
	for range consumers {
		m := &member{g: g}
		m.state.Store(actorRunning)
		g.members = append(g.members, m)
	}
	g.left.Store(int32(consumers))
	cfg.Shared, cfg.Wake, cfg.WakeAll = consumers > 1, g.wake, g.wakeAll
	g.in = mailbox.NewInbox(cfg)
	var all []*mailbox.Log[shot]
	for i := range logs {
		log := mailbox.NewLog[shot](nil)
		if err := mailbox.Feed(g.in, log, strconv.Itoa(i), func(v shot) shot { return v }); err != nil {
			t.Fatal(err)
		}
		all = append(all, log)
	}
	watchdog(t, g.steps.Load, func() string {
		s := fmt.Sprintf("len %d handled %d of %d", g.in.Len(), g.handled.Load(), g.wanted.Load())
		for _, m := range g.members {
			s += fmt.Sprintf(" state %d", m.state.Load())
		}
		return s
	})
	for _, m := range g.members {
		m.r = g.in.Reader()
		go m.run()
	}
	var wg sync.WaitGroup
	for i, log := range all {
		for p := range producers {
			wg.Go(func() {
				for n := 1; n <= each; n++ {
					id := i*producers + p
					v := shot{id, n, &[2]int{id, n}}
					if err := log.Append(context.Background(), v); err != nil {
						t.Errorf("Append = %v", err)
						return
					}
					g.steps.Add(1)
					if cfg.Filter == nil || cfg.Filter(v, nil) {
						g.wanted.Add(1)
					}
					if rand.IntN(50) == 0 {
						goruntime.Gosched()
					}
				}
			})
		}
	}
	wg.Wait()
	// Before anybody is told to leave, so that only what has been published wakes.
	for g.handled.Load() < g.wanted.Load() {
		goruntime.Gosched()
	}
	g.in.Detach()
	g.leaving.Store(true)
	g.wakeAll()
	<-g.done
	g.held.Wait()
	g.in.Close()
	if got, want := g.handled.Load(), g.wanted.Load(); got != want {
		t.Errorf("%d events handled, want %d", got, want)
	}
	g.in.Inspect(func(d mailbox.Drops) {
		if n := uint64(logs * producers * each); d.Accepted != n || d.Accepted-d.Filtered != uint64(g.wanted.Load()) || d.UnderWay != 0 {
			t.Errorf("Drops = %+v, want %d accepted and all but %d filtered", d, n, g.wanted.Load())
		}
	})
}
