package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
)

// A fetch that its caller has given up may still be at work in the server when Close
// gives back what the consumer has: what it took after that would be nobody's until its
// lease is over.
func TestCloseGivesBackWhatAnAbandonedFetchTakes(t *testing.T) {
	e := open(t, config(t))
	for _, keyed := range []bool{false, true} {
		tp := topic(t, e, fmt.Sprintf("orders.%v", keyed))
		for i := range 150 {
			cfg := engine.SubscribeConfig{Group: fmt.Sprintf("g%v", keyed), From: engine.FromOldest, Lease: time.Hour, KeyOrder: keyed}
			first, err := tp.Subscribe(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			id := fmt.Sprintf("%v-%d", keyed, i)
			publish(t, tp, id+"/k")
			ctx, cancel := context.WithCancel(t.Context())
			done := make(chan struct{})
			go func() {
				defer close(done)
				_, _ = first.Fetch(ctx, 10)
			}()
			time.Sleep(time.Duration(rand.IntN(1500)) * time.Microsecond) // anywhere in the fetch
			cancel()
			<-done
			if err := first.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
			second, err := tp.Subscribe(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			soon, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			got, err := second.Fetch(soon, 10)
			cancel()
			if err != nil || ids(got) != id {
				t.Fatalf("round %d, order by key %v: Fetch = %s, %v, want %s", i, keyed, ids(got), err, id)
			}
			settle(t, second, engine.Ack, got...)
			if err := second.Close(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
	}
}
