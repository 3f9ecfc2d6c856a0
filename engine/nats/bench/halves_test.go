package bench_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/nats"
)

// halves are publishing and consuming, each by itself.
type halves struct {
	publish, consume func(b *testing.B, n int)
}

// client is the bare one; its messages have an ID that the server stores once.
func client(b *testing.B) halves {
	ctx := context.Background()
	js, err := jetstream.New(connect(b, serve(b)), jetstream.WithPublishAsyncMaxPending(4096))
	if err != nil {
		b.Fatal(err)
	}
	stream, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "s", Subjects: []string{"s"}})
	if err != nil {
		b.Fatal(err)
	}
	c, err := js.CreateConsumer(ctx, "s", jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 1 << 16})
	if err != nil {
		b.Fatal(err)
	}
	return halves{
		publish: func(b *testing.B, n int) {
			for i := range n {
				m := &natsgo.Msg{Subject: "s", Data: payload, Header: natsgo.Header{jetstream.MsgIDHeader: []string{fmt.Sprint(i)}}}
				for {
					if _, err := js.PublishMsgAsync(m); err == nil {
						break
					} else if err != jetstream.ErrTooManyStalledMsgs {
						b.Fatal(err)
					}
				}
			}
			<-js.PublishAsyncComplete()
			if info, err := stream.Info(ctx); err != nil || info.State.Msgs != uint64(n) {
				b.Fatalf("the stream has %v, %v, want %d", info, err, n)
			}
		},
		consume: func(b *testing.B, n int) {
			a := await(n)
			cc, err := c.Consume(func(m jetstream.Msg) {
				if err := m.Ack(); err != nil {
					b.Error(err)
				}
				a.add(1)
			})
			if err != nil {
				b.Fatal(err)
			}
			defer cc.Stop()
			a.wait(b)
		},
	}
}

// port is ours.
func port(b *testing.B) halves {
	ctx := context.Background()
	e, err := nats.Open(ctx, nats.Config{URL: "nats://here", Client: []natsgo.Option{natsgo.InProcessServer(serve(b))}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := e.Close(ctx); err != nil {
			b.Error(err)
		}
	})
	top, err := e.Open(ctx, "orders.placed")
	if err != nil {
		b.Fatal(err)
	}
	sub, err := top.Subscribe(ctx, engine.SubscribeConfig{Group: "g", MaxInFlight: 2048})
	if err != nil {
		b.Fatal(err)
	}
	return halves{
		publish: func(b *testing.B, n int) {
			now := time.Now()
			var work sync.WaitGroup
			for p := range publishers {
				work.Go(func() {
					for at := p * perBatch; at < n; at += publishers * perBatch {
						batch := make([]engine.Record, min(perBatch, n-at))
						for i := range batch {
							batch[i] = engine.Record{ID: fmt.Sprint(at + i), Source: "/bench", Type: "orders.placed", Time: now, ContentType: "application/json", Data: payload}
						}
						if errs := top.Publish(ctx, batch); errs != nil {
							b.Error(errs[0])
							return
						}
					}
				})
			}
			work.Wait()
		},
		consume: func(b *testing.B, n int) {
			for got := 0; got < n; {
				some, err := sub.Fetch(ctx, 512)
				if err != nil {
					b.Fatal(err)
				}
				settled := make([]engine.Settlement, len(some))
				for i, d := range some {
					settled[i].Delivery = d
				}
				if late, err := sub.Settle(ctx, settled); late != 0 || err != nil {
					b.Fatal(late, err)
				}
				got += len(some)
			}
			if lag, err := sub.Lag(ctx); err != nil || lag != (engine.Lag{}) {
				b.Fatalf("Lag = %v, %v, want none", lag, err)
			}
		},
	}
}

// BenchmarkPublish stores events; a group is there, and nobody fetches.
func BenchmarkPublish(b *testing.B) {
	for name, make := range map[string]func(*testing.B) halves{"ours": port, "bare": client} {
		b.Run(name, func(b *testing.B) {
			h := make(b)
			used := begin(b)
			h.publish(b, b.N)
			report(b, used)
		})
	}
}

// BenchmarkConsume fetches and acknowledges events that are there.
func BenchmarkConsume(b *testing.B) {
	for name, make := range map[string]func(*testing.B) halves{"ours": port, "bare": client} {
		b.Run(name, func(b *testing.B) {
			h := make(b)
			h.publish(b, b.N)
			used := begin(b)
			h.consume(b, b.N)
			report(b, used)
		})
	}
}
