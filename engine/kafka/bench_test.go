package kafka_test

import (
	"context"
	"fmt"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/kafka"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What the port costs beside the client alone, on kfake in this process: no figure of
// these is one of Kafka. Records have 128 bytes; a call publishes, fetches or settles
// benchBatch of them. "bare" has no headers and reads none, "bare, headers" publishes
// those that our records have, made before, and reads them.
const (
	benchBatch      = 256
	benchPartitions = 6
)

func benchCluster(b *testing.B) (*kfake.Cluster, kafka.Config) {
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(benchPartitions, "t"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.Close)
	return c, kafka.Config{Seeds: c.ListenAddrs()}
}

func benchRecords() []engine.Record {
	all := make([]engine.Record, benchBatch)
	for i := range all {
		all[i] = event(fmt.Sprint("key", i%64), "")
		all[i].Type, all[i].Source, all[i].ContentType = "orders.placed", "shop", "application/json"
		all[i].Data = make([]byte, 128)
	}
	return all
}

func bareRecords(headers bool) []*kgo.Record {
	var out []*kgo.Record
	for _, r := range benchRecords() {
		m := &kgo.Record{Topic: "t", Key: []byte(r.Key), Value: r.Data}
		if headers {
			_, _ = engine.CloudEvents.Seal(&r, func(name, value string) {
				m.Headers = append(m.Headers, kgo.RecordHeader{Key: name, Value: []byte(value)})
			})
		}
		out = append(out, m)
	}
	return out
}

func BenchmarkPublish(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		c, cfg := benchCluster(b)
		e, err := kafka.Open(b.Context(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		defer e.Close(context.Background())
		topic, err := e.Open(b.Context(), "t")
		if err != nil {
			b.Fatal(err)
		}
		records := benchRecords()
		each(b, c, func() error { return first(topic.Publish(context.Background(), records)) })
	})
	for _, headers := range []bool{false, true} {
		name := "bare"
		if headers {
			name = "bare, headers"
		}
		b.Run(name, func(b *testing.B) {
			c, cfg := benchCluster(b)
			client, err := kgo.NewClient(kgo.SeedBrokers(cfg.Seeds...), kgo.ProducerLinger(0))
			if err != nil {
				b.Fatal(err)
			}
			defer client.Close()
			records := bareRecords(headers)
			each(b, c, func() error {
				fresh := make([]kgo.Record, len(records)) // the client writes to them
				var left sync.WaitGroup
				left.Add(len(fresh))
				var mu sync.Mutex
				var failed error
				for i := range fresh {
					fresh[i] = *records[i]
					client.Produce(context.Background(), &fresh[i], func(_ *kgo.Record, err error) {
						if err != nil {
							mu.Lock()
							failed = err
							mu.Unlock()
						}
						left.Done()
					})
				}
				left.Wait()
				return failed
			})
		})
	}
}

// each publishes from four goroutines, and checks that all has arrived.
func each(b *testing.B, c *kfake.Cluster, publish func() error) {
	const publishers = 4
	if err := publish(); err != nil { // it knows the brokers
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.ResetTimer()
	began := now()
	var left sync.WaitGroup
	calls := b.N/benchBatch/publishers + 1
	for range publishers {
		left.Go(func() {
			for range calls {
				if err := publish(); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	left.Wait()
	n := calls * publishers * benchBatch
	began.report(b, n)
	b.StopTimer()
	n += benchBatch
	stored := int64(0)
	for _, p := range c.PartitionInfos("t") {
		stored += p.HighWatermark
	}
	if stored != int64(n) {
		b.Fatalf("%d records are stored, want %d", stored, n)
	}
}

func BenchmarkConsume(b *testing.B) {
	fill := func(b *testing.B, cfg kafka.Config, n int) {
		e, err := kafka.Open(b.Context(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		defer e.Close(context.Background())
		topic, err := e.Open(b.Context(), "t")
		if err != nil {
			b.Fatal(err)
		}
		records := benchRecords()
		for range n / benchBatch {
			if err := first(topic.Publish(b.Context(), records)); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.Run("ours", func(b *testing.B) {
		_, cfg := benchCluster(b)
		n := (b.N/benchBatch + 1) * benchBatch
		fill(b, cfg, n)
		e, err := kafka.Open(b.Context(), cfg)
		if err != nil {
			b.Fatal(err)
		}
		defer e.Close(context.Background())
		topic, err := e.Open(b.Context(), "t")
		if err != nil {
			b.Fatal(err)
		}
		s, err := topic.Subscribe(b.Context(), engine.SubscribeConfig{Group: "g", From: engine.FromOldest, MaxInFlight: 4096})
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close(context.Background())
		d, err := s.Fetch(b.Context(), 1) // it has joined
		if err != nil {
			b.Fatal(err)
		}
		settlements := make([]engine.Settlement, 0, benchBatch)
		b.ReportAllocs()
		b.ResetTimer()
		began := now()
		for got := 1; ; got += len(d) {
			settlements = settlements[:0]
			for i := range d {
				settlements = append(settlements, engine.Settlement{Delivery: d[i]})
			}
			if late, err := s.Settle(b.Context(), settlements); late != 0 || err != nil {
				b.Fatal(late, err)
			}
			if got >= n {
				break
			}
			if d, err = s.Fetch(b.Context(), benchBatch); err != nil {
				b.Fatal(err)
			}
		}
		began.report(b, n)
	})
	bare := func(b *testing.B, read func(*kgo.Record)) {
		_, cfg := benchCluster(b)
		n := (b.N/benchBatch + 1) * benchBatch
		fill(b, cfg, n)
		client, err := kgo.NewClient(kgo.SeedBrokers(cfg.Seeds...), kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"),
			kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitMarks(), kgo.AutoCommitInterval(100*time.Millisecond),
			kgo.BlockRebalanceOnPoll())
		if err != nil {
			b.Fatal(err)
		}
		defer client.CloseAllowingRebalance()
		fetches := client.PollRecords(b.Context(), 1)
		b.ReportAllocs()
		b.ResetTimer()
		began := now()
		for got := 0; ; {
			for it := fetches.RecordIter(); !it.Done(); got++ {
				m := it.Next()
				read(m)
				client.MarkCommitRecords(m)
			}
			if err := fetches.Err(); err != nil {
				b.Fatal(err)
			}
			client.AllowRebalance()
			if got >= n {
				break
			}
			fetches = client.PollRecords(b.Context(), benchBatch)
		}
		began.report(b, n)
	}
	b.Run("bare", func(b *testing.B) { bare(b, func(*kgo.Record) {}) })
	b.Run("bare, headers", func(b *testing.B) {
		bare(b, func(m *kgo.Record) {
			if r := attributes(m); r.ID == "" || r.Time.IsZero() || string(m.Key) != r.Key {
				b.Fatalf("attributes = %+v", r)
			}
		})
	})
}

// attributes is how one would read them with the client alone.
func attributes(m *kgo.Record) (r engine.Record) {
	for _, h := range m.Headers {
		switch v := string(h.Value); h.Key {
		case "ce_id":
			r.ID = v
		case "ce_source":
			r.Source = v
		case "ce_type":
			r.Type = v
		case "ce_partitionkey":
			r.Key = v
		case "ce_time":
			r.Time, _ = time.Parse(time.RFC3339Nano, v) // the caller sees that it is not set
		case "content-type":
			r.ContentType = v
		}
	}
	return r
}

// clock is the time that has passed and what the process has used of the processor:
// the second tells more where others use the machine, too.
type clock struct {
	wall time.Time
	cpu  time.Duration
}

func now() clock {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return clock{time.Now(), time.Duration(u.Utime.Nano() + u.Stime.Nano())}
}

func (c clock) report(b *testing.B, n int) {
	end := now()
	b.ReportMetric(float64(n)/end.wall.Sub(c.wall).Seconds(), "records/s")
	b.ReportMetric(float64(end.cpu-c.cpu)/float64(n), "cpu-ns/record")
}
