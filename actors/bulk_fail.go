package actors

import (
	"context"
	"time"

	"github.com/troupe-go/troupe/supervisor"
)

// togetherLimit is how often a batch is attempted whole if there is no limit for an
// event: one that never succeeds must not hold up the others of its batch for ever.
const togetherLimit = 5

// failPart is fail for a part.
//
// A batch that has no attempt left is taken apart, in halves until the culprit is
// alone: about 2·log2 of its size further calls for one culprit. What is found alone has the
// attempts of an event that was always alone. Between the halves there is no pause;
// those that are alone have theirs, so that a failure that is nobody's fault, which
// takes everything apart, does not become a storm of calls.
func (l *loop[T]) failPart(f supervisor.Failure, forced bool) bool {
	c, p, lt := l.c, l.part, l.lot
	n := len(p.events)
	if f.Cause == supervisor.CauseError || f.Cause == supervisor.CauseTimeout {
		named, ok, err := namedBy(f.Err, len(p.events))
		if ok && (n > 1 || named[0] == nil) {
			return l.failSome(named, f)
		}
		if f.Err = err; ok {
			f.Err = named[0]
		}
	}
	if f.Cause == supervisor.CauseError && context.Cause(l.ctx.Context) != nil {
		// It was told to stop, so it is not to blame.
		p.due = time.Time{}
		lt.parts = append(lt.parts, p)
		l.retract(p.events)
		l.closeAll(func() { c.retryWait += uint64(n) })
		return false
	}
	first := &p.events[0]
	f.Attempt = first.attempt + 1
	d := supervisor.Decision{Fate: supervisor.FateDeadLetter, Reason: supervisor.ReasonHung}
	if !forced {
		d = l.decideTogether(p, f)
	}
	if !d.Uncharged {
		for i := range p.events {
			l.charge(&p.events[i], f)
		}
	}
	apart := d.Fate == supervisor.FateDeadLetter && n > 1 && !forced
	if d.Fate != supervisor.FateDone && !d.Uncharged {
		c.mu.Lock()
		c.failures++
		c.mu.Unlock()
	}
	switch {
	case d.Directive == supervisor.DirectiveRestart && apart && p.trial():
		// The search for a culprit that panics must not use up what restarts are
		// allowed: it has done so while the batch was whole, and will alone.
		c.Interrupt(errRestarting)
		c.Restart()
	case d.Directive != supervisor.DirectiveResume:
		c.report(&fault{Failure: f, directive: d.Directive, who: &c.core})
	}
	var o outcomes[T]
	if d.Fate == supervisor.FateRetry || apart {
		l.retract(p.events)
	}
	switch {
	case apart:
		d.Fate, d.Reason, d.Delay = supervisor.FateRetry, "", delayOf(f.Err)
		// The hung call may never end, and MaxZombies would be used up by halves.
		lt.takeApart(p, f.Cause == supervisor.CauseHung, after(d.Delay))
		o.kept = n
	case d.Fate == supervisor.FateRetry:
		p.due = after(d.Delay)
		lt.parts = append(lt.parts, p)
		o.kept = n
	default:
		for i := range p.events {
			o.end(&p.events[i], d, f)
		}
	}
	seq := first.seq
	l.settleAll(o)
	c.batchFailed(seq, n, f, d)
	return d.Directive == supervisor.DirectiveResume && c.unburied == nil
}

// failSome answers a handler that has named those that failed.
func (l *loop[T]) failSome(named map[int]error, f supervisor.Failure) bool {
	c, p, lt := l.c, l.part, l.lot
	stop := f.Cause == supervisor.CauseError && context.Cause(l.ctx.Context) != nil
	directive := supervisor.DirectiveResume
	var o outcomes[T]
	var rest []held[T]
	var dues []time.Time
	var latest time.Time
	var charged uint64
	for i := range p.events {
		h := &p.events[i]
		err := named[i]
		if err == nil {
			h.attempt++
			o.done = append(o.done, h)
			continue
		}
		var d supervisor.Decision
		if !stop { // else it was told to, and nobody is to blame
			if p.trial() {
				h.company = h.attempt // the handler says that it is this one: as good as alone
			}
			fail := supervisor.Failure{Cause: f.Cause, Err: err, Attempt: h.attempt + 1}
			d = l.decision(h, fail)
			if !d.Uncharged {
				l.charge(h, fail)
				charged++
			}
			o.named = append(o.named, ended[T]{h, d, fail})
			if d.Directive != supervisor.DirectiveResume && directive == supervisor.DirectiveResume {
				directive = d.Directive
				c.report(&fault{Failure: fail, directive: directive, who: &c.core})
			}
			if d.Fate != supervisor.FateRetry {
				o.end(h, d, fail)
				continue
			}
		}
		due := after(d.Delay)
		if due.After(latest) {
			latest = due
		}
		rest, dues = append(rest, *h), append(dues, due)
	}
	switch {
	case len(rest) == 0:
	case p.trial():
		for i := len(rest) - 1; i >= 0; i-- {
			lt.parts = append(lt.parts, &part[T]{events: rest[i : i+1 : i+1], broken: true, due: dues[i]})
		}
	default:
		lt.parts = append(lt.parts, &part[T]{events: rest, due: latest})
	}
	o.kept = len(rest)
	l.retract(rest)
	c.mu.Lock()
	c.failures += charged
	c.mu.Unlock()
	l.settleAll(o)
	for _, e := range o.named {
		c.batchFailed(e.h.seq, 1, e.f, e.d)
	}
	return directive == supervisor.DirectiveResume && !stop && c.unburied == nil
}

// decideTogether asks the policy about a part.
func (l *loop[T]) decideTogether(p *part[T], f supervisor.Failure) supervisor.Decision {
	if len(p.events) == 1 {
		return l.decision(&p.events[0], f)
	}
	policy := l.c.cfg.Policy
	switch {
	case p.broken:
		policy.Retry.MaxAttempts = supervisor.NoRetry
	case policy.Retry.MaxAttempts == supervisor.Unlimited:
		policy.Retry.MaxAttempts = togetherLimit
	}
	return l.c.decide(f, policy)
}

// charge writes a failed attempt into the history of h.
func (l *loop[T]) charge(h *held[T], f supervisor.Failure) {
	h.attempt++
	started := epoch.Add(l.last)
	h.record(Attempt{Number: h.attempt, Started: started, Duration: time.Since(started), Cause: f.Cause, Err: f.Err})
}

// after returns the time in d from now on; zero means now.
func after(d time.Duration) time.Time {
	if d <= 0 {
		return time.Time{}
	}
	return time.Now().Add(d)
}

// outcomes is what becomes of the events of a part, to be written down as one step.
type outcomes[T any] struct {
	kept  int // wait for their next attempt
	done  []*held[T]
	lost  []ended[T] // dropped or dead
	named []ended[T] // by the handler, as failed
}

// ended is an event whose attempt failed, and what becomes of it.
type ended[T any] struct {
	h *held[T]
	d supervisor.Decision
	f supervisor.Failure
}

// end notes that h ends as d says.
func (o *outcomes[T]) end(h *held[T], d supervisor.Decision, f supervisor.Failure) {
	if d.Fate == supervisor.FateDone {
		o.done = append(o.done, h)
		return
	}
	o.lost = append(o.lost, ended[T]{h, d, f})
}

// settleAll ends the time in hand of the part with these outcomes: those of
// redeliveries are told first, then the account shows all, then the rest is told.
func (l *loop[T]) settleAll(o outcomes[T]) {
	c := l.c
	for _, h := range o.done {
		h.redelivered("", nil)
	}
	for _, e := range o.lost {
		if e.d.Fate == supervisor.FateDrop {
			e.h.redelivered(e.d.Reason, e.f.Err)
		}
	}
	l.done += uint64(len(o.done))
	l.closeAll(func() {
		c.retryWait += uint64(o.kept)
		for _, e := range o.lost {
			if e.d.Fate == supervisor.FateDrop {
				c.drop(e.d.Reason, 1)
			} else {
				c.parked++
			}
		}
	})
	for _, h := range o.done {
		h.hold.Release()
	}
	for _, e := range o.lost {
		e.h.hold.Release()
		if e.d.Fate != supervisor.FateDrop {
			c.buryNext(c.dead(e.h, e.d.Reason, e.f.Err))
		}
	}
	for _, h := range o.done {
		l.succeeded(h, h.attempt)
	}
	for _, e := range o.lost {
		if e.d.Fate == supervisor.FateDrop {
			c.settle(e.h, e.d.Reason, e.f.Err)
		} else {
			c.gaveUp(e.h, e.d.Reason, e.f.Err)
		}
	}
}

// buryNext is bury for one of several.
func (c *Cell[T]) buryNext(d *Dead) {
	if c.unburied != nil {
		c.bulk.unburied = append(c.bulk.unburied, d)
		return
	}
	c.bury(d)
}

// batchFailed is handlerFailed for n events, of which seq is the first.
func (c *core) batchFailed(seq uint64, n int, f supervisor.Failure, d supervisor.Decision) {
	c.tellFault(d.Fault)
	if d.Fate == supervisor.FateDone {
		return
	}
	o := &c.sys.obs
	e := c.event()
	e.Sequence, e.Attempt, e.Cause, e.Err, e.Reason, e.Count = seq, f.Attempt, f.Cause, f.Err, d.Reason, uint64(n)
	if !d.Uncharged {
		Notify(o.Failed, e)
	}
	switch d.Fate {
	case supervisor.FateRetry:
		e.Delay = d.Delay
		Notify(o.Retrying, e)
	case supervisor.FateDrop:
		Notify(o.Dropped, e)
	}
}

// retract forgets what was replied to events that will be attempted again.
func (l *loop[T]) retract(events []held[T]) {
	for i := range events {
		events[i].ticket.retract(&l.c.core)
	}
}
