package enginetest

import (
	"context"
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
)

// Every group gets every record.
func groups(t *testing.T, s *suite) {
	topic := s.topic(t)
	one := s.subscribe(t, topic, engine.SubscribeConfig{Group: "one"})
	two := s.subscribe(t, topic, engine.SubscribeConfig{Group: "two"})
	all := records("g", 20, 3)
	s.publish(t, topic, all...)
	for _, sub := range []engine.Subscription{one, two} {
		ds := s.fetch(t, sub, len(all))
		got := ids(ds)
		slices.Sort(got)
		if !slices.Equal(got, idsOf(all)) {
			t.Errorf("group got %v, want %v", got, idsOf(all))
		}
		s.settle(t, sub, engine.Ack, ds...)
	}
}

// Consumers of a group share its records: each goes to one.
func share(t *testing.T, s *suite) {
	e, name := s.open(t), s.name(t)
	topic := s.opened(t, e, name)
	if !topic.Caps().Groups {
		t.Skip("Caps.Groups is false")
	}
	one := s.subscribe(t, topic, engine.SubscribeConfig{MaxInFlight: 10})
	two := s.subscribe(t, s.opened(t, s.open(t), name), engine.SubscribeConfig{MaxInFlight: 10})
	all := records("s", 200, 20)
	seen := make(chan string, 10*len(all))
	ctx, cancel := context.WithCancel(s.ctx(t))
	done := make(chan struct{})
	for _, sub := range []engine.Subscription{one, two} {
		go func() {
			defer func() { done <- struct{}{} }()
			for ctx.Err() == nil {
				ds, err := sub.Fetch(ctx, 10)
				if err != nil && ctx.Err() == nil && !engine.Temporary(err) {
					t.Errorf("Fetch() = %v", err)
					return
				}
				if len(ds) > 0 {
					settled := make([]engine.Settlement, len(ds))
					for i, d := range ds {
						settled[i].Delivery = d
						seen <- d.Record.ID
					}
					if _, err := sub.Settle(s.ctx(t), settled); err != nil {
						t.Errorf("Settle() = %v", err)
					}
				}
			}
		}()
	}
	s.publish(t, topic, all...)
	count := map[string]int{}
	for deadline := time.After(40 * time.Second); len(count) < len(all); {
		select {
		case id := <-seen:
			count[id]++
		case <-deadline:
			t.Fatalf("%d of %d records after 40 s", len(count), len(all))
		}
	}
	cancel()
	<-done
	<-done
	for id, n := range count {
		if n != 1 {
			t.Errorf("%s delivered %d times while nobody failed", id, n)
		}
	}
}

// A group begins where it was told to.
func from(t *testing.T, s *suite) {
	e, name := s.open(t), s.name(t)
	topic := s.opened(t, e, name)
	first := s.subscribe(t, topic, engine.SubscribeConfig{Group: "first"}) // so that nothing is unrouted
	s.publish(t, topic, record("before", "k"))
	s.settle(t, first, engine.Ack, s.fetch(t, first, 1)...)
	now := s.subscribe(t, topic, engine.SubscribeConfig{Group: "now", From: engine.FromNow})
	old, err := topic.Subscribe(s.ctx(t), engine.SubscribeConfig{Group: "old", From: engine.FromOldest, MaxInFlight: 10, Lease: time.Minute})
	if !topic.Caps().FromOldest {
		if !errors.Is(err, engine.ErrUnsupported) {
			t.Errorf("Subscribe(FromOldest) = %v without Caps.FromOldest, want ErrUnsupported", err)
		}
	} else {
		if err != nil {
			t.Fatalf("Subscribe(FromOldest) = %v", err)
		}
		t.Cleanup(func() { closeWithin(t, old.Close) })
		if got := ids(s.fetch(t, old, 1)); got[0] != "before" {
			t.Errorf("FromOldest begins with %v, want before", got)
		}
	}
	s.publish(t, topic, record("after", "k"))
	if got := ids(s.fetch(t, now, 1)); got[0] != "after" {
		t.Errorf("FromNow begins with %v, want after", got)
	}
}

// A group keeps its position while it has no consumer, and gets what was published
// meanwhile.
func position(t *testing.T, s *suite) {
	e, name := s.open(t), s.name(t)
	topic := s.opened(t, e, name)
	if !topic.Caps().AtLeastOnce {
		t.Skip("Caps.AtLeastOnce is false")
	}
	sub := s.subscribe(t, topic, engine.SubscribeConfig{})
	s.publish(t, topic, records("a", 5, 1)...)
	s.settle(t, sub, engine.Ack, s.fetch(t, sub, 5)...)
	closeWithin(t, sub.Close)
	s.publish(t, topic, records("b", 5, 1)...)
	sub = s.subscribe(t, s.opened(t, s.open(t), name), engine.SubscribeConfig{From: engine.FromOldest * engine.Start(b2i(topic.Caps().FromOldest))})
	got := ids(s.fetch(t, sub, 5))
	slices.Sort(got)
	if want := idsOf(records("b", 5, 1)); !slices.Equal(got, want) {
		t.Errorf("after an absence: %v, want %v", got, want)
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// No more than MaxInFlight are unsettled: a slow consumer's backlog is the server's.
func maxInFlight(t *testing.T, s *suite) {
	topic := s.topic(t)
	if !topic.Caps().AtLeastOnce {
		t.Skip("Caps.AtLeastOnce is false")
	}
	sub := s.subscribe(t, topic, engine.SubscribeConfig{MaxInFlight: 7})
	s.publish(t, topic, records("m", 40, 1)...)
	ds := s.fetch(t, sub, 7)
	s.nothing(t, sub, 500*time.Millisecond)
	s.settle(t, sub, engine.Ack, ds[:3]...)
	if got := s.fetch(t, sub, 3); len(got) != 3 {
		t.Errorf("Fetch() = %d records after 3 were settled, want 3", len(got))
	}
	s.nothing(t, sub, 300*time.Millisecond)
}

// Fetch waits, and ends with its context and with Close.
func waiting(t *testing.T, s *suite) {
	topic := s.topic(t)
	sub := s.subscribe(t, topic, engine.SubscribeConfig{})
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	began := time.Now()
	if ds, err := sub.Fetch(ctx, 1); !errors.Is(err, context.DeadlineExceeded) || len(ds) > 0 {
		t.Errorf("Fetch(200 ms) = %d records, %v; want the end of its context", len(ds), err)
	}
	if took := time.Since(began); took > s.h.Slack {
		t.Errorf("Fetch(200 ms) took %v", took)
	}
	result := make(chan error, 1)
	go func() {
		for {
			if _, err := sub.Fetch(context.Background(), 1); err != nil && !engine.Temporary(err) {
				result <- err
				return
			}
		}
	}()
	time.Sleep(50 * time.Millisecond) // so that it most likely waits; it is right in any case
	closeWithin(t, sub.Close)
	select {
	case err := <-result:
		if !errors.Is(err, engine.ErrClosed) {
			t.Errorf("Fetch() = %v after Close, want ErrClosed", err)
		}
	case <-time.After(s.h.Slack):
		t.Error("Fetch() does not return after Close")
	}
	closeWithin(t, sub.Close) // idempotent
	if _, err := sub.Fetch(s.ctx(t), 1); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Fetch() = %v after Close, want ErrClosed", err)
	}
}

// Lag counts what waits and what is unsettled.
func lag(t *testing.T, s *suite) {
	topic := s.topic(t)
	sub := s.subscribe(t, topic, engine.SubscribeConfig{MaxInFlight: 4})
	if _, err := sub.Lag(s.ctx(t)); !topic.Caps().Lag {
		if !errors.Is(err, engine.ErrUnsupported) {
			t.Errorf("Lag() = %v without Caps.Lag, want ErrUnsupported", err)
		}
		return
	}
	s.publish(t, topic, records("l", 10, 1)...)
	ds := s.fetch(t, sub, 4)
	s.lagBecomes(t, sub, 10)
	s.settle(t, sub, engine.Ack, ds...)
	s.lagBecomes(t, sub, 6)
	s.settle(t, sub, engine.Ack, s.fetch(t, sub, 4)...)
	s.settle(t, sub, engine.Ack, s.fetch(t, sub, 2)...)
	s.lagBecomes(t, sub, 0)
}

// lagBecomes waits until as much is behind: servers count when they get to it.
func (s *suite) lagBecomes(t *testing.T, sub engine.Subscription, want uint64) {
	t.Helper()
	var l engine.Lag
	for deadline := time.Now().Add(s.h.Slack); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		var err error
		if l, err = sub.Lag(s.ctx(t)); err != nil {
			t.Fatalf("Lag() = %v", err)
		}
		if l.Waiting+l.Unsettled == want {
			return
		}
	}
	t.Errorf("Lag() = %+v, want %d in all", l, want)
}

// What a consumer has when it leaves goes to others at once.
func closing(t *testing.T, s *suite) {
	e, name := s.open(t), s.name(t)
	topic := s.opened(t, e, name)
	if !topic.Caps().AtLeastOnce {
		t.Skip("Caps.AtLeastOnce is false")
	}
	sub := s.subscribe(t, topic, engine.SubscribeConfig{MaxInFlight: 20, Lease: 5 * time.Minute})
	all := records("c", 30, 3)
	s.publish(t, topic, all...)
	ds := s.fetch(t, sub, 10)
	s.settle(t, sub, engine.Ack, ds[0])
	closeWithin(t, sub.Close)
	began := time.Now()
	sub = s.subscribe(t, s.opened(t, s.open(t), name), engine.SubscribeConfig{MaxInFlight: 100})
	got := map[string]int{}
	for _, d := range s.fetch(t, sub, 29) {
		got[d.Record.ID]++
		again := slices.ContainsFunc(ds, func(o *engine.Delivery) bool { return o.Record.ID == d.Record.ID })
		if topic.Caps().Attempts && again && d.Attempt < 2 {
			t.Errorf("%s comes again with Attempt %d", d.Record.ID, d.Attempt)
		}
	}
	if took := time.Since(began); took > s.h.Slack {
		t.Errorf("what was given back took %v to come again", took)
	}
	if _, ok := got[ds[0].Record.ID]; ok || len(got) != 29 {
		t.Errorf("after Close: %v, want all but %s", slices.Sorted(maps.Keys(got)), ds[0].Record.ID)
	}
}
