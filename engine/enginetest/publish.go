package enginetest

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
)

// What is published comes as it was.
func roundTrip(t *testing.T, s *suite) {
	topic := s.topic(t)
	sub := s.subscribe(t, topic, engine.SubscribeConfig{})
	plain := record("plain", "")
	plain.Time = time.Time{}
	full := record("ümlaut id/with space", "käy \"%41\"")
	full.Time = time.Date(2031, 2, 3, 4, 5, 6, 789012000, time.UTC)
	full.SchemaVersion = 7
	full.ContentType = "application/cbor"
	full.Source = "/somewhere/else"
	full.Data = []byte{0, 1, 2, 0xff, '\r', '\n', 0}
	full.Headers = map[string]string{
		"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "troupe-correlation-id": "c-1",
		"x-text": " 100 % \"quoted\"\ttab\nline é ", "x-empty": "",
	}
	empty := record("empty", "k")
	empty.Data = []byte{}
	for _, want := range []engine.Record{plain, full, empty} {
		s.publish(t, topic, want)
		d := s.fetch(t, sub, 1)[0]
		got := d.Record
		if got.ID != want.ID || got.Key != want.Key || got.Source != want.Source || got.Type != want.Type ||
			got.ContentType != want.ContentType || got.SchemaVersion != want.SchemaVersion {
			t.Errorf("Fetch() = %+v, want %+v", got, want)
		}
		if !got.Time.Equal(want.Time) && !want.Time.IsZero() {
			t.Errorf("Time = %v, want %v", got.Time, want.Time)
		}
		if !bytes.Equal(got.Data, want.Data) {
			t.Errorf("Data = %q, want %q", got.Data, want.Data)
		}
		for name, value := range want.Headers {
			if have, ok := got.Headers[name]; have != value || !ok {
				t.Errorf("header %s = %q, want %q", name, have, value)
			}
		}
		if len(want.Headers) == 0 && len(got.Headers) > 0 {
			t.Errorf("headers = %v, want none", slices.Collect(maps.Keys(got.Headers)))
		}
		if d.Fault != nil || d.Place == "" || d.Position == "" {
			t.Errorf("Fetch() = fault %v, place %q, position %q", d.Fault, d.Place, d.Position)
		}
		if known := topic.Caps().Attempts; known && d.Attempt != 1 || !known && d.Attempt != 0 {
			t.Errorf("Attempt = %d with Caps.Attempts = %v", d.Attempt, known)
		}
		s.settle(t, sub, engine.Ack, d)
	}
}

// One publisher's records come in its order, published one by one or together.
func order(t *testing.T, s *suite) {
	topic := s.topic(t)
	if !topic.Caps().Ordered {
		t.Skip("Caps.Ordered is false")
	}
	sub := s.subscribe(t, topic, engine.SubscribeConfig{MaxInFlight: 1000})
	all := records("o", 300, 1)
	for _, r := range all[:50] {
		s.publish(t, topic, r)
	}
	s.publish(t, topic, all[50:]...)
	if got, want := ids(s.fetch(t, sub, len(all))), idsOf(all); !slices.Equal(got, want) {
		t.Errorf("order = %v, want %v", got, want)
	}
}

// A batch with a record that is not taken is not stored at all where it is atomic;
// where not, each record has its own result.
func batch(t *testing.T, s *suite) {
	topic := s.topic(t)
	limit := topic.Caps().MaxRecord
	if limit == 0 {
		t.Skip("Caps.MaxRecord is not known")
	}
	sub := s.subscribe(t, topic, engine.SubscribeConfig{})
	big := record("big", "k")
	big.Data = make([]byte, limit+1)
	first, last := record("first", "k"), record("last", "k")
	errs := topic.Publish(s.ctx(t), []engine.Record{first, big, last})
	if len(errs) != 3 || errs[1] == nil {
		t.Fatalf("Publish(first, too large, last) = %v, want an error for the second", errs)
	}
	var stored []string
	for i, r := range []engine.Record{first, big, last} {
		if errs[i] == nil {
			stored = append(stored, r.ID)
		}
	}
	if topic.Caps().AtomicBatch && len(stored) > 0 {
		t.Errorf("Publish(atomic batch with a record that is too large) stored %v", stored)
	}
	s.publish(t, topic, record("end", "k"))
	stored = append(stored, "end")
	got := ids(s.fetch(t, sub, len(stored)))
	slices.Sort(got)
	slices.Sort(stored)
	if !slices.Equal(got, stored) {
		t.Errorf("stored %v, acknowledged %v", got, stored)
	}
}

// A record that is too large is refused by name, and others go on.
func tooLarge(t *testing.T, s *suite) {
	topic := s.topic(t)
	limit := topic.Caps().MaxRecord
	if limit == 0 {
		t.Skip("Caps.MaxRecord is not known")
	}
	r := record("large", "k")
	r.Data = bytes.Repeat([]byte("x"), limit+1)
	errs := topic.Publish(s.ctx(t), []engine.Record{r})
	if len(errs) != 1 || !errors.Is(errs[0], engine.ErrTooLarge) || engine.Temporary(errs[0]) {
		t.Errorf("Publish(%d bytes) = %v, want ErrTooLarge", len(r.Data), errs)
	}
	sub := s.subscribe(t, topic, engine.SubscribeConfig{})
	s.publish(t, topic, record("small", "k"))
	if got := s.fetch(t, sub, 1); got[0].Record.ID != "small" {
		t.Errorf("Fetch() = %s, want small", got[0].Record.ID)
	}
}

// An ID is stored once.
func dedup(t *testing.T, s *suite) {
	topic := s.topic(t)
	sub := s.subscribe(t, topic, engine.SubscribeConfig{})
	s.publish(t, topic, record("twice", "k"))
	s.publish(t, topic, record("twice", "k"), record("end", "k"))
	want := []string{"twice", "twice", "end"}
	if topic.Caps().Dedup > 0 {
		want = []string{"twice", "end"}
	}
	ds := s.fetch(t, sub, len(want))
	got := ids(ds)
	if !topic.Caps().Ordered {
		slices.Sort(got)
		slices.Sort(want)
	}
	if !slices.Equal(got, want) {
		t.Errorf("Fetch() = %v, want %v with Caps.Dedup = %v", got, want, topic.Caps().Dedup)
	}
	s.settle(t, sub, engine.Ack, ds...)
	s.nothing(t, sub, 300*time.Millisecond)
}

// Opening twice is the same topic, from another engine, too.
func idempotent(t *testing.T, s *suite) {
	e, name := s.open(t), s.name(t)
	one := s.opened(t, e, name)
	two := s.opened(t, s.open(t), name)
	sub := s.subscribe(t, two, engine.SubscribeConfig{})
	s.publish(t, one, record("a", "k"))
	if got := s.fetch(t, sub, 1)[0].Record.ID; got != "a" {
		t.Errorf("Fetch() = %s, want a", got)
	}
	if err := e.Ready(s.ctx(t)); err != nil {
		t.Errorf("Ready() = %v", err)
	}
	ended, cancel := context.WithCancel(context.Background())
	cancel()
	for i, err := range one.Publish(ended, []engine.Record{record("b", "k")}) {
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("Publish(ended)[%d] = %v, want context.Canceled or nil", i, err)
		}
	}
}

// A message of somebody else is delivered with its bytes.
func foreign(t *testing.T, s *suite) {
	if s.h.Foreign == nil {
		t.Skip("Harness.Foreign is nil")
	}
	e, name := s.open(t), s.name(t)
	topic := s.opened(t, e, name)
	sub := s.subscribe(t, topic, engine.SubscribeConfig{})
	body := []byte(`{"not":"ours"}`)
	s.h.Foreign(t, name, body)
	d := s.fetch(t, sub, 1)[0]
	if !errors.Is(d.Fault, engine.ErrNotSealed) || !bytes.Equal(d.Record.Data, body) || d.Record.ID == "" {
		t.Errorf("Fetch(foreign) = %+v, fault %v; want ErrNotSealed with %s and an ID", d.Record, d.Fault, body)
	}
	s.settle(t, sub, engine.Ack, d)
	s.publish(t, topic, record("ours", "k"))
	if got := s.fetch(t, sub, 1)[0]; got.Record.ID != "ours" || got.Fault != nil {
		t.Errorf("Fetch() = %s, fault %v; want ours", got.Record.ID, got.Fault)
	}
}
