package redis_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/redis"
)

// What the port costs beside the client alone, three times. "bare" is an entry of 128
// bytes in one field: no ID, key, type, source and time, with which nobody could tell a
// duplicate, keep an order or trace an event. "bare, attributes" has what our records
// have, the way one would with the client alone: a field for each. "bare, bytes" has one
// field as large as ours. All are read by a group, acknowledged, and trimmed once a
// second; the bare ones have no leases, no retries and no limits.

const (
	benchBatch = 100
	benchFetch = 256
)

func payload() []byte {
	b := make([]byte, 128)
	for i := range b {
		b[i] = 'x'
	}
	return b
}

func benchRecords(n int) []engine.Record {
	records := make([]engine.Record, n)
	for i := range records {
		records[i] = engine.Record{
			ID: rand.Text(), Key: fmt.Sprint("customer-", i%10), Source: "/shop", Type: "orders.placed", Time: time.Now(),
			ContentType: "application/json", SchemaVersion: 1, Data: payload(),
		}
	}
	return records
}

type side struct {
	name    string
	publish func(b *testing.B, n int)
	consume func(b *testing.B, n int)
}

// bareSide publishes the fields, of which the last is the data.
func bareSide(b *testing.B, c *goredis.Client, name string, fields ...any) side {
	ctx := context.Background()
	stream := "troupe:{" + strings.ReplaceAll(name, ", ", "-") + "/0}"
	consumer := "consumer-of-the-bare-client" // about as long as ours
	data, size := fields[len(fields)-2].(string), len(fields[len(fields)-1].([]byte))
	nextTrim := time.Time{}
	if err := c.XGroupCreateMkStream(ctx, stream, "g", "0").Err(); err != nil {
		b.Fatal(err)
	}
	return side{
		name: name,
		publish: func(b *testing.B, n int) {
			for sent := 0; sent < n; sent += benchBatch {
				pipe := c.Pipeline()
				for range min(benchBatch, n-sent) {
					pipe.XAdd(ctx, &goredis.XAddArgs{Stream: stream, Values: fields})
				}
				if _, err := pipe.Exec(ctx); err != nil {
					b.Fatal(err)
				}
			}
		},
		consume: func(b *testing.B, n int) {
			for got := 0; got < n; {
				all, err := c.XReadGroup(ctx, &goredis.XReadGroupArgs{
					Group: "g", Consumer: consumer, Streams: []string{stream, ">"}, Count: int64(min(benchFetch, n-got)), Block: time.Second,
				}).Result()
				if err != nil {
					b.Fatal(err)
				}
				ids := make([]string, len(all[0].Messages))
				for i, m := range all[0].Messages {
					if len(m.Values[data].(string)) != size {
						b.Fatal("another payload")
					}
					ids[i] = m.ID
				}
				if n, err := c.XAck(ctx, stream, "g", ids...).Result(); err != nil || int(n) != len(ids) {
					b.Fatal(n, err)
				}
				got += len(ids)
				if now := time.Now(); now.After(nextTrim) {
					nextTrim = now.Add(time.Second)
					if err := c.XTrimMinIDApprox(ctx, stream, ids[len(ids)-1], 0).Err(); err != nil {
						b.Fatal(err)
					}
				}
			}
		},
	}
}

// sides have streams of their own on one server that writes its file once a second.
func sides(b *testing.B, cfg redis.Config) ([]side, *meter) {
	srv := startServer(b, "--appendonly", "yes", "--appendfsync", "everysec")
	cfg.URL = srv.url()
	p, _ := streams(b, cfg)
	s := subscribe(b, p, engine.SubscribeConfig{Group: "g", MaxInFlight: benchFetch})
	c := client(b, srv.url())
	ctx := context.Background()
	ours := benchRecords(benchBatch)
	publish(b, p, ours[0])
	d := fetch(b, s, 1)[0]
	m := d.Message.(*redis.Message)
	entry, err := c.XRange(ctx, m.Stream, m.ID, m.ID).Result()
	if err != nil || len(entry) != 1 {
		b.Fatal(entry, err)
	}
	ack(b, s, d)
	same := len(entry[0].Values["e"].(string))
	var fields []any
	if _, err := engine.CloudEvents.Seal(&ours[0], func(name, value string) { fields = append(fields, name, value) }); err != nil {
		b.Fatal(err)
	}
	return []side{{
		name: "ours",
		publish: func(b *testing.B, n int) {
			records := ours
			for sent := 0; sent < n; sent += benchBatch {
				if cfg.Dedup > 0 {
					b.StopTimer()
					records = benchRecords(benchBatch)
					b.StartTimer()
				}
				if errs := p.Publish(ctx, records[:min(benchBatch, n-sent)]); errs != nil {
					b.Fatal(errs)
				}
			}
		},
		consume: func(b *testing.B, n int) {
			settled := make([]engine.Settlement, 0, benchFetch)
			for got := 0; got < n; {
				all, err := s.Fetch(ctx, min(benchFetch, n-got))
				if err != nil {
					b.Fatal(err)
				}
				settled = settled[:0]
				for _, d := range all {
					if len(d.Record.Data) != 128 {
						b.Fatal("another payload")
					}
					settled = append(settled, engine.Settlement{Delivery: d})
				}
				if late, err := s.Settle(ctx, settled); err != nil || late != 0 {
					b.Fatal(late, err)
				}
				got += len(all)
			}
		},
	}, bareSide(b, c, "bare", "data", payload()), bareSide(b, c, "bare, attributes", append(fields, "data", payload())...),
		bareSide(b, c, "bare, bytes", "data", make([]byte, same))}, &meter{client: c}
}

// meter measures the processor's time, of this process and of the server: on a machine
// that others use it says more than the clock does.
type meter struct {
	client *goredis.Client
	begin  time.Duration
}

func (m *meter) start(b *testing.B) { m.begin = m.used(b) }

func (m *meter) stop(b *testing.B) {
	b.ReportMetric(float64(m.used(b)-m.begin)/float64(b.N), "cpu-ns/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

func (m *meter) used(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	used := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	info, err := m.client.Info(b.Context(), "cpu").Result()
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(info) {
		for _, name := range []string{"used_cpu_sys:", "used_cpu_user:"} {
			if value, found := strings.CutPrefix(strings.TrimSpace(line), name); found {
				d, err := time.ParseDuration(value + "s")
				if err != nil {
					b.Fatal(err)
				}
				used += d
			}
		}
	}
	return used
}

// BenchmarkPublish stores 128 B in pipelines of 100.
func BenchmarkPublish(b *testing.B) {
	both, m := sides(b, redis.Config{})
	for _, side := range both {
		b.Run(side.name, func(b *testing.B) {
			b.ReportAllocs()
			m.start(b)
			b.ResetTimer()
			side.publish(b, b.N)
			b.StopTimer()
			m.stop(b)
			side.consume(b, b.N)
		})
	}
}

// BenchmarkPublishDedup stores no ID twice.
func BenchmarkPublishDedup(b *testing.B) {
	both, m := sides(b, redis.Config{Dedup: time.Minute})
	side := both[0]
	b.ReportAllocs()
	m.start(b)
	b.ResetTimer()
	side.publish(b, b.N)
	b.StopTimer()
	m.stop(b)
	side.consume(b, b.N)
}

// BenchmarkConsume reads and acknowledges 256 at a time.
func BenchmarkConsume(b *testing.B) {
	both, m := sides(b, redis.Config{})
	for _, side := range both {
		b.Run(side.name, func(b *testing.B) {
			b.ReportAllocs()
			side.publish(b, b.N)
			m.start(b)
			b.ResetTimer()
			side.consume(b, b.N)
			m.stop(b)
		})
	}
}

// BenchmarkEndToEnd publishes and consumes at once.
func BenchmarkEndToEnd(b *testing.B) {
	both, m := sides(b, redis.Config{})
	for _, side := range both {
		b.Run(side.name, func(b *testing.B) {
			b.ReportAllocs()
			m.start(b)
			done := make(chan struct{})
			go func() {
				defer close(done)
				side.publish(b, b.N)
			}()
			side.consume(b, b.N)
			<-done
			m.stop(b)
		})
	}
}

// BenchmarkOneByOne is one event there and back, from Publish to the acknowledgment.
func BenchmarkOneByOne(b *testing.B) {
	both, m := sides(b, redis.Config{})
	for _, side := range both {
		b.Run(side.name, func(b *testing.B) {
			b.ReportAllocs()
			m.start(b)
			for b.Loop() {
				side.publish(b, 1)
				side.consume(b, 1)
			}
			m.stop(b)
		})
	}
}
