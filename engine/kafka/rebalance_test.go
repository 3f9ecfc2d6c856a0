package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/twmb/franz-go/pkg/kgo"
)

// spread publishes n records with keys that reach every partition.
func spread(t *testing.T, topic engine.Topic, n int) {
	t.Helper()
	var all []engine.Record
	for i := range n {
		all = append(all, event(fmt.Sprint("k", i%20), fmt.Sprint(i)))
	}
	publish(t, topic, all...)
}

// A partition that goes to another consumer waits for what is in hand, so that the
// other never has it at the same time.
func TestRevokeWaitsForWhatIsInHand(t *testing.T) {
	e := start(t, configOf(fake(t)))
	topic := open(t, e, "t")
	first := subscribe(t, topic, engine.SubscribeConfig{From: engine.FromOldest})
	spread(t, topic, 60)
	inHand := fetch(t, first, 60)
	second := subscribe(t, topic, engine.SubscribeConfig{})
	nothing(t, second)
	nothing(t, second)
	settle(t, first, engine.Ack, 0, inHand...)
	spread(t, topic, 60)
	eventually(t, "the second consumer has partitions", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		got, _ := second.Fetch(ctx, 100)
		for _, d := range got {
			if d.Attempt != 1 {
				t.Errorf("%s: %s: attempt %d, want 1", d.Position, d.Record.Data, d.Attempt)
			}
		}
		if len(got) > 0 {
			settle(t, second, engine.Ack, 0, got...)
		}
		return len(got) > 0
	})
}

// What is settled after the wait is over is late, and comes again to the new owner.
func TestRevokeWaitIsBounded(t *testing.T) {
	cfg := configOf(fake(t))
	cfg.RevokeWait = 300 * time.Millisecond
	e := start(t, cfg)
	topic := open(t, e, "t")
	first := subscribe(t, topic, engine.SubscribeConfig{From: engine.FromOldest})
	spread(t, topic, 60)
	inHand := fetch(t, first, 60)
	second := subscribe(t, topic, engine.SubscribeConfig{})
	again := fetch(t, second, 1)
	if again[0].Attempt != 2 {
		t.Errorf("attempt = %d, want 2", again[0].Attempt)
	}
	late := settleLate(t, first, engine.Ack, 0, inHand...)
	if late == 0 || late == len(inHand) {
		t.Errorf("late = %d of %d, want those of the partitions that went", late, len(inHand))
	}
	for len(again) < late {
		again = append(again, fetch(t, second, 1)...)
	}
	settle(t, second, engine.Ack, 0, again...)
	nothing(t, second)
	nothing(t, first)
}

// cut is a network that can be cut under a client.
type cut struct {
	mu    sync.Mutex
	off   bool
	conns []net.Conn
}

func (c *cut) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.off {
		return nil, &net.OpError{Op: "dial", Net: network, Err: errors.New("the network is cut")}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, addr)
	if err == nil {
		c.conns = append(c.conns, conn)
	}
	return conn, err
}

func (c *cut) set(off bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.off = off
	if off {
		for _, conn := range c.conns {
			_ = conn.Close()
		}
		c.conns = nil
	}
}

// A consumer that is cut off loses its partitions to the others, and what it settles
// then is late. It joins again when it can.
func TestLostPartitionsAreLate(t *testing.T) {
	c := fake(t)
	healthy := start(t, configOf(c))
	topic := open(t, healthy, "t")
	network := &cut{}
	cfg := configOf(c)
	cfg.SessionTimeout = time.Second
	cfg.Options = []kgo.Opt{kgo.Dialer(network.dial)}
	isolated := start(t, cfg)
	first := subscribe(t, open(t, isolated, "t"), engine.SubscribeConfig{From: engine.FromOldest})
	spread(t, topic, 30)
	inHand := fetch(t, first, 30)
	network.set(true)
	second := subscribe(t, topic, engine.SubscribeConfig{})
	again := fetch(t, second, 30)
	settle(t, second, engine.Ack, 0, again...)
	eventually(t, "the first consumer knows that it has lost its partitions", func() bool {
		late, _ := first.Settle(within(t), []engine.Settlement{{Delivery: inHand[0]}})
		return late == 1
	})
	if _, err := first.Fetch(within(t), 1); !engine.Temporary(err) {
		t.Errorf("Fetch = %v, want that the group was lost, which passes", err)
	}
	network.set(false)
	eventually(t, "the first consumer has partitions again", func() bool {
		spread(t, topic, 20)
		for _, s := range []engine.Subscription{second, first} {
			ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
			got, _ := s.Fetch(ctx, 100)
			cancel()
			if len(got) > 0 {
				_, _ = s.Settle(within(t), settlements(got))
				if s == first {
					return true
				}
			}
		}
		return false
	})
}

func settlements(all []*engine.Delivery) []engine.Settlement {
	out := make([]engine.Settlement, len(all))
	for i, d := range all {
		out[i].Delivery = d
	}
	return out
}

// TestStorm has consumers that come, go and are cut off, partitions that move between
// brokers and coordinators that change, while records are published, settled out of
// order and given back. Each key must be seen in its order, everything must be settled,
// and no commit may be past a record that is not settled.
func TestStorm(t *testing.T) {
	c := fake(t)
	cfg := configOf(c)
	cfg.Partitions, cfg.SessionTimeout, cfg.CommitEvery = 6, 2*time.Second, 5*time.Millisecond
	e := start(t, cfg)
	topic := open(t, e, "t")
	const keys, each = 24, 80
	st := newStorm(t, keys, each)

	ctx, stop := context.WithCancel(within(t))
	defer stop()
	var work sync.WaitGroup
	work.Go(func() { st.publish(ctx, topic) })
	work.Go(func() { st.disturb(ctx, c.RehashCoordinators, c.ShufflePartitionLeaders) })
	work.Go(func() { st.auditCommits(ctx, e) })
	for range 3 {
		work.Go(func() { st.consumers(ctx, topic) })
	}
	eventually(t, "everything is settled", func() bool { return st.settled.Load() >= keys*each || t.Failed() })
	stop()
	work.Wait()
	st.check()
	t.Logf("%d records, %d deliveries, %d of them late, %d consumers", keys*each, st.deliveries.Load(), st.late.Load(), st.joined.Load())
}

// storm is what has happened to each record, by key and number.
type storm struct {
	t          *testing.T
	keys, each int

	mu     sync.Mutex
	places map[string]mark // by place, of what was delivered
	next   []int           // by key: the first that was not settled
	done   [][]bool

	settled, deliveries, late, joined atomic.Int64
}

type mark struct {
	partition int32
	offset    int64
	key, n    int
}

func newStorm(t *testing.T, keys, each int) *storm {
	st := &storm{t: t, keys: keys, each: each, places: map[string]mark{}, next: make([]int, keys), done: make([][]bool, keys)}
	for i := range st.done {
		st.done[i] = make([]bool, each)
	}
	return st
}

func (st *storm) publish(ctx context.Context, topic engine.Topic) {
	for n := range st.each {
		var all []engine.Record
		for k := range st.keys {
			all = append(all, event(fmt.Sprint("k", k), fmt.Sprint(k, " ", n)))
		}
		for i, err := range topic.Publish(ctx, all) {
			if err != nil && ctx.Err() == nil {
				st.t.Errorf("Publish: key %d, number %d: %v", i, n, err)
			}
		}
		pause(ctx, 5*time.Millisecond)
	}
}

func (st *storm) disturb(ctx context.Context, what ...func()) {
	for i := 0; ctx.Err() == nil; i++ {
		pause(ctx, 150*time.Millisecond)
		what[i%len(what)]()
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d/2 + rand.N(d)):
	case <-ctx.Done():
	}
}

// consumers is one consumer after the other, each for a while.
func (st *storm) consumers(ctx context.Context, topic engine.Topic) {
	for ctx.Err() == nil {
		s, err := topic.Subscribe(ctx, engine.SubscribeConfig{Group: "g", From: engine.FromOldest, MaxInFlight: 64, KeyOrder: true})
		if err != nil {
			if ctx.Err() == nil && !engine.Temporary(err) {
				st.t.Errorf("Subscribe: %v", err)
			}
			continue
		}
		st.joined.Add(1)
		life, end := context.WithTimeout(ctx, 500*time.Millisecond+rand.N(1500*time.Millisecond))
		st.consume(life, s)
		end()
		bye, end := context.WithTimeout(context.Background(), patience)
		if err := s.Close(bye); err != nil && !engine.Temporary(err) {
			st.t.Errorf("Close: %v", err)
		}
		end()
	}
}

// consume handles what it gets key by key, and the keys in any order.
func (st *storm) consume(ctx context.Context, s engine.Subscription) {
	for ctx.Err() == nil {
		got, err := s.Fetch(ctx, 1+rand.IntN(32))
		if err != nil {
			if ctx.Err() == nil && !engine.Temporary(err) {
				st.t.Errorf("Fetch: %v", err)
			}
			continue
		}
		byKey := map[string][]*engine.Delivery{}
		for _, d := range got {
			st.seen(d)
			byKey[d.Record.Key] = append(byKey[d.Record.Key], d)
		}
		for _, all := range byKey {
			for i, d := range all {
				if rand.IntN(10) == 0 { // it and those behind it go back
					st.settle(ctx, s, engine.Nack, all[i:]...)
					break
				}
				st.settle(ctx, s, engine.Ack, d)
			}
		}
	}
}

// seen checks the order of a key: a record comes when those before it are settled, or
// with them.
func (st *storm) seen(d *engine.Delivery) {
	st.deliveries.Add(1)
	var m mark
	if _, err := fmt.Sscan(string(d.Record.Data), &m.key, &m.n); err != nil {
		st.t.Errorf("%s: %v", d.Position, err)
		return
	}
	raw := d.Message.(*kgo.Record)
	m.partition, m.offset = raw.Partition, raw.Offset
	st.mu.Lock()
	defer st.mu.Unlock()
	st.places[d.Place] = m
}

func (st *storm) settle(ctx context.Context, s engine.Subscription, verdict engine.Verdict, all ...*engine.Delivery) {
	var out []engine.Settlement
	for _, d := range all {
		if verdict == engine.Ack {
			st.handle(d)
		}
		out = append(out, engine.Settlement{Delivery: d, Verdict: verdict, Delay: rand.N(20 * time.Millisecond)})
	}
	late, err := s.Settle(context.WithoutCancel(ctx), out)
	if err != nil && !engine.Temporary(err) {
		st.t.Errorf("Settle: %v", err)
	}
	st.late.Add(int64(late))
}

// handle notes that a record was handled: the first time in the order of its key.
func (st *storm) handle(d *engine.Delivery) {
	st.mu.Lock()
	defer st.mu.Unlock()
	m := st.places[d.Place]
	if st.done[m.key][m.n] {
		return
	}
	if m.n != st.next[m.key] {
		st.t.Errorf("key %d: number %d is handled before %d (%s, attempt %d)", m.key, m.n, st.next[m.key], d.Position, d.Attempt)
	}
	st.done[m.key][m.n] = true
	st.next[m.key] = max(st.next[m.key], m.n+1)
	st.settled.Add(1)
}

// auditCommits looks, all the time, whether a commit is past a record that has not been
// handled. A commit that is there now may only be past what was handled before now.
func (st *storm) auditCommits(ctx context.Context, e interface{ Client() *kgo.Client }) {
	for ctx.Err() == nil {
		pause(ctx, 20*time.Millisecond)
		at, err := committed(ctx, e.Client(), "t/g", "t")
		if err != nil {
			continue
		}
		st.mu.Lock()
		for place, m := range st.places {
			if !st.done[m.key][m.n] && m.offset < at[m.partition] {
				st.t.Errorf("partition %d is committed at %d, and %s is not handled", m.partition, at[m.partition], place)
			}
		}
		st.mu.Unlock()
	}
}

func (st *storm) check() {
	for k, done := range st.done {
		if i := slices.Index(done, false); i >= 0 {
			st.t.Errorf("key %d: number %d was never handled", k, i)
		}
	}
}
