package bench_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	wmjs "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/jetstream"
	wmnats "github.com/ThreeDotsLabs/watermill-nats/v2/pkg/nats"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/nats"
)

const (
	publishers = 4
	perBatch   = 256
)

var payload = make([]byte, 128)

func serve(b *testing.B) *server.Server {
	ns, err := server.NewServer(&server.Options{
		JetStream: true, StoreDir: b.TempDir(), DontListen: true, NoSigs: true, NoLog: true,
		JetStreamMaxStore: 4 << 30, JetStreamMaxMemory: 64 << 20, SyncInterval: time.Second,
	})
	if err != nil {
		b.Fatal(err)
	}
	ns.Start()
	if !ns.ReadyForConnections(20 * time.Second) {
		b.Fatal("the server does not start")
	}
	b.Cleanup(func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	})
	return ns
}

func connect(b *testing.B, ns *server.Server) *natsgo.Conn {
	conn, err := natsgo.Connect("", natsgo.InProcessServer(ns))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(conn.Close)
	return conn
}

// arrivals counts what is handled, and ends the wait when all is.
type arrivals struct {
	n, want atomic.Int64
	all     chan struct{}
}

func await(n int) *arrivals {
	a := &arrivals{all: make(chan struct{})}
	a.want.Store(int64(n))
	return a
}

func (a *arrivals) add(n int) {
	if a.n.Add(int64(n)) >= a.want.Load() {
		select {
		case <-a.all:
		default:
			close(a.all)
		}
	}
}

func (a *arrivals) wait(b *testing.B) {
	b.Helper()
	select {
	case <-a.all:
	case <-time.After(5 * time.Minute):
		b.Fatalf("%d of %d have arrived", a.n.Load(), a.want.Load())
	}
}

func bare(b *testing.B, dedup bool) {
	js, err := jetstream.New(connect(b, serve(b)), jetstream.WithPublishAsyncMaxPending(4096))
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "s", Subjects: []string{"s"}}); err != nil {
		b.Fatal(err)
	}
	c, err := js.CreateConsumer(ctx, "s", jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: 1 << 16})
	if err != nil {
		b.Fatal(err)
	}
	a := await(b.N)
	used := begin(b)
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
	for n := range b.N {
		m := &natsgo.Msg{Subject: "s", Data: payload}
		if dedup {
			m.Header = natsgo.Header{jetstream.MsgIDHeader: []string{fmt.Sprint(n)}}
		}
		for {
			if _, err := js.PublishMsgAsync(m); err == nil {
				break
			} else if err != jetstream.ErrTooManyStalledMsgs {
				b.Fatal(err)
			}
		}
	}
	<-js.PublishAsyncComplete()
	a.wait(b)
	report(b, used)
}

// begin starts the clocks. The processor's is what others on the machine disturb least.
func begin(b *testing.B) (used func() time.Duration) {
	cpu := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	before := cpu()
	b.ReportAllocs()
	b.ResetTimer()
	return func() time.Duration { return cpu() - before }
}

func report(b *testing.B, used func() time.Duration) {
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	b.ReportMetric(float64(used().Nanoseconds())/float64(b.N), "cpu-ns/msg")
}

func BenchmarkBare(b *testing.B)      { bare(b, false) }
func BenchmarkBareDedup(b *testing.B) { bare(b, true) }

func ours(b *testing.B, dedup time.Duration) {
	ctx := context.Background()
	e, err := nats.Open(ctx, nats.Config{URL: "nats://here", Client: []natsgo.Option{natsgo.InProcessServer(serve(b))}, Dedup: dedup})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close(ctx)
	top, err := e.Open(ctx, "orders.placed")
	if err != nil {
		b.Fatal(err)
	}
	sub, err := top.Subscribe(ctx, engine.SubscribeConfig{Group: "g", MaxInFlight: 2048})
	if err != nil {
		b.Fatal(err)
	}
	used := begin(b)
	var work sync.WaitGroup
	work.Go(func() {
		for n := 0; n < b.N; {
			got, err := sub.Fetch(ctx, 512)
			if err != nil {
				b.Error(err)
				return
			}
			settled := make([]engine.Settlement, len(got))
			for i, d := range got {
				if len(d.Record.Data) != len(payload) {
					b.Errorf("%d bytes", len(d.Record.Data))
				}
				settled[i].Delivery = d
			}
			if _, err := sub.Settle(ctx, settled); err != nil {
				b.Error(err)
				return
			}
			n += len(got)
		}
	})
	now := time.Now()
	for p := range publishers {
		work.Go(func() {
			for n := p * perBatch; n < b.N; n += publishers * perBatch {
				batch := make([]engine.Record, min(perBatch, b.N-n))
				for i := range batch {
					batch[i] = engine.Record{ID: fmt.Sprint(n + i), Source: "/bench", Type: "orders.placed", Time: now, ContentType: "application/json", Data: payload}
				}
				if errs := top.Publish(ctx, batch); errs != nil {
					b.Error(errs[0])
					return
				}
			}
		})
	}
	work.Wait()
	report(b, used)
}

func BenchmarkOurs(b *testing.B)        { ours(b, 0) }
func BenchmarkOursNoDedup(b *testing.B) { ours(b, nats.NoDedup) }

func watermillRun(b *testing.B, pub message.Publisher, messages <-chan *message.Message) {
	a := await(b.N)
	used := begin(b)
	go func() {
		for m := range messages {
			m.Ack()
			a.add(1)
		}
	}()
	var work sync.WaitGroup
	for p := range publishers {
		work.Go(func() {
			for n := p; n < b.N; n += publishers {
				if err := pub.Publish("orders", message.NewMessage(watermill.NewUUID(), payload)); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	work.Wait()
	a.wait(b)
	report(b, used)
}

func BenchmarkWatermill(b *testing.B) {
	ns := serve(b)
	js := wmnats.JetStreamConfig{AutoProvision: true, AckAsync: true, DurablePrefix: "c"}
	options := []natsgo.Option{natsgo.InProcessServer(ns)}
	sub, err := wmnats.NewSubscriber(wmnats.SubscriberConfig{URL: "nats://here", NatsOptions: options, Unmarshaler: &wmnats.NATSMarshaler{}, JetStream: js, QueueGroupPrefix: "c"}, watermill.NopLogger{})
	if err != nil {
		b.Fatal(err)
	}
	defer sub.Close()
	messages, err := sub.Subscribe(context.Background(), "orders")
	if err != nil {
		b.Fatal(err)
	}
	pub, err := wmnats.NewPublisher(wmnats.PublisherConfig{URL: "nats://here", NatsOptions: options, Marshaler: &wmnats.NATSMarshaler{}, JetStream: js}, watermill.NopLogger{})
	if err != nil {
		b.Fatal(err)
	}
	defer pub.Close()
	watermillRun(b, pub, messages)
}

func BenchmarkWatermillBeta(b *testing.B) {
	ns := serve(b)
	sub, err := wmjs.NewSubscriber(wmjs.SubscriberConfig{Conn: connect(b, ns), Logger: watermill.NopLogger{}, AckAsync: true})
	if err != nil {
		b.Fatal(err)
	}
	defer sub.Close()
	if err := sub.SubscribeInitialize("orders"); err != nil {
		b.Fatal(err)
	}
	messages, err := sub.Subscribe(context.Background(), "orders")
	if err != nil {
		b.Fatal(err)
	}
	pub, err := wmjs.NewPublisher(wmjs.PublisherConfig{Conn: connect(b, ns), Logger: watermill.NopLogger{}})
	if err != nil {
		b.Fatal(err)
	}
	watermillRun(b, pub, messages)
}

// latency publishes one event after the other and tells how long after the beginning of
// Publish it is handled.
func latency(b *testing.B, publish func(), handled <-chan struct{}) {
	all := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for range b.N {
		begin := time.Now()
		publish()
		<-handled
		all = append(all, time.Since(begin))
	}
	b.StopTimer()
	slices.Sort(all)
	b.ReportMetric(float64(all[len(all)/2].Nanoseconds()), "p50-ns")
	b.ReportMetric(float64(all[len(all)*99/100].Nanoseconds()), "p99-ns")
}

func BenchmarkLatencyBare(b *testing.B) {
	js, err := jetstream.New(connect(b, serve(b)))
	if err != nil {
		b.Fatal(err)
	}
	ctx := context.Background()
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "s", Subjects: []string{"s"}}); err != nil {
		b.Fatal(err)
	}
	c, err := js.CreateConsumer(ctx, "s", jetstream.ConsumerConfig{Durable: "c", AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		b.Fatal(err)
	}
	handled := make(chan struct{}, 1)
	cc, err := c.Consume(func(m jetstream.Msg) {
		handled <- struct{}{}
		if err := m.Ack(); err != nil {
			b.Error(err)
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	defer cc.Stop()
	latency(b, func() {
		if _, err := js.Publish(ctx, "s", payload); err != nil {
			b.Fatal(err)
		}
	}, handled)
}

func BenchmarkLatencyOurs(b *testing.B) {
	ctx, cancel := context.WithCancel(context.Background())
	e, err := nats.Open(ctx, nats.Config{URL: "nats://here", Client: []natsgo.Option{natsgo.InProcessServer(serve(b))}})
	if err != nil {
		b.Fatal(err)
	}
	defer e.Close(context.Background())
	top, err := e.Open(ctx, "orders")
	if err != nil {
		b.Fatal(err)
	}
	sub, err := top.Subscribe(ctx, engine.SubscribeConfig{Group: "g"})
	if err != nil {
		b.Fatal(err)
	}
	handled, done := make(chan struct{}, 1), make(chan struct{})
	go func() {
		defer close(done)
		for {
			got, err := sub.Fetch(ctx, 100)
			if err != nil {
				return
			}
			for _, d := range got {
				handled <- struct{}{}
				if _, err := sub.Settle(ctx, []engine.Settlement{{Delivery: d}}); err != nil && ctx.Err() == nil {
					b.Error(err)
				}
			}
		}
	}()
	n := 0
	latency(b, func() {
		n++
		if errs := top.Publish(ctx, []engine.Record{{ID: fmt.Sprint(n), Source: "/bench", Type: "orders", Time: time.Now(), Data: payload}}); errs != nil {
			b.Fatal(errs[0])
		}
	}, handled)
	cancel()
	<-done
}
