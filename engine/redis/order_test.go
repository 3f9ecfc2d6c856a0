package redis_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/redis"
)

// model knows who has what, and what order by key allows: a record is handed out when
// all of its key before it are settled, or with the same consumer.
type model struct {
	t  *testing.T
	mu sync.Mutex
	// Of each record, by key and number: settled, and who has it.
	settled map[string][]bool
	with    map[string][]int
	left    int
	handed  int
}

func newModel(t *testing.T, keys, each int) *model {
	m := &model{t: t, settled: map[string][]bool{}, with: map[string][]int{}, left: keys * each}
	for k := range keys {
		key := fmt.Sprint("key", k)
		m.settled[key] = make([]bool, each)
		m.with[key] = make([]int, each)
	}
	return m
}

func place(d *engine.Delivery) (key string, i int) {
	if _, err := fmt.Sscanf(d.Record.ID, d.Record.Key+"-%d", &i); err != nil {
		panic(err)
	}
	return d.Record.Key, i
}

func (m *model) hand(consumer int, all []*engine.Delivery) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, d := range all {
		key, i := place(d)
		for j := range i {
			if !m.settled[key][j] && m.with[key][j] != consumer {
				m.t.Errorf("%s (attempt %d) went to consumer %d while %s-%d is with %d", d.Record.ID, d.Attempt, consumer, key, j, m.with[key][j])
			}
		}
		m.with[key][i] = consumer
		m.handed++
	}
}

// settle notes before the engine is told, since what follows may be handed out at once.
func (m *model) settle(settled []engine.Settlement) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range settled {
		key, i := place(s.Delivery)
		if s.Verdict == engine.Nack {
			m.with[key][i] = 0
		} else if !m.settled[key][i] {
			m.settled[key][i] = true
			m.left--
		}
	}
}

func (m *model) done() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.left == 0
}

// Consumers join, leave in order, die without a word, give records back for now and for
// later, and lose their connections in the middle of a read; the order of each key holds.
func TestKeyOrderThroughFailures(t *testing.T) {
	for _, shards := range []int{1, 3} {
		t.Run(fmt.Sprint(shards, " shards"), func(t *testing.T) { keyOrder(t, shards) })
	}
}

func keyOrder(t *testing.T, shards int) {
	const keys, each, consumers = 7, 60, 3
	srv := startServer(t)
	p, _ := streams(t, redis.Config{URL: srv.url(), Shards: shards, Poll: 5 * time.Millisecond})
	c := client(t, srv.url())
	m := newModel(t, keys, each)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	defer cancel()
	var ids struct {
		sync.Mutex
		n int
	}
	next := func() int {
		ids.Lock()
		defer ids.Unlock()
		ids.n++
		return ids.n
	}
	// One life of a consumer.
	live := func() {
		id := next()
		s, err := p.Subscribe(ctx, engine.SubscribeConfig{Group: "g", From: engine.FromOldest, KeyOrder: true, MaxInFlight: 6, Lease: 500 * time.Millisecond})
		if err != nil {
			return // its connection was cut
		}
		rounds := 5 + rand.IntN(40)
		for range rounds {
			if m.done() {
				break
			}
			fetch, cancel := context.WithTimeout(ctx, time.Duration(1+rand.IntN(60))*time.Millisecond)
			all, err := s.Fetch(fetch, 1+rand.IntN(6))
			cancel()
			if err != nil && !errors.Is(err, context.DeadlineExceeded) && !engine.Temporary(err) {
				t.Errorf("Fetch: %v", err)
				return
			}
			m.hand(id, all)
			back := map[string]bool{} // after one that goes back so do the others of its key
			var settled []engine.Settlement
			for _, d := range all {
				one := engine.Settlement{Delivery: d}
				if back[d.Record.Key] || rand.IntN(10) == 0 {
					back[d.Record.Key] = true
					one.Verdict, one.Delay = engine.Nack, time.Duration(rand.IntN(30))*time.Millisecond
				}
				settled = append(settled, one)
			}
			m.settle(settled)
			for ctx.Err() == nil {
				if _, err := s.Settle(ctx, settled); err == nil {
					break
				}
			}
		}
		if rand.IntN(3) == 0 {
			// It dies with what it has been handed, and no word.
			last, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			all, err := s.Fetch(last, 3)
			if err == nil {
				m.hand(id, all)
			}
			return
		}
		for ctx.Err() == nil && s.Close(ctx) != nil {
			continue // its connection was cut
		}
	}
	var wg sync.WaitGroup
	for range consumers {
		wg.Go(func() {
			for ctx.Err() == nil && !m.done() {
				live()
			}
		})
	}
	stop := make(chan struct{})
	wg.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(rand.IntN(150)) * time.Millisecond):
				_ = c.Do(ctx, "CLIENT", "KILL", "TYPE", "normal").Err() // itself, too
			}
		}
	})
	for i := range each {
		for k := range keys {
			r := keyed(fmt.Sprintf("key%d-%d", k, i), fmt.Sprint("key", k))
			for ctx.Err() == nil && p.Publish(ctx, []engine.Record{r}) != nil {
				continue // may store it twice, which is a delivery more
			}
		}
	}
	for ctx.Err() == nil && !m.done() {
		time.Sleep(5 * time.Millisecond)
	}
	close(stop)
	wg.Wait()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.left > 0 {
		t.Errorf("%d of %d records are not settled", m.left, keys*each)
	}
	t.Logf("%d deliveries of %d records, %d lives", m.handed, keys*each, ids.n)
}

func TestStandbyConsumerTakesOver(t *testing.T) {
	p, _ := streams(t, redis.Config{Poll: 10 * time.Millisecond})
	cfg := engine.SubscribeConfig{Group: "g", KeyOrder: true, Lease: 600 * time.Millisecond, MaxInFlight: 3}
	a := subscribe(t, p, cfg)
	publish(t, p, keyed("a1", "a"), keyed("a2", "a"), keyed("b1", "b"), keyed("b2", "b"))
	first := fetch(t, a, 3)
	b := subscribe(t, p, cfg)
	nothing(t, b, 100*time.Millisecond)
	// What is in hand is kept by Extend, and so is the shard.
	for begin := time.Now(); time.Since(begin) < time.Second; {
		if err := a.Extend(t.Context(), first); err != nil {
			t.Fatal(err)
		}
		nothing(t, b, 50*time.Millisecond)
	}
	// a says nothing more.
	got := fetch(t, b, 3)
	if fmt.Sprint(ids(got)) != "[a1 a2 b1]" || got[0].Attempt != 2 {
		t.Errorf("b took over %v at attempt %d", ids(got), got[0].Attempt)
	}
	if late := settle(t, a, engine.Ack, 0, first...); late != 3 {
		t.Errorf("late = %d, want 3", late)
	}
	ack(t, b, got...)
	if last := fetch(t, b, 1); last[0].Record.ID != "b2" || last[0].Attempt != 1 {
		t.Errorf("b got %v at attempt %d", ids(last), last[0].Attempt)
	}
}

// A record that is given back holds up those of its key, and no others.
func TestGivenBackHoldsUpItsKey(t *testing.T) {
	p, _ := streams(t, redis.Config{Poll: 10 * time.Millisecond})
	s := subscribe(t, p, engine.SubscribeConfig{Group: "g", KeyOrder: true, MaxInFlight: 2})
	publish(t, p, keyed("a1", "a"), keyed("a2", "a"), keyed("b1", "b"), keyed("a3", "a"))
	first := fetch(t, s, 1)
	settle(t, s, engine.Nack, 300*time.Millisecond, first...)
	if got := fetch(t, s, 1); got[0].Record.ID != "b1" {
		t.Fatalf("got %v, want b1", ids(got))
	} else {
		ack(t, s, got...)
	}
	var got []string
	for len(got) < 3 {
		d := fetch(t, s, 1)
		got = append(got, ids(d)...)
		ack(t, s, d...)
	}
	if fmt.Sprint(got) != "[a1 a2 a3]" {
		t.Errorf("then %v, want a1 a2 a3", got)
	}
}
