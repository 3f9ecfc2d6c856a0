package middleware

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// ErrDuplicate is why [Deduplicate] has skipped an event.
var ErrDuplicate = errors.New("middleware: duplicate")

// ErrInProgress is why [Deduplicate] has postponed an event: one with its key is
// being handled.
var ErrInProgress = errors.New("middleware: duplicate in progress")

// DeduplicateConfig describes a [Deduplicate]. The zero value works.
type DeduplicateConfig struct {
	// Key returns what makes two events the same. One with an empty key is handled
	// whatever came before. Nil is the id of the event,
	// which publishers give by topics.Meta.ID; see actors.Delivery.ID.
	Key func(ctx context.Context, ev any) string
	// Window is how long a key is remembered after its event was handled. Zero is
	// 2 min.
	Window time.Duration
	// Max is how many keys a subscription remembers; beyond it the oldest is
	// forgotten. Zero is 65536.
	Max int
	// OnEvict is told, if set, when Max forgets a key before its Window is over,
	// and how long it was remembered: Max is then too small. It is called before
	// the event in hand is handled, with nothing locked, and what it does is part
	// of that call, a panic included.
	OnEvict func(key string, remembered time.Duration)
}

func (c DeduplicateConfig) withDefaults() DeduplicateConfig {
	if c.Key == nil {
		c.Key = func(ctx context.Context, _ any) string { return eventID(ctx) }
	}
	if c.Window == 0 {
		c.Window = 2 * time.Minute
	}
	if c.Max == 0 {
		c.Max = 1 << 16
	}
	return c
}

func (c DeduplicateConfig) validate() error {
	var faults []error
	if c.Window < 0 {
		faults = append(faults, fmt.Errorf("Window %v: must not be negative", c.Window))
	}
	if c.Max < 0 {
		faults = append(faults, fmt.Errorf("Max %d: must not be negative", c.Max))
	}
	return errors.Join(faults...)
}

// Deduplicate skips events that the subscription has handled before
// ([ErrDuplicate]): they are counted as dropped, reason skipped.
//
// A key is remembered once its event is done, so neither a retry nor the redrive of
// a dead letter is a duplicate; a redrive of what was handled after all is one. A
// duplicate that comes while the first is being handled, by another worker or by a
// call that was abandoned, is postponed until that has ended ([ErrInProgress]), for
// Window at most.
//
// A rehearsal is let through and not remembered, since nothing comes of it.
//
// Keys are kept in memory, so after a restart of the process, and beyond Window and
// Max, a duplicate is handled: a handler whose work must not be done twice needs a
// key in its database. This saves it the work.
//
// Price: two times a mutex and an entry of about 150 B and the key, for each event
// with a key.
func Deduplicate(cfg DeduplicateConfig) runtime.Middleware {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return refuse("Deduplicate", err)
	}
	return func(next runtime.Next) runtime.Next {
		m := &memory{cfg: cfg, seen: map[string]*sighting{}}
		return func(ctx context.Context, ev any) error {
			key := cfg.Key(ctx, ev)
			if d, _ := actors.DeliveryFrom(ctx); key == "" || d.Rehearsal {
				return next(ctx, ev)
			}
			s, err := m.begin(key)
			if err != nil {
				return err
			}
			done := false
			defer func() { m.end(s, done) }()
			err = next(ctx, ev)
			done = err == nil || verdictOf(err) == verdictFinished
			return err
		}
	}
}

// memory is what one subscription has seen.
type memory struct {
	cfg DeduplicateConfig

	mu   sync.Mutex
	seen map[string]*sighting
	done list.List // sightings that were handled, the oldest first: that is also how they expire
}

// sighting is a key whose event is in hand, or was handled.
type sighting struct {
	key  string
	at   time.Time     // the call began, or has succeeded
	done *list.Element // nil while in hand
}

// begin takes key in hand, unless it was handled or is in hand.
func (m *memory) begin(key string) (*sighting, error) {
	now := time.Now()
	m.mu.Lock()
	m.expire(now)
	if s := m.seen[key]; s != nil {
		inHand, age := s.done == nil, now.Sub(s.at)
		if !inHand || age < m.cfg.Window {
			m.mu.Unlock()
			if inHand {
				return nil, supervisor.Postpone(fmt.Errorf("%w: key %q", ErrInProgress, key), 0)
			}
			return nil, supervisor.Skip(fmt.Errorf("%w: key %q, handled %v ago", ErrDuplicate, key, age.Round(time.Millisecond)))
		}
	}
	s := &sighting{key: key, at: now}
	m.seen[key] = s
	evicted := m.evict()
	m.mu.Unlock()
	if m.cfg.OnEvict != nil && evicted != nil {
		defer func() {
			if s != nil {
				m.end(s, false) // OnEvict did not return
			}
		}()
		for _, e := range evicted {
			m.cfg.OnEvict(e.key, now.Sub(e.at))
		}
	}
	taken := s
	s = nil
	return taken, nil
}

// expire forgets what was handled longer than the window ago.
func (m *memory) expire(now time.Time) {
	for e := m.done.Front(); e != nil; e = m.done.Front() {
		s := e.Value.(*sighting)
		if now.Sub(s.at) < m.cfg.Window {
			return
		}
		m.forget(s)
	}
}

// evict makes room for the key that is in hand, and returns what it cost.
func (m *memory) evict() (evicted []*sighting) {
	for len(m.seen) > m.cfg.Max && m.done.Len() > 0 {
		s := m.done.Front().Value.(*sighting)
		m.forget(s)
		evicted = append(evicted, s)
	}
	return evicted
}

func (m *memory) forget(s *sighting) {
	m.done.Remove(s.done)
	delete(m.seen, s.key)
}

// end notes how the call for s has ended.
func (m *memory) end(s *sighting, done bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.seen[s.key] != s {
		return // it took longer than the window, and another has taken its place
	}
	if !done {
		delete(m.seen, s.key)
		return
	}
	s.at = time.Now()
	s.done = m.done.PushBack(s)
}

// header returns a header of the delivery that ctx belongs to.
func eventID(ctx context.Context) string {
	d, _ := actors.DeliveryFrom(ctx)
	return d.ID()
}
