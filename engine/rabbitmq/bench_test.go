package rabbitmq_test

import (
	"context"
	"crypto/rand"
	"strconv"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/rabbitmq"
)

// The same work by the engine and by the client alone: records of 128 bytes through one
// quorum queue, published with 1024 unconfirmed at most and consumed with 1024 unsettled
// at most, at the same time. What the engine does more: an envelope of six headers, and
// the results of each record.
const (
	benchWindow = 1024
	benchBatch  = 256
)

func BenchmarkEngine(b *testing.B) {
	top, _ := topic(b, open(b, rabbitmq.Config{Window: benchWindow}))
	s := subscribe(b, top, engine.SubscribeConfig{MaxInFlight: benchWindow})
	data := make([]byte, 128)
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for worker := range 4 { // so that a window's worth is on its way
		wg.Go(func() {
			for i := worker * benchBatch; i < b.N; i += 4 * benchBatch {
				rs := make([]engine.Record, min(benchBatch, b.N-i))
				for j := range rs {
					rs[j] = engine.Record{ID: strconv.Itoa(i + j), Source: "bench", Type: "placed", Time: time.Now(),
						ContentType: "application/json", Data: data}
				}
				if errs := top.Publish(ctx, rs); errs != nil {
					b.Errorf("Publish = %v", errs)
				}
			}
		})
	}
	seen := make([]bool, b.N)
	for n := 0; n < b.N; {
		ds, err := s.Fetch(ctx, benchBatch)
		if err != nil {
			b.Fatal(err)
		}
		settled := make([]engine.Settlement, len(ds))
		for i, d := range ds {
			k, err := strconv.Atoi(d.Record.ID)
			if err != nil || seen[k] || len(d.Record.Data) != 128 {
				b.Fatalf("got %q twice, or else", d.Record.ID)
			}
			seen[k] = true
			settled[i] = engine.Settlement{Delivery: d}
		}
		if late, err := s.Settle(ctx, settled); late != 0 || err != nil {
			b.Fatal(late, err)
		}
		n += len(ds)
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}

func BenchmarkBare(b *testing.B) {
	b.Run("headers=6", func(b *testing.B) { bare(b, true) })
	b.Run("headers=0", func(b *testing.B) { bare(b, false) })
}

func bare(b *testing.B, headers bool) {
	queue := "bare." + rand.Text()[:6]
	pub, con := rawChannel(b), rawChannel(b)
	if _, err := con.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": "quorum"}); err != nil {
		b.Fatal(err)
	}
	defer con.QueueDelete(queue, false, false, false)
	if err := con.Qos(benchWindow, 0, false); err != nil {
		b.Fatal(err)
	}
	deliveries, err := con.Consume(queue, "", false, false, false, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	if err := pub.Confirm(false); err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 128)
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	wg.Go(func() {
		window := make([]*amqp.DeferredConfirmation, 0, b.N)
		oldest := 0
		for i := range b.N {
			p := amqp.Publishing{DeliveryMode: amqp.Persistent, MessageId: strconv.Itoa(i), Body: data}
			if headers {
				p.ContentType = "application/json"
				p.Headers = amqp.Table{
					"cloudEvents:specversion": "1.0", "cloudEvents:id": p.MessageId, "cloudEvents:source": "bench",
					"cloudEvents:type": "placed", "cloudEvents:time": time.Now().Format(time.RFC3339Nano),
					"x-troupe-place": "ABCDEFGHIJKL-" + p.MessageId,
				}
			}
			dc, err := pub.PublishWithDeferredConfirm("", queue, true, false, p)
			if err != nil {
				b.Error(err)
				return
			}
			window = append(window, dc)
			for ; len(window)-oldest >= benchWindow; oldest++ {
				if !window[oldest].Wait() {
					b.Error("not confirmed")
				}
			}
		}
		for _, dc := range window[oldest:] {
			if !dc.Wait() {
				b.Error("not confirmed")
			}
		}
	})
	seen := make([]bool, b.N)
	for range b.N {
		d := <-deliveries
		k, err := strconv.Atoi(d.MessageId)
		if err != nil || seen[k] || len(d.Body) != 128 {
			b.Fatalf("got %q twice, or else", d.MessageId)
		}
		seen[k] = true
		if err := d.Ack(false); err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
