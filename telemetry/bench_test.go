package telemetry_test

import (
	"context"
	"testing"
	"time"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/telemetry"
	"github.com/troupe-go/troupe/troupetest"
	"go.uber.org/zap"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// BenchmarkHandling is one event through a runtime, publication and handling
// together, and what each kind of telemetry adds to it.
func BenchmarkHandling(b *testing.B) {
	for _, c := range []struct {
		name   string
		cfg    func(*meters) telemetry.Config
		labels bool
	}{
		{"off", nil, false},
		{"account", func(m *meters) telemetry.Config { return telemetry.Config{MeterProvider: m.provider} }, false},
		{"labels", nil, true},
		{"latency", func(m *meters) telemetry.Config { return telemetry.Config{MeterProvider: m.provider, Latency: true} }, false},
		{"unsampled", func(*meters) telemetry.Config {
			return telemetry.Config{TracerProvider: sdktrace.NewTracerProvider(sdktrace.WithSampler(sdktrace.NeverSample()))}
		}, false},
		{"sampled", func(*meters) telemetry.Config { return telemetry.Config{TracerProvider: sdktrace.NewTracerProvider()} }, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			cfg := runtime.Config{Logger: zap.NewNop(), ProfileLabels: c.labels}
			var tel *telemetry.Telemetry
			if c.cfg != nil {
				tel = newTelemetry(b, c.cfg(newMeters(b)))
				cfg.Instrument = tel.Instrument()
			}
			rt := troupetest.New(b, cfg)
			if tel != nil {
				if _, err := tel.Watch(rt.Runtime); err != nil {
					b.Fatal(err)
				}
			}
			topic := open(b, rt, "t")
			handled, n := make(chan struct{}), 0
			subscribe(b, topic, "s", func(_ context.Context, ev int) error {
				if n++; ev < 0 {
					handled <- struct{}{}
				}
				return nil
			})
			ctx := context.Background()
			b.ReportAllocs()
			sent := 0
			for b.Loop() {
				sent++
				_ = topic.Publish(ctx, 1)
			}
			_ = topic.Publish(ctx, -1)
			<-handled
			if n != sent+1 {
				b.Fatalf("%d events handled, want %d", n, sent+1)
			}
		})
	}
}

// BenchmarkCollect is what one collection costs, for a hundred subscribers.
func BenchmarkCollect(b *testing.B) {
	w := newMetered(b, telemetry.Config{}, runtime.Config{Logger: zap.NewNop()})
	for _, topic := range []string{"a", "b", "c", "d"} {
		top := open(b, w.Runtime, topic)
		for i := range 25 {
			subscribe(b, top, "s"+string(rune('a'+i)), ok)
		}
		publish(b, top, 1, 2, 3)
	}
	w.Idle(time.Minute)
	b.ReportAllocs()
	for b.Loop() {
		if got := w.collect().sum("troupe.delivery.outcomes"); got != 300 {
			b.Fatalf("outcomes = %v, want 300", got)
		}
	}
}
