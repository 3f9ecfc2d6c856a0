package actors

import (
	"cmp"
	"context"
	"errors"
	"runtime/pprof"
	"sync/atomic"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/troupe-go/troupe/mailbox"
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
	source    source[T]
	inbox     *mailbox.Inbox[T] // of source, if it has one
	factory   func() Behavior[T]
	static    *Behavior[T]        // instead of factory: an instance without state
	settled   func(ev T, _ error) // told every outcome, if set
	payload   func(T) any
	key       uint64      // for the IDs of events
	bulk      *bulk[T]    // of one that handles batches, else nil
	attentive bool        // somebody wants to know of each success
	hasRoom   atomic.Bool // the sink has called back

	// Guarded by mu.
	loop  *loop[T]
	saved mailbox.Reader[T] // the loop's reader at its last checkpoint
	cur   *held[T]          // in hand, if it was held before
	lane  []*held[T]        // redeliveries, and what the actor's own machinery brings, that wait
	stash []*held[T]        // set aside by the handler

	// The running goroutine's.
	stop     func(context.Context) error // of the instance
	head     *held[T]                    // Ordered: nothing goes before it
	aside    waitRoom[T]                 // Parked and redeliveries
	unburied *Dead                       // has no room in the sink
	keyFault atomic.Pointer[error]       // of the user's key, not told yet
}

// source is where a cell's events come from: a cursor, or the inbox that it feeds.
type source[T any] interface {
	Capacity() int
	Inspect(func(mailbox.Drops))
	Len() int
	LenFrom(*mailbox.Reader[T]) int
	Sleep()
	Sleeps() bool
	Close()
}

// CellConfig is what a cell needs beside its Config.
type CellConfig[T any] struct {
	Config
	// Factory makes an instance, for the first start and every restart.
	Factory func() Behavior[T]
	// Receive is the whole behavior of a cell without state, instead of Factory.
	Receive func(context.Context, T) error
	// ReceiveBatch and BatchFactory are Receive and Factory of a cell that handles
	// batches, which begin as Batch says.
	ReceiveBatch func(context.Context, []T) error
	BatchFactory func() Behavior[[]T]
	Batch        BatchConfig
	// Key is that of mailbox.Latest and of Keyed. If it panics, the event's key is "".
	Key func(T) string
	// Keyed keeps the order of each key, and nothing more, through retries and
	// restarts and between workers: no event of a key is handled before the one
	// before it has its outcome.
	Keyed bool
	// Workers is how many actors share the mailbox; see [SpawnPool].
	Workers int
	// Filter says which events are wanted. If it panics, the event is.
	Filter func(T, *mailbox.Meta) bool
	// Priority is an event's lane, from 0 to Lanes-1; higher ones go first. If it
	// panics, it is 0.
	Priority func(T) int
	Lanes    int
	// Settled, if set, is told the outcome of every event: nil, or why it was
	// not handled. It must not block: what an overflow policy ends is told with
	// the mailbox locked.
	Settled func(ev T, outcome error)
	// Payload, if set, returns what a dead letter shows of an event.
	Payload func(T) any

	own bool // the log is the actor's own, which no other actor reads

	made    func(*Cell[T]) // called before the actor starts
	company *company       // of batches
}

// SpawnCell starts an actor that reads log. It returns once the actor receives
// every event that is published from then on; its start hook may still run.
//
// Errors: what is wrong with the configuration, all at once; ErrNameTaken;
// mailbox.ErrClosed.
func SpawnCell[T any](sys *System, log *mailbox.Log[T], cfg CellConfig[T]) (*Cell[T], error) {
	cfg, err := cfg.complete(sys)
	if err != nil {
		return nil, err
	}
	c := newCell(sys, cfg)
	if cfg.made != nil {
		cfg.made(c)
	}
	err = cfg.Group.spawn(&c.core, cellActor[T]{c}, func() error {
		mail := c.mail(cfg)
		mail.Wake, mail.Owner = c.box.wake, &c.core
		cursor, reader, err := log.Subscribe(mail)
		if err != nil {
			return err
		}
		c.source, c.detach = cursor, cursor.Detach
		if in := cursor.Inbox(); in != nil {
			c.source, c.inbox = in, in
		}
		c.begin(reader)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return c, nil
}

// complete returns the configuration with its defaults, or what is wrong with it.
func (cfg CellConfig[T]) complete(sys *System) (CellConfig[T], error) {
	cfg.Config = cfg.Config.withDefaults()
	cfg.instrument(sys.instrument)
	cfg, err := cfg.batched()
	if err := errors.Join(cfg.validate(), err); err != nil {
		return cfg, err
	}
	if cfg.Factory == nil && cfg.Receive == nil {
		return cfg, errors.New("Handler: must not be nil")
	}
	if cfg.Group == nil {
		cfg.Group = sys.root
	}
	if cfg.Group.sys != sys {
		return cfg, errors.New("Group: must be of the same runtime")
	}
	return cfg, nil
}

func newCell[T any](sys *System, cfg CellConfig[T]) *Cell[T] {
	c := &Cell[T]{factory: cfg.Factory, settled: cfg.Settled, payload: cfg.Payload, bulk: newBulk(cfg)}
	if cfg.Receive != nil {
		c.static = &Behavior[T]{Receive: cfg.Receive, all: cfg.ReceiveBatch}
	}
	c.sys, c.cfg, c.traits = sys, cfg.Config, traits(cfg)
	if sys.profileLabels {
		c.labels = pprof.WithLabels(context.Background(), pprof.Labels(labelTopic, cfg.Topic, labelSubscriber, cfg.Name))
	}
	c.condition = StateStarting
	var serial uint64 // 0 for a topic, which there is once in a runtime
	if cfg.own {
		serial = sys.serial.Add(1)
	}
	c.key = sys.newKey(cfg.Topic, serial)
	c.attentive = c.settled != nil || sys.obs.Handled != nil
	c.ledger.changed = sys.poke
	c.finished = make(chan struct{})
	c.sig.Store(new(atomic.Uint32))
	c.box = newBox(c)
	return c
}

// mail returns what the cell's mailbox is made of, but for what wakes it.
func (c *Cell[T]) mail(cfg CellConfig[T]) mailbox.CursorConfig[T] {
	return mailbox.CursorConfig[T]{
		Name: c.name(), Capacity: c.cfg.Capacity, Overflow: c.cfg.Overflow,
		Key: guarded(c, "key", cfg.Key), Keyed: cfg.Keyed,
		Filter: c.guardedFilter(cfg.Filter), Priority: guarded(c, "priority", cfg.Priority), Lanes: cfg.Lanes,
		Overflowed: c.overflowed, Discarded: c.discarded, Filtered: c.filtered, Dropped: c.dropped,
	}
}

// begin gives the cell its way into the mailbox.
func (c *Cell[T]) begin(reader *mailbox.Reader[T]) {
	c.saved = *reader
	c.loop = &loop[T]{c: c, r: c.saved, sig: c.sig.Load(), stride: 1}
}

// cellActor is the protoactor-go actor of a cell.
type cellActor[T any] struct{ c *Cell[T] }

func (a cellActor[T]) Receive(ctx actor.Context) {
	switch ctx.Message().(type) {
	case *actor.Started:
		a.c.start()
	case *actor.Restarting:
		a.c.stopInstance()
	case *actor.Stopping:
		a.c.ends()
		a.c.stopInstance()
	case *actor.Stopped:
		a.c.stopped()
	}
}

// runnable reports whether the next batch may run. The running goroutine asks.
func (c *Cell[T]) runnable() bool {
	if c.leaving.Load() && !c.over() {
		c.loop.r.Quit()
	}
	if c.self != nil && c.self.doze != nil && c.dozes() {
		return true // asleep without an instance, until there is a message
	}
	if l := c.loop; l.receive == nil || c.paused.Load() || l.ctx.Context.Err() != nil {
		l.finishDraining() // with nothing left there is nothing to wait for
		return false
	}
	if c.unburied != nil {
		if !c.hasRoom.Swap(false) || !c.sys.sink.Bury(c.unburied, c.roomMade) {
			return false
		}
		c.setUnburied(nil)
	}
	if c.bulk != nil {
		return c.bulkRunnable()
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

func (c *Cell[T]) batch() {
	if c.labels != nil {
		pprof.SetGoroutineLabels(c.labels)
	}
	if c.bulk != nil {
		c.loop.batches()
		return
	}
	c.loop.batch()
}

// The labels of profiles.
const (
	labelTopic      = "troupe_topic"
	labelSubscriber = "troupe_subscriber"
)

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
	if c.bulk != nil {
		return c.bulkReady()
	}
	if c.head != nil || c.loop.r.Ready() {
		return true
	}
	if len(c.aside) > 0 && !c.aside[0].due.After(time.Now()) {
		return true
	}
	c.mu.Lock()
	waits := c.laneNext() >= 0
	c.mu.Unlock()
	return waits || c.drained()
}

// over reports whether the reader is that of whoever settles what is left.
func (c *Cell[T]) over() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.condition == StateStopped
}

// drained reports whether a draining cell has nothing left.
func (c *Cell[T]) drained() bool {
	c.mu.Lock()
	draining := c.ending && Rest(c.rest.Load()) == Drain && len(c.lane) == 0 && c.condition != StateStopped
	c.mu.Unlock()
	return draining && (c.alone == nil || c.alone()) && len(c.aside) == 0 && c.head == nil && c.unburied == nil && c.bulk.empty() && c.loop.r.Drained()
}

func (c *Cell[T]) sleep() {
	if c.leaving.Load() {
		return // from the mailbox nothing is to come
	}
	if c.bulk != nil {
		c.bulk.rested = true
		if c.inbox != nil {
			c.bulk.calls.Store(c.inbox.Calls())
		}
	}
	c.source.Sleep()
}

func (c *Cell[T]) sleeps() bool {
	if c.leaving.Load() {
		return true
	}
	if c.bulk != nil && c.inbox != nil { // it may sleep while events wait
		return c.inbox.QuietSince(c.bulk.calls.Load())
	}
	return c.source.Sleeps()
}

// pass leaves an event that this cell was woken for and may not handle to another
// one of its pool.
func (c *Cell[T]) pass() {
	if c.pool != nil && !c.leaving.Load() && c.loop.r.Ready() {
		c.inbox.Rouse()
	}
}

func (c *Cell[T]) roomMade() {
	c.hasRoom.Store(true)
	c.nudge()
}

// RedeliveryRoom returns how many redeliveries Redeliver takes at this moment.
func (c *Cell[T]) RedeliveryRoom() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return max(0, c.cfg.Capacity-len(c.lane))
}

// Redeliver gives a dead letter's event back. It fails when the actor has
// stopped, and with a mailbox.FullError when as many redeliveries wait as the
// mailbox may hold.
//
// Redeliveries are handled in the order in which they were given. One that waits
// for its next attempt holds up, under [Ordered], those behind it, and never events
// of the log; in a pool without keys it holds up nothing.
func (c *Cell[T]) Redeliver(ev T, seq uint64, publishedAt time.Time, headers map[string]string, r *Redelivery) error {
	h := &held[T]{ev: ev, seq: seq, publishedAt: publishedAt, headers: headers, redelivery: r}
	if r != nil {
		h.id = cmp.Or(r.EventID, r.LetterID)
	}
	c.mu.Lock()
	if c.ending {
		c.mu.Unlock()
		return ErrStopped
	}
	if len(c.lane) >= c.cfg.Capacity {
		c.mu.Unlock()
		return &mailbox.FullError{Mailbox: c.name(), Capacity: c.cfg.Capacity}
	}
	c.lane = append(c.lane, h)
	c.ledger.lane++
	c.redelivered++
	c.mu.Unlock()
	c.nudge()
	return nil
}

// Counts returns the actor's account. It is consistent in itself at any moment.
func (c *Cell[T]) Counts() Counts {
	var n Counts
	c.source.Inspect(func(d mailbox.Drops) {
		c.mu.Lock()
		defer c.mu.Unlock()
		n = c.counts()
		if c.saved.Held() {
			n.received(d, c.saved.Taken())
		} else {
			n.Queued = uint64(c.source.LenFrom(&c.saved))
			n.Deliveries = c.saved.Taken() + n.Queued
		}
		n.Queued += c.ledger.lane
		n.Deliveries += c.redelivered + c.own
	})
	return n
}

// received adds what an inbox has done to the counts of those who have taken so
// many events out of it.
func (c *Counts) received(d mailbox.Drops, taken uint64) {
	c.Queued = d.Accepted + d.Injected + d.UnderWay - d.Lost() - d.Overflowed - d.Filtered - taken
	c.Deliveries = d.Accepted + d.Injected + d.UnderWay
	c.Redelivered += d.Injected
	c.Filtered = d.Filtered
	for reason, k := range lostBy(d) {
		c.Dropped[reason] += k
	}
}

// Capacity returns how many events may wait; 0 means without bound.
func (c *Cell[T]) Capacity() int { return c.source.Capacity() }
