package engines_test

import (
	"context"
	"encoding/binary"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

// eventSize is that of an event's payload, the first 8 bytes of which are when it was
// published.
const eventSize = 128

// publishers share the schedule, so that it holds where one publication waits for the
// disk or for a round trip.
const publishers = 8

// event is what topics carry: bytes as they are, on both sides.
type event []byte

type raw struct{}

func (raw) Marshal(v any) ([]byte, error) { return v.(event), nil }
func (raw) Unmarshal(data []byte, v any) error {
	*v.(*event) = slices.Clone(data)
	return nil
}
func (raw) ContentType() string { return "application/octet-stream" }

// stopwatch tells how long events were on their way.
type stopwatch struct {
	rate int // events a second

	mu   sync.Mutex
	all  []time.Duration
	want int
	done chan struct{}
}

var epoch = time.Now()

func stamp() event {
	data := make(event, eventSize)
	binary.LittleEndian.PutUint64(data, uint64(time.Since(epoch)))
	return data
}

// arrived is the first thing that a handler does.
func (w *stopwatch) arrived(b *testing.B, data []byte) {
	now := time.Since(epoch)
	if len(data) != eventSize {
		b.Errorf("an event of %d bytes, want %d", len(data), eventSize)
		return
	}
	w.mu.Lock()
	w.all = append(w.all, now-time.Duration(binary.LittleEndian.Uint64(data)))
	if len(w.all) == w.want {
		close(w.done)
	}
	w.mu.Unlock()
}

// run publishes b.N events at the rate and reports the latencies. The first half second
// opens connections and fills caches, and is not counted.
func (w *stopwatch) run(b *testing.B, publish func(ctx context.Context, data event) error) {
	rate := w.rate
	warm := rate / 2
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(b.N+warm)*time.Second/time.Duration(rate)+time.Minute)
	defer cancel()
	w.mu.Lock()
	w.want, w.done = b.N+warm, make(chan struct{})
	w.mu.Unlock()
	turns := make(chan struct{}, publishers)
	var work sync.WaitGroup
	for range publishers {
		work.Go(func() {
			for range turns {
				if err := publish(ctx, stamp()); err != nil {
					b.Error(err)
				}
			}
		})
	}
	begun := time.Now()
	late := 0
	for n := range b.N + warm {
		due := begun.Add(time.Duration(n) * time.Second / time.Duration(rate))
		if wait := time.Until(due); wait > 0 {
			time.Sleep(wait)
		} else if wait < -10*time.Millisecond {
			late++
		}
		if n == warm {
			b.ResetTimer()
		}
		turns <- struct{}{}
	}
	close(turns)
	work.Wait()
	select {
	case <-w.done:
	case <-ctx.Done():
		b.Fatalf("%d of %d events have arrived", len(w.all), w.want)
	}
	b.StopTimer()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.all) != w.want {
		b.Errorf("%d events arrived, want %d once each", len(w.all), w.want)
	}
	all := w.all[warm:]
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds()), "p99-ns")
	b.ReportMetric(100*float64(late)/float64(b.N+warm), "late-%")
}

// onTopic measures a topic on an engine with a subscriber, as users have them.
func onTopic(b *testing.B, e engine.Engine, w *stopwatch) {
	rt, err := runtime.New(runtime.Config{Name: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if _, err := rt.Shutdown(ctx); err != nil {
			b.Error(err)
		}
		if err := e.Close(ctx); err != nil {
			b.Error(err)
		}
	})
	topic, err := topics.Open[event](rt, name("latency"), topics.Config{Engine: e, Codec: raw{}})
	if err != nil {
		b.Fatal(err)
	}
	if _, err := topic.Subscribe("handler", func(_ context.Context, data event) error {
		w.arrived(b, data)
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	w.run(b, topic.Publish)
}

// BenchmarkLatency is from just before Publish to the handler, at a steady rate. "bare"
// is the client alone, with the same acknowledgment to its publisher and of each event by
// its consumer.
func BenchmarkLatency(b *testing.B) {
	for _, s := range systems {
		b.Run(s.name+"/bare", func(b *testing.B) { s.bare(b, s.url(b), &stopwatch{rate: s.rate}) })
		b.Run(s.name+"/topic", func(b *testing.B) { onTopic(b, s.open(b, s.url(b)), &stopwatch{rate: s.rate}) })
	}
}
