package engines_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	amqp "github.com/rabbitmq/amqp091-go"
	goredis "github.com/redis/go-redis/v9"
	"github.com/twmb/franz-go/pkg/kgo"
)

// What one would write with each client by itself: every publication waits for its
// acknowledgment, every event is acknowledged once it is handled.

func check(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func bareNATS(b *testing.B, url string, w *stopwatch) {
	conn, err := nats.Connect(url)
	check(b, err)
	defer conn.Close()
	js, err := jetstream.New(conn)
	check(b, err)
	_, err = js.CreateStream(b.Context(), jetstream.StreamConfig{Name: "bare", Subjects: []string{"bare"}})
	check(b, err)
	c, err := js.CreateConsumer(b.Context(), "bare", jetstream.ConsumerConfig{Durable: "handler", AckPolicy: jetstream.AckExplicitPolicy})
	check(b, err)
	consuming, err := c.Consume(func(m jetstream.Msg) {
		w.arrived(b, m.Data())
		if err := m.Ack(); err != nil {
			b.Error(err)
		}
	})
	check(b, err)
	defer consuming.Stop()
	w.run(b, func(ctx context.Context, data event) error {
		_, err := js.Publish(ctx, "bare", data)
		return err
	})
}

func bareKafka(b *testing.B, url string, w *stopwatch) {
	producer, err := kgo.NewClient(kgo.SeedBrokers(url), kgo.ProducerLinger(0))
	check(b, err)
	defer producer.Close()
	consumer, err := kgo.NewClient(kgo.SeedBrokers(url), kgo.ConsumerGroup("handler"), kgo.ConsumeTopics("bare"),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitMarks(), kgo.AutoCommitInterval(100*time.Millisecond))
	check(b, err)
	defer consumer.Close()
	ctx, stop := context.WithCancel(b.Context())
	var work sync.WaitGroup
	work.Go(func() {
		for ctx.Err() == nil {
			fetches := consumer.PollFetches(ctx)
			fetches.EachRecord(func(r *kgo.Record) {
				w.arrived(b, r.Value)
				consumer.MarkCommitRecords(r)
			})
		}
	})
	w.run(b, func(ctx context.Context, data event) error {
		return producer.ProduceSync(ctx, &kgo.Record{Topic: "bare", Value: data}).FirstErr()
	})
	stop()
	work.Wait()
}

func bareRedis(b *testing.B, url string, w *stopwatch) {
	options, err := goredis.ParseURL(url)
	check(b, err)
	c := goredis.NewClient(options)
	defer c.Close()
	stream := name("bare")
	check(b, c.XGroupCreateMkStream(b.Context(), stream, "handler", "0").Err())
	defer func() {
		ctx, cancel := background()
		defer cancel()
		c.Del(ctx, stream)
	}()
	var work sync.WaitGroup
	ctx, stop := context.WithCancel(b.Context())
	work.Go(func() {
		for ctx.Err() == nil {
			got, err := c.XReadGroup(ctx, &goredis.XReadGroupArgs{Group: "handler", Consumer: "c", Streams: []string{stream, ">"}, Count: 256, Block: 100 * time.Millisecond}).Result()
			if errors.Is(err, goredis.Nil) || ctx.Err() != nil {
				continue
			}
			if err != nil {
				b.Error(err)
				return
			}
			ids := make([]string, len(got[0].Messages))
			for i, m := range got[0].Messages {
				w.arrived(b, []byte(m.Values["data"].(string)))
				ids[i] = m.ID
			}
			if err := c.XAck(context.WithoutCancel(ctx), stream, "handler", ids...).Err(); err != nil {
				b.Error(err)
			}
		}
	})
	w.run(b, func(ctx context.Context, data event) error {
		return c.XAdd(ctx, &goredis.XAddArgs{Stream: stream, Values: []any{"data", []byte(data)}}).Err()
	})
	stop()
	work.Wait()
}

func bareRabbit(b *testing.B, url string, w *stopwatch) {
	channel := func() *amqp.Channel {
		conn, err := amqp.Dial(url)
		check(b, err)
		b.Cleanup(func() { conn.Close() })
		ch, err := conn.Channel()
		check(b, err)
		return ch
	}
	pub, con := channel(), channel()
	queue := name("bare")
	_, err := con.QueueDeclare(queue, true, false, false, false, amqp.Table{"x-queue-type": "quorum"})
	check(b, err)
	check(b, con.Qos(1024, 0, false))
	deliveries, err := con.Consume(queue, "handler", false, false, false, false, nil)
	check(b, err)
	check(b, pub.Confirm(false))
	var work sync.WaitGroup
	work.Go(func() {
		for d := range deliveries {
			w.arrived(b, d.Body)
			if err := d.Ack(false); err != nil {
				b.Error(err)
			}
		}
	})
	w.run(b, func(ctx context.Context, data event) error {
		confirmation, err := pub.PublishWithDeferredConfirmWithContext(ctx, "", queue, true, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: data})
		if err != nil {
			return err
		}
		if ok, err := confirmation.WaitContext(ctx); !ok || err != nil {
			return fmt.Errorf("confirmed %v, %w", ok, err)
		}
		return nil
	})
	check(b, con.Cancel("handler", false))
	work.Wait()
	_, err = pub.QueueDelete(queue, false, false, false)
	check(b, err)
}

// schema makes one that is removed in the end.
func schema(b *testing.B, url string) string {
	s := name("bench")
	b.Cleanup(func() {
		ctx, cancel := background()
		defer cancel()
		conn, err := pgx.Connect(ctx, url)
		if err == nil {
			_, err = conn.Exec(ctx, "DROP SCHEMA IF EXISTS "+s+" CASCADE")
			err = errors.Join(err, conn.Close(ctx))
		}
		if err != nil {
			b.Errorf("schema %s is left: %v", s, err)
		}
	})
	return s
}

// barePostgres is a queue for one group: rows taken with FOR UPDATE SKIP LOCKED and
// deleted in the transaction that took them, a consumer that LISTEN wakes.
func barePostgres(b *testing.B, url string, w *stopwatch) {
	s := schema(b, url)
	pool, err := pgxpool.New(b.Context(), url)
	check(b, err)
	defer pool.Close()
	_, err = pool.Exec(b.Context(), fmt.Sprintf(`CREATE SCHEMA %[1]s; CREATE TABLE %[1]s.queue (
		pos bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, data bytea NOT NULL)`, s), pgx.QueryExecModeSimpleProtocol)
	check(b, err)
	listener, err := pgx.Connect(b.Context(), url)
	check(b, err)
	_, err = listener.Exec(b.Context(), "LISTEN "+s)
	check(b, err)
	take := fmt.Sprintf("DELETE FROM %[1]s.queue WHERE pos IN (SELECT pos FROM %[1]s.queue ORDER BY pos LIMIT 256 FOR UPDATE SKIP LOCKED) RETURNING data", s)
	ctx, stop := context.WithCancel(b.Context())
	var work sync.WaitGroup
	work.Go(func() {
		for ctx.Err() == nil {
			taken := 0
			err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
				rows, err := tx.Query(ctx, take)
				if err != nil {
					return err
				}
				data, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
				for _, d := range data {
					w.arrived(b, d)
				}
				taken = len(data)
				return err
			})
			if err == nil && taken == 0 {
				_, err = listener.WaitForNotification(ctx)
			}
			if err != nil && ctx.Err() == nil {
				b.Error(err)
				return
			}
		}
	})
	insert := fmt.Sprintf("WITH n AS (INSERT INTO %[1]s.queue (data) VALUES ($1)) SELECT pg_notify('%[1]s', '')", s)
	w.run(b, func(ctx context.Context, data event) error {
		_, err := pool.Exec(ctx, insert, []byte(data))
		return err
	})
	stop()
	work.Wait()
	ctx, cancel := background()
	defer cancel()
	check(b, listener.Close(ctx))
}
