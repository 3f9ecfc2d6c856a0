package rabbitmq_test

import (
	"context"
	"errors"
	"reflect"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/rabbitmq"
)

func TestRecordsArriveAsTheyWere(t *testing.T) {
	top, _ := topic(t, open(t, rabbitmq.Config{}))
	s := subscribe(t, top, engine.SubscribeConfig{})
	want := records(0, 3)
	want[1].Headers["traceparent"] = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	want[2].Key, want[2].Headers["umlaut"] = "schlüssel 100%", "ä \"q\""
	publish(t, top, want...)
	got := fetch(t, s, len(want))
	for i, d := range got {
		if !reflect.DeepEqual(d.Record, want[i]) {
			t.Errorf("record %d = %+v, want %+v", i, d.Record, want[i])
		}
		if d.Attempt != 1 || d.Fault != nil || d.Position == "" {
			t.Errorf("delivery %d = %+v, want attempt 1", i, d)
		}
		for _, other := range got[:i] {
			if other.Place == d.Place {
				t.Errorf("deliveries %d has the place of another: %s", i, d.Place)
			}
		}
	}
	settle(t, s, engine.Ack, got...)
	if lag, err := s.Lag(within(t)); err != nil || lag != (engine.Lag{}) {
		t.Errorf("Lag = %+v, %v, want nothing", lag, err)
	}
}

func TestNackComesBackAtTheHead(t *testing.T) {
	top, _ := topic(t, open(t, rabbitmq.Config{}))
	s := subscribe(t, top, engine.SubscribeConfig{MaxInFlight: 4})
	publish(t, top, records(0, 8)...)
	first := fetch(t, s, 4)
	settle(t, s, engine.Nack, first...)
	again := fetch(t, s, 4)
	if ids(again) != "0 1 2 3" {
		t.Fatalf("after nack: %s, want 0 1 2 3", ids(again))
	}
	for i, d := range again {
		if d.Attempt != 2 || d.Place != first[i].Place {
			t.Errorf("%s: attempt %d at %s, want 2 at %s", d.Record.ID, d.Attempt, d.Place, first[i].Place)
		}
	}
	settle(t, s, engine.Term, again...)
	if rest := fetch(t, s, 4); ids(rest) != "4 5 6 7" {
		t.Errorf("rest: %s, want 4 5 6 7", ids(rest))
	}
}

func TestDelayedNack(t *testing.T) {
	top, name := topic(t, open(t, rabbitmq.Config{}))
	s := subscribe(t, top, engine.SubscribeConfig{})
	publish(t, top, records(0, 3)...)
	ds := fetch(t, s, 3)
	settle(t, s, engine.Ack, ds[0], ds[2])
	for attempt := 1; attempt <= 3; attempt++ {
		begin := time.Now()
		const delay = 150 * time.Millisecond
		late, err := s.Settle(within(t), []engine.Settlement{{Delivery: ds[1], Verdict: engine.Nack, Delay: delay}})
		if late != 0 || err != nil {
			t.Fatalf("Settle = %d, %v", late, err)
		}
		d := fetch(t, s, 1)[0]
		if took := time.Since(begin); took < delay {
			t.Errorf("came back after %v, want at least %v", took, delay)
		}
		if d.Record.ID != "id-1" || d.Attempt != attempt+1 || d.Place != ds[1].Place || string(d.Record.Data) != "1" {
			t.Fatalf("came back as %+v, want id-1, attempt %d", d, attempt+1)
		}
		ds[1] = d
	}
	// A nack at once counts on.
	settle(t, s, engine.Nack, ds[1])
	d := fetch(t, s, 1)[0]
	if d.Attempt != 5 {
		t.Errorf("attempt %d, want 5", d.Attempt)
	}
	// An operator deletes the queue of the delay: nothing is lost and it is made again.
	deleteQueue(t, "troupe."+name+"/mail//delay.200ms")
	v := []engine.Settlement{{Delivery: d, Verdict: engine.Nack, Delay: 150 * time.Millisecond}}
	if _, err := s.Settle(within(t), v); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Settle without the queue = %v, want ErrUnavailable", err)
	}
	if late, err := s.Settle(within(t), v); late != 0 || err != nil {
		t.Errorf("Settle again = %d, %v", late, err)
	}
	if d := fetch(t, s, 1)[0]; d.Attempt != 6 {
		t.Errorf("attempt %d, want 6", d.Attempt)
	}
}

func TestUnclaimedIsKept(t *testing.T) {
	e := open(t, rabbitmq.Config{MaxUnclaimed: 4})
	top, name := topic(t, e)
	publish(t, top, records(0, 4)...)
	// The server's limit is soft: it tells publishers a moment later.
	kept, full := 4, false
	for i := 4; i < 1000 && !full; i++ {
		errs := top.Publish(within(t), records(i, i+1))
		switch {
		case errs == nil:
			kept++
		case errors.Is(errs[0], engine.ErrFull) && engine.Temporary(errs[0]):
			full = true
		default:
			t.Fatalf("Publish = %v, want ErrFull", errs[0])
		}
	}
	if !full {
		t.Error("Publish never returned ErrFull beyond MaxUnclaimed")
	}
	if n, err := e.Claim(within(t), name, "mail"); n != 0 || !errors.Is(err, engine.ErrNoTopic) {
		t.Errorf("Claim without group = %d, %v, want ErrNoTopic", n, err)
	}
	s := subscribe(t, top, engine.SubscribeConfig{})
	n, err := e.Claim(within(t), name, "mail")
	if n != kept || err != nil {
		t.Fatalf("Claim = %d, %v, want %d", n, err, kept)
	}
	got := fetch(t, s, kept)
	for i, d := range got {
		if d.Attempt != 1 || i < 4 && d.Record.ID != records(i, i+1)[0].ID {
			t.Errorf("claimed %d = %s, attempt %d", i, d.Record.ID, d.Attempt)
		}
	}
	settle(t, s, engine.Ack, got...)
}

func TestNoUnclaimedIsAnError(t *testing.T) {
	top, _ := topic(t, open(t, rabbitmq.Config{MaxUnclaimed: rabbitmq.NoUnclaimed}))
	for i, err := range top.Publish(within(t), records(0, 3)) {
		if !errors.Is(err, engine.ErrNoTopic) {
			t.Errorf("Publish %d without a group = %v, want ErrNoTopic", i, err)
		}
	}
	s := subscribe(t, top, engine.SubscribeConfig{})
	publish(t, top, records(3, 5)...)
	if got := fetch(t, s, 2); ids(got) != "3 4" {
		t.Errorf("got %s, want 3 4", ids(got))
	}
}

func TestBackPressure(t *testing.T) {
	top, _ := topic(t, open(t, rabbitmq.Config{MaxBacklog: 10}))
	s := subscribe(t, top, engine.SubscribeConfig{MaxInFlight: 5})
	publish(t, top, records(0, 5)...)
	held := fetch(t, s, 5)
	publish(t, top, records(5, 10)...)
	ctx, cancel := context.WithTimeout(within(t), 200*time.Millisecond)
	defer cancel()
	if ds, err := s.Fetch(ctx, 10); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Fetch beyond MaxInFlight = %d, %v, want the deadline", len(ds), err)
	}
	if lag, err := s.Lag(within(t)); err != nil || lag != (engine.Lag{Waiting: 5, Unsettled: 5}) {
		t.Errorf("Lag = %+v, %v, want 5 and 5", lag, err)
	}
	full := false
	for i := 10; i < 100 && !full; i++ {
		errs := top.Publish(within(t), records(i, i+1))
		full = errs != nil && errors.Is(errs[0], engine.ErrFull)
	}
	if !full {
		t.Error("Publish never returned ErrFull beyond MaxBacklog")
	}
	settle(t, s, engine.Ack, held...)
	settle(t, s, engine.Ack, fetch(t, s, 5)...)
}

func TestLargeRecords(t *testing.T) {
	top, _ := topic(t, open(t, rabbitmq.Config{MaxRecord: 1 << 20}))
	s := subscribe(t, top, engine.SubscribeConfig{})
	rs := records(0, 4)
	rs[0].Data = make([]byte, 1<<20)
	rs[1].Headers["large"] = string(make([]byte, 100_000))
	rs[2].Data = make([]byte, 900_000)
	errs := top.Publish(within(t), rs)
	for i, tooLarge := range []bool{true, true, false, false} {
		if got := errors.Is(errs[i], engine.ErrTooLarge); got != tooLarge || !tooLarge && errs[i] != nil {
			t.Errorf("record %d: %v, too large must be %v", i, errs[i], tooLarge)
		}
	}
	got := fetch(t, s, 2)
	if ids(got) != "2 3" || len(got[0].Record.Data) != 900_000 {
		t.Errorf("got %s, want 2 3", ids(got))
	}
}
