package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

// BatchConfig says when a batch begins. The zero value works.
type BatchConfig struct {
	// Size is how many events a batch has at most, and how many begin one at once.
	// It must not be above the capacity of the mailbox, where they wait for each
	// other. Zero is 100.
	Size int
	// Period is how long the oldest event waits for company at most, while nothing
	// else keeps it waiting. Zero is 1 s; supervisor.NoDelay takes what is there.
	Period time.Duration
}

// The defaults of BatchConfig.
const (
	DefaultBatchSize   = 100
	DefaultBatchPeriod = time.Second
)

func (b BatchConfig) withDefaults() BatchConfig {
	if b.Size == 0 {
		b.Size = DefaultBatchSize
	}
	if b.Period == 0 {
		b.Period = DefaultBatchPeriod
	}
	return b
}

func (b BatchConfig) validate(capacity int) error {
	var faults []error
	if b.Size < 1 || b.Size > capacity {
		faults = append(faults, fmt.Errorf("Batch.Size %d: must be between 1 and Capacity, which is %d: a batch waits in the mailbox until it is complete", b.Size, capacity))
	}
	if b.Period < 0 && b.Period != supervisor.NoDelay {
		faults = append(faults, fmt.Errorf("Batch.Period %v: must be positive, 0 for %v, or NoDelay", b.Period, DefaultBatchPeriod))
	}
	return errors.Join(faults...)
}

// bulk is what a cell has beyond others that handles batches.
//
// Events that wait for company stay in the mailbox, so that its capacity and policy
// hold for them, and the account has them as queued. What is left of a batch that has
// failed is a lot; see bulk_lot.go.
type bulk[T any] struct {
	BatchConfig
	company *company
	spares  sync.Pool // of *spare[T]

	calls atomic.Uint64 // of the inbox, when it last went to sleep

	// The running goroutine's.
	ahead    mailbox.Ahead[T]
	rested   bool        // has slept since the last batch
	timer    *time.Timer // when the oldest event has waited for long enough
	at       time.Time   // that it is set to
	head     *lot[T]     // nothing goes before it
	aside    []*lot[T]   // Parked: by due
	waits    int         // events in aside
	unburied []*Dead     // behind that of the cell

	// Guarded by the cell's mu.
	hand    *part[T] // in the handler's hand
	handLot *lot[T]  // that it is of
}

// company knows since when the oldest event of a mailbox has waited for others, or
// a little longer. Workers share it.
type company struct {
	mu    sync.Mutex
	last  time.Time // when the last batch was taken
	since time.Time // zero if nothing waits
}

// waits is told that something waits, and returns since when. rested says that the
// caller has been woken for it, as opposed to having been busy.
func (c *company) waits(now time.Time, rested bool) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.since.IsZero() {
		c.since = now
		if !rested && !c.last.IsZero() {
			c.since = c.last // what was there then has been taken
		}
	}
	return c.since
}

func (c *company) taken(now time.Time) {
	c.mu.Lock()
	c.last, c.since = now, time.Time{}
	c.mu.Unlock()
}

func (c *company) gone() {
	c.mu.Lock()
	c.since = time.Time{}
	c.mu.Unlock()
}

// batched completes the configuration of a cell that handles batches, if it does.
func (cfg CellConfig[T]) batched() (CellConfig[T], error) {
	if cfg.ReceiveBatch == nil && cfg.BatchFactory == nil {
		return cfg, nil
	}
	cfg.Batch = cfg.Batch.withDefaults()
	capacity := cfg.Capacity
	if cfg.Overflow == mailbox.Unbounded {
		capacity = maxCapacity
	}
	if err := cfg.Batch.validate(capacity); err != nil {
		return cfg, err
	}
	cfg.company = new(company)
	cfg.Receive, cfg.Factory = alone(cfg.ReceiveBatch), nil
	if factory := cfg.BatchFactory; factory != nil {
		cfg.Factory = func() Behavior[T] {
			b := factory()
			return Behavior[T]{Receive: alone(b.Receive), Start: b.Start, Stop: b.Stop, all: b.Receive}
		}
	}
	return cfg, nil
}

// alone returns a handler of single events: redeliveries come alone.
func alone[T any](all func(context.Context, []T) error) func(context.Context, T) error {
	if all == nil {
		return nil
	}
	return func(ctx context.Context, ev T) error {
		err := all(ctx, []T{ev})
		if err == nil {
			return nil
		}
		named, ok, err := namedBy(err, 1)
		if ok {
			return named[0]
		}
		return err
	}
}

func newBulk[T any](cfg CellConfig[T]) *bulk[T] {
	if cfg.company == nil {
		return nil
	}
	return &bulk[T]{BatchConfig: cfg.Batch, company: cfg.company}
}

// Hurry makes batches begin with what is there, from now on.
func (c *core) Hurry() {
	c.hurry.Store(true)
	c.nudge()
}

// Hurry is that of each worker.
func (p *Pool[T]) Hurry() {
	for _, c := range p.all() {
		c.Hurry()
	}
}

// bulkRunnable is the part of runnable about what waits for its next attempt.
func (c *Cell[T]) bulkRunnable() bool {
	b := c.bulk
	for len(b.unburied) > 0 {
		d := b.unburied[0]
		b.unburied = slices.Delete(b.unburied, 0, 1)
		if c.bury(d); c.unburied != nil {
			return false
		}
	}
	var due time.Time
	switch {
	case c.head != nil:
		due = c.head.due
	case b.head != nil:
		due = b.head.due
	default:
		if len(c.aside) > 0 {
			due = c.aside[0].due
		}
		if len(b.aside) > 0 && (len(c.aside) == 0 || b.aside[0].due.Before(due)) {
			due = b.aside[0].due
		}
	}
	wait := time.Until(due)
	if wait > 0 {
		c.wakeIn(wait)
	}
	return wait <= 0 || c.head == nil && b.head == nil
}

// bulkReady is ready.
func (c *Cell[T]) bulkReady() bool {
	b := c.bulk
	if c.head != nil || b.head != nil {
		return true // due, says runnable
	}
	now := time.Now()
	if len(c.aside) > 0 && !c.aside[0].due.After(now) || len(b.aside) > 0 && !b.aside[0].due.After(now) {
		return true
	}
	c.mu.Lock()
	waits := c.laneNext() >= 0
	c.mu.Unlock()
	return waits || c.batchDue() > 0 || c.drained()
}

// batchDue returns how many events a batch must have that begins now, 0 if none is
// due; then it sees to being asked again.
func (c *Cell[T]) batchDue() (least int) {
	b := c.bulk
	n := b.ahead.Count(&c.loop.r, b.Size)
	switch {
	case n == 0:
		b.company.gone()
		return 0
	case n == b.Size:
		return n
	case b.Period < 0 || c.hurry.Load() || c.isDraining():
		return 1
	}
	now := time.Now()
	at := b.company.waits(now, b.rested).Add(b.Period)
	wait := at.Sub(now)
	if wait <= 0 {
		return 1
	}
	if b.timer == nil {
		b.timer = time.AfterFunc(wait, c.nudge)
	} else if !b.at.Equal(at) {
		b.timer.Reset(wait)
	}
	b.at = at
	return 0
}

func (c *core) isDraining() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending && Rest(c.rest.Load()) == Drain
}

// empty reports whether no batch waits for its next attempt.
func (b *bulk[T]) empty() bool { return b == nil || b.head == nil && len(b.aside) == 0 }

// end follows the last batch. It gives what is left to dead and rest.
func (b *bulk[T]) end(dead func(*Dead), rest func(*held[T])) {
	if b == nil {
		return
	}
	if b.timer != nil {
		b.timer.Stop()
	}
	b.ahead.Forget()
	for _, d := range b.unburied {
		dead(d)
	}
	lots := b.aside
	if b.head != nil {
		lots = slices.Insert(lots, 0, b.head)
	}
	b.head, b.aside, b.unburied, b.waits = nil, nil, nil, 0
	for _, lt := range lots {
		for _, p := range slices.Backward(lt.parts) {
			for i := range p.events {
				rest(&p.events[i])
			}
		}
	}
}
