package actors

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

// ErrStopped is returned for an actor that has been stopped.
var ErrStopped = errors.New("actors: stopped")

// Cell is one supervised actor: a mailbox, the instance that handles what is in
// it, and the account of every event. Methods are safe for concurrent use.
//
// Cell is generic, and its loop with it, because an event passed through an
// interface would cost an allocation each, about as much as everything else
// that happens to it.
type Cell[T any] struct {
	core
	cursor    *mailbox.Cursor[T]
	factory   func() Behavior[T]
	static    *Behavior[T]        // instead of factory: an instance without state
	settled   func(ev T, _ error) // told every outcome, if set
	attentive bool                // somebody wants to know of each success
	hasRoom   atomic.Bool         // the sink has called back

	// Guarded by mu.
	loop  *loop[T]
	saved mailbox.Reader[T] // the loop's reader at its last checkpoint
	cur   *held[T]          // in hand, if it was held before
	lane  []*held[T]        // redeliveries that wait

	// The running goroutine's.
	stop     func(context.Context) error // of the instance
	head     *held[T]                    // Ordered: nothing goes before it
	aside    waitRoom[T]                 // Parked and redeliveries
	unburied *Dead                       // has no room in the sink
	keyFault atomic.Pointer[error]       // of the user's key, not told yet
}

// CellConfig is what a cell needs beside its Config.
type CellConfig[T any] struct {
	Config
	// Factory makes an instance, for the first start and every restart.
	Factory func() Behavior[T]
	// Receive is the whole behavior of a cell without state, instead of Factory.
	Receive func(context.Context, T) error
	// Key is that of mailbox.Latest. If it panics, the event's key is "".
	Key func(T) string
	// Settled, if set, is told the outcome of every event: nil, or why it was
	// not handled. It must not block: what an overflow policy ends is told with
	// the mailbox locked.
	Settled func(ev T, outcome error)
}

// SpawnCell starts an actor that reads log. It returns once the actor receives
// every event that is published from then on; its start hook may still run.
//
// Errors: what is wrong with the configuration, all at once; ErrNameTaken;
// mailbox.ErrClosed.
func SpawnCell[T any](sys *System, log *mailbox.Log[T], cfg CellConfig[T]) (*Cell[T], error) {
	cfg.Config = cfg.Config.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if cfg.Factory == nil && cfg.Receive == nil {
		return nil, errors.New("Handler: must not be nil")
	}
	if cfg.Group == nil {
		cfg.Group = sys.root
	}
	if cfg.Group.sys != sys {
		return nil, errors.New("Group: must be of the same runtime")
	}
	c := &Cell[T]{factory: cfg.Factory, settled: cfg.Settled}
	if cfg.Receive != nil {
		c.static = &Behavior[T]{Receive: cfg.Receive}
	}
	c.sys, c.cfg = sys, cfg.Config
	c.condition = StateStarting
	c.attentive = c.settled != nil || sys.obs.Handled != nil
	c.ledger.changed = sys.poke
	c.finished = make(chan struct{})
	c.sig.Store(new(atomic.Uint32))
	c.box = newBox(c)
	err := cfg.Group.spawn(&c.core, cellActor[T]{c}, func() error {
		cursor, reader, err := log.Subscribe(mailbox.CursorConfig[T]{
			Name: c.name(), Capacity: c.cfg.Capacity, Overflow: c.cfg.Overflow, Key: c.guarded(cfg.Key),
			Wake: c.box.wake, Owner: &c.core, Overflowed: c.overflowed, Discarded: c.discarded(), Dropped: c.dropped,
		})
		if err != nil {
			return err
		}
		c.cursor, c.saved, c.detach = cursor, *reader, cursor.Detach
		c.loop = &loop[T]{c: c, r: c.saved, sig: c.sig.Load(), stride: 1}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// guarded returns a key that does not panic, for the mailbox calls it with its
// lock held. Observers are told by the actor.
func (c *Cell[T]) guarded(key func(T) string) func(T) string {
	if key == nil {
		return nil
	}
	return func(ev T) (k string) {
		defer func() {
			if r := recover(); r != nil {
				err := fmt.Errorf("actors: key: %w", &supervisor.PanicError{Value: r, Stack: trimmed(callers())})
				c.keyFault.Store(&err)
			}
		}()
		return key(ev)
	}
}

// cellActor is the protoactor-go actor of a cell.
type cellActor[T any] struct{ c *Cell[T] }

func (a cellActor[T]) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *batch:
		a.c.loop.batch()
	case *actor.Started:
		a.c.start()
	case *actor.Restarting:
		a.c.stopInstance()
	case *actor.Stopping:
		a.c.stopInstance()
	case *actor.Stopped:
		a.c.stopped()
	}
}

// start makes an instance.
func (c *Cell[T]) start() {
	ctx, cancel := context.WithCancelCause(c.sys.ctx)
	c.mu.Lock()
	c.cancel = cancel
	c.condition = StateStarting
	c.pending = nil // what the instance before has reported, this one answers
	c.mu.Unlock()

	var b Behavior[T]
	var err error
	if c.static != nil {
		b = *c.static
	} else {
		err = c.hook(func() error {
			b = c.factory()
			if b.Receive == nil {
				return supervisor.Permanent(errNoReceive)
			}
			if b.Start != nil {
				return b.Start(&deliveryCtx{Context: ctx, core: &c.core})
			}
			return nil
		})
	}
	if err != nil {
		restarting := context.Cause(ctx) == errRestarting
		cancel(err)
		f := supervisor.Failure{Cause: supervisor.CauseStart, Err: err}
		if !restarting { // else it was told to stop, and the next start is on its way
			d := c.decide(f, c.cfg.Policy)
			c.report(&fault{Failure: f, directive: d.Directive, delay: d.Delay, who: &c.core})
			c.tellFault(d.Fault)
		}
		c.tellFault(err)
		return
	}
	c.instances++
	c.stop = b.Stop
	l := c.loop
	l.receive = b.Receive
	l.ctx = &deliveryCtx{Context: ctx, core: &c.core, facts: l.facts}
	c.node.started(time.Now())
	c.mu.Lock()
	c.condition = ""
	if c.instances > 1 {
		c.restarts++
	}
	c.mu.Unlock()
	if c.sys.obs.Started != nil {
		Tell(c.sys.obs.Started, c.event())
	}
}

// zombieEnded follows an abandoned call that has returned after all, having
// finished n events since it was abandoned.
func (c *core) zombieEnded(n uint64) {
	c.mu.Lock()
	c.zombies--
	c.late += n
	if c.freed != nil {
		close(c.freed)
		c.freed = nil
	}
	hung := c.condition == StateHung
	c.mu.Unlock()
	if hung {
		c.box.w.unhang() // there were too many zombies before
	}
	Tell(c.sys.obs.Late, c.event())
}

// tellFault reports code of the user's that failed beside the handler.
func (c *core) tellFault(err error) {
	if err != nil && c.sys.obs.Fault != nil {
		e := c.event()
		e.Err = err
		Tell(c.sys.obs.Fault, e)
	}
}

// stopInstance lets the instance go: Restarting, or Stopping.
func (c *Cell[T]) stopInstance() {
	stop := c.stop
	c.stop = nil
	if l := c.loop; l.receive != nil {
		l.receive = nil
		if stop != nil {
			ctx := &deliveryCtx{Context: context.WithoutCancel(l.ctx.Context), core: &c.core}
			c.tellFault(c.hook(func() error { return stop(ctx) }))
		}
	}
	if c.cancel != nil {
		c.cancel(errRestarting)
	}
}

// report hands a failure to the tree.
func (c *core) report(f *fault) {
	c.mu.Lock()
	c.pending = f
	if f.directive == supervisor.DirectiveRestart {
		c.condition = StateRestarting
	}
	c.mu.Unlock()
}

// runnable reports whether the next batch may run. The running goroutine asks.
func (c *Cell[T]) runnable() bool {
	if l := c.loop; l.receive == nil || c.paused.Load() || l.ctx.Context.Err() != nil {
		return false
	}
	if c.unburied != nil {
		if !c.hasRoom.Swap(false) || !c.sys.sink.Bury(c.unburied, c.roomMade) {
			return false
		}
		c.setUnburied(nil)
	}
	if c.head != nil {
		if wait := time.Until(c.head.due); wait > 0 {
			c.wakeIn(wait)
			return false
		}
	} else if len(c.aside) > 0 {
		if wait := time.Until(c.aside[0].due); wait > 0 {
			c.wakeIn(wait)
		}
	}
	return true
}

// wakeIn has the cell look for events that are due, after d.
func (c *core) wakeIn(d time.Duration) {
	if c.timer == nil {
		c.timer = time.AfterFunc(d, c.nudge)
		return
	}
	c.timer.Reset(d)
}

// ready reports whether there is something to do for a batch.
func (c *Cell[T]) ready() bool {
	if c.head != nil || c.loop.r.Ready() {
		return true
	}
	if len(c.aside) > 0 && !c.aside[0].due.After(time.Now()) {
		return true
	}
	c.mu.Lock()
	waits := len(c.lane) > 0
	c.mu.Unlock()
	return waits || c.drained()
}

// drained reports whether a draining cell has nothing left.
func (c *Cell[T]) drained() bool {
	c.mu.Lock()
	draining := c.ending && Rest(c.rest.Load()) == Drain && len(c.lane) == 0
	c.mu.Unlock()
	return draining && len(c.aside) == 0 && c.head == nil && c.unburied == nil && c.loop.r.Drained()
}

func (c *Cell[T]) sleep()       { c.cursor.Sleep() }
func (c *Cell[T]) sleeps() bool { return c.cursor.Sleeps() }

func (c *Cell[T]) roomMade() {
	c.hasRoom.Store(true)
	c.nudge()
}

// Redeliver gives a dead letter's event back. It fails when the actor has
// stopped, and with a mailbox.FullError when as many redeliveries wait as the
// mailbox may hold.
func (c *Cell[T]) Redeliver(ev T, seq uint64, publishedAt time.Time, headers map[string]string, r *Redelivery) error {
	c.mu.Lock()
	if c.ending {
		c.mu.Unlock()
		return ErrStopped
	}
	if len(c.lane) >= c.cfg.Capacity {
		c.mu.Unlock()
		return &mailbox.FullError{Mailbox: c.name(), Capacity: c.cfg.Capacity}
	}
	c.lane = append(c.lane, &held[T]{ev: ev, seq: seq, publishedAt: publishedAt, headers: headers, redelivery: r})
	c.ledger.lane++
	c.redelivered++
	c.mu.Unlock()
	c.nudge()
	return nil
}

// Counts returns the actor's account. It is consistent in itself at any moment.
func (c *Cell[T]) Counts() Counts {
	var n Counts
	c.cursor.Inspect(func(d mailbox.Drops) {
		c.mu.Lock()
		defer c.mu.Unlock()
		n = c.counts()
		if c.boxed() {
			n.Queued = d.Accepted - d.Lost() - d.Overflowed - c.saved.Taken()
			n.Deliveries = d.Accepted
			for reason, k := range lostBy(d) {
				n.Dropped[reason] += k
			}
		} else {
			n.Queued = uint64(c.cursor.LenFrom(&c.saved))
			n.Deliveries = c.saved.Taken() + n.Queued
		}
		n.Queued += c.ledger.lane
		n.Deliveries += c.redelivered
	})
	return n
}

// boxed reports whether the mailbox keeps its events itself, because its
// policy drops some.
func (c *Cell[T]) boxed() bool {
	switch c.cfg.Overflow {
	case mailbox.DropOldest, mailbox.DropNewest, mailbox.Latest, mailbox.DeadLetter:
		return true
	}
	return false
}

func lostBy(d mailbox.Drops) map[string]uint64 {
	lost := map[string]uint64{}
	for reason, k := range map[string]uint64{
		ReasonOverflowOldest: d.Oldest, ReasonOverflowNewest: d.Newest, ReasonSuperseded: d.Superseded,
	} {
		if k > 0 {
			lost[reason] = k
		}
	}
	return lost
}

// overflowed receives what a DeadLetter mailbox has no room for, with the
// mailbox locked.
func (c *Cell[T]) overflowed(it mailbox.Item[T]) {
	h := &held[T]{ev: it.Event, seq: it.Seq, publishedAt: it.PublishedAt}
	if it.Meta != nil {
		h.headers = it.Meta.Headers
	}
	d := c.dead(h, supervisor.ReasonOverflow)
	c.mu.Lock()
	c.parked++
	c.mu.Unlock()
	c.settleOnly(h, &mailbox.FullError{Mailbox: c.name(), Capacity: c.cfg.Capacity})
	if c.sys.sink != (noSink{}) && c.sys.sink.Bury(d, nil) {
		return
	}
	c.mu.Lock()
	c.parked--
	c.drop(ReasonDeadLettersUnavailable, 1)
	c.untold++
	c.mu.Unlock()
}

// discarded returns what sees each event that an overflow policy drops, with the
// mailbox locked; nil if nobody waits for outcomes.
func (c *Cell[T]) discarded() func(mailbox.Item[T]) {
	if c.settled == nil {
		return nil
	}
	return func(it mailbox.Item[T]) { c.settled(it.Event, ErrDropped) }
}

// dropped tells what an overflow policy has done, with nothing locked.
func (c *Cell[T]) dropped(d mailbox.Drops) {
	c.mu.Lock()
	untold := c.untold
	c.untold = 0
	c.mu.Unlock()
	if c.sys.obs.Dropped == nil {
		return
	}
	lost := lostBy(d)
	if untold > 0 {
		lost[ReasonDeadLettersUnavailable] = untold
	}
	for reason, k := range lost {
		e := c.event()
		e.Reason, e.Count = reason, k
		Tell(c.sys.obs.Dropped, e)
	}
}

// Capacity returns how many events may wait; 0 means without bound.
func (c *Cell[T]) Capacity() int { return c.cursor.Capacity() }

// Overflow returns the mailbox's policy.
func (c *Cell[T]) Overflow() mailbox.Overflow { return c.cfg.Overflow }
