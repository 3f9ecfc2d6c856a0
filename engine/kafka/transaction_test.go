package kafka_test

import (
	"bytes"
	"context"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/kafka"
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

// A transaction that brokers do not answer does not keep Close past its context.
func TestCloseDoesNotWaitForATransactionForever(t *testing.T) {
	c := fake(t)
	cfg := configOf(c)
	cfg.Transactions = "shop"
	e, err := kafka.Open(within(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	topic := open(t, e, "t")
	publish(t, topic, event("a", "1"), event("b", "2"))
	c.Close()
	published := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		close(begun)
		published <- first(topic.Publish(context.Background(), []engine.Record{event("a", "3"), event("b", "4")}))
	}()
	<-begun
	select {
	case err := <-published:
		t.Fatalf("Publish without brokers = %v, want it to wait", err)
	case <-time.After(100 * time.Millisecond): // it waits, and would for ever
	}
	closed := make(chan error, 1)
	go func() { closed <- e.Close(soon(t)) }()
	select {
	case err := <-closed:
		wants(t, err, context.DeadlineExceeded, "transaction")
	case <-time.After(patience):
		t.Fatal("Close waits after its context has ended")
	}
	select {
	case err := <-published:
		wants(t, err, engine.ErrClosed)
	case <-time.After(patience):
		t.Fatal("Publish waits after Close")
	}
	eventually(t, "what was left of the transaction ends", func() bool {
		stacks := make([]byte, 8<<20)
		return !bytes.Contains(stacks[:runtime.Stack(stacks, true)], []byte("kafka.(*transactor).close"))
	})
}
