package topics_test

import (
	"context"
	"testing"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

// BenchmarkPublish is a publication and its delivery to one subscriber.
func BenchmarkPublish(b *testing.B) {
	for name, c := range map[string]struct {
		cfg     topics.Config
		publish func(*topics.Topic[int], context.Context, int) error
	}{
		"plain":     {publish: (*topics.Topic[int]).Publish},
		"correlate": {cfg: topics.Config{Correlate: true}, publish: (*topics.Topic[int]).Publish},
		"meta": {publish: func(t *topics.Topic[int], ctx context.Context, ev int) error {
			return t.PublishWith(ctx, ev, topics.Meta{ID: "id"})
		}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			handled := 0
			topic, end := benchTopic(b, c.cfg, func(context.Context, int) error { handled++; return nil }, topics.SubscriberConfig{})
			ctx := context.Background()
			n := 0
			for b.Loop() {
				if err := c.publish(topic, ctx, n); err != nil {
					b.Fatal(err)
				}
				n++
			}
			end()
			if handled != n {
				b.Fatalf("%d events handled, want %d", handled, n)
			}
		})
	}
}

// BenchmarkHandler is what a handler pays for what it asks.
func BenchmarkHandler(b *testing.B) {
	for name, c := range map[string]struct {
		cfg topics.SubscriberConfig
		ask func(context.Context)
	}{
		"nothing": {ask: func(context.Context) {}},
		"facts":   {ask: func(ctx context.Context) { topics.DeliveryFrom(ctx) }},
		"id":      {ask: func(ctx context.Context) { d, _ := topics.DeliveryFrom(ctx); idSink = d.ID() }},
		"lossy":   {ask: func(context.Context) {}, cfg: topics.SubscriberConfig{Overflow: mailbox.DropNewest, Capacity: 1 << 20}},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			handled := 0
			topic, end := benchTopic(b, topics.Config{}, func(ctx context.Context, _ int) error { c.ask(ctx); handled++; return nil }, c.cfg)
			ctx := context.Background()
			n := 0
			for b.Loop() {
				if err := topic.Publish(ctx, n); err != nil {
					b.Fatal(err)
				}
				n++
			}
			end()
			if handled != n && c.cfg.Overflow == mailbox.Block {
				b.Fatalf("%d events handled, want %d", handled, n)
			}
		})
	}
}

func benchTopic(b *testing.B, cfg topics.Config, handle topics.Handler[int], sub topics.SubscriberConfig) (topic *topics.Topic[int], end func()) {
	b.Helper()
	rt, err := runtime.New(runtime.Config{Name: "bench"})
	if err != nil {
		b.Fatal(err)
	}
	topic, err = topics.Open[int](rt, "t", cfg)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := topic.Subscribe("s", handle, sub); err != nil {
		b.Fatal(err)
	}
	return topic, func() {
		if _, err := rt.Shutdown(context.Background()); err != nil {
			b.Fatal(err)
		}
	}
}
