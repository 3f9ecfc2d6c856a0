package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/kafka"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// patience is for what must happen: a test that waits for so long has failed.
const patience = 30 * time.Second

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// fake starts a cluster of three brokers in this process.
func fake(t *testing.T, opts ...kfake.Opt) *kfake.Cluster {
	t.Helper()
	t.Parallel()
	c, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(3), kfake.GroupMinSessionTimeout(time.Second)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func configOf(c *kfake.Cluster) kafka.Config {
	return kafka.Config{Seeds: c.ListenAddrs(), Partitions: 3, SessionTimeout: 6 * time.Second}
}

func start(t *testing.T, cfg kafka.Config) *kafka.Engine {
	t.Helper()
	e, err := kafka.Open(within(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(within(t)); err != nil {
			t.Errorf("Close = %v", err)
		}
	})
	return e
}

func open(t *testing.T, e *kafka.Engine, name string) engine.Topic {
	t.Helper()
	topic, err := e.Open(within(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func subscribe(t *testing.T, topic engine.Topic, cfg engine.SubscribeConfig) *kafka.Subscription {
	t.Helper()
	if cfg.Group == "" {
		cfg.Group = "g"
	}
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = 100
	}
	s, err := topic.Subscribe(within(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(within(t)) })
	return s.(*kafka.Subscription)
}

var ids atomic.Int64

func event(key, data string) engine.Record {
	return engine.Record{ID: fmt.Sprint("e", ids.Add(1)), Key: key, Data: []byte(data), Time: time.Now()}
}

func publish(t *testing.T, topic engine.Topic, records ...engine.Record) {
	t.Helper()
	for i, err := range topic.Publish(within(t), records) {
		if err != nil {
			t.Fatalf("Publish: record %d: %v", i, err)
		}
	}
}

// fetch returns n deliveries, which may take several calls.
func fetch(t *testing.T, s engine.Subscription, n int) (all []*engine.Delivery) {
	t.Helper()
	ctx := within(t)
	for len(all) < n {
		got, err := s.Fetch(ctx, n-len(all))
		if err != nil && !engine.Temporary(err) || ctx.Err() != nil {
			t.Fatalf("Fetch after %d of %d: %v", len(all), n, err)
		}
		all = append(all, got...)
	}
	return all
}

// nothing checks that no record comes, for a while that is long for one that is there.
func nothing(t *testing.T, s engine.Subscription) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 150*time.Millisecond)
	defer cancel()
	got, err := s.Fetch(ctx, 1)
	if len(got) > 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Fetch = %v, %v, want nothing", texts(got), err)
	}
}

func settle(t *testing.T, s engine.Subscription, verdict engine.Verdict, delay time.Duration, all ...*engine.Delivery) {
	t.Helper()
	if late := settleLate(t, s, verdict, delay, all...); late != 0 {
		t.Fatalf("Settle = %d late, want 0", late)
	}
}

func settleLate(t *testing.T, s engine.Subscription, verdict engine.Verdict, delay time.Duration, all ...*engine.Delivery) int {
	t.Helper()
	settlements := make([]engine.Settlement, len(all))
	for i, d := range all {
		settlements[i] = engine.Settlement{Delivery: d, Verdict: verdict, Delay: delay}
	}
	late, err := s.Settle(within(t), settlements)
	if err != nil {
		t.Fatalf("Settle = %v", err)
	}
	return late
}

func texts(all []*engine.Delivery) []string {
	out := make([]string, len(all))
	for i, d := range all {
		out[i] = string(d.Record.Data)
	}
	return out
}

// commits returns the commits of a group by partition.
func commits(t *testing.T, e *kafka.Engine, topic, group string) map[int32]kadm.Offset {
	t.Helper()
	all, err := kadm.NewClient(e.Client()).FetchOffsetsForTopics(within(t), topic+"/"+group, topic)
	if err != nil {
		t.Fatal(err)
	}
	out := map[int32]kadm.Offset{}
	all.Each(func(o kadm.OffsetResponse) { out[o.Partition] = o.Offset })
	return out
}

// eventually waits until ok.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not after %v: %s", patience, what)
		}
	}
}

// committed returns the commits of a group by partition, 0 where it has none.
func committed(ctx context.Context, client *kgo.Client, group, topic string) (map[int32]int64, error) {
	all, err := kadm.NewClient(client).FetchOffsetsForTopics(ctx, group, topic)
	out := map[int32]int64{}
	all.Each(func(o kadm.OffsetResponse) { out[o.Partition] = max(o.At, 0) })
	return out, err
}
