package nats_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/nats"
)

// Consumers that come and go, some without a word, and give back what they do not
// like: the records of a key are first handed out in their order, none before those
// before it are settled.
func TestKeysStayInOrderThroughFailuresAndEnds(t *testing.T) {
	t.Parallel()
	const keys, each = 12, 30
	e := start(t, nats.Config{Partitions: 4})
	top := topic(t, e, "orders")
	first := subscribe(t, top, engine.SubscribeConfig{KeyOrder: true})
	var all []engine.Record
	for n := range each {
		for k := range keys {
			all = append(all, keyed(k*1000+n, fmt.Sprint("key ", k)))
		}
	}
	publish(t, top, all...)
	first.Close(t.Context())

	var (
		mu    sync.Mutex
		next  [keys]int // the number that must be settled next
		held  [keys]int // how many of a key are out with consumers that are there
		total int
		ended = make(chan struct{})
	)
	const lease = 600 * time.Millisecond
	ctx := within(t)
	var work sync.WaitGroup
	consume := func(seed uint64) {
		r := rand.New(rand.NewPCG(seed, 1))
		for ctx.Err() == nil {
			select {
			case <-ended:
				return
			default:
			}
			s, err := top.Subscribe(ctx, engine.SubscribeConfig{Group: "group", KeyOrder: true, Lease: lease, MaxInFlight: 1 + r.IntN(8)})
			if err != nil {
				t.Error(err)
				return
			}
			life, cancel := context.WithCancel(ctx)
			for range 5 + r.IntN(40) {
				one, stop := context.WithTimeout(life, 300*time.Millisecond)
				got, err := s.Fetch(one, 1+r.IntN(8))
				stop()
				if err != nil {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Error(err)
					}
					break
				}
				for _, d := range got {
					var id int
					fmt.Sscan(d.Record.ID, &id)
					k, n := id/1000, id%1000
					mu.Lock()
					if n > next[k] || held[k] > 0 {
						t.Errorf("key %d: %d is handed out while %d is to be settled and %d are out", k, n, next[k], held[k])
					}
					held[k]++
					mu.Unlock()
					verdict, delay := engine.Ack, time.Duration(0)
					switch r.IntN(8) {
					case 0:
						verdict, delay = engine.Nack, time.Duration(r.IntN(20))*time.Millisecond
					case 1:
						verdict = engine.Nack
					case 2:
						verdict = engine.Term
					}
					mu.Lock()
					held[k]--
					if verdict != engine.Nack && n == next[k] {
						next[k]++
						total++
						if total == keys*each {
							close(ended)
						}
					}
					mu.Unlock()
					late, err := s.Settle(ctx, []engine.Settlement{{Delivery: d, Verdict: verdict, Delay: delay}})
					if err != nil {
						t.Error(err)
					}
					if late > 0 && verdict != engine.Nack {
						t.Logf("record %d was late", id)
					}
				}
			}
			cancel()
			s.Close(ctx)
		}
	}
	for i := range 3 {
		work.Go(func() { consume(uint64(i)) })
	}
	work.Wait()
	if total != keys*each {
		t.Fatalf("%d were settled, want %d", total, keys*each)
	}
}

// A record of a partition that is late is not acknowledged, for the next would go out
// while another consumer has it.
func TestALateAckDoesNotFreeAPartition(t *testing.T) {
	t.Parallel()
	const lease = 2 * time.Second
	e := start(t, nats.Config{})
	top := topic(t, e, "orders")
	a := subscribe(t, top, engine.SubscribeConfig{KeyOrder: true, Lease: lease})
	publish(t, top, keyed(1, "k"), keyed(2, "k"))
	d := fetch(t, a, 1)
	b := subscribe(t, top, engine.SubscribeConfig{KeyOrder: true, Lease: lease})
	again := fetch(t, b, 1)
	if late, err := a.Settle(t.Context(), []engine.Settlement{{Delivery: d[0]}}); late != 1 || err != nil {
		t.Fatalf("Settle = %d, %v, want 1 late", late, err)
	}
	nothing(t, b, 50*time.Millisecond)
	settle(t, b, engine.Ack, again...)
	if got := ids(fetch(t, b, 1)); got[0] != "2" {
		t.Errorf("then %v, want 2", got)
	}
}
