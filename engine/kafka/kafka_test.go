package kafka_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func TestRecordTravelsWhole(t *testing.T) {
	e := start(t, configOf(fake(t)))
	topic := open(t, e, "orders.placed")
	s := subscribe(t, topic, engine.SubscribeConfig{From: engine.FromOldest})
	sent := engine.Record{
		ID: "a b/ü", Key: "customer ä", Source: "shop", Type: "OrderPlaced",
		Time: time.UnixMilli(1790000000123).UTC(), ContentType: "application/json", SchemaVersion: 3,
		Headers: map[string]string{"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "note": "50 % off", "ce-own": "x"},
		Data:    []byte(`{"n":1}`),
	}
	delete(sent.Headers, "ce-own")
	publish(t, topic, sent)
	d := fetch(t, s, 1)[0]
	if !reflect.DeepEqual(d.Record, sent) {
		t.Errorf("record = %+v, want %+v", d.Record, sent)
	}
	m := d.Message.(*kgo.Record)
	if string(m.Key) != sent.Key {
		t.Errorf("key of the message = %q, want %q", m.Key, sent.Key)
	}
	if d.Attempt != 1 || d.Place == "" || !strings.Contains(d.Position, "offset 0") || d.Fault != nil {
		t.Errorf("delivery = attempt %d, place %q, position %q, fault %v", d.Attempt, d.Place, d.Position, d.Fault)
	}
	var names []string
	for _, h := range m.Headers {
		names = append(names, h.Key)
	}
	for _, want := range []string{"ce_id", "ce_specversion", "ce_traceparent", "content-type", "note"} {
		if !strings.Contains(strings.Join(names, " "), want) {
			t.Errorf("headers = %v, want %s among them", names, want)
		}
	}
}

func TestMessageWithoutEnvelope(t *testing.T) {
	e := start(t, configOf(fake(t)))
	topic := open(t, e, "foreign")
	s := subscribe(t, topic, engine.SubscribeConfig{From: engine.FromOldest})
	err := e.Client().ProduceSync(within(t), &kgo.Record{Topic: "foreign", Key: []byte("k"), Value: []byte("raw")}).FirstErr()
	if err != nil {
		t.Fatal(err)
	}
	d := fetch(t, s, 1)[0]
	if !errors.Is(d.Fault, engine.ErrNotSealed) || string(d.Record.Data) != "raw" || d.Record.Key != "k" || d.Record.ID != "foreign/"+d.Place {
		t.Errorf("delivery = %+v, want the raw bytes and an ID of its place", d)
	}
}

func TestGroupsHaveTheirOwnPositions(t *testing.T) {
	e := start(t, configOf(fake(t)))
	topic := open(t, e, "t")
	publish(t, topic, event("a", "before"))
	oldest := subscribe(t, topic, engine.SubscribeConfig{Group: "oldest", From: engine.FromOldest})
	now := subscribe(t, topic, engine.SubscribeConfig{Group: "now", From: engine.FromNow})
	publish(t, topic, event("a", "after"))
	if got := texts(fetch(t, oldest, 2)); got[0] != "before" || got[1] != "after" {
		t.Errorf("from the oldest = %v", got)
	}
	if got := texts(fetch(t, now, 1)); got[0] != "after" {
		t.Errorf("from now = %v", got)
	}
	nothing(t, now)
}

// What is published after Subscribe has returned comes, also before the group has its
// partitions, and however often that is tried.
func TestFromNowMissesNothing(t *testing.T) {
	e := start(t, configOf(fake(t)))
	topic := open(t, e, "t")
	for i := range 5 {
		group := fmt.Sprint("g", i)
		s := subscribe(t, topic, engine.SubscribeConfig{Group: group, From: engine.FromNow})
		publish(t, topic, event("a", group), event("b", group), event("c", group))
		for _, text := range texts(fetch(t, s, 3)) {
			if text != group {
				t.Errorf("got %q, want %q", text, group)
			}
		}
		if err := s.Close(within(t)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPositionOutlivesTheConsumer(t *testing.T) {
	e := start(t, configOf(fake(t)))
	topic := open(t, e, "t")
	first := subscribe(t, topic, engine.SubscribeConfig{From: engine.FromOldest})
	publish(t, topic, event("a", "1"), event("a", "2"))
	settle(t, first, engine.Ack, 0, fetch(t, first, 1)...)
	if err := first.Close(within(t)); err != nil {
		t.Fatal(err)
	}
	second := subscribe(t, topic, engine.SubscribeConfig{From: engine.FromNow})
	if got := fetch(t, second, 1)[0]; string(got.Record.Data) != "2" || got.Attempt != 1 {
		t.Errorf("got %q, attempt %d, want 2, attempt 1", got.Record.Data, got.Attempt)
	}
	nothing(t, second)
}

func TestNackComesAgainAfterItsDelay(t *testing.T) {
	e := start(t, configOf(fake(t)))
	topic := open(t, e, "t")
	s := subscribe(t, topic, engine.SubscribeConfig{From: engine.FromOldest})
	publish(t, topic, event("a", "1"), event("a", "2"))
	d := fetch(t, s, 2)
	const delay = 300 * time.Millisecond
	at := time.Now()
	settle(t, s, engine.Nack, delay, d[0])
	settle(t, s, engine.Ack, 0, d[1])
	again := fetch(t, s, 1)[0]
	if since := time.Since(at); since < delay {
		t.Errorf("came again after %v, want %v", since, delay)
	}
	if again.Attempt != 2 || again.Place != d[0].Place || string(again.Record.Data) != "1" {
		t.Errorf("got %q, attempt %d, want 1, attempt 2", again.Record.Data, again.Attempt)
	}
	// The first delivery has been settled: to settle it again does nothing.
	settle(t, s, engine.Ack, 0, d[0])
	settle(t, s, engine.Nack, 0, again)
	if third := fetch(t, s, 1)[0]; third.Attempt != 3 {
		t.Errorf("attempt = %d, want 3", third.Attempt)
	} else {
		settle(t, s, engine.Term, 0, third)
	}
	nothing(t, s)
}

// Under KeyOrder what comes later of a key waits behind what was given back, and other
// keys do not.
func TestNackHoldsItsKey(t *testing.T) {
	cfg := configOf(fake(t))
	cfg.Partitions = 1
	e := start(t, cfg)
	topic := open(t, e, "t")
	s := subscribe(t, topic, engine.SubscribeConfig{From: engine.FromOldest, KeyOrder: true})
	publish(t, topic, event("a", "a1"), event("b", "b1"))
	d := fetch(t, s, 2)
	const delay = 300 * time.Millisecond
	settle(t, s, engine.Nack, delay, d[0])
	publish(t, topic, event("a", "a2"), event("b", "b2"), event("a", "a3"))
	if got := texts(fetch(t, s, 1)); got[0] != "b2" {
		t.Fatalf("got %v, want b2", got)
	}
	if lag, err := s.Lag(within(t)); err != nil || lag.Unsettled != 3 || lag.Waiting != 2 {
		t.Errorf("Lag = %+v, %v, want 3 unsettled, 2 waiting", lag, err)
	}
	if got := fmt.Sprint(texts(fetch(t, s, 3))); got != "[a1 a2 a3]" {
		t.Errorf("got %v, want a1 a2 a3", got)
	}
}

func TestMaxInFlightBoundsWhatIsInHand(t *testing.T) {
	e := start(t, configOf(fake(t)))
	topic := open(t, e, "t")
	s := subscribe(t, topic, engine.SubscribeConfig{From: engine.FromOldest, MaxInFlight: 5})
	var all []engine.Record
	for i := range 50 {
		all = append(all, event(fmt.Sprint(i), fmt.Sprint(i)))
	}
	publish(t, topic, all...)
	d := fetch(t, s, 5)
	nothing(t, s)
	// What was given back is in memory, so it counts, too.
	settle(t, s, engine.Nack, time.Hour, d[0])
	nothing(t, s)
	settle(t, s, engine.Ack, 0, d[1:]...)
	for range 45 / 3 {
		settle(t, s, engine.Ack, 0, fetch(t, s, 3)...)
	}
}

func TestMaxUncommittedPausesAPartition(t *testing.T) {
	cfg := configOf(fake(t))
	cfg.Partitions, cfg.MaxUncommitted = 1, 20
	e := start(t, cfg)
	topic := open(t, e, "t")
	s := subscribe(t, topic, engine.SubscribeConfig{From: engine.FromOldest, MaxInFlight: 10})
	var all []engine.Record
	for i := range 100 {
		all = append(all, event("", fmt.Sprint(i)))
	}
	publish(t, topic, all...)
	stuck := fetch(t, s, 1)
	got := 1
	for got < 100 {
		ctx, cancel := context.WithTimeout(context.Background(), 300*time.Millisecond)
		d, err := s.Fetch(ctx, 1)
		cancel()
		if err != nil {
			break
		}
		got += len(d)
		settle(t, s, engine.Ack, 0, d...)
	}
	if got < 20 || got > 30 {
		t.Errorf("%d records came past one that is not settled, want 20 to 30", got)
	}
	settle(t, s, engine.Ack, 0, stuck...)
	for ; got < 100; got++ {
		settle(t, s, engine.Ack, 0, fetch(t, s, 1)...)
	}
}

func TestTooLargeIsRefusedAndTheRestIsStored(t *testing.T) {
	cfg := configOf(fake(t))
	cfg.TopicConfig = map[string]string{"max.message.bytes": "20000"}
	e := start(t, cfg)
	topic := open(t, e, "t")
	most := topic.Caps().MaxRecord
	if most < 10000 || most > 20000 {
		t.Fatalf("MaxRecord = %d", most)
	}
	large := event("a", "")
	large.Data = bytes.Repeat([]byte("x"), most+1)
	errs := topic.Publish(within(t), []engine.Record{event("a", "1"), large, event("a", "2")})
	if errs[0] != nil || !errors.Is(errs[1], engine.ErrTooLarge) || errs[2] != nil {
		t.Errorf("Publish = %v", errs)
	}
	fits := event("a", "")
	fits.Data = bytes.Repeat([]byte("x"), most-fits.Size())
	publish(t, topic, fits)
}

func TestLag(t *testing.T) {
	e := start(t, configOf(fake(t)))
	topic := open(t, e, "t")
	s := subscribe(t, topic, engine.SubscribeConfig{From: engine.FromOldest})
	var all []engine.Record
	for i := range 30 {
		all = append(all, event(fmt.Sprint(i), fmt.Sprint(i)))
	}
	publish(t, topic, all...)
	d := fetch(t, s, 10)
	settle(t, s, engine.Ack, 0, d[:4]...)
	if lag, err := s.Lag(within(t)); err != nil || lag.Waiting != 20 || lag.Unsettled != 6 {
		t.Errorf("Lag = %+v, %v, want 20 waiting, 6 unsettled", lag, err)
	}
	settle(t, s, engine.Ack, 0, d...)
	settle(t, s, engine.Ack, 0, fetch(t, s, 20)...)
	if lag, err := s.Lag(within(t)); err != nil || lag != (engine.Lag{}) {
		t.Errorf("Lag = %+v, %v, want none", lag, err)
	}
}

func TestCloseWakesFetch(t *testing.T) {
	e := start(t, configOf(fake(t)))
	topic := open(t, e, "t")
	s := subscribe(t, topic, engine.SubscribeConfig{})
	end := make(chan error, 1)
	go func() {
		_, err := s.Fetch(context.Background(), 1)
		end <- err
	}()
	if err := s.Close(within(t)); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-end:
		if !errors.Is(err, engine.ErrClosed) {
			t.Errorf("Fetch = %v, want ErrClosed", err)
		}
	case <-time.After(patience):
		t.Fatal("Fetch waits after Close")
	}
	if err := s.Close(within(t)); err != nil {
		t.Errorf("Close again = %v", err)
	}
}

func TestCloseGivesBackAtOnce(t *testing.T) {
	e := start(t, configOf(fake(t)))
	topic := open(t, e, "t")
	first := subscribe(t, topic, engine.SubscribeConfig{From: engine.FromOldest})
	publish(t, topic, event("a", "1"), event("a", "2"), event("a", "3"))
	d := fetch(t, first, 3)
	settle(t, first, engine.Ack, 0, d[1])
	settle(t, first, engine.Nack, time.Hour, d[0])
	if err := first.Close(within(t)); err != nil {
		t.Fatal(err)
	}
	if late := settleLate(t, first, engine.Ack, 0, d[2]); late != 1 {
		t.Errorf("Settle after Close = %d late, want 1", late)
	}
	second := subscribe(t, topic, engine.SubscribeConfig{})
	again := fetch(t, second, 2)
	if got := fmt.Sprint(texts(again)); got != "[1 3]" {
		t.Errorf("got %v, want 1 and 3: 2 was settled, beyond the gap", got)
	}
	for _, a := range again {
		if a.Attempt != 2 {
			t.Errorf("attempt of %s = %d, want 2", a.Record.Data, a.Attempt)
		}
	}
	nothing(t, second)
}

func TestMarksAreKept(t *testing.T) {
	cfg := configOf(fake(t))
	e := start(t, cfg)
	topic := open(t, e, "t")
	publish(t, topic, event("a", "1"), event("a", "2"))
	for before := range 3 {
		s := subscribe(t, topic, engine.SubscribeConfig{From: engine.FromOldest})
		d := fetch(t, s, 1)[0]
		n, err := s.Mark(within(t), d)
		if n != before || err != nil || d.Attempt != before+1 {
			t.Errorf("Mark = %d, %v at attempt %d, want %d", n, err, d.Attempt, before)
		}
		if err := s.Close(within(t)); err != nil {
			t.Fatal(err)
		}
		if _, err := s.Mark(within(t), d); err == nil {
			t.Error("Mark after Close = nil")
		}
	}
}

// A mark that brokers have refused is none: the runtime tries it again, and would take the
// record for one that has ended a process before.
func TestMarkThatFailsIsNone(t *testing.T) {
	c := fake(t)
	e := start(t, configOf(c))
	topic := open(t, e, "t")
	publish(t, topic, event("a", "1"))
	s := subscribe(t, topic, engine.SubscribeConfig{From: engine.FromOldest})
	d := fetch(t, s, 1)[0]
	h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.GroupAuthorizationFailed, Count: -1})
	for range 3 {
		if _, err := s.Mark(within(t), d); err == nil {
			t.Fatal("Mark = nil where the brokers refuse it")
		}
	}
	h.Remove()
	for before := range 2 {
		if n, err := s.Mark(within(t), d); n != before || err != nil {
			t.Errorf("Mark = %d, %v, want %d", n, err, before)
		}
	}
}

// What is published to partitions that were added while nobody was in the group comes,
// though it begins with what is new: it is the group that is not.
func TestPartitionsAddedMeanwhile(t *testing.T) {
	c := fake(t)
	cfg := configOf(c)
	cfg.Partitions = 1
	e := start(t, cfg)
	topic := open(t, e, "t")
	s := subscribe(t, topic, engine.SubscribeConfig{From: engine.FromNow})
	publish(t, topic, event("a", "before"))
	settle(t, s, engine.Ack, 0, fetch(t, s, 1)...)
	if err := s.Close(within(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := kadm.NewClient(e.Client()).UpdatePartitions(within(t), 4, "t"); err != nil {
		t.Fatal(err)
	}
	cfg.Partitions = 4
	later := start(t, cfg)
	topic = open(t, later, "t")
	var all []engine.Record
	for i := range 40 {
		all = append(all, event(fmt.Sprint(i), fmt.Sprint(i)))
	}
	publish(t, topic, all...)
	s = subscribe(t, topic, engine.SubscribeConfig{From: engine.FromNow})
	got := map[int32]int{}
	for _, d := range fetch(t, s, len(all)) {
		got[d.Message.(*kgo.Record).Partition]++
	}
	if len(got) != 4 {
		t.Errorf("records by partition = %v, want some of all 4", got)
	}
}

func TestDeliveryOfAnotherSubscription(t *testing.T) {
	e := start(t, configOf(fake(t)))
	topic := open(t, e, "t")
	a := subscribe(t, topic, engine.SubscribeConfig{Group: "a", From: engine.FromOldest})
	b := subscribe(t, topic, engine.SubscribeConfig{Group: "b", From: engine.FromOldest})
	publish(t, topic, event("", "1"))
	d := fetch(t, a, 1)[0]
	if _, err := b.Settle(within(t), []engine.Settlement{{Delivery: d}}); err == nil {
		t.Error("Settle of another's delivery = nil")
	}
}
