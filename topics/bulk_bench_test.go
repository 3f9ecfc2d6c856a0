package topics_test

import (
	"context"
	"testing"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

// work stands for what a handler does once in a call, whatever the number of events,
// such as a round trip: about 1 µs.
func work() (sum int) {
	for i := range 2000 {
		sum += i * i
	}
	return sum
}

var sink int

// BenchmarkBatch is the way of an event, from a publisher to the end of its handler's
// call, of a handler of batches and of one of single events, which do nothing or
// work for each call.
func BenchmarkBatch(b *testing.B) {
	for _, bc := range []struct {
		name string
		size int // 0 is a handler of single events
		work bool
		over mailbox.Overflow
	}{
		{"single", 0, false, mailbox.Block}, {"batch1", 1, false, mailbox.Block}, {"batch64", 64, false, mailbox.Block},
		{"single/drop_oldest", 0, false, mailbox.DropOldest}, {"batch64/drop_oldest", 64, false, mailbox.DropOldest},
		{"single/work", 0, true, mailbox.Block}, {"batch64/work", 64, true, mailbox.Block},
	} {
		b.Run(bc.name, func(b *testing.B) {
			rt, err := runtime.New(runtime.Config{})
			if err != nil {
				b.Fatal(err)
			}
			topic, err := topics.Open[int](rt, "t")
			if err != nil {
				b.Fatal(err)
			}
			handled := 0
			call := func(n int) {
				handled += n
				if bc.work {
					sink = work()
				}
			}
			cfg := topics.SubscriberConfig{Overflow: bc.over}
			if bc.over != mailbox.Block {
				cfg.Capacity = 1 << 24
			}
			if bc.size == 0 {
				_, err = topic.Subscribe("s", func(context.Context, int) error { call(1); return nil }, cfg)
			} else {
				cfg.Batch.Size = bc.size
				_, err = topic.SubscribeBatch("s", func(_ context.Context, batch []int) error { call(len(batch)); return nil }, cfg)
			}
			if err != nil {
				b.Fatal(err)
			}
			ctx := context.Background()
			b.ReportAllocs()
			for b.Loop() {
				_ = topic.Publish(ctx, 1)
			}
			if _, err := rt.Shutdown(ctx); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			if n := rt.Snapshot().Total; int(n.Done) != b.N || handled != b.N {
				b.Fatalf("%d handled, %+v, want %d", handled, n, b.N)
			}
		})
	}
}
