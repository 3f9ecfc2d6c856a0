package nats_test

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/nats"
)

// A Mark that has ended without an answer may have been stored. The next one of the
// same delivery does not count it: it was no crash.
func TestAMarkThatFailedIsNoCrash(t *testing.T) {
	t.Parallel()
	top := topic(t, start(t, nats.Config{}), "orders")
	s := subscribe(t, top, engine.SubscribeConfig{})
	const n = 40
	publish(t, top, numbered(0, n)...)
	got := fetch(t, s, n)
	settle(t, s, engine.Ack, got[0])
	got = got[1:]
	var wg sync.WaitGroup
	var mu sync.Mutex
	failed := 0
	for side := range 4 {
		wg.Go(func() {
			for i := side; i < len(got); i += 4 {
				for tries := 0; ; tries++ {
					most := patience
					if tries < 20 {
						most = time.Duration(rand.IntN(600)) * time.Microsecond
					}
					ctx, cancel := context.WithTimeout(context.Background(), most)
					before, err := s.(engine.Marker).Mark(ctx, got[i])
					cancel()
					if err == nil {
						if before != 0 {
							t.Errorf("the first Mark of %s that succeeds = %d, want 0", got[i].Record.ID, before)
						}
						break
					}
					if tries > 20 {
						t.Errorf("Mark = %v", err)
						break
					}
					mu.Lock()
					failed++
					mu.Unlock()
				}
				if before, err := s.(engine.Marker).Mark(within(t), got[i]); before != 1 || err != nil {
					t.Errorf("the second Mark of %s = %d, %v, want 1", got[i].Record.ID, before, err)
				}
			}
		})
	}
	wg.Wait()
	if failed == 0 {
		t.Error("no Mark has failed: the test shows nothing")
	}
	settle(t, s, engine.Ack, got...)
}

// What was given back is no suspect, however quick the next consumer is.
func TestWhatIsGivenBackIsNoSuspect(t *testing.T) {
	t.Parallel()
	top := topic(t, start(t, nats.Config{}), "orders")
	const n = 60
	var wg sync.WaitGroup
	ctx, done := context.WithCancel(within(t))
	defer done()
	var mu sync.Mutex
	left := n
	for range 2 {
		s := subscribe(t, top, engine.SubscribeConfig{MaxInFlight: 1})
		wg.Go(func() {
			for ctx.Err() == nil {
				got, err := s.Fetch(ctx, 1)
				if err != nil || len(got) == 0 {
					continue
				}
				d := got[0]
				if before, err := s.(engine.Marker).Mark(within(t), d); before != 0 || err != nil {
					t.Errorf("Mark of %s, attempt %d = %d, %v, want 0", d.Record.ID, d.Attempt, before, err)
				}
				if d.Attempt == 1 {
					settle(t, s, engine.Nack, d)
					continue
				}
				settle(t, s, engine.Ack, d)
				mu.Lock()
				if left--; left == 0 {
					done()
				}
				mu.Unlock()
			}
		})
	}
	publish(t, top, numbered(0, n)...)
	wg.Wait()
	if left > 0 {
		t.Errorf("%d of %d are not handled", left, n)
	}
}
