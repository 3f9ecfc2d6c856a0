package actors

import (
	"context"
	"errors"
	goruntime "runtime"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

const (
	// quantum is how many events a batch may take before others get the
	// processor. It bounds how long a busy actor keeps a processor to itself
	// to about 11 µs of our own work, 9 to 16 ns an event.
	quantum = 1024
	// maxStride is how many events a fast handler gets between checkpoints. A
	// checkpoint costs 45 to 80 ns, at 64 events about 1 ns each. 16 and 256
	// could not be told from 64 by BenchmarkCell, whose runs differ by more.
	maxStride = 64
	// fast is the time per event below which checkpoints are spread out.
	fast = time.Microsecond
)

// loop is one goroutine's way through a cell's events. Everything in it belongs
// to the goroutine that runs the cell, but for sig.
type loop[T any] struct {
	c       *Cell[T]
	r       mailbox.Reader[T]
	sig     *atomic.Uint32
	receive func(context.Context, T) error
	ctx     *deliveryCtx

	turn   uint64        // of the last flush
	done   uint64        // handled since the last checkpoint
	left   int           // events until the next one
	stride int           // events between two
	last   time.Duration // when the last one was
	cur    *held[T]      // in hand, if it was held before
	exited bool          // this goroutine was given up and has said so
}

// batch handles events until there are none, a signal asks for attention or
// the quantum is used up.
func (l *loop[T]) batch() {
	returned := false
	defer func() {
		if !returned {
			l.crashed(recover())
		}
	}()
	c := l.c
	// Whether the call could be given up by now makes a difference to what
	// follows it, beyond the account: claim before.
	careful := c.attentive || c.cfg.Timeout > 0 || c.boxed()
	special := l.special()
	l.left = 1
	for n := quantum; n > 0; n-- {
		if l.sig.Load() != 0 || l.receive == nil {
			break
		}
		if special {
			h := l.nextHeld()
			if h != nil {
				if !l.attempt(h) {
					break
				}
				special = l.special()
				continue
			}
			if special = c.head != nil; special {
				break // not due: nothing may overtake it
			}
		}
		ev, ok := l.r.Next()
		if !ok {
			break
		}
		if l.left--; l.left <= 0 {
			l.checkpoint(true)
		}
		var err error
		if c.cfg.Timeout == 0 {
			err = l.receive(l.ctx, ev)
		} else {
			err = l.timed(ev)
		}
		if err != nil {
			if !l.failed(err) {
				break
			}
			special = l.special()
			l.left = 1
			continue
		}
		l.done++
		if careful || special {
			l.claim()
			l.left = 1
			if c.attentive {
				c.handled(ev, l.r.Seq(), 1)
			}
		}
	}
	l.checkpoint(false)
	l.finishDraining()
	if err := c.keyFault.Swap(nil); err != nil {
		c.tellFault(*err)
	}
	returned = true
}

// special reports whether events may wait elsewhere than in the log.
func (l *loop[T]) special() bool {
	c := l.c
	if c.head != nil || len(c.aside) > 0 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.lane) > 0
}

// nextHeld returns the next event that has left the log before and may be
// handled now.
func (l *loop[T]) nextHeld() *held[T] {
	c := l.c
	if h := c.head; h != nil {
		if h.due.After(time.Now()) {
			return nil
		}
		return h
	}
	if len(c.aside) > 0 {
		if h := c.aside.next(time.Now()); h != nil {
			return h
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.lane) == 0 {
		return nil
	}
	h := c.lane[0]
	c.lane[0] = nil
	c.lane = c.lane[1:]
	// From queued to waiting in one step, so that the account adds up at any
	// moment; attempt takes it from there.
	c.ledger.lane--
	c.retryWait++
	return h
}

// attempt handles an event that was held. It reports whether the batch goes on.
func (l *loop[T]) attempt(h *held[T]) bool {
	c := l.c
	c.head = nil
	l.last, l.left = time.Since(epoch), 1
	l.flush(func() {
		c.retryWait--
		c.busy = true
		c.cur = h
		if h.attempt > 0 {
			c.retries++
		}
	})
	l.cur = h
	var err error
	if c.cfg.Timeout == 0 {
		err = l.receive(l.ctx, h.ev)
	} else {
		err = l.timed(h.ev)
	}
	if err != nil {
		return l.failed(err)
	}
	l.done++
	l.close(func() {})
	l.succeeded(h, h.attempt+1)
	return true
}

// succeeded tells who wants to know that h is done.
func (l *loop[T]) succeeded(h *held[T], attempt int) {
	if l.c.attentive {
		l.c.handled(h.ev, h.seq, attempt)
	}
	if h.redelivery != nil {
		h.redelivery.end("", nil)
	}
}

// handled tells who wants to know that the handler has succeeded.
func (c *Cell[T]) handled(ev T, seq uint64, attempt int) {
	if c.settled != nil {
		c.settled(ev, nil)
	}
	if c.sys.obs.Handled != nil {
		e := c.event()
		e.Sequence, e.Attempt = seq, attempt
		Tell(c.sys.obs.Handled, e)
	}
}

// timed calls the handler with a deadline.
func (l *loop[T]) timed(ev T) error {
	c := l.c
	ctx, cancel := context.WithTimeoutCause(l.ctx.Context, c.cfg.Timeout, supervisor.ErrTimeout)
	defer cancel()
	d := l.facts()
	turn := l.turn
	guard := time.AfterFunc(c.cfg.Timeout+c.cfg.Grace, func() { c.giveUp(l, turn, false) })
	defer guard.Stop()
	err := l.receive(&deliveryCtx{Context: ctx, core: &c.core, facts: func() Delivery { return d }}, ev)
	if err != nil && context.Cause(ctx) == supervisor.ErrTimeout {
		return lateError{err}
	}
	return err
}

// lateError is what a handler returned after its deadline.
type lateError struct{ error }

func (e lateError) Unwrap() []error { return []error{supervisor.ErrTimeout, e.error} }

// facts describes the event in hand.
func (l *loop[T]) facts() Delivery {
	c := l.c
	d := Delivery{Topic: c.cfg.Topic, Subscriber: c.cfg.Name, Attempt: 1}
	if h := l.cur; h != nil {
		d.Sequence, d.PublishedAt, d.Headers, d.Attempt = h.seq, h.publishedAt, h.headers, h.attempt+1
		if h.redelivery != nil {
			d.LetterID = h.redelivery.LetterID
		}
		return d
	}
	d.Sequence = l.r.Seq()
	var meta *mailbox.Meta
	if d.PublishedAt, meta = l.r.Facts(); meta != nil {
		d.Headers = meta.Headers
	}
	return d
}

// checkpoint writes down how far the loop has come. With inHand, Next has just
// returned an event that is about to be handled.
func (l *loop[T]) checkpoint(inHand bool) {
	now := time.Since(epoch)
	if n := l.done; n > 0 {
		if now-l.last > time.Duration(n)*fast {
			l.stride = 1
		} else {
			l.stride = min(2*l.stride, maxStride, max(1, l.c.cfg.Capacity/maxStride))
		}
	}
	l.last = now
	l.left = l.stride
	c := l.c
	l.flush(func() { c.busy = inHand })
}

// epoch makes time.Since the cheapest clock there is.
var epoch = time.Now()

// flush writes the loop's progress and what change does to the ledger as one
// step, and lets publishers and the sweeper know. A goroutine that has been
// given up ends here.
func (l *loop[T]) flush(change func()) {
	c := l.c
	c.mu.Lock()
	if l.sig.Load()&sigGone != 0 {
		c.mu.Unlock()
		l.exit()
	}
	c.ledger.done += l.done
	l.done = 0
	change()
	c.turn++
	l.turn = c.turn
	c.since = l.last
	c.settling = false
	if c.condition == StateHung {
		c.condition = ""
	}
	l.r.Publish(c.busy && c.cur == nil)
	c.saved = l.r
	c.mu.Unlock()
	l.r.Settle()
}

// exit ends a goroutine that has been given up, without a further step: its
// stack leads through state that belongs to another goroutine by now.
func (l *loop[T]) exit() {
	l.wentLate()
	goruntime.Goexit()
}

func (l *loop[T]) wentLate() {
	if !l.exited {
		l.exited = true
		l.c.zombieEnded(l.done)
	}
}

// claim follows the return of a handler: from here on it is too late to give
// the call up. If that has happened, the goroutine ends here.
func (l *loop[T]) claim() {
	c := l.c
	c.mu.Lock()
	gone := l.sig.Load()&sigGone != 0
	if !gone {
		c.settling = true
	}
	c.mu.Unlock()
	if gone {
		l.exit()
	}
}

// crashed answers a handler that did not return: a panic, or a Goexit if value
// is nil.
func (l *loop[T]) crashed(value any) {
	c := l.c
	c.mu.Lock()
	gone := l.sig.Load()&sigGone != 0
	inHand := c.busy && !c.settling
	c.mu.Unlock()
	f := supervisor.Failure{Cause: supervisor.CauseGoexit, Err: supervisor.ErrGoexit}
	if value != nil {
		f = supervisor.Failure{Cause: supervisor.CausePanic, Err: &supervisor.PanicError{Value: value, Stack: trimmed(callers())}}
	}
	switch {
	case gone:
		l.wentLate()
		if value != nil {
			goruntime.Goexit()
		}
	case inHand:
		l.fail(f, false)
	default:
		// Not the handler: somebody who was told of an outcome that is settled.
		l.checkpoint(false)
		c.tellFault(f.Err)
	}
}

// failed answers an error of the handler. It reports whether the batch goes on.
func (l *loop[T]) failed(err error) bool {
	f := supervisor.Failure{Cause: supervisor.CauseError, Err: err}
	if late, ok := err.(lateError); ok {
		f.Cause = supervisor.CauseTimeout
		f.Err = errors.Join(supervisor.ErrTimeout, late.error)
	}
	return l.fail(f, false)
}

// fail settles what becomes of the event in hand and of the actor. With forced
// nobody is asked: the event is a dead letter and the tree is not involved. It
// reports whether the batch goes on.
//
// State comes first and observers last, so that one that ends the goroutine
// leaves nothing half done.
func (l *loop[T]) fail(f supervisor.Failure, forced bool) bool {
	c := l.c
	l.claim()
	h := l.cur
	if h == nil {
		h = l.hold()
	}
	if f.Cause == supervisor.CauseError && context.Cause(l.ctx.Context) != nil {
		// It was told to stop, so it is not to blame.
		l.keep(h, 0)
		return false
	}
	h.attempt++
	f.Attempt = h.attempt
	started := epoch.Add(l.last)
	h.record(Attempt{Number: h.attempt, Started: started, Duration: time.Since(started), Cause: f.Cause, Err: f.Err})
	d := supervisor.Decision{Fate: supervisor.FateDeadLetter, Reason: supervisor.ReasonHung}
	if !forced {
		d = l.decision(h, f)
	}
	if d.Fate != supervisor.FateDone {
		c.mu.Lock()
		c.failures++
		c.mu.Unlock()
	}
	if d.Directive != supervisor.DirectiveResume {
		c.report(&fault{Failure: f, directive: d.Directive, who: &c.core})
	}
	switch d.Fate {
	case supervisor.FateRetry:
		l.keep(h, d.Delay)
		c.handlerFailed(h.seq, f, d)
	case supervisor.FateDone:
		l.done++
		l.close(func() {})
		l.succeeded(h, h.attempt)
		c.tellFault(d.Fault)
	case supervisor.FateDrop:
		l.close(func() { c.drop(d.Reason, 1) })
		c.settle(h, d.Reason, f.Err)
		c.handlerFailed(h.seq, f, d)
		if c.sys.obs.Dropped != nil {
			e := c.event()
			e.Sequence, e.Attempt, e.Cause, e.Err, e.Reason, e.Count = h.seq, h.attempt, f.Cause, f.Err, d.Reason, 1
			Tell(c.sys.obs.Dropped, e)
		}
	default:
		l.close(func() { c.parked++ })
		c.bury(c.dead(h, d.Reason))
		c.settleOnly(h, f.Err)
		c.handlerFailed(h.seq, f, d)
	}
	return d.Directive == supervisor.DirectiveResume && c.head == nil && c.unburied == nil
}

// decision asks the policy about h. A redelivery's own budget replaces the
// policy's number of attempts, and is final.
func (l *loop[T]) decision(h *held[T], f supervisor.Failure) supervisor.Decision {
	p := l.c.cfg.Policy
	if h.redelivery == nil || h.redelivery.Budget == 0 {
		return l.c.decide(f, p)
	}
	p.Retry.MaxAttempts = h.redelivery.Budget
	d := l.c.decide(f, p)
	if d.Fate == supervisor.FateRetry && h.attempt >= h.redelivery.Budget {
		d.Fate, d.Reason, d.Delay = supervisor.FateDeadLetter, supervisor.ReasonExhausted, 0
	}
	return d
}

// hold takes the event in hand out of the log.
func (l *loop[T]) hold() *held[T] {
	h := &held[T]{ev: l.r.Last(), seq: l.r.Seq()}
	var meta *mailbox.Meta
	if h.publishedAt, meta = l.r.Facts(); meta != nil {
		h.headers = meta.Headers
	}
	return h
}

// close ends the time in hand of an event.
func (l *loop[T]) close(change func()) {
	c := l.c
	l.cur = nil
	l.flush(func() {
		c.busy = false
		c.cur = nil
		change()
	})
}

// keep makes h wait for its next attempt.
func (l *loop[T]) keep(h *held[T], delay time.Duration) {
	c := l.c
	l.close(func() { c.retryWait++ })
	h.due = time.Time{}
	if delay > 0 {
		h.due = time.Now().Add(delay)
	}
	if (c.cfg.Ordering == Parked || h.redelivery != nil) && len(c.aside) < c.cfg.MaxParked {
		c.aside.add(h)
		return
	}
	c.head = h
}

// bury hands d, which the ledger counts as parked, to the sink.
func (c *Cell[T]) bury(d *Dead) {
	c.hasRoom.Store(false)
	if !c.sys.sink.Bury(d, c.roomMade) {
		c.setUnburied(d)
	}
}

// setUnburied notes what has no room in the sink; nothing is handled meanwhile.
func (c *Cell[T]) setUnburied(d *Dead) {
	c.unburied = d
	c.mu.Lock()
	c.full = d != nil
	c.mu.Unlock()
}

func (c *Cell[T]) dead(h *held[T], reason string) *Dead {
	ev := any(h.ev)
	if e, ok := ev.(interface{ payload() any }); ok {
		ev = e.payload()
	}
	return &Dead{
		Topic: c.cfg.Topic, Subscriber: c.cfg.Name, Event: ev, Sequence: h.seq, PublishedAt: h.publishedAt,
		Headers: h.headers, Reason: reason, Attempts: h.attempts, AttemptCount: h.attemptCount,
		Redelivery: h.redelivery, ledger: &c.ledger, tell: &c.sys.obs,
	}
}

// settle tells who waits for it how h has ended, unless as a dead letter.
func (c *Cell[T]) settle(h *held[T], dropped string, err error) {
	if h.redelivery != nil {
		h.redelivery.end(dropped, err)
	}
	c.settleOnly(h, err)
}

func (c *Cell[T]) settleOnly(h *held[T], err error) {
	if c.settled != nil {
		c.settled(h.ev, err)
	}
}

// finishDraining stops a draining cell that has nothing left.
func (l *loop[T]) finishDraining() {
	c := l.c
	if c.drained() {
		c.rest.Store(uint32(DeadLetterRest)) // nothing is left; asks once
		c.sys.as.Root.Stop(c.pid)
	}
}
