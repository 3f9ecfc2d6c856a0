package kafka_test

import (
	"bytes"
	"fmt"
	"sync"
	"testing"

	"github.com/troupe-go/troupe/engine"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestTransactionStoresAllOrNone(t *testing.T) {
	c := fake(t)
	cfg := configOf(c)
	cfg.Transactions = "shop"
	e := start(t, cfg)
	topic := open(t, e, "t")
	if !topic.Caps().AtomicBatch {
		t.Error("Caps.AtomicBatch = false")
	}
	s := subscribe(t, topic, engine.SubscribeConfig{From: engine.FromOldest})
	batch := func(name string) []engine.Record {
		var all []engine.Record
		for i := range 10 {
			all = append(all, event(fmt.Sprint(i), name))
		}
		return all
	}
	large := batch("one is too large")
	large[7].Data = bytes.Repeat([]byte("x"), topic.Caps().MaxRecord+1)
	for i, err := range topic.Publish(within(t), large) {
		if err == nil {
			t.Errorf("record %d is stored", i)
		}
	}
	h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Partitions: []int32{1}, Count: -1})
	for i, err := range topic.Publish(within(t), batch("one partition refuses")) {
		wants(t, err, engine.ErrUnauthorized)
		if t.Failed() {
			t.Fatalf("record %d", i)
		}
	}
	h.Remove()
	publish(t, topic, batch("whole")...)
	publish(t, topic, event("a", "whole"))
	for _, text := range texts(fetch(t, s, 11)) {
		if text != "whole" {
			t.Errorf("got %q", text)
		}
	}
	nothing(t, s)
}

// The marks of transactions have offsets, and what is settled is no lag.
func TestTransactionsLeaveNoLag(t *testing.T) {
	cfg := configOf(fake(t))
	cfg.Transactions = "shop"
	e := start(t, cfg)
	topic := open(t, e, "t")
	s := subscribe(t, topic, engine.SubscribeConfig{From: engine.FromOldest})
	var publishers sync.WaitGroup
	for range 4 {
		publishers.Go(func() {
			for range 5 {
				publish(t, topic, event("a", ""), event("b", ""), event("c", ""))
			}
		})
	}
	settle(t, s, engine.Ack, 0, fetch(t, s, 60)...)
	publishers.Wait()
	eventually(t, "there is no lag", func() bool {
		lag, err := s.Lag(within(t))
		return err == nil && lag == engine.Lag{}
	})
}
