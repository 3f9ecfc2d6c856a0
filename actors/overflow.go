package actors

import (
	"fmt"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

// Overflow returns the mailbox's policy.
func (c *Cell[T]) Overflow() mailbox.Overflow { return c.cfg.Overflow }

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

// guarded returns a function of an event that does not panic, for the mailbox calls
// it with its lock held. Observers are told by the actor.
func guarded[T, R any](c *Cell[T], what string, of func(T) R) func(T) R {
	if of == nil {
		return nil
	}
	return func(ev T) (r R) {
		returned := false
		defer c.noteFault(what, &returned)
		r = of(ev)
		returned = true
		return r
	}
}

// guardedFilter is guarded for a filter: what it panics about is wanted.
func (c *Cell[T]) guardedFilter(filter func(T, *mailbox.Meta) bool) func(T, *mailbox.Meta) bool {
	if filter == nil {
		return nil
	}
	return func(ev T, m *mailbox.Meta) (wanted bool) {
		wanted = true
		returned := false
		defer c.noteFault("filter", &returned)
		wanted = filter(ev, m)
		returned = true
		return wanted
	}
}

// noteFault is deferred by a call of the user's code that the mailbox makes.
func (c *Cell[T]) noteFault(what string, returned *bool) {
	if *returned {
		return
	}
	err := fmt.Errorf("actors: %s: %w", what, supervisor.ErrGoexit)
	if r := recover(); r != nil {
		err = fmt.Errorf("actors: %s: %w", what, &supervisor.PanicError{Value: r, Stack: trimmed(callers())})
	}
	c.keyFault.Store(&err)
}

// overflowed receives what a DeadLetter mailbox has no room for, with the
// mailbox locked.
func (c *Cell[T]) overflowed(it mailbox.Item[T]) {
	h := &held[T]{ev: it.Event, topic: it.Topic, seq: it.Seq, publishedAt: it.PublishedAt}
	if it.Meta != nil {
		h.headers, h.id, h.ticket = it.Meta.Headers, it.Meta.ID, ticketOf(it.Meta.Ticket())
	}
	err := &mailbox.FullError{Mailbox: c.name(), Capacity: c.cfg.Capacity}
	d := c.dead(h, supervisor.ReasonOverflow, err)
	c.mu.Lock()
	c.parked++
	c.mu.Unlock()
	c.gaveUp(h, supervisor.ReasonOverflow, err)
	if c.sys.sink != (noSink{}) && c.sys.sink.Bury(d, nil) {
		return
	}
	c.mu.Lock()
	c.parked--
	c.drop(ReasonDeadLettersUnavailable, 1)
	c.untold++
	c.mu.Unlock()
	d.outcome(OutcomeDropped, ReasonDeadLettersUnavailable)
}

// discarded sees each event that an overflow policy drops, with the mailbox locked.
func (c *Cell[T]) discarded(it mailbox.Item[T], by mailbox.Overflow) {
	if ticket := ticketOf(it.Meta.Ticket()); ticket != nil {
		reason := ReasonOverflowOldest
		switch by {
		case mailbox.DropNewest:
			reason = ReasonOverflowNewest
		case mailbox.Latest:
			reason = ReasonSuperseded
		}
		c.outcome(ticket, Outcome{Kind: OutcomeDropped, Reason: reason, Err: ErrDropped})
	}
	c.settleOnly(it.Event, ErrDropped)
}

// filtered sees each event that the filter does not want, with the mailbox locked.
func (c *Cell[T]) filtered(it mailbox.Item[T]) {
	if ticket := ticketOf(it.Meta.Ticket()); ticket != nil {
		c.outcome(ticket, Outcome{Kind: OutcomeFiltered})
	}
}

// dropped tells what an overflow policy has done, with nothing locked.
func (c *Cell[T]) dropped(d mailbox.Drops) {
	c.sys.poke() // a filtered event may be the last that anybody waits for, and wakes nobody
	if d.Lost()+d.Overflowed == 0 {
		return
	}
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
		Notify(c.sys.obs.Dropped, e)
	}
}
