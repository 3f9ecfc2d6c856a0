package mailbox_test

import (
	"context"
	"fmt"
	goruntime "runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/mailbox"
)

type event struct{ ID, At int64 }

// consumer is the smallest thing that drives a cursor: a goroutine while there
// is work, none else.
type consumer struct {
	cur    *mailbox.Cursor[event]
	r      *mailbox.Reader[event]
	state  atomic.Uint32
	count  uint64
	target uint64
	done   *sync.WaitGroup
	_      [64]byte
}

func (c *consumer) wake() {
	if c.state.Load() == 0 && c.state.CompareAndSwap(0, 1) {
		go c.run()
	}
}

func (c *consumer) run() {
	for {
		left := 64
		for {
			_, ok := c.r.Next()
			if !ok {
				break
			}
			c.count++
			if left--; left == 0 {
				left = 64
				c.r.Publish(true)
				c.r.Settle()
			}
		}
		c.r.Publish(false)
		c.r.Settle()
		if c.count == c.target {
			c.target = 0
			c.done.Done()
		}
		goruntime.Gosched()
		if c.r.Ready() {
			continue
		}
		c.state.Store(0)
		c.cur.Sleep()
		if !c.r.Ready() || !c.state.CompareAndSwap(0, 1) {
			return
		}
	}
}

func BenchmarkLog(b *testing.B) {
	for _, over := range []mailbox.Overflow{mailbox.Unbounded, mailbox.Block} {
		for _, size := range []struct{ producers, consumers int }{{1, 1}, {2, 1}, {4, 1}, {1, 10}, {4, 10}, {1, 100}, {4, 100}} {
			b.Run(fmt.Sprintf("%v/%dx%d", over, size.producers, size.consumers), func(b *testing.B) {
				b.ReportAllocs()
				log := mailbox.NewLog[event](nil)
				n := max(b.N/size.consumers/size.producers, 1)
				var done sync.WaitGroup
				done.Add(size.consumers)
				cs := make([]*consumer, size.consumers)
				for i := range cs {
					c := &consumer{target: uint64(n * size.producers), done: &done}
					cfg := mailbox.CursorConfig[event]{Name: "c", Overflow: over, Wake: c.wake, Capacity: 4096}
					var err error
					if c.cur, c.r, err = log.Subscribe(cfg); err != nil {
						b.Fatal(err)
					}
					c.wake()
					cs[i] = c
				}
				b.ResetTimer()
				for range size.producers {
					go func() {
						for i := range n {
							if err := log.Append(context.Background(), event{ID: int64(i)}); err != nil {
								panic(err)
							}
						}
					}()
				}
				done.Wait()
				if got, want := log.Accepted(), uint64(n*size.producers); got != want {
					b.Fatalf("Accepted() = %d, want %d, which is what each consumer has counted", got, want)
				}
			})
		}
	}
}

// BenchmarkAppend is one publication and the taking of it on one goroutine:
// what an event costs where nothing is contended.
func BenchmarkAppend(b *testing.B) {
	b.ReportAllocs()
	log := mailbox.NewLog[event](nil)
	_, r, err := log.Subscribe(mailbox.CursorConfig[event]{Overflow: mailbox.Unbounded})
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	n := uint64(0)
	for b.Loop() {
		if err := log.Append(ctx, event{}); err != nil {
			b.Fatal(err)
		}
		if n++; n%64 == 0 {
			for range 64 {
				r.Next()
			}
			r.Publish(false)
			r.Settle()
		}
	}
	if got := n - r.Taken(); got >= 64 {
		b.Fatalf("%d events were not taken, want fewer than 64", got)
	}
}

// BenchmarkClock is what markEvery saves for each event but one, and what the
// whole clock would take.
func BenchmarkClock(b *testing.B) {
	var at atomic.Int64
	b.Run("now", func(b *testing.B) {
		for b.Loop() {
			at.Store(mailbox.Now())
		}
	})
	b.Run("time.Now", func(b *testing.B) {
		for b.Loop() {
			at.Store(time.Now().UnixNano())
		}
	})
}
