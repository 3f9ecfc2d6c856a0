package memory

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/troupe-go/troupe/engine"
)

// group is a position in a topic and what is unsettled before it. Guarded by the
// engine's mu.
type group struct {
	next      int // first record that nobody was given
	open      map[int]*pending
	marks     map[int]int
	consumers map[*Subscription]bool
}

// pending is a record without a settlement.
type pending struct {
	by      *Subscription // nil: it waits
	attempt int
	due     time.Time // when the lease ends, or from when it may be delivered
}

// Subscription is one consumer of a group.
type Subscription struct {
	t    *Topic
	g    *group
	cfg  engine.SubscribeConfig
	gone bool
}

// Fetch waits for records.
func (s *Subscription) Fetch(ctx context.Context, max int) ([]*engine.Delivery, error) {
	e := s.t.e
	for {
		e.mu.Lock()
		err := s.trouble()
		var ds []*engine.Delivery
		var until time.Duration
		if err == nil {
			ds, until = s.pick(max)
		}
		change := e.change
		e.mu.Unlock()
		if err != nil || len(ds) > 0 {
			return ds, err
		}
		timer := time.NewTimer(until)
		select {
		case <-change:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		}
		timer.Stop()
	}
}

// trouble returns why the consumer can do nothing. The caller holds mu.
func (s *Subscription) trouble() error {
	if s.gone {
		return engine.ErrClosed
	}
	if err := s.t.e.trouble(); err != nil {
		return fmt.Errorf("memory: %s/%s: %w", s.t.name, s.cfg.Group, err)
	}
	return nil
}

// pick takes up to max records and returns how long until there may be others. The
// caller holds mu.
func (s *Subscription) pick(max int) (ds []*engine.Delivery, until time.Duration) {
	g, now := s.g, time.Now()
	if s.cfg.MaxInFlight > 0 {
		have := 0
		for _, p := range g.open {
			if p.by == s {
				have++
			}
		}
		max = min(max, s.cfg.MaxInFlight-have)
	}
	until = time.Hour
	held := map[string]bool{} // keys with a record that is not this consumer's
	give := func(at int, p *pending) {
		p.by, p.due = s, now.Add(s.cfg.Lease)
		p.attempt++
		place := strconv.Itoa(at)
		ds = append(ds, &engine.Delivery{Record: clone(s.t.log[at]), Attempt: p.attempt, Place: place, Position: "record " + place})
	}
	for _, at := range slices.Sorted(maps.Keys(g.open)) {
		p, key := g.open[at], s.t.log[at].Key
		if p.by != nil && !now.Before(p.due) {
			p.by = nil
		}
		switch {
		case p.by == s:
		case p.by == nil && !now.Before(p.due) && len(ds) < max && !(s.cfg.KeyOrder && held[key]):
			give(at, p)
		default:
			held[key] = true
			if now.Before(p.due) {
				until = min(until, p.due.Sub(now))
			}
		}
	}
	for ; g.next < len(s.t.log) && len(ds) < max; g.next++ {
		p := &pending{due: now}
		g.open[g.next] = p
		if s.cfg.KeyOrder && held[s.t.log[g.next].Key] {
			continue
		}
		give(g.next, p)
	}
	return ds, until
}

// clone keeps consumers from sharing what they may change.
func clone(r engine.Record) engine.Record {
	r.Headers, r.Data = maps.Clone(r.Headers), slices.Clone(r.Data)
	return r
}

// mine returns a delivery's record if it is still this consumer's.
func (s *Subscription) mine(d *engine.Delivery) (at int, p *pending) {
	at, err := strconv.Atoi(d.Place)
	if p = s.g.open[at]; err != nil || p == nil || p.by != s || p.attempt != d.Attempt {
		return at, nil
	}
	return at, p
}

// Settle notes ends.
func (s *Subscription) Settle(_ context.Context, settled []engine.Settlement) (late int, err error) {
	s.t.e.mu.Lock()
	defer s.t.e.mu.Unlock()
	if err := s.trouble(); err != nil {
		return 0, err
	}
	for _, one := range settled {
		at, p := s.mine(one.Delivery)
		switch {
		case p == nil:
			late++
		case one.Verdict == engine.Nack:
			p.by, p.due = nil, time.Now().Add(one.Delay)
			delete(s.g.marks, at)
		default:
			delete(s.g.open, at)
			delete(s.g.marks, at)
		}
	}
	s.t.e.changed()
	return late, nil
}

// Extend begins leases anew.
func (s *Subscription) Extend(_ context.Context, ds []*engine.Delivery) error {
	s.t.e.mu.Lock()
	defer s.t.e.mu.Unlock()
	if err := s.trouble(); err != nil {
		return err
	}
	for _, d := range ds {
		if _, p := s.mine(d); p != nil {
			p.due = time.Now().Add(s.cfg.Lease)
		}
	}
	return nil
}

// Mark makes Subscription an engine.Marker.
func (s *Subscription) Mark(_ context.Context, d *engine.Delivery) (before int, err error) {
	s.t.e.mu.Lock()
	defer s.t.e.mu.Unlock()
	if err := s.trouble(); err != nil {
		return 0, err
	}
	at, p := s.mine(d)
	if p == nil {
		return 0, nil
	}
	before = s.g.marks[at]
	s.g.marks[at]++
	return before, nil
}

// Lag counts.
func (s *Subscription) Lag(context.Context) (engine.Lag, error) {
	s.t.e.mu.Lock()
	defer s.t.e.mu.Unlock()
	if err := s.trouble(); err != nil {
		return engine.Lag{}, err
	}
	l := engine.Lag{Waiting: uint64(len(s.t.log) - s.g.next)}
	for _, p := range s.g.open {
		if p.by == nil {
			l.Waiting++
		} else {
			l.Unsettled++
		}
	}
	return l, nil
}

// Close gives back what is unsettled.
func (s *Subscription) Close(context.Context) error {
	s.t.e.mu.Lock()
	defer s.t.e.mu.Unlock()
	if s.gone {
		return nil
	}
	s.gone = true
	delete(s.g.consumers, s)
	for _, p := range s.g.open {
		if p.by == s {
			p.by, p.due = nil, time.Now()
		}
	}
	s.t.e.changed()
	return nil
}
