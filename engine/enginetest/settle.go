package enginetest

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
)

// What is given back comes again, and no other with it.
func nack(t *testing.T, s *suite) {
	topic := s.topic(t)
	if !topic.Caps().Nack {
		t.Skip("Caps.Nack is false")
	}
	sub := s.subscribe(t, topic, engine.SubscribeConfig{Lease: 5 * time.Minute})
	s.publish(t, topic, records("n", 3, 1)...)
	ds := s.fetch(t, sub, 3)
	s.settle(t, sub, engine.Ack, ds[0], ds[2])
	for attempt := 2; attempt <= 4; attempt++ {
		s.settle(t, sub, engine.Nack, ds[1])
		again := s.fetch(t, sub, 1)[0]
		if again.Record.ID != ds[1].Record.ID || again.Place != ds[1].Place {
			t.Fatalf("after Nack of %s at %s: %s at %s", ds[1].Record.ID, ds[1].Place, again.Record.ID, again.Place)
		}
		if topic.Caps().Attempts && again.Attempt != attempt {
			t.Errorf("Attempt = %d, want %d", again.Attempt, attempt)
		}
		ds[1] = again
	}
	s.settle(t, sub, engine.Ack, ds[1])
	s.nothing(t, sub, 300*time.Millisecond)
}

// A delay is waited for, where there are delays.
func delayedNack(t *testing.T, s *suite) {
	topic := s.topic(t)
	if !topic.Caps().Nack {
		t.Skip("Caps.Nack is false")
	}
	sub := s.subscribe(t, topic, engine.SubscribeConfig{Lease: 5 * time.Minute})
	s.publish(t, topic, record("later", "k"))
	const delay = 1500 * time.Millisecond
	began := time.Now()
	_, err := sub.Settle(s.ctx(t), []engine.Settlement{{Delivery: s.fetch(t, sub, 1)[0], Verdict: engine.Nack, Delay: delay}})
	if err != nil {
		t.Fatalf("Settle(Nack, %v) = %v", delay, err)
	}
	s.publish(t, topic, record("meanwhile", "other"))
	first := s.fetch(t, sub, 1)[0]
	s.settle(t, sub, engine.Ack, first)
	second := s.fetch(t, sub, 1)[0]
	took := time.Since(began)
	s.settle(t, sub, engine.Ack, second)
	switch {
	case topic.Caps().DelayedNack && (first.Record.ID == "meanwhile") == (second.Record.ID == "later"):
		if later := took; second.Record.ID == "later" && (later < delay-50*time.Millisecond || later > delay+s.h.Slack) {
			t.Errorf("came again after %v, want %v", later, delay)
		}
	case topic.Caps().DelayedNack:
		t.Errorf("got %s and %s, want later and meanwhile", first.Record.ID, second.Record.ID)
	case took > s.h.Slack:
		t.Errorf("came again after %v, want at once without Caps.DelayedNack", took)
	}
}

// What is terminated never comes again, also when the group comes back.
func term(t *testing.T, s *suite) {
	topic := s.topic(t)
	if !topic.Caps().AtLeastOnce {
		t.Skip("Caps.AtLeastOnce is false")
	}
	sub := s.subscribe(t, topic, engine.SubscribeConfig{Lease: s.h.Lease})
	s.publish(t, topic, records("t", 3, 1)...)
	ds := s.fetch(t, sub, 3)
	s.settle(t, sub, engine.Term, ds[1])
	s.settle(t, sub, engine.Ack, ds[0], ds[2])
	closeWithin(t, sub.Close)
	sub = s.subscribe(t, topic, engine.SubscribeConfig{})
	s.nothing(t, sub, s.h.Lease+time.Second)
}

// Settling again does nothing, whatever is said the second time.
func settleTwice(t *testing.T, s *suite) {
	topic := s.topic(t)
	if !topic.Caps().AtLeastOnce {
		t.Skip("Caps.AtLeastOnce is false")
	}
	sub := s.subscribe(t, topic, engine.SubscribeConfig{})
	s.publish(t, topic, records("w", 2, 1)...)
	ds := s.fetch(t, sub, 2)
	s.settle(t, sub, engine.Ack, ds...)
	s.settle(t, sub, engine.Ack, ds...)
	s.settle(t, sub, engine.Nack, ds...)
	s.nothing(t, sub, 500*time.Millisecond)
	if late, err := sub.Settle(s.ctx(t), nil); late != 0 || err != nil {
		t.Errorf("Settle(nothing) = %d, %v", late, err)
	}
}

// A record whose consumer is silent goes to another when its lease ends, and what the
// silent one says then is too late.
func lease(t *testing.T, s *suite) {
	e, name := s.open(t), s.name(t)
	topic := s.opened(t, e, name)
	if !topic.Caps().Lease {
		t.Skip("Caps.Lease is false")
	}
	silent := s.subscribe(t, topic, engine.SubscribeConfig{Lease: s.h.Lease, MaxInFlight: 1})
	s.publish(t, topic, record("leased", "k"))
	d := s.fetch(t, silent, 1)[0]
	began := time.Now()
	other := s.subscribe(t, s.opened(t, s.open(t), name), engine.SubscribeConfig{Lease: s.h.Lease})
	again := s.fetch(t, other, 1)[0]
	if took := time.Since(began); took < s.h.Lease/2 || took > s.h.Lease+s.h.Slack {
		t.Errorf("went to another after %v of a lease of %v", took, s.h.Lease)
	}
	if again.Record.ID != "leased" || topic.Caps().Attempts && again.Attempt != 2 {
		t.Errorf("Fetch() = %s, attempt %d; want leased, 2", again.Record.ID, again.Attempt)
	}
	s.settle(t, other, engine.Ack, again)
	s.settle(t, silent, engine.Nack, d)
	s.nothing(t, other, 300*time.Millisecond)
}

// A lease that is extended does not end.
func extend(t *testing.T, s *suite) {
	e, name := s.open(t), s.name(t)
	topic := s.opened(t, e, name)
	if !topic.Caps().Lease {
		t.Skip("Caps.Lease is false")
	}
	sub := s.subscribe(t, topic, engine.SubscribeConfig{Lease: s.h.Lease})
	other := s.subscribe(t, s.opened(t, s.open(t), name), engine.SubscribeConfig{Lease: s.h.Lease})
	s.publish(t, topic, record("extended", "k"))
	type taken struct {
		sub engine.Subscription
		d   *engine.Delivery
	}
	got := make(chan taken, 2)
	for _, one := range []engine.Subscription{sub, other} {
		go func() {
			ds, _ := one.Fetch(t.Context(), 1)
			for _, d := range ds {
				got <- taken{one, d}
			}
		}()
	}
	var who taken
	select {
	case who = <-got:
	case <-time.After(s.h.Slack):
		t.Fatal("nobody got the record")
	}
	for end := time.Now().Add(3 * s.h.Lease); time.Now().Before(end); {
		if err := who.sub.Extend(s.ctx(t), []*engine.Delivery{who.d}); err != nil {
			t.Fatalf("Extend() = %v", err)
		}
		select {
		case again := <-got:
			t.Fatalf("came again, attempt %d, while it was extended", again.d.Attempt)
		case <-time.After(s.h.Lease / 4):
		}
	}
	if late := s.settle(t, who.sub, engine.Ack, who.d); late != 0 {
		t.Errorf("Settle() = %d late", late)
	}
}

// Marks are counted until the record is settled or given back.
func mark(t *testing.T, s *suite) {
	e, name := s.open(t), s.name(t)
	topic := s.opened(t, e, name)
	sub := s.subscribe(t, topic, engine.SubscribeConfig{})
	m, ok := sub.(engine.Marker)
	if !ok {
		t.Skip("not an engine.Marker")
	}
	s.publish(t, topic, record("suspect", "k"), record("other", "k"))
	ds := s.fetch(t, sub, 2)
	for want := range 3 {
		if before, err := m.Mark(s.ctx(t), ds[0]); before != want || err != nil {
			t.Fatalf("Mark() = %d, %v, want %d", before, err, want)
		}
	}
	if before, err := m.Mark(s.ctx(t), ds[1]); before != 0 || err != nil {
		t.Errorf("Mark(another) = %d, %v, want 0", before, err)
	}
	// What was given back was not the end of its process.
	s.settle(t, sub, engine.Nack, ds[1])
	again := s.fetch(t, sub, 1)
	if before, err := m.Mark(s.ctx(t), again[0]); before != 0 || err != nil {
		t.Errorf("Mark(given back) = %d, %v, want 0", before, err)
	}
	s.settle(t, sub, engine.Ack, again...)
	s.settle(t, sub, engine.Ack, ds[0])
}

// The records of a key are handled in order by whoever handles them, through failures
// and with consumers that come and go.
func keyOrder(t *testing.T, s *suite) {
	e, name := s.open(t), s.name(t)
	topic := s.opened(t, e, name)
	if !topic.Caps().KeyOrder {
		_, err := topic.Subscribe(s.ctx(t), engine.SubscribeConfig{Group: "g", KeyOrder: true, MaxInFlight: 10, Lease: time.Minute})
		if !errors.Is(err, engine.ErrUnsupported) {
			t.Errorf("Subscribe(KeyOrder) = %v without Caps.KeyOrder, want ErrUnsupported", err)
		}
		return
	}
	const keys, each, consumers = 8, 25, 3
	type seen struct {
		mu   sync.Mutex
		last map[string]int // by key, the last that was settled
		done int
		n    map[string]int // deliveries of one
	}
	st := &seen{last: map[string]int{}, n: map[string]int{}}
	cfg := engine.SubscribeConfig{Group: "g", KeyOrder: true, MaxInFlight: 5, Lease: 20 * time.Second}
	ctx := s.ctx(t)
	consume := func(sub engine.Subscription, until func() bool) {
		for ctx.Err() == nil && !until() {
			fetch, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
			ds, err := sub.Fetch(fetch, 5)
			cancel()
			if errors.Is(err, engine.ErrClosed) {
				return
			}
			// One after the other, as a mailbox does. After the first that fails the
			// rest of its key goes back, too.
			var settled []engine.Settlement
			failed := map[string]bool{}
			for _, d := range ds {
				var k, i int
				if _, err := fmt.Sscanf(d.Record.ID, "k%d-%d", &k, &i); err != nil {
					t.Errorf("ID %q: %v", d.Record.ID, err)
				}
				key := d.Record.Key
				one := engine.Settlement{Delivery: d}
				st.mu.Lock()
				st.n[d.Record.ID]++
				switch last := st.last[key]; {
				case failed[key] || st.n[d.Record.ID] == 1 && i%7 == 3:
					failed[key], one.Verdict = true, engine.Nack
				case i == last+1:
					st.last[key], st.done = i, st.done+1
				case i > last+1:
					t.Errorf("%s handled after %d of its key", d.Record.ID, last)
				}
				st.mu.Unlock()
				settled = append(settled, one)
			}
			if _, err := sub.Settle(ctx, settled); err != nil && !errors.Is(err, engine.ErrClosed) && ctx.Err() == nil && !engine.Temporary(err) {
				t.Errorf("Settle() = %v", err)
			}
		}
	}
	finished := func() bool {
		st.mu.Lock()
		defer st.mu.Unlock()
		return st.done >= keys*each
	}
	var wg sync.WaitGroup
	for c := range consumers {
		other := topic
		if c > 0 {
			other = s.opened(t, s.open(t), name)
		}
		sub := s.subscribe(t, other, cfg)
		wg.Go(func() {
			if c != 1 {
				consume(sub, finished)
				return
			}
			rounds := 0 // this one leaves and comes again
			consume(sub, func() bool { rounds++; return rounds > 3 || finished() })
			closeWithin(t, sub.Close)
			if !finished() {
				again, err := other.Subscribe(ctx, cfg)
				if err != nil {
					t.Errorf("Subscribe() = %v", err)
					return
				}
				consume(again, finished)
				closeWithin(t, again.Close)
			}
		})
	}
	for i := 1; i <= each; i++ {
		var rs []engine.Record
		for k := range keys {
			rs = append(rs, record(fmt.Sprintf("k%d-%d", k, i), fmt.Sprintf("key-%d", k)))
		}
		s.publish(t, topic, rs...)
	}
	wg.Wait()
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.done != keys*each {
		t.Errorf("%d of %d records handled in order", st.done, keys*each)
	}
}

// What was acknowledged is there for another engine when this one has closed.
func durable(t *testing.T, s *suite) {
	if s.h.OneProcess {
		t.Skip("one engine at a time: see Kill")
	}
	name := s.name(t)
	first, err := s.h.Open()
	if err != nil {
		t.Fatalf("Open() = %v", err)
	}
	topic := s.opened(t, first, name)
	if !topic.Caps().Durable {
		closeWithin(t, first.Close)
		t.Skip("Caps.Durable is false")
	}
	sub := s.subscribe(t, topic, engine.SubscribeConfig{})
	all := records("d", 20, 4)
	s.publish(t, topic, all...)
	closeWithin(t, sub.Close)
	closeWithin(t, first.Close)
	if errs := topic.Publish(s.ctx(t), []engine.Record{record("late", "k")}); len(errs) != 1 || errs[0] == nil {
		t.Errorf("Publish() = %v after Close, want an error", errs)
	}
	sub = s.subscribe(t, s.topicNamed(t, name), engine.SubscribeConfig{})
	got := ids(s.fetch(t, sub, len(all)))
	slices.Sort(got)
	if !slices.Equal(got, idsOf(all)) {
		t.Errorf("after reopening: %v, want %v", got, idsOf(all))
	}
}

func (s *suite) topicNamed(t *testing.T, name string) engine.Topic {
	return s.opened(t, s.open(t), name)
}

// While the server is gone, publishers and consumers are told; when it is back they go
// on, and nothing acknowledged is lost.
func restart(t *testing.T, s *suite) {
	if s.h.Restart == nil {
		t.Skip("Harness.Restart is nil")
	}
	topic := s.topic(t)
	if !topic.Caps().Durable {
		t.Skip("Caps.Durable is false")
	}
	sub := s.subscribe(t, topic, engine.SubscribeConfig{MaxInFlight: 1000, Lease: s.h.Lease})
	ctx := s.ctx(t)
	got := make(chan string, 10000)
	go func() {
		for ctx.Err() == nil {
			ds, err := sub.Fetch(ctx, 50)
			if errors.Is(err, engine.ErrClosed) {
				return
			}
			if err != nil {
				time.Sleep(20 * time.Millisecond)
			}
			settled := make([]engine.Settlement, len(ds))
			for i, d := range ds {
				settled[i].Delivery = d
				got <- d.Record.ID
			}
			for len(settled) > 0 && ctx.Err() == nil {
				if _, err := sub.Settle(ctx, settled); err == nil || errors.Is(err, engine.ErrClosed) {
					break
				}
				time.Sleep(20 * time.Millisecond)
			}
		}
	}()
	restarted := make(chan struct{})
	acknowledged := map[string]bool{}
	refused := 0
	for i := 0; ; i++ {
		if i == 50 {
			go func() {
				defer close(restarted)
				s.h.Restart(t)
			}()
		}
		r := record(fmt.Sprintf("r-%05d", i), fmt.Sprintf("k%d", i%5))
		if errs := topic.Publish(ctx, []engine.Record{r}); errs == nil || errs[0] == nil {
			acknowledged[r.ID] = true
		} else {
			refused++
			if ctx.Err() != nil {
				t.Fatalf("Publish() = %v, %d acknowledged, %d refused", errs[0], len(acknowledged), refused)
			}
			time.Sleep(10 * time.Millisecond)
		}
		select {
		case <-restarted:
			if len(acknowledged) >= 200 && i > 250 {
				missing := missingOf(acknowledged, got, time.After(40*time.Second))
				if len(missing) > 0 {
					t.Errorf("lost %d of %d acknowledged: %v", len(missing), len(acknowledged), missing[:min(5, len(missing))])
				}
				t.Logf("%d acknowledged, %d refused while the server was gone", len(acknowledged), refused)
				return
			}
		default:
		}
	}
}

// missingOf returns what has not come by then.
func missingOf(want map[string]bool, got <-chan string, deadline <-chan time.Time) (missing []string) {
	left := map[string]bool{}
	for id := range want {
		left[id] = true
	}
	for len(left) > 0 {
		select {
		case id := <-got:
			delete(left, id)
		case <-deadline:
			for id := range left {
				missing = append(missing, id)
			}
			slices.Sort(missing)
			return missing
		}
	}
	return nil
}
