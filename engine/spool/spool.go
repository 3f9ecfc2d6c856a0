// Package spool puts an engine of this machine before one that may be out of reach:
// while the far one is unavailable, what is published is kept by the near one, which
// is bounded and, if it is durable, survives the process; when the far one is back it
// gets all of that, in order, before anything newer.
//
//	near, err := nats.Open(ctx, nats.Config{Folder: "spool", MaxStore: 1 << 30})
//	far, err := kafka.Open(ctx, kafka.Config{Brokers: brokers})
//	orders, err := topics.Open[Order](rt, "orders", topics.Config{Engine: spool.New(far, near, spool.Config{})})
//
// Subscribers are those of the far engine: nobody reads the spool but the spool.
package spool

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/troupe-go/troupe/engine"
)

// Config describes a spool. The zero value works.
type Config struct {
	// Patience is how long the far engine is waited for before an event goes into
	// the spool, if the engine does not know at once that it is unavailable. Zero is
	// one second. While anything is in the spool nothing is waited for.
	Patience time.Duration
	// Group is who reads the near engine. Zero is "spool". Two programs that share
	// a near engine and its topics share the group.
	Group string
	// Changed is told when a topic's events begin to go into the spool, and when it is
	// empty again; err is why, or nil. It must not block.
	Changed func(topic string, err error)
}

const (
	relayBatch = 256
	relayLease = 30 * time.Second
	// The pauses between two attempts to reach the far engine.
	basePause = 50 * time.Millisecond
	maxPause  = 5 * time.Second
	// look is how long the relay waits for records before it counts anew.
	look = 5 * time.Second
)

// Engine is a far engine with a near one before it.
type Engine struct {
	far, near engine.Engine
	cfg       Config

	mu     sync.Mutex
	topics map[string]*topic
	closed bool
}

// New puts near before far. The spool closes both.
func New(far, near engine.Engine, cfg Config) *Engine {
	cfg.Patience = cmp.Or(cfg.Patience, time.Second)
	cfg.Group = cmp.Or(cfg.Group, "spool")
	return &Engine{far: far, near: near, cfg: cfg, topics: map[string]*topic{}}
}

// Name is that of the far engine.
func (e *Engine) Name() string { return e.far.Name() }

// Ready is that of the far engine: subscribers depend on it. While it is not, events
// can be published all the same.
func (e *Engine) Ready(ctx context.Context) error { return e.far.Ready(ctx) }

// Open opens the topic on both engines, and begins to relay what the spool has of an
// earlier process. The far engine has to be there for that, since it says what it can
// do.
//
// Errors: those of both; engine.ErrUnsupported if the near one does not keep events for
// a group, or cannot count them.
func (e *Engine) Open(ctx context.Context, name string) (engine.Topic, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, fmt.Errorf("spool: open %s: %w", name, engine.ErrClosed)
	}
	if t := e.topics[name]; t != nil {
		return t, nil
	}
	far, err := e.far.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	near, err := e.near.Open(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	if c := near.Caps(); !c.AtLeastOnce || !c.Lag || !c.Ordered {
		return nil, fmt.Errorf("spool: open %s: %w: %s as a spool has to deliver at least once, in order, and count", name, engine.ErrUnsupported, e.near.Name())
	}
	sub, err := near.Subscribe(ctx, engine.SubscribeConfig{
		Group: e.cfg.Group, From: start(near.Caps()), MaxInFlight: relayBatch, Lease: relayLease,
	})
	if err != nil {
		return nil, fmt.Errorf("spool: %w", err)
	}
	lag, err := sub.Lag(ctx)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("spool: %w", err), sub.Close(ctx))
	}
	t := &topic{e: e, name: name, far: far, near: near, sub: sub, backlog: int(lag.Waiting + lag.Unsettled), done: make(chan struct{})}
	t.ctx, t.stop = context.WithCancel(context.Background())
	e.topics[name] = t
	go t.relay()
	return t, nil
}

func start(c engine.Caps) engine.Start {
	if c.FromOldest {
		return engine.FromOldest
	}
	return engine.FromNow
}

// Backlog returns how many events of a topic are in the spool.
func (e *Engine) Backlog(name string) int {
	e.mu.Lock()
	t := e.topics[name]
	e.mu.Unlock()
	if t == nil {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.backlog
}

// Close ends the relays and closes both engines. What is in the spool stays there, for
// the next process if the near engine is durable.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	topics := make([]*topic, 0, len(e.topics))
	for _, t := range e.topics {
		topics = append(topics, t)
	}
	e.mu.Unlock()
	var errs []error
	for _, t := range topics {
		t.stop()
		<-t.done
		errs = append(errs, t.sub.Close(ctx))
	}
	return errors.Join(append(errs, e.far.Close(ctx), e.near.Close(ctx))...)
}

// topic is one topic on both engines.
type topic struct {
	e         *Engine
	name      string
	far, near engine.Topic
	sub       engine.Subscription // of near
	ctx       context.Context     // of the relay
	stop      context.CancelFunc
	done      chan struct{}

	mu      sync.Mutex
	backlog int    // in the spool, or on their way into it
	coming  int    // publications that are on their way
	came    uint64 // publications, ever
}

// Caps are those of the far engine, but that a batch may go two ways.
func (t *topic) Caps() engine.Caps {
	c := t.far.Caps()
	c.AtomicBatch = false
	return c
}

// Subscribe joins a group of the far engine.
func (t *topic) Subscribe(ctx context.Context, cfg engine.SubscribeConfig) (engine.Subscription, error) {
	return t.far.Subscribe(ctx, cfg)
}

// Publish gives records to the far engine while it takes them and the spool is empty,
// else to the near one. An event that the far engine may have stored without saying so
// is published again by the same ID.
//
// Errors: those of the far engine that do not pass; those of the near one, engine.ErrFull
// among them.
func (t *topic) Publish(ctx context.Context, records []engine.Record) []error {
	if !t.direct() {
		return t.spool(ctx, records, all(len(records)), nil)
	}
	wait, cancel := context.WithTimeout(ctx, t.e.cfg.Patience)
	errs := t.far.Publish(wait, records)
	cancel()
	var again []int
	var why error
	for i, err := range errs {
		if err != nil && engine.Temporary(err) {
			again, why = append(again, i), err
		}
	}
	if len(again) == 0 || ctx.Err() != nil {
		return errs
	}
	if t.enter(len(again)) {
		t.tell(why)
	}
	return t.store(ctx, records, again, errs)
}

// direct reports whether nothing is in the spool.
func (t *topic) direct() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.backlog == 0
}

// enter counts records on their way into the spool and reports whether they are the
// first.
func (t *topic) enter(n int) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	first = t.backlog == 0
	t.backlog += n
	t.coming++
	t.came++
	return first
}

// left counts records that are in it no longer.
func (t *topic) left(n int) {
	t.mu.Lock()
	t.backlog -= n
	empty := n > 0 && t.backlog == 0
	t.mu.Unlock()
	if empty {
		t.tell(nil)
	}
}

func (t *topic) tell(err error) {
	if t.e.cfg.Changed != nil {
		t.e.cfg.Changed(t.name, err)
	}
}

func all(n int) []int {
	places := make([]int, n)
	for i := range places {
		places[i] = i
	}
	return places
}

func (t *topic) spool(ctx context.Context, records []engine.Record, places []int, errs []error) []error {
	t.enter(len(places))
	return t.store(ctx, records, places, errs)
}

// store gives the records at places, which have been counted, to the near engine.
func (t *topic) store(ctx context.Context, records []engine.Record, places []int, errs []error) []error {
	some := make([]engine.Record, len(places))
	for i, at := range places {
		some[i] = records[at]
	}
	failed := t.near.Publish(ctx, some)
	if errs == nil {
		errs = make([]error, len(records))
	}
	lost := 0
	for i, at := range places {
		errs[at] = nil
		if failed != nil && failed[i] != nil {
			errs[at] = fmt.Errorf("spool: %w", failed[i])
			lost++
		}
	}
	t.left(lost)
	t.mu.Lock()
	t.coming--
	t.mu.Unlock()
	if slices.ContainsFunc(errs, func(err error) bool { return err != nil }) {
		return errs
	}
	return nil
}

// relay brings what is in the spool to the far engine, in its order.
func (t *topic) relay() {
	defer close(t.done)
	pause := basePause
	for t.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(t.ctx, look)
		ds, err := t.sub.Fetch(ctx, relayBatch)
		waited := ctx.Err() != nil
		cancel()
		switch {
		case err == nil:
			err = t.pass(ds)
		case waited:
			err = t.recount()
		}
		if errors.Is(err, engine.ErrClosed) {
			return
		}
		if err == nil {
			pause = basePause
			continue
		}
		t.rest(pause)
		pause = min(2*pause, maxPause)
	}
}

// recount corrects the backlog when nothing comes though it should: the near engine
// stores an ID once that is published twice.
func (t *topic) recount() error {
	t.mu.Lock()
	came, wrong := t.came, t.backlog > 0 && t.coming == 0
	t.mu.Unlock()
	if !wrong {
		return nil
	}
	lag, err := t.sub.Lag(t.ctx)
	if err != nil || lag != (engine.Lag{}) {
		return err
	}
	t.mu.Lock()
	settled := t.came == came
	n := t.backlog
	t.mu.Unlock()
	if settled {
		t.left(n)
	}
	return nil
}

func (t *topic) rest(pause time.Duration) {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.ctx.Done():
	}
}

// pass publishes what has been fetched until the far engine has all of it. What it
// refuses for good, such as a record that is too large for it, cannot be told to its
// publisher any more: it stays in the spool, and with it what follows, until somebody
// has made room or the far engine takes it.
func (t *topic) pass(ds []*engine.Delivery) error {
	pause := basePause
	for len(ds) > 0 {
		records := make([]engine.Record, len(ds))
		for i, d := range ds {
			records[i] = d.Record
		}
		errs := t.far.Publish(t.ctx, records)
		n := len(ds) // stored without a gap
		if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
			n = i
		}
		if n > 0 {
			if err := t.settle(ds[:n]); err != nil {
				return err
			}
			ds, pause = ds[n:], basePause
		}
		if len(ds) == 0 {
			return nil
		}
		t.tell(errs[n])
		t.rest(pause)
		pause = min(2*pause, maxPause)
		if t.ctx.Err() != nil {
			return context.Cause(t.ctx)
		}
		if err := t.sub.Extend(t.ctx, ds); err != nil && !engine.Temporary(err) {
			return err
		}
	}
	return nil
}

func (t *topic) settle(ds []*engine.Delivery) error {
	settled := make([]engine.Settlement, len(ds))
	for i, d := range ds {
		settled[i].Delivery = d
	}
	late, err := t.sub.Settle(t.ctx, settled)
	if err == nil {
		t.left(len(ds) - late)
	}
	return err
}
