package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// event is what the tests through package topics publish.
type event struct {
	ID  string `json:"id"`
	Key string `json:"key"`
}

// topicTests holds what topics make of an engine.
func topicTests(t *testing.T, s *suite) {
	for _, part := range []struct {
		name string
		test func(*testing.T, *suite)
	}{
		{"Publish", topicPublish}, {"Retry", topicRetry}, {"DeadLetter", topicDeadLetter}, {"Undecodable", topicUndecodable},
		{"BackPressure", topicBackPressure}, {"Shutdown", topicShutdown}, {"Keyed", topicKeyed}, {"Batch", topicBatch},
		{"TwoProcesses", topicTwoProcesses}, {"Unsubscribe", topicUnsubscribe},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, s) })
	}
}

// world is a runtime with a topic on the engine.
type world struct {
	rt      *runtime.Runtime
	topic   *topics.Topic[event]
	letters *deadletter.Memory
}

func (s *suite) world(t *testing.T, e engine.Engine, name string, store deadletter.Store) *world {
	t.Helper()
	letters, err := deadletter.NewMemory(deadletter.MemoryConfig{})
	if err != nil {
		t.Fatalf("NewMemory() = %v", err)
	}
	w := &world{letters: letters}
	if store == nil {
		store = letters
	}
	if w.rt, err = runtime.New(runtime.Config{Name: "enginetest", DeadLetters: store}); err != nil {
		t.Fatalf("runtime.New() = %v", err)
	}
	t.Cleanup(func() { w.shutdown(t) })
	w.topic, err = topics.Open[event](w.rt, name, topics.Config{Engine: e, Key: topics.KeyOf(func(ev event) string { return ev.Key })})
	if err != nil {
		t.Fatalf("topics.Open(%q) = %v", name, err)
	}
	return w
}

func (w *world) shutdown(t *testing.T) runtime.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	r, err := w.rt.Shutdown(ctx)
	if err != nil {
		t.Errorf("Shutdown() = %v", err)
	}
	return r
}

func (w *world) subscribe(t *testing.T, name string, handle topics.Handler[event], cfg topics.SubscriberConfig) *topics.Subscription {
	t.Helper()
	sub, err := w.topic.Subscribe(name, handle, cfg)
	if err != nil {
		t.Fatalf("Subscribe(%s) = %v", name, err)
	}
	return sub
}

func (s *suite) publishEvents(t *testing.T, w *world, evs ...event) {
	t.Helper()
	if n, err := w.topic.PublishBatch(s.ctx(t), evs); n != len(evs) || err != nil {
		t.Fatalf("PublishBatch() = %d of %d, %v", n, len(evs), err)
	}
}

func events(prefix string, n, keys int) []event {
	evs := make([]event, n)
	for i := range evs {
		evs[i] = event{fmt.Sprintf("%s-%04d", prefix, i), fmt.Sprintf("k%d", i%keys)}
	}
	return evs
}

// eventually waits until ok.
func (s *suite) eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(40 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("after 40 s: %s", what)
		}
	}
}

// settled waits until the engine owes a subscriber nothing.
func (s *suite) settledAll(t *testing.T, w *world, name string) {
	t.Helper()
	s.eventually(t, "the engine still has records of "+name, func() bool {
		snap, _ := w.rt.Snapshot().Topic(w.topic.Name())
		for _, g := range snap.Engine.Groups {
			if g.Name == name && g.Here > 0 {
				return false
			}
		}
		if !w.topic.Caps().Lag {
			return true
		}
		l, err := w.topic.Lag(s.ctx(t), name)
		return err == nil && l == engine.Lag{}
	})
}

// heard is what a handler was called with.
type heard struct {
	mu  sync.Mutex
	ids []string
}

func (h *heard) add(id string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ids = append(h.ids, id)
}

func (h *heard) all() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Clone(h.ids)
}

func (h *heard) len() int { return len(h.all()) }

// Subscribers of two names get every event, in order, with its facts.
func topicPublish(t *testing.T, s *suite) {
	w := s.world(t, s.open(t), s.name(t), nil)
	var one, two heard
	w.subscribe(t, "one", func(ctx context.Context, ev event) error {
		d, _ := topics.DeliveryFrom(ctx)
		if r, ok := d.Source().(*engine.Delivery); !ok || d.ID() != r.Record.ID || d.ID() == "" || r.Record.Key != ev.Key {
			t.Errorf("DeliveryFrom(%s) = %+v, ID %s", ev.ID, d, d.ID())
		}
		one.add(ev.ID)
		return nil
	}, topics.SubscriberConfig{})
	w.subscribe(t, "two", func(_ context.Context, ev event) error { two.add(ev.ID); return nil }, topics.SubscriberConfig{})
	evs := events("e", 200, 7)
	for _, ev := range evs[:20] {
		if err := w.topic.Publish(s.ctx(t), ev); err != nil {
			t.Fatalf("Publish() = %v", err)
		}
	}
	s.publishEvents(t, w, evs[20:]...)
	s.eventually(t, "not all handled", func() bool { return one.len() >= len(evs) && two.len() >= len(evs) })
	for _, h := range []*heard{&one, &two} {
		got := h.all()
		if !w.topic.Caps().Ordered {
			slices.Sort(got)
		}
		if i := slices.IndexFunc(evs, func(ev event) bool { return !slices.Contains(got, ev.ID) }); len(got) != len(evs) || i >= 0 {
			t.Errorf("handled %d of %d", len(got), len(evs))
		}
		if !slices.IsSorted(got) {
			t.Errorf("handled in the order %v", got)
		}
	}
	s.settledAll(t, w, "one")
	snap, _ := w.rt.Snapshot().Topic(w.topic.Name())
	if snap.Accepted != uint64(len(evs)) || snap.Total.Done != uint64(2*len(evs)) {
		t.Errorf("accepted %d, done %d; want %d, %d", snap.Accepted, snap.Total.Done, len(evs), 2*len(evs))
	}
	if _, err := w.topic.PublishWait(s.ctx(t), evs[0]); !errors.Is(err, topics.ErrOnEngine) {
		t.Errorf("PublishWait() = %v, want ErrOnEngine", err)
	}
}

// A failing event is attempted again here, and is settled when it succeeds; nothing
// overtakes it.
func topicRetry(t *testing.T, s *suite) {
	w := s.world(t, s.open(t), s.name(t), nil)
	var h heard
	var failed atomic.Int32
	w.subscribe(t, "sub", func(ctx context.Context, ev event) error {
		if ev.ID == "r-0003" && failed.Add(1) <= 3 {
			if failed.Load() == 2 {
				panic("once")
			}
			return errors.New("not yet")
		}
		h.add(ev.ID)
		return nil
	}, topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: 5, BaseDelay: 5 * time.Millisecond}})
	evs := events("r", 20, 1)
	s.publishEvents(t, w, evs...)
	s.eventually(t, "not all handled", func() bool { return h.len() >= len(evs) })
	if got := h.all(); w.topic.Caps().Ordered && !slices.IsSorted(got) || len(got) != len(evs) {
		t.Errorf("handled %v", got)
	}
	s.settledAll(t, w, "sub")
}

// slowStore holds letters back until it is told.
type slowStore struct {
	*deadletter.Memory
	gate chan struct{}
}

func (s slowStore) Add(ctx context.Context, ls []deadletter.Letter) error {
	select {
	case <-s.gate:
	case <-ctx.Done():
		return ctx.Err()
	}
	return s.Memory.Add(ctx, ls)
}

// What no attempt can handle is in the dead-letter store before the engine may forget
// it.
func topicDeadLetter(t *testing.T, s *suite) {
	letters, err := deadletter.NewMemory(deadletter.MemoryConfig{})
	if err != nil {
		t.Fatalf("NewMemory() = %v", err)
	}
	store := slowStore{letters, make(chan struct{})}
	w := s.world(t, s.open(t), s.name(t), store)
	var h heard
	w.subscribe(t, "sub", func(ctx context.Context, ev event) error {
		if ev.ID == "poison" {
			return supervisor.Permanent(errors.New("cannot"))
		}
		h.add(ev.ID)
		return nil
	}, topics.SubscriberConfig{})
	s.publishEvents(t, w, event{"poison", "k"}, event{"fine", "k"})
	s.eventually(t, "fine is not handled", func() bool { return h.len() == 1 })
	time.Sleep(300 * time.Millisecond) // long enough for a settlement that must not be
	snap, _ := w.rt.Snapshot().Topic(w.topic.Name())
	if here := snap.Engine.Groups[0].Here; here != 1 && w.topic.Caps().AtLeastOnce {
		t.Errorf("%d records unsettled while the letter is not stored, want 1", here)
	}
	close(store.gate)
	s.settledAll(t, w, "sub")
	page, err := store.List(s.ctx(t), deadletter.Query{})
	if err != nil || len(page.Letters) != 1 {
		t.Fatalf("List() = %d letters, %v; want 1", len(page.Letters), err)
	}
	l := page.Letters[0]
	if l.Subscriber != "sub" || l.Reason != supervisor.ReasonPermanent || !strings.Contains(string(l.Payload), "poison") || l.EventID == "" {
		t.Errorf("letter = %+v", l)
	}
	if err := w.rt.Redrive(s.ctx(t), l.ID); err != nil {
		t.Errorf("Redrive() = %v", err)
	}
}

// What is no event of the topic is a dead letter with its bytes, and the next goes on.
func topicUndecodable(t *testing.T, s *suite) {
	e, name := s.open(t), s.name(t)
	w := s.world(t, e, name, nil)
	var h heard
	w.subscribe(t, "sub", func(_ context.Context, ev event) error { h.add(ev.ID); return nil }, topics.SubscriberConfig{})
	bad := record("bad", "k")
	bad.Data = []byte(`{"id": not json`)
	s.publish(t, s.opened(t, e, name), bad)
	s.publishEvents(t, w, event{"good", "k"})
	s.eventually(t, "good is not handled", func() bool { return h.len() == 1 })
	s.settledAll(t, w, "sub")
	var page deadletter.Page
	s.eventually(t, "no letter", func() bool {
		page, _ = w.letters.List(s.ctx(t), deadletter.Query{})
		return len(page.Letters) == 1
	})
	l := page.Letters[0]
	if l.Reason != supervisor.ReasonUndecodable || string(l.Payload) != string(bad.Data) || l.EventID != "bad" || l.Subscriber != "sub" || l.Error == "" {
		t.Errorf("letter = %+v", l)
	}
}

// A slow handler holds the engine's records back, not this process's memory.
func topicBackPressure(t *testing.T, s *suite) {
	w := s.world(t, s.open(t), s.name(t), nil)
	if !w.topic.Caps().AtLeastOnce {
		t.Skip("Caps.AtLeastOnce is false")
	}
	gate := make(chan struct{})
	var h heard
	w.subscribe(t, "slow", func(_ context.Context, ev event) error {
		<-gate
		h.add(ev.ID)
		return nil
	}, topics.SubscriberConfig{Capacity: 16})
	evs := events("b", 400, 3)
	s.publishEvents(t, w, evs...)
	most := 0
	for range 50 {
		snap, _ := w.rt.Snapshot().Topic(w.topic.Name())
		most = max(most, snap.Engine.Groups[0].Here)
		time.Sleep(10 * time.Millisecond)
	}
	if most > 16 || most == 0 {
		t.Errorf("%d records here at most with a capacity of 16", most)
	}
	close(gate)
	s.eventually(t, "not all handled", func() bool { return h.len() >= len(evs) })
	s.settledAll(t, w, "slow")
}

// What is left when a runtime ends goes to the next one; nothing is lost, and nothing
// is a dead letter.
func topicShutdown(t *testing.T, s *suite) {
	e, name := s.open(t), s.name(t)
	w := s.world(t, e, name, nil)
	if !w.topic.Caps().AtLeastOnce {
		t.Skip("Caps.AtLeastOnce is false")
	}
	var h heard
	stuck := make(chan struct{})
	handle := func(ctx context.Context, ev event) error {
		if h.len() == 5 {
			select {
			case <-stuck:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		h.add(ev.ID)
		return nil
	}
	w.subscribe(t, "sub", handle, topics.SubscriberConfig{Capacity: 50, Retry: supervisor.Retry{MaxAttempts: supervisor.Unlimited}})
	evs := events("s", 120, 3)
	s.publishEvents(t, w, evs...)
	s.eventually(t, "nothing handled", func() bool { return h.len() == 5 })
	ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
	defer cancel()
	report, err := w.rt.Shutdown(ctx)
	if err != nil || report.Snapshot.Total.DeadLettered > 0 {
		t.Errorf("Shutdown() = %+v, %v; want no dead letters", report.Snapshot.Total, err)
	}
	if report.Snapshot.Total.Dropped["returned"] == 0 {
		t.Errorf("Shutdown() = %+v; want events returned", report.Snapshot.Total)
	}
	close(stuck)
	next := s.world(t, e, name, nil)
	next.subscribe(t, "sub", handle, topics.SubscriberConfig{})
	s.eventually(t, "not all handled", func() bool {
		got := h.all()
		slices.Sort(got)
		return len(slices.Compact(got)) == len(evs)
	})
	s.settledAll(t, next, "sub")
}

// Workers keep the order of each key.
func topicKeyed(t *testing.T, s *suite) {
	w := s.world(t, s.open(t), s.name(t), nil)
	var mu sync.Mutex
	last, n := map[string]string{}, 0
	var failed atomic.Int32
	w.subscribe(t, "workers", func(_ context.Context, ev event) error {
		if failed.Add(1)%17 == 0 {
			return errors.New("now and then")
		}
		mu.Lock()
		defer mu.Unlock()
		if last[ev.Key] >= ev.ID && w.topic.Caps().Ordered {
			t.Errorf("%s after %s", ev.ID, last[ev.Key])
		}
		last[ev.Key] = ev.ID
		n++
		return nil
	}, topics.SubscriberConfig{Workers: 4, Key: topics.KeyOf(func(ev event) string { return ev.Key }), Retry: supervisor.Retry{BaseDelay: time.Millisecond, MaxAttempts: 50}})
	s.publishEvents(t, w, events("w", 300, 9)...)
	s.eventually(t, "not all handled", func() bool { mu.Lock(); defer mu.Unlock(); return n >= 300 })
	s.settledAll(t, w, "workers")
}

// Handlers of batches get the engine's records, and each is settled.
func topicBatch(t *testing.T, s *suite) {
	w := s.world(t, s.open(t), s.name(t), nil)
	var h heard
	_, err := w.topic.SubscribeBatch("batches", func(_ context.Context, evs []event) error {
		for _, ev := range evs {
			h.add(ev.ID)
		}
		return nil
	}, topics.SubscriberConfig{Batch: topics.BatchConfig{Size: 25, Period: 50 * time.Millisecond}})
	if err != nil {
		t.Fatalf("SubscribeBatch() = %v", err)
	}
	evs := events("b", 110, 3)
	s.publishEvents(t, w, evs...)
	s.eventually(t, "not all handled", func() bool { return h.len() >= len(evs) })
	s.settledAll(t, w, "batches")
}

// Two runtimes share a group; one of them leaves under load.
func topicTwoProcesses(t *testing.T, s *suite) {
	name := s.name(t)
	one := s.world(t, s.open(t), name, nil)
	if !one.topic.Caps().Groups || !one.topic.Caps().AtLeastOnce {
		t.Skip("Caps.Groups or Caps.AtLeastOnce is false")
	}
	two := s.world(t, s.open(t), name, nil)
	var h heard
	handle := func(_ context.Context, ev event) error {
		h.add(ev.ID)
		time.Sleep(time.Millisecond)
		return nil
	}
	one.subscribe(t, "sub", handle, topics.SubscriberConfig{Capacity: 8})
	two.subscribe(t, "sub", handle, topics.SubscriberConfig{Capacity: 8})
	evs := events("p", 400, 5)
	s.publishEvents(t, one, evs[:200]...)
	s.eventually(t, "nothing handled", func() bool { return h.len() >= 20 })
	one.shutdown(t)
	s.publishEvents(t, two, evs[200:]...)
	s.eventually(t, "not all handled", func() bool {
		got := h.all()
		slices.Sort(got)
		return len(slices.Compact(got)) == len(evs)
	})
	s.settledAll(t, two, "sub")
	t.Logf("%d deliveries of %d events", h.len(), len(evs))
}

// A subscriber that leaves handles what is here, and the group keeps the rest.
func topicUnsubscribe(t *testing.T, s *suite) {
	e, name := s.open(t), s.name(t)
	w := s.world(t, e, name, nil)
	if !w.topic.Caps().AtLeastOnce {
		t.Skip("Caps.AtLeastOnce is false")
	}
	var h heard
	handle := func(_ context.Context, ev event) error { h.add(ev.ID); return nil }
	sub := w.subscribe(t, "sub", handle, topics.SubscriberConfig{Capacity: 10})
	evs := events("u", 200, 3)
	s.publishEvents(t, w, evs[:100]...)
	if err := sub.Unsubscribe(s.ctx(t), runtime.Drain); err != nil {
		t.Fatalf("Unsubscribe() = %v", err)
	}
	n := h.len()
	s.publishEvents(t, w, evs[100:]...)
	if got := h.len(); got != n {
		t.Errorf("%d events handled after Unsubscribe", got-n)
	}
	w.subscribe(t, "sub", handle, topics.SubscriberConfig{})
	s.eventually(t, "not all handled", func() bool {
		got := h.all()
		slices.Sort(got)
		return len(slices.Compact(got)) == len(evs)
	})
	s.settledAll(t, w, "sub")
}
