package actors

import (
	"cmp"
	"context"
	"errors"
	goruntime "runtime"
	"time"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

// crashed answers a handler that did not return: a panic, or a Goexit if value
// is nil.
func (l *loop[T]) crashed(value any) {
	c := l.c
	if l.sprinting {
		l.sprinted()
		l.done--
	}
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
	if stashes(err) {
		return l.setAside()
	}
	f := supervisor.Failure{Cause: supervisor.CauseOf(err), Err: err}
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
	if l.part != nil {
		return l.failPart(f, forced)
	}
	h := l.cur
	if h == nil {
		h = l.hold()
	}
	if f.Cause == supervisor.CauseError && context.Cause(l.ctx.Context) != nil {
		// It was told to stop, so it is not to blame.
		l.keep(h, 0)
		return false
	}
	f.Attempt = h.attempt + 1
	started := epoch.Add(l.last)
	took := time.Since(started)
	d := supervisor.Decision{Fate: supervisor.FateDeadLetter, Reason: supervisor.ReasonHung}
	if !forced {
		d = l.decision(h, f)
	}
	rehearsed := h.rehearses() && !(d.Fate == supervisor.FateRetry && d.Uncharged)
	if !d.Uncharged {
		h.attempt++
		h.record(Attempt{Number: h.attempt, Started: started, Duration: took, Cause: f.Cause, Err: f.Err})
	}
	if d.Fate != supervisor.FateDone && !d.Uncharged {
		c.mu.Lock()
		c.failures++
		c.mu.Unlock()
	}
	if d.Directive != supervisor.DirectiveResume {
		c.report(&fault{Failure: f, directive: d.Directive, who: &c.core})
	}
	switch {
	case !rehearsed:
	case d.Fate == supervisor.FateDone:
		l.rehearsed(h, "", nil)
		c.tellFault(d.Fault)
		return d.Directive == supervisor.DirectiveResume && c.head == nil
	default:
		l.rehearsed(h, cmp.Or(d.Reason, ReasonRehearsal), f.Err)
		c.handlerFailed(h.seq, f, d)
		return d.Directive == supervisor.DirectiveResume && c.head == nil
	}
	switch d.Fate {
	case supervisor.FateRetry:
		l.keep(h, d.Delay)
		c.handlerFailed(h.seq, f, d)
	case supervisor.FateDone:
		h.redelivered("", nil)
		l.done++
		l.close(func() {})
		h.hold.Release()
		l.succeeded(h, h.attempt)
		c.tellFault(d.Fault)
	case supervisor.FateDrop:
		h.redelivered(d.Reason, f.Err)
		l.close(func() { c.drop(d.Reason, 1) })
		h.hold.Release()
		c.settle(h, d.Reason, f.Err)
		c.handlerFailed(h.seq, f, d)
		if c.sys.obs.Dropped != nil {
			e := c.event()
			e.Sequence, e.Attempt, e.Cause, e.Err, e.Reason, e.Count = h.seq, h.attempt, f.Cause, f.Err, d.Reason, 1
			Notify(c.sys.obs.Dropped, e)
		}
	default:
		l.close(func() { c.parked++ })
		h.hold.Release()
		c.bury(c.dead(h, d.Reason, f.Err))
		c.gaveUp(h, d.Reason, f.Err)
		c.handlerFailed(h.seq, f, d)
	}
	return d.Directive == supervisor.DirectiveResume && c.head == nil && c.unburied == nil
}

// decision asks the policy about h. A redelivery's own budget replaces the
// policy's number of attempts, and is final.
func (l *loop[T]) decision(h *held[T], f supervisor.Failure) supervisor.Decision {
	p := l.c.cfg.Policy
	f.Attempt -= h.company
	if h.redelivery == nil || h.redelivery.Budget == 0 {
		return l.c.decide(f, p)
	}
	p.Retry.MaxAttempts = h.redelivery.Budget
	d := l.c.decide(f, p)
	if d.Fate == supervisor.FateRetry && !d.Uncharged && f.Attempt >= h.redelivery.Budget {
		d.Fate, d.Reason, d.Delay = supervisor.FateDeadLetter, supervisor.ReasonExhausted, 0
	}
	return d
}

// hold takes the event in hand out of the log.
func (l *loop[T]) hold() *held[T] {
	h := &held[T]{ev: l.r.Last(), seq: l.r.Seq(), topic: l.r.Topic(), hold: l.r.Hold()}
	h.redelivery, _ = l.r.Injected().(*Redelivery)
	var meta *mailbox.Meta
	if h.publishedAt, meta = l.r.Facts(); meta != nil {
		h.headers, h.id, h.ticket = meta.Headers, meta.ID, ticketOf(meta.Ticket())
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
	h.ticket.retract(&c.core)
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

func (c *Cell[T]) dead(h *held[T], reason string, err error) *Dead {
	var ev any
	if c.payload != nil {
		ev = c.payload(h.ev)
	} else {
		ev = h.ev
	}
	topic, pattern, key := c.cfg.Topic, "", c.key
	if h.topic != "" {
		topic, pattern, key = h.topic, c.cfg.Topic, c.sys.topicKey(h.topic)
	}
	return &Dead{
		Topic: topic, Pattern: pattern, Subscriber: c.cfg.Name, Event: ev, Sequence: h.seq, PublishedAt: h.publishedAt,
		Headers: h.headers, ID: h.id, key: key, Reason: reason, Attempts: h.attempts, AttemptCount: h.attemptCount,
		Redelivery: h.redelivery, ledger: &c.ledger, tell: &c.sys.obs, ticket: h.ticket, err: err,
	}
}

// settle tells who waits for it that h has been dropped.
func (c *Cell[T]) settle(h *held[T], dropped string, err error) {
	c.outcome(h.ticket, Outcome{Kind: OutcomeDropped, Reason: dropped, Attempts: h.attempt, Err: err})
	c.settleOnly(h.ev, err)
}

// gaveUp tells who waits for an answer that h will be a dead letter.
func (c *Cell[T]) gaveUp(h *held[T], reason string, err error) {
	if h.ticket.early() {
		c.outcome(h.ticket, Outcome{Kind: OutcomeDeadLettered, Reason: reason, Attempts: h.attempt, Err: err})
	}
	c.settleOnly(h.ev, err)
}

func (c *Cell[T]) settleOnly(ev T, err error) {
	if c.settled != nil {
		c.settled(ev, err)
	}
}

// lateError is what a handler returned after its deadline.
type lateError struct{ error }

func (e lateError) Unwrap() []error { return []error{supervisor.ErrTimeout, e.error} }
