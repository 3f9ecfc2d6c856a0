package topics_test

import (
	"context"
	"testing"

	"github.com/troupe-go/troupe/engine"
	enginemem "github.com/troupe-go/troupe/engine/memory"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

// BenchmarkEngine is what a topic costs for each event beside what its engine does: the
// engine hands out records that it had before, and forgets what is settled.
func BenchmarkEngine(b *testing.B) {
	e := &stream{Engine: enginemem.New(), data: []byte(`{"ID":"o-1","Amount":42,"Note":"0123456789012345678901234567890123456789"}`)}
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		b.Fatal(err)
	}
	type order struct {
		ID     string
		Amount int
		Note   string
	}
	topic, err := topics.Open[order](rt, "orders", topics.Config{Engine: e})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	done := make(chan struct{})
	n := 0
	b.ResetTimer()
	if _, err := topic.Subscribe("s", func(_ context.Context, o order) error {
		if o.Amount != 42 {
			b.Error(o)
		}
		if n++; n == b.N {
			close(done)
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	<-done
	b.StopTimer()
	if _, err := rt.Shutdown(context.Background()); err != nil {
		b.Fatal(err)
	}
}

// stream is an engine of which one record comes for ever.
type stream struct {
	*enginemem.Engine
	data []byte
}

func (s *stream) Open(context.Context, string) (engine.Topic, error) { return streamTopic{s}, nil }

type streamTopic struct{ s *stream }

func (streamTopic) Caps() engine.Caps { return engine.Caps{AtLeastOnce: true, Lease: true} }

func (streamTopic) Publish(context.Context, []engine.Record) []error { return nil }

func (t streamTopic) Subscribe(context.Context, engine.SubscribeConfig) (engine.Subscription, error) {
	return &streamSub{s: t.s}, nil
}

type streamSub struct {
	s *stream
	n int
}

func (s *streamSub) Fetch(ctx context.Context, max int) ([]*engine.Delivery, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	ds := make([]*engine.Delivery, max)
	for i := range ds {
		s.n++
		ds[i] = &engine.Delivery{Record: engine.Record{ID: "o-1", ContentType: "application/json", Data: s.s.data}, Attempt: 1, Place: string(append([]byte("p"), byte(s.n), byte(s.n>>8), byte(s.n>>16), byte(s.n>>24)))}
	}
	return ds, nil
}

func (*streamSub) Settle(context.Context, []engine.Settlement) (int, error) { return 0, nil }
func (*streamSub) Extend(context.Context, []*engine.Delivery) error         { return nil }
func (*streamSub) Lag(context.Context) (engine.Lag, error)                  { return engine.Lag{}, nil }
func (*streamSub) Close(context.Context) error                              { return nil }
