package postgres_test

import (
	"context"
	"errors"
	"maps"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/postgres"
)

func TestARecordComesAsItWasPublished(t *testing.T) {
	e := open(t, config(t))
	orders := topic(t, e, "orders")
	s := subscribe(t, orders, engine.SubscribeConfig{Group: "g", From: engine.FromOldest})
	records := []engine.Record{
		{ID: "1"},
		{
			ID: "zwei \x00 \xff", Key: "k\x00\xfe", Source: "/shop", Type: "orders", ContentType: "application/json", SchemaVersion: 3,
			Time: time.Date(2026, 11, 22, 1, 2, 3, 456789123, time.UTC), Data: []byte{0, 1, 255},
			Headers: map[string]string{"traceparent": "00-ab", "x": "\x00\xff", "ü": "\x01", "": ""},
		},
		{ID: "\x01drei", Data: []byte("3"), Type: "other"},
	}
	if errs := orders.Publish(t.Context(), records); errs != nil {
		t.Fatal(errs)
	}
	got := fetchAll(t, s, 3)
	for i, want := range records {
		r := got[i].Record
		if r.ID != want.ID || r.Key != want.Key || r.Source != want.Source || r.Type != want.Type || r.ContentType != want.ContentType ||
			r.SchemaVersion != want.SchemaVersion || !r.Time.Equal(want.Time) || string(r.Data) != string(want.Data) || !maps.Equal(r.Headers, want.Headers) {
			t.Errorf("record %d\n got %+v\nwant %+v", i, r, want)
		}
		if got[i].Attempt != 1 || got[i].Place == "" || got[i].Position == "" {
			t.Errorf("delivery %d = %+v", i, got[i])
		}
	}
	settle(t, s, engine.Ack, got...)
	wantLag(t, s, engine.Lag{})
}

func TestEveryGroupGetsAllAndItsConsumersShare(t *testing.T) {
	e := open(t, config(t))
	orders := topic(t, e, "orders")
	a1 := subscribe(t, orders, engine.SubscribeConfig{Group: "a"})
	a2 := subscribe(t, orders, engine.SubscribeConfig{Group: "a"})
	publish(t, orders, "1", "2", "3")
	late := subscribe(t, orders, engine.SubscribeConfig{Group: "late"})
	old := subscribe(t, orders, engine.SubscribeConfig{Group: "old", From: engine.FromOldest})
	publish(t, orders, "4")
	wantIDs(t, fetchAll(t, a1, 2), "1 2")
	wantIDs(t, fetchAll(t, a2, 2), "3 4")
	wantIDs(t, fetchAll(t, old, 4), "1 2 3 4")
	wantIDs(t, fetchAll(t, late, 1), "4")
	wantLag(t, a1, engine.Lag{Unsettled: 4})
	nothing(t, late, 100*time.Millisecond)
}

func TestWhatIsGivenBackComesAgain(t *testing.T) {
	e := open(t, config(t))
	orders := topic(t, e, "orders")
	s := subscribe(t, orders, engine.SubscribeConfig{Group: "g"})
	publish(t, orders, "1", "2", "3")
	got := fetchAll(t, s, 3)
	start := time.Now()
	if late := settleLater(t, s, engine.Nack, 300*time.Millisecond, got[0]); late != 0 {
		t.Fatal(late)
	}
	settle(t, s, engine.Nack, got[1])
	settle(t, s, engine.Term, got[2])
	again := fetch(t, s, 10)
	wantIDs(t, again, "2")
	if again[0].Attempt != 2 {
		t.Errorf("Attempt = %d, want 2", again[0].Attempt)
	}
	wantLag(t, s, engine.Lag{Waiting: 1, Unsettled: 1})
	wantIDs(t, fetch(t, s, 10), "1")
	if d := time.Since(start); d < 300*time.Millisecond || d > 5*time.Second {
		t.Errorf("it came after %v, want 300ms", d)
	}
	// The first delivery is not the one that counts any more.
	settle(t, s, engine.Ack, got[1])
	wantLag(t, s, engine.Lag{Unsettled: 2})
}

func TestALeaseThatIsOverMakesItAnothersAndSettlingLate(t *testing.T) {
	e := open(t, config(t))
	orders := topic(t, e, "orders")
	slow := subscribe(t, orders, engine.SubscribeConfig{Group: "g", Lease: 300 * time.Millisecond})
	publish(t, orders, "1", "2")
	got := fetchAll(t, slow, 2)
	other := subscribe(t, orders, engine.SubscribeConfig{Group: "g", Lease: 300 * time.Millisecond})
	for range 6 { // beyond the lease
		if err := slow.Extend(t.Context(), got[1:]); err != nil {
			t.Fatal(err)
		}
		time.Sleep(75 * time.Millisecond)
	}
	again := fetch(t, other, 10)
	wantIDs(t, again, "1")
	if again[0].Attempt != 2 {
		t.Errorf("Attempt = %d, want 2", again[0].Attempt)
	}
	if err := slow.Extend(t.Context(), got[1:]); err != nil {
		t.Fatal(err)
	}
	if late := settleLater(t, slow, engine.Ack, 0, got...); late != 1 {
		t.Errorf("late = %d, want 1", late)
	}
	if late := settleLater(t, slow, engine.Ack, 0, got...); late != 0 {
		t.Errorf("late = %d when settled twice, want 0", late)
	}
	settle(t, other, engine.Ack, again...)
	wantLag(t, other, engine.Lag{})
}

func TestCloseGivesBackAtOnce(t *testing.T) {
	e := open(t, config(t))
	orders := topic(t, e, "orders")
	s := subscribe(t, orders, engine.SubscribeConfig{Group: "g", Lease: time.Hour})
	publish(t, orders, "1", "2")
	fetchAll(t, s, 2)
	other := subscribe(t, orders, engine.SubscribeConfig{Group: "g", Lease: time.Hour})
	ended := make(chan error, 1)
	go func() { _, err := s.Fetch(t.Context(), 1); ended <- err }()
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Fetch = %v, want ErrClosed", err)
	}
	wantIDs(t, fetchAll(t, other, 2), "1 2")
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestNoMoreInFlightThanAsked(t *testing.T) {
	e := open(t, config(t))
	orders := topic(t, e, "orders")
	s := subscribe(t, orders, engine.SubscribeConfig{Group: "g", MaxInFlight: 2})
	publish(t, orders, "1", "2", "3")
	got := fetchAll(t, s, 2)
	nothing(t, s, 100*time.Millisecond)
	wantLag(t, s, engine.Lag{Waiting: 1, Unsettled: 2})
	settle(t, s, engine.Ack, got[0])
	wantIDs(t, fetch(t, s, 5), "3")
}

func TestAnIDIsStoredOnce(t *testing.T) {
	e := open(t, config(t))
	orders, other := topic(t, e, "orders"), topic(t, e, "other")
	s := subscribe(t, orders, engine.SubscribeConfig{Group: "g"})
	publish(t, orders, "1", "1")
	publish(t, orders, "1", "2")
	publish(t, other, "1")
	wantIDs(t, fetchAll(t, s, 2), "1 2")
	nothing(t, s, 100*time.Millisecond)
}

func TestABatchIsStoredWholeOrNotAtAll(t *testing.T) {
	e := open(t, config(t))
	orders := topic(t, e, "orders")
	s := subscribe(t, orders, engine.SubscribeConfig{Group: "g"})
	errs := orders.Publish(t.Context(), []engine.Record{record("1", ""), {ID: "2", Data: make([]byte, 2<<20)}, {ID: string(make([]byte, 600))}})
	if len(errs) != 3 || errs[0] == nil || !errors.Is(errs[1], engine.ErrTooLarge) || !errors.Is(errs[2], engine.ErrTooLarge) {
		t.Fatalf("Publish = %v, want all to fail and the last two as too large", errs)
	}
	publish(t, orders, "3")
	wantIDs(t, fetch(t, s, 10), "3")
}

func TestMarksAreCountedUntilSettled(t *testing.T) {
	e := open(t, config(t))
	orders := topic(t, e, "orders")
	cfg := engine.SubscribeConfig{Group: "g", Lease: 200 * time.Millisecond}
	s := subscribe(t, orders, cfg)
	publish(t, orders, "1")
	for attempt := range 3 {
		d := fetch(t, s, 1)[0]
		if n, err := s.(engine.Marker).Mark(t.Context(), d); n != attempt || err != nil {
			t.Fatalf("Mark = %d, %v, want %d", n, err, attempt)
		}
		// Its process ends, so that nobody settles it.
		if attempt < 2 {
			s = subscribe(t, orders, cfg)
			continue
		}
		settle(t, s, engine.Nack, d)
		if n, err := s.(engine.Marker).Mark(t.Context(), fetch(t, s, 1)[0]); n != 0 || err != nil {
			t.Fatalf("Mark = %d, %v after it was settled, want 0", n, err)
		}
	}
}

func TestAnotherEngineWakesAConsumer(t *testing.T) {
	cfg := config(t)
	cfg.Poll = time.Hour
	s := subscribe(t, topic(t, open(t, cfg), "orders"), engine.SubscribeConfig{Group: "g"})
	orders := topic(t, open(t, cfg), "orders")
	for _, id := range []string{"1", "2", "3"} {
		// The session that listens may not be there yet when the first comes.
		publish(t, orders, id)
		got := fetch(t, s, 1)
		wantIDs(t, got, id)
		settle(t, s, engine.Ack, got...)
	}
}

func TestPollingAloneIsEnough(t *testing.T) {
	cfg := config(t)
	cfg.Poll, cfg.Listen = 20*time.Millisecond, postgres.ListenNone
	s := subscribe(t, topic(t, open(t, cfg), "orders"), engine.SubscribeConfig{Group: "g"})
	orders := topic(t, open(t, cfg), "orders")
	for _, id := range []string{"1", "2"} {
		publish(t, orders, id)
		wantIDs(t, fetch(t, s, 1), id)
	}
}

func TestWhatIsPublishedInSQLArrives(t *testing.T) {
	cfg := config(t)
	cfg.Poll = time.Hour
	e, p := open(t, cfg), pool(t)
	s := subscribe(t, topic(t, e, "orders"), engine.SubscribeConfig{Group: "g"})
	for range 2 { // the same ID
		_, err := p.Exec(t.Context(), "SELECT "+cfg.Schema+`.publish('orders', convert_to('hello', 'UTF8'), key => 'k', headers => '{"a": "b", "n": 7}', id => 'one')`)
		if err != nil {
			t.Fatal(err)
		}
	}
	got := fetch(t, s, 10)
	if r := got[0].Record; ids(got) != "one" || r.Key != "k" || string(r.Data) != "hello" || r.Type != "orders" ||
		!maps.Equal(r.Headers, map[string]string{"a": "b", "n": "7"}) || r.Time.IsZero() {
		t.Errorf("got %+v", r)
	}
	var state string
	if err := p.QueryRow(t.Context(), "SELECT state FROM "+cfg.Schema+".unsettled WHERE id = 'one'").Scan(&state); err != nil || state != "held" {
		t.Errorf("it is %q (%v), want held", state, err)
	}
	if _, err := p.Exec(t.Context(), "SELECT "+cfg.Schema+".publish('nowhere', '')"); err == nil {
		t.Error("published to a topic that is not there")
	}
}

func TestAFetchThatIsGivenUpLosesNothing(t *testing.T) {
	e := open(t, config(t))
	orders := topic(t, e, "orders")
	s := subscribe(t, orders, engine.SubscribeConfig{Group: "g", Lease: time.Hour})
	const n = 300
	seen := map[string]bool{}
	for i := range n {
		publish(t, orders, string(rune('0'+i)))
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i%10)*200*time.Microsecond)
		got, _ := s.Fetch(ctx, 10)
		cancel()
		for _, d := range got {
			if d.Attempt != 1 {
				t.Errorf("%s comes as attempt %d, though nobody has seen it", d.Record.ID, d.Attempt)
			}
			seen[d.Record.ID] = true
		}
	}
	for len(seen) < n {
		for _, d := range fetch(t, s, 100) {
			if d.Attempt != 1 {
				t.Errorf("%s comes as attempt %d, though nobody has seen it", d.Record.ID, d.Attempt)
			}
			seen[d.Record.ID] = true
		}
	}
	wantLag(t, s, engine.Lag{Unsettled: n})
}
