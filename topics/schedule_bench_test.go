package topics_test

import (
	"context"
	"fmt"
	goruntime "runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

// benchScheduled returns a topic with a subscriber that counts.
func benchScheduled(b *testing.B) (*runtime.Runtime, *topics.Topic[int], *atomic.Int64) {
	b.Helper()
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if _, err := rt.Shutdown(context.Background()); err != nil {
			b.Error(err)
		}
	})
	topic, err := topics.Open[int](rt, "t", topics.Config{Unpublished: topics.DiscardUnpublished})
	if err != nil {
		b.Fatal(err)
	}
	handled := new(atomic.Int64)
	if _, err := topic.Subscribe("s", func(context.Context, int) error { handled.Add(1); return nil }); err != nil {
		b.Fatal(err)
	}
	return rt, topic, handled
}

// scattered spreads i over an hour, an hour from now.
func scattered(i int) time.Duration {
	return time.Hour + time.Duration(uint64(i)*0x9E3779B97F4A7C15>>1)%time.Hour
}

func heapInUse() uint64 {
	goruntime.GC()
	var m goruntime.MemStats
	goruntime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkPending is an event taken and one canceled, with so many pending, beside
// a timer of time.AfterFunc for each.
func BenchmarkPending(b *testing.B) {
	for _, n := range []int{1_000, 1_000_000} {
		b.Run(fmt.Sprintf("topic/%d", n), func(b *testing.B) {
			_, topic, handled := benchScheduled(b)
			handles := make([]topics.Scheduled, n)
			ctx := context.Background()
			before := heapInUse()
			add := func(i int) {
				var err error
				if handles[i%n], err = topic.PublishAfter(ctx, scattered(i), i); err != nil {
					b.Fatal(err)
				}
			}
			for i := range n {
				add(i)
			}
			held := float64(heapInUse()-before) / float64(n)
			b.ReportAllocs()
			i := n
			for b.Loop() {
				if !handles[i%n].Cancel() {
					b.Fatal("not pending")
				}
				add(i)
				i++
			}
			b.ReportMetric(held, "B/pending")
			if handled.Load() != 0 {
				b.Fatal("events have been published before they were due")
			}
		})
		b.Run(fmt.Sprintf("afterfunc/%d", n), func(b *testing.B) {
			timers := make([]*time.Timer, n)
			fired := new(atomic.Int64)
			before := heapInUse()
			add := func(i int) { timers[i%n] = time.AfterFunc(scattered(i), func() { fired.Add(int64(i)) }) }
			for i := range n {
				add(i)
			}
			held := float64(heapInUse()-before) / float64(n)
			b.ReportAllocs()
			i := n
			for b.Loop() {
				if !timers[i%n].Stop() {
					b.Fatal("not pending")
				}
				add(i)
				i++
			}
			b.ReportMetric(held, "B/pending")
			for _, timer := range timers {
				timer.Stop()
			}
		})
	}
}

// BenchmarkFire is a million events that come due within a tenth of a second: how
// long it takes from when the first is due until the last has been handled.
func BenchmarkFire(b *testing.B) {
	const n = 1_000_000
	var took, taking time.Duration
	rounds := 0
	for b.Loop() {
		rt, topic, handled := benchScheduled(b)
		ctx := context.Background()
		began := time.Now()
		due := began.Add(5 * time.Second)
		for i := range n {
			if _, err := topic.PublishAt(ctx, due.Add(scattered(i)%(100*time.Millisecond)), i); err != nil {
				b.Fatal(err)
			}
		}
		taking += time.Since(began)
		if time.Until(due) < 0 {
			b.Fatal("too slow to begin with")
		}
		time.Sleep(time.Until(due))
		for handled.Load() < n {
			time.Sleep(100 * time.Microsecond)
		}
		took += time.Since(due)
		rounds++
		rt.Idle(ctx)
		if s := rt.Snapshot().Topics[0].Scheduled; s.Published != n || s.Balance() != 0 || s.Pending+s.Due != 0 {
			b.Fatalf("%+v, want %d published", s, n)
		}
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(taking.Nanoseconds())/n/float64(rounds), "ns/taken")
	b.ReportMetric(float64(took.Nanoseconds())/n/float64(rounds), "ns/fired")
}
