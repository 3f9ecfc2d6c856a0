package watermill_test

import (
	"context"
	"errors"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/troupe-go/troupe/bridge/watermill"
	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/memory"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

func receive(t *testing.T, in <-chan *message.Message) *message.Message {
	t.Helper()
	select {
	case m, ok := <-in:
		if !ok {
			t.Fatal("the channel is closed")
		}
		return m
	case <-time.After(patience):
		t.Fatal("no message")
	}
	return nil
}

// Metadata may have any name, and records only those that engines can carry.
func TestMetadataTravelsWhole(t *testing.T) {
	e := memory.New()
	pub, sub := pubSub(t, e, watermill.SubscriberConfig{Group: "g"})
	in, err := sub.Subscribe(within(t), "t")
	if err != nil {
		t.Fatal(err)
	}
	sent := message.NewMessage("1", []byte("payload"))
	for _, name := range []string{"plain", "Correlation-ID", "ce-id", "content-type", "ü ber", "", "watermill-x-00", "traceparent"} {
		sent.Metadata.Set(name, "value of "+name)
	}
	if err := pub.Publish("t", sent); err != nil {
		t.Fatal(err)
	}
	got := receive(t, in)
	if !got.Equals(sent) {
		t.Errorf("message = %s %v %q, want %s %v %q", got.UUID, got.Metadata, got.Payload, sent.UUID, sent.Metadata, sent.Payload)
	}
	got.Ack()
}

func TestNackComesAfterItsDelay(t *testing.T) {
	const delay = 200 * time.Millisecond
	pub, sub := pubSub(t, memory.New(), watermill.SubscriberConfig{Group: "g", NackDelay: delay})
	in, err := sub.Subscribe(within(t), "t")
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.Publish("t", message.NewMessage("1", nil)); err != nil {
		t.Fatal(err)
	}
	receive(t, in).Nack()
	at := time.Now()
	receive(t, in).Ack()
	if since := time.Since(at); since < delay-20*time.Millisecond {
		t.Errorf("came again after %v, want %v", since, delay)
	}
}

// A lease that is shorter than the handling is extended.
func TestSlowHandlingKeepsItsMessage(t *testing.T) {
	const lease = 150 * time.Millisecond
	e := memory.New()
	pub, slow := pubSub(t, e, watermill.SubscriberConfig{Group: "g", Lease: lease})
	in, err := slow.Subscribe(within(t), "t")
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.Publish("t", message.NewMessage("1", nil)); err != nil {
		t.Fatal(err)
	}
	m := receive(t, in)
	_, other := pubSub(t, e, watermill.SubscriberConfig{Group: "g", Lease: lease})
	others, err := other.Subscribe(within(t), "t")
	if err != nil {
		t.Fatal(err)
	}
	select {
	case <-others:
		t.Error("the message went to another while it was handled")
	case <-time.After(4 * lease):
	}
	m.Ack()
}

// What a topic of Troupe publishes reaches a Watermill subscriber, and the other way.
func TestTopicsAndWatermillShareEvents(t *testing.T) {
	type order struct{ N int }
	e := memory.New()
	rt, err := runtime.New(runtime.Config{Name: "shop"})
	if err != nil {
		t.Fatal(err)
	}
	topic, err := topics.Open[order](rt, "orders", topics.Config{Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	handled := make(chan order, 2)
	_, err = topic.Subscribe("ours", func(_ context.Context, o order) error { handled <- o; return nil }, topics.SubscriberConfig{})
	if err != nil {
		t.Fatal(err)
	}
	pub, sub := pubSub(t, e, watermill.SubscriberConfig{Group: "theirs"})
	in, err := sub.Subscribe(within(t), "orders")
	if err != nil {
		t.Fatal(err)
	}
	if err := topic.Publish(within(t), order{1}); err != nil {
		t.Fatal(err)
	}
	m := receive(t, in)
	if string(m.Payload) != `{"N":1}` {
		t.Errorf("payload = %s", m.Payload)
	}
	m.Ack()
	if err := pub.Publish("orders", message.NewMessage("2", []byte(`{"N":2}`))); err != nil {
		t.Fatal(err)
	}
	receive(t, in).Ack()
	got := map[int]bool{}
	for range 2 {
		select {
		case o := <-handled:
			got[o.N] = true
		case <-time.After(patience):
			t.Fatalf("handled %v, want 1 and 2", got)
		}
	}
	if !maps.Equal(got, map[int]bool{1: true, 2: true}) {
		t.Errorf("handled %v, want 1 and 2", got)
	}
	if _, err := rt.Shutdown(within(t)); err != nil {
		t.Fatal(err)
	}
}

func TestErrorsAreNamed(t *testing.T) {
	e := memory.New()
	pub, sub := pubSub(t, e, watermill.SubscriberConfig{Group: "g"})
	if err := pub.Publish("t", message.NewMessage("fits", nil)); err != nil {
		t.Fatal(err)
	}
	e.Fail(engine.ErrUnavailable)
	if err := pub.Publish("t", message.NewMessage("one", nil)); !errors.Is(err, engine.ErrUnavailable) || !strings.Contains(err.Error(), "message one") {
		t.Errorf("Publish = %v, want ErrUnavailable of message one", err)
	}
	if _, err := sub.Subscribe(within(t), "t"); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Subscribe = %v, want ErrUnavailable", err)
	}
	e.Fail(nil)
	if err := errors.Join(pub.Close(), sub.Close(), sub.Close()); err != nil {
		t.Fatal(err)
	}
	if err := pub.Publish("t", message.NewMessage("late", nil)); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Publish after Close = %v", err)
	}
	if _, err := sub.Subscribe(within(t), "t"); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Subscribe after Close = %v", err)
	}
	_, err := watermill.NewSubscriber(e, watermill.SubscriberConfig{InFlight: -1, Lease: -1})
	for _, field := range []string{"Group", "InFlight", "Lease"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("NewSubscriber = %v, want it to name %s", err, field)
		}
	}
}

// An outage passes: what was published before and during it comes after it.
func TestOutagePasses(t *testing.T) {
	e := memory.New()
	pub, sub := pubSub(t, e, watermill.SubscriberConfig{Group: "g"})
	in, err := sub.Subscribe(within(t), "t")
	if err != nil {
		t.Fatal(err)
	}
	if err := pub.Publish("t", message.NewMessage("1", nil), message.NewMessage("2", nil)); err != nil {
		t.Fatal(err)
	}
	first := receive(t, in)
	e.Fail(engine.ErrUnavailable)
	first.Ack() // which the engine does not hear
	time.AfterFunc(100*time.Millisecond, func() { e.Fail(nil) })
	if m := receive(t, in); m.UUID != "2" {
		t.Errorf("got %s, want 2", m.UUID)
	} else {
		m.Ack()
	}
}

// broken is a Pub/Sub that does nothing it is asked.
type broken struct{ hang chan struct{} }

var errBroken = errors.New("broken")

func (b broken) Publish(string, ...*message.Message) error {
	if b.hang != nil {
		<-b.hang
	}
	return errBroken
}

func (b broken) Subscribe(context.Context, string) (<-chan *message.Message, error) {
	if b.hang != nil {
		<-b.hang
	}
	return nil, errBroken
}

func (broken) Close() error { return nil }

func engineOf(t *testing.T, b broken, caps engine.Caps) engine.Topic {
	t.Helper()
	e, err := watermill.Open(watermill.Config{
		Publisher: b, Caps: caps,
		Subscriber: func(string, engine.Start) (message.Subscriber, error) { return b, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	topic, err := e.Open(within(t), "t")
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func TestEngineOfABrokenPubSub(t *testing.T) {
	topic := engineOf(t, broken{}, engine.Caps{})
	for i, err := range topic.Publish(within(t), []engine.Record{{ID: "1"}, {ID: "2"}}) {
		if !errors.Is(err, engine.ErrUnavailable) || !errors.Is(err, errBroken) {
			t.Errorf("record %d: %v", i, err)
		}
	}
	_, err := topic.Subscribe(within(t), engine.SubscribeConfig{Group: "g", MaxInFlight: 1})
	if !errors.Is(err, engine.ErrUnavailable) || !errors.Is(err, errBroken) {
		t.Errorf("Subscribe = %v", err)
	}
}

func TestEngineOfAPubSubThatHangs(t *testing.T) {
	b := broken{hang: make(chan struct{})}
	defer close(b.hang)
	topic := engineOf(t, b, engine.Caps{})
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	for i, err := range topic.Publish(ctx, []engine.Record{{ID: "1"}, {ID: "2"}}) {
		if !errors.Is(err, engine.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("record %d: %v", i, err)
		}
	}
	_, err := topic.Subscribe(ctx, engine.SubscribeConfig{Group: "g", MaxInFlight: 1})
	if !errors.Is(err, engine.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Subscribe = %v", err)
	}
}

func TestEngineSaysWhatItCannot(t *testing.T) {
	topic := engineOf(t, broken{}, engine.Caps{})
	for _, cfg := range []engine.SubscribeConfig{
		{Group: "g", MaxInFlight: 1, KeyOrder: true}, {Group: "g", MaxInFlight: 1, From: engine.FromOldest},
	} {
		if _, err := topic.Subscribe(within(t), cfg); !errors.Is(err, engine.ErrUnsupported) {
			t.Errorf("Subscribe(%+v) = %v, want ErrUnsupported", cfg, err)
		}
	}
	_, err := watermill.Open(watermill.Config{Caps: engine.Caps{DelayedNack: true, Attempts: true, Lease: true, Lag: true, AtomicBatch: true, Durable: true}})
	for _, field := range []string{"Publisher", "Subscriber", "DelayedNack", "Attempts", "Lease", "Lag", "AtomicBatch", "Durable"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("Open = %v, want it to name %s", err, field)
		}
	}
}
