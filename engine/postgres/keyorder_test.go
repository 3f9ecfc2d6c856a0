package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
)

func keyed(group string) engine.SubscribeConfig {
	return engine.SubscribeConfig{Group: group, KeyOrder: true, Lease: time.Hour, MaxInFlight: 1000}
}

func TestAKeyIsWithOneConsumerAtATime(t *testing.T) {
	e := open(t, config(t))
	orders := topic(t, e, "orders")
	a, b := subscribe(t, orders, keyed("g")), subscribe(t, orders, keyed("g"))
	publish(t, orders, "1/x", "2/x", "3/y", "4/x", "5/y", "6")
	wantIDs(t, fetchAll(t, a, 2), "1 2")
	other := fetchAll(t, b, 3)
	wantIDs(t, other, "3 5 6")
	wantLag(t, a, engine.Lag{Waiting: 1, Unsettled: 5})
	nothing(t, b, 50*time.Millisecond)
	// What follows 1 and 2 comes when both are settled.
	nothing(t, a, 50*time.Millisecond)
}

func TestSettlingLetsWhatFollowsGo(t *testing.T) {
	e := open(t, config(t))
	orders := topic(t, e, "orders")
	a, b := subscribe(t, orders, keyed("g")), subscribe(t, orders, keyed("g"))
	publish(t, orders, "1/x", "2/x", "3/x")
	first := fetch(t, a, 1)
	wantIDs(t, first, "1")
	nothing(t, b, 50*time.Millisecond) // parks 2 and 3
	publish(t, orders, "4/x")
	nothing(t, b, 50*time.Millisecond)
	settle(t, a, engine.Ack, first...)
	rest := fetch(t, b, 10)
	wantIDs(t, rest, "2 3 4")
	nothing(t, a, 50*time.Millisecond)
	// The one that comes back keeps those that come later waiting.
	if settleLater(t, b, engine.Nack, 300*time.Millisecond, rest...) != 0 {
		t.Fatal("late")
	}
	publish(t, orders, "5/x", "6/y")
	wantIDs(t, fetch(t, a, 10), "6")
	nothing(t, a, 100*time.Millisecond)
	again := fetchAll(t, a, 4)
	wantIDs(t, again, "2 3 4 5")
	settle(t, a, engine.Ack, again...)
	wantLag(t, a, engine.Lag{Unsettled: 1})
}

func TestALostLeaseTakesWhatFollowsAlong(t *testing.T) {
	e := open(t, config(t))
	orders := topic(t, e, "orders")
	cfg := keyed("g")
	cfg.Lease = 400 * time.Millisecond
	slow := subscribe(t, orders, cfg)
	publish(t, orders, "1/x", "2/x", "3/y")
	had := fetchAll(t, slow, 3)
	other := subscribe(t, orders, cfg)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() { // 2 and 3 are extended, 1 is not
		for ctx.Err() == nil {
			_ = slow.Extend(ctx, had[1:])
			time.Sleep(20 * time.Millisecond)
		}
	}()
	wantIDs(t, fetchAll(t, other, 2), "1 2")
	cancel()
	if late := settleLater(t, slow, engine.Ack, 0, had...); late != 2 {
		t.Errorf("late = %d, want 2", late)
	}
}

func TestAGroupChangesItsKindWhenNobodyHasAny(t *testing.T) {
	e := open(t, config(t))
	orders := topic(t, e, "orders")
	plain := engine.SubscribeConfig{Group: "g", Lease: time.Hour}
	a := subscribe(t, orders, plain)
	publish(t, orders, "1/x", "2/x", "3/y", "4")
	fetchAll(t, a, 3)
	if _, err := orders.Subscribe(t.Context(), keyed("g")); !errors.Is(err, engine.ErrMismatch) {
		t.Fatalf("Subscribe = %v, want ErrMismatch", err)
	}
	if err := a.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	b := subscribe(t, orders, keyed("g"))
	c := subscribe(t, orders, keyed("g"))
	wantIDs(t, fetch(t, b, 1), "1")
	wantIDs(t, fetchAll(t, c, 2), "3 4")
	if err := errors.Join(b.Close(t.Context()), c.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	a = subscribe(t, orders, plain)
	settle(t, a, engine.Ack, fetchAll(t, a, 4)...)
	wantLag(t, a, engine.Lag{})
}

// Consumers that fail, give back, close and are left for dead, against the rule: of a
// key, nothing is handed out before all that came before it is settled, or with the
// same consumer.
func TestOrderOfAKeyThroughFailuresOfSeveralConsumers(t *testing.T) {
	cfg := config(t)
	cfg.Poll = 50 * time.Millisecond
	e := open(t, cfg)
	orders := topic(t, e, "orders")
	const keys, each, consumers = 12, 40, 4
	subscribe(t, orders, keyed("g")).Close(t.Context())

	type state struct {
		sync.Mutex
		settled [keys]map[int]bool // by number of the key; also while it is being done
		done    [keys]map[int]bool
		holder  [keys]map[int]int
		left    int
	}
	st := &state{left: keys * each}
	for k := range keys {
		st.settled[k], st.done[k], st.holder[k] = map[int]bool{}, map[int]bool{}, map[int]int{}
	}
	var work sync.WaitGroup
	work.Go(func() {
		next := [keys]int{}
		for n := 0; n < keys*each; {
			var batch []engine.Record
			for range 1 + rand.IntN(20) {
				k := rand.IntN(keys)
				if next[k] == each {
					continue
				}
				batch = append(batch, record(fmt.Sprintf("%d-%d", k, next[k]), fmt.Sprint("key", k)))
				next[k]++
				n++
			}
			for _, err := range orders.Publish(t.Context(), batch) {
				if err != nil {
					t.Error(err)
				}
			}
		}
	})
	consume := func(me int) {
		for run := 0; ; run++ {
			who := me + consumers*run
			c := keyed("g")
			c.Lease = 500 * time.Millisecond
			s, err := orders.Subscribe(t.Context(), c)
			if err != nil {
				t.Error(err)
				return
			}
			for range 1 + rand.IntN(12) {
				st.Lock()
				left := st.left
				st.Unlock()
				if left <= 0 || t.Failed() {
					s.Close(t.Context())
					return
				}
				ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
				asked := time.Now()
				got, err := s.Fetch(ctx, 1+rand.IntN(15))
				cancel()
				if err != nil && ctx.Err() == nil {
					t.Error(err)
					return
				}
				st.Lock()
				for _, d := range got {
					var k, n int
					fmt.Sscanf(d.Record.ID, "%d-%d", &k, &n)
					for before := range n {
						if h, held := st.holder[k][before]; !st.settled[k][before] && (!held || h != who) {
							t.Errorf("%s is handed to %d, and %d-%d is not settled and not with it", d.Record.ID, who, k, before)
						}
					}
					st.holder[k][n] = who
				}
				st.Unlock()
				if rand.IntN(8) == 0 {
					break // gone
				}
				// Settled in their order, and only as long as nobody can have taken it: what
				// follows may be handed out from the moment that the engine knows.
				for _, d := range got {
					if time.Since(asked) > c.Lease/2 {
						break
					}
					var k, n int
					fmt.Sscanf(d.Record.ID, "%d-%d", &k, &n)
					v := engine.Ack
					if rand.IntN(6) == 0 {
						v = engine.Nack
					}
					st.Lock()
					if v == engine.Nack {
						delete(st.holder[k], n)
					} else {
						st.settled[k][n] = true
					}
					st.Unlock()
					late, err := s.Settle(t.Context(), []engine.Settlement{{Delivery: d, Verdict: v, Delay: time.Duration(rand.IntN(30)) * time.Millisecond}})
					if err != nil {
						t.Error(err)
					}
					st.Lock()
					switch {
					case v == engine.Nack:
					case late == 0:
						st.done[k][n] = true
						st.left--
					case time.Since(asked) < c.Lease:
						t.Errorf("%s was settled %v after it was asked for, with a lease of %v, and late", d.Record.ID, time.Since(asked), c.Lease)
					default: // the machine is slow; another has it, or has settled it
						st.settled[k][n] = st.done[k][n]
					}
					st.Unlock()
					if v == engine.Nack {
						break // what follows of its key waits with it, in the lease
					}
				}
			}
			if rand.IntN(2) == 0 {
				st.Lock()
				for k := range keys {
					for n, h := range st.holder[k] {
						if h == who {
							delete(st.holder[k], n)
						}
					}
				}
				st.Unlock()
				if err := s.Close(t.Context()); err != nil {
					t.Error(err)
				}
				continue
			}
			// Left for dead: nobody closes it, and its leases run out.
			st.Lock()
			for k := range keys {
				for n, h := range st.holder[k] {
					if h == who {
						delete(st.holder[k], n)
					}
				}
			}
			st.Unlock()
		}
	}
	for c := range consumers {
		work.Go(func() { consume(c) })
	}
	work.Wait()
	if st.left != 0 {
		t.Errorf("%d are not settled", st.left)
	}
	s := subscribe(t, orders, keyed("g"))
	wantLag(t, s, engine.Lag{})
}
