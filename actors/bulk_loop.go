package actors

import (
	"context"
	"slices"
	"time"

	"github.com/troupe-go/troupe/supervisor"
)

// batches is batch for a cell that handles batches.
func (l *loop[T]) batches() {
	returned := false
	defer func() {
		if !returned {
			l.crashed(recover())
		}
	}()
	c, b := l.c, l.c.bulk
	for n, goOn := quantum, true; goOn && n > 0 && l.sig.Load() == 0 && l.receive != nil; {
		if b.head == nil {
			if h := l.nextHeld(); h != nil {
				n--
				goOn = l.attempt(h, true)
				continue
			}
			if c.head != nil {
				break // not due: nothing may overtake it
			}
		}
		if lt := b.nextLot(time.Now()); lt != nil {
			p := lt.parts[len(lt.parts)-1]
			lt.parts = lt.parts[:len(lt.parts)-1]
			n -= len(p.events)
			goOn = l.together(lt, p, true)
			continue
		}
		if b.head != nil {
			break
		}
		lt, p := l.collect()
		if p == nil {
			break
		}
		n -= len(p.events)
		if h := &p.events[0]; h.redelivery != nil {
			goOn = l.attempt(h, false)
			continue
		}
		goOn = l.together(lt, p, false)
	}
	l.checkpoint(false)
	l.finishDraining()
	if err := c.keyFault.Swap(nil); err != nil {
		c.tellFault(*err)
	}
	returned = true
}

// together handles a part, which has been popped from its lot or just been taken. It
// reports whether the batches go on.
func (l *loop[T]) together(lt *lot[T], p *part[T], waited bool) bool {
	c := l.c
	n := uint64(len(p.events))
	l.lot, l.part, l.cur = lt, p, &p.events[0]
	l.last = time.Since(epoch)
	l.flush(func() {
		if waited {
			c.retryWait -= n
		}
		c.busy, c.ledger.company = true, n-1
		c.cur, c.bulk.hand, c.bulk.handLot = l.cur, p, lt
		if l.cur.attempt > 0 {
			c.retries++
		}
	})
	events := make([]T, n) // the handler's own, to keep or to change
	for i := range p.events {
		events[i] = p.events[i].ev
	}
	var err error
	if c.cfg.Timeout == 0 {
		err = l.all(l.ctx, events)
	} else {
		err = l.timedAll(events)
	}
	if err != nil {
		return l.failed(err)
	}
	l.done += n
	if slices.ContainsFunc(p.events, func(h held[T]) bool { return h.redelivery != nil }) {
		l.claim() // or the call is given up when its success is told
		for i := range p.events {
			p.events[i].redelivered("", nil)
		}
	}
	l.closeAll(func() {})
	l.release(p)
	for i := range p.events {
		l.succeeded(&p.events[i], p.events[i].attempt+1)
	}
	c.bulk.recycle(p)
	return true
}

// timedAll is timed for a batch.
func (l *loop[T]) timedAll(events []T) error {
	c := l.c
	ctx, cancel := context.WithTimeoutCause(l.ctx.Context, c.cfg.Timeout, supervisor.ErrTimeout)
	defer cancel()
	d, p := l.facts(), l.part
	turn := l.turn
	guard := time.AfterFunc(c.cfg.Timeout+c.cfg.Grace, func() { c.giveUp(l, turn, false) })
	defer guard.Stop()
	err := l.all(&deliveryCtx{
		Context: ctx, core: &c.core, facts: func() Delivery { return d },
		all: func() []Delivery { return c.factsOfAll(p) },
	}, events)
	if err != nil && context.Cause(ctx) == supervisor.ErrTimeout {
		return lateError{err}
	}
	return err
}

// closeAll ends the time in hand of a part, and has what else there is of its lot
// wait.
func (l *loop[T]) closeAll(change func()) {
	c, lt := l.c, l.lot
	l.cur, l.part, l.lot = nil, nil, nil
	l.flush(func() {
		c.busy, c.ledger.company = false, 0
		c.cur, c.bulk.hand, c.bulk.handLot = nil, nil, nil
		change()
	})
	c.putBack(lt)
}

// release lets what waits for the keys of p have its turn.
func (l *loop[T]) release(p *part[T]) {
	for i := range p.events {
		p.events[i].hold.Release()
	}
}

// factsOfAll describes the events of p.
func (c *Cell[T]) factsOfAll(p *part[T]) []Delivery {
	facts := make([]Delivery, len(p.events))
	for i := range p.events {
		facts[i] = c.factsOf(&p.events[i])
	}
	return facts
}

// allFacts describes the events in hand; nil if it is not a batch.
func (l *loop[T]) allFacts() []Delivery {
	if l.part == nil {
		return nil
	}
	return l.c.factsOfAll(l.part)
}

// inherit makes l's what is in the hand of a goroutine that has been given up. The
// handler may still ask for the facts of its own. The caller holds mu.
func (b *bulk[T]) inherit(l *loop[T]) {
	if b == nil || b.hand == nil {
		return
	}
	p := *b.hand
	p.events, p.spare = append([]held[T](nil), p.events...), nil
	for i := range p.events {
		h := &p.events[i]
		h.attempts = append([]Attempt(nil), h.attempts...)
	}
	l.part, l.lot, l.cur = &p, b.handLot, &p.events[0]
	b.hand = &p
	l.c.cur = l.cur
}
