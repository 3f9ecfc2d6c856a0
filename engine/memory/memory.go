// Package memory is an engine in the memory of one process: for tests of what runs on
// engines, in virtual time where that is wanted, and the model that the conformance
// suite is tried on. Everything is lost with the process.
//
//	e := memory.New()
//	orders, err := topics.Open[OrderPlaced](rt, "orders", topics.Config{Engine: e})
//
// Several runtimes may share an Engine as if they were processes. [Engine.Fail] makes
// an outage, [Engine.Die] the death of all that consume.
package memory

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-go/troupe/engine"
)

// MaxRecord is how large a record may be.
const MaxRecord = 1 << 20

// Engine keeps topics. The zero value does not work, see [New]. It is safe for
// concurrent use.
type Engine struct {
	mu     sync.Mutex
	topics map[string]*Topic
	fault  error
	closed bool
	change chan struct{} // closed at the next change of anything
}

// New returns an engine without topics.
func New() *Engine {
	return &Engine{topics: map[string]*Topic{}, change: make(chan struct{})}
}

// Name returns "memory".
func (e *Engine) Name() string { return "memory" }

// Open returns the topic of that name, which it makes if there is none.
func (e *Engine) Open(_ context.Context, name string) (engine.Topic, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if err := e.trouble(); err != nil {
		return nil, fmt.Errorf("memory: open %s: %w", name, err)
	}
	t := e.topics[name]
	if t == nil {
		t = &Topic{e: e, name: name, ids: map[string]bool{}, groups: map[string]*group{}}
		e.topics[name] = t
	}
	return t, nil
}

// Ready returns the error of Fail, if there is one.
func (e *Engine) Ready(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.trouble()
}

// Close makes every call return engine.ErrClosed.
func (e *Engine) Close(context.Context) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.closed {
		e.closed = true
		e.changed()
	}
	return nil
}

// Fail makes every call return err, which should wrap one of package engine's; nil
// ends that. Nothing is lost meanwhile.
func (e *Engine) Fail(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fault = err
	e.changed()
}

// Die forgets every consumer, as if their processes had ended: what they had unsettled
// goes to others when its lease ends, and what they still call returns
// engine.ErrClosed.
func (e *Engine) Die() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, t := range e.topics {
		for _, g := range t.groups {
			for s := range g.consumers {
				s.gone = true
			}
			clear(g.consumers)
		}
	}
	e.changed()
}

// trouble returns why nothing works. The caller holds mu.
func (e *Engine) trouble() error {
	if e.closed {
		return engine.ErrClosed
	}
	return e.fault
}

// changed wakes those who wait. The caller holds mu.
func (e *Engine) changed() {
	close(e.change)
	e.change = make(chan struct{})
}

// Topic is a list of records and the groups that read it.
type Topic struct {
	e      *Engine
	name   string
	log    []engine.Record
	ids    map[string]bool
	groups map[string]*group
}

// Caps returns everything but what a process's memory cannot do.
func (t *Topic) Caps() engine.Caps {
	return engine.Caps{
		AtLeastOnce: true, Groups: true, Ordered: true, KeyOrder: true, FromOldest: true, Nack: true, DelayedNack: true,
		Attempts: true, Lease: true, Lag: true, Dedup: engine.Forever, AtomicBatch: true, MaxRecord: MaxRecord,
	}
}

// Publish stores all records or none.
func (t *Topic) Publish(ctx context.Context, records []engine.Record) []error {
	t.e.mu.Lock()
	defer t.e.mu.Unlock()
	err := t.e.trouble()
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("%w: %w", engine.ErrUnavailable, context.Cause(ctx))
	}
	for i := range records {
		if n := records[i].Size(); n > MaxRecord && err == nil {
			err = fmt.Errorf("%w: %d bytes, %d at most", engine.ErrTooLarge, n, MaxRecord)
		}
	}
	if err != nil {
		errs := make([]error, len(records))
		for i := range errs {
			errs[i] = fmt.Errorf("memory: publish %s: %w", t.name, err)
		}
		return errs
	}
	for _, r := range records {
		if !t.ids[r.ID] {
			t.ids[r.ID] = true
			t.log = append(t.log, r)
		}
	}
	t.e.changed()
	return nil
}

// Len returns how many records have been stored.
func (t *Topic) Len() int {
	t.e.mu.Lock()
	defer t.e.mu.Unlock()
	return len(t.log)
}

// Subscribe joins a group.
func (t *Topic) Subscribe(_ context.Context, cfg engine.SubscribeConfig) (engine.Subscription, error) {
	t.e.mu.Lock()
	defer t.e.mu.Unlock()
	if err := t.e.trouble(); err != nil {
		return nil, fmt.Errorf("memory: subscribe %s/%s: %w", t.name, cfg.Group, err)
	}
	g := t.groups[cfg.Group]
	if g == nil {
		g = &group{open: map[int]*pending{}, consumers: map[*Subscription]bool{}, marks: map[int]int{}}
		if cfg.From == engine.FromNow {
			g.next = len(t.log)
		}
		t.groups[cfg.Group] = g
	}
	if cfg.Lease <= 0 {
		cfg.Lease = 30 * time.Second
	}
	s := &Subscription{t: t, g: g, cfg: cfg}
	g.consumers[s] = true
	return s, nil
}
