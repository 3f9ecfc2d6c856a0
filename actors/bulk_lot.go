package actors

import (
	"slices"
	"time"

	"github.com/troupe-go/troupe/mailbox"
)

// lot is what is left of a batch that was not handled at the first attempt: parts
// that are attempted one after the other, none before the one before it has its
// outcome. So order is kept, of all events or of each key.
type lot[T any] struct {
	parts []*part[T] // the last is the next
	due   time.Time  // of that one
}

// part is events that are attempted together.
type part[T any] struct {
	events []held[T] // all of the same number of attempts
	broken bool      // of a batch that has been taken apart
	due    time.Time // of the next attempt; zero means now
	spare  *spare[T] // where the events of a whole batch are
}

// spare is the place of a batch, for use by others that follow.
type spare[T any] struct {
	lot    lot[T]
	part   part[T]
	events []held[T]
}

func (p *part[T]) trial() bool { return p.broken && len(p.events) > 1 }

// cut makes a part of events that are not to be blamed for what they went through
// in company.
func cut[T any](events []held[T], due time.Time) *part[T] {
	if len(events) == 1 {
		events[0].company = events[0].attempt
	}
	return &part[T]{events: slices.Clip(events), broken: true, due: due}
}

// takeApart puts p back in halves, or each event alone.
func (lt *lot[T]) takeApart(p *part[T], each bool, due time.Time) {
	n := 1
	if !each {
		n = (len(p.events) + 1) / 2
	}
	at := len(lt.parts)
	for events := p.events; len(events) > 0; events = events[n:] {
		n = min(n, len(events))
		lt.parts = append(lt.parts, cut(events[:n], due))
	}
	slices.Reverse(lt.parts[at:])
}

func (lt *lot[T]) len() (n int) {
	for _, p := range lt.parts {
		n += len(p.events)
	}
	return n
}

// putBack makes what is left of a lot wait for its next attempt.
func (c *Cell[T]) putBack(lt *lot[T]) {
	b := c.bulk
	if len(lt.parts) == 0 {
		return
	}
	lt.due = lt.parts[len(lt.parts)-1].due
	if n := lt.len(); c.cfg.Ordering == Parked && b.waits+n+len(c.aside) <= c.cfg.MaxParked {
		at, _ := slices.BinarySearchFunc(b.aside, lt.due, func(o *lot[T], due time.Time) int {
			if o.due.After(due) {
				return 1
			}
			return -1
		})
		b.aside = slices.Insert(b.aside, at, lt)
		b.waits += n
		return
	}
	b.head = lt
}

// nextLot returns a lot whose next part is due, or nil.
func (b *bulk[T]) nextLot(now time.Time) *lot[T] {
	if lt := b.head; lt != nil {
		if lt.due.After(now) {
			return nil
		}
		b.head = nil
		return lt
	}
	if len(b.aside) == 0 || b.aside[0].due.After(now) {
		return nil
	}
	lt := b.aside[0]
	b.aside = slices.Delete(b.aside, 0, 1)
	b.waits -= lt.len()
	return lt
}

// collect takes a batch out of the mailbox, nil if none is due.
func (l *loop[T]) collect() (*lot[T], *part[T]) {
	b := l.c.bulk
	least := l.c.batchDue()
	if least == 0 {
		return nil, nil
	}
	s, _ := b.spares.Get().(*spare[T])
	if s == nil {
		s = new(spare[T])
	}
	n := l.r.TakeAll(least, b.Size, func(it mailbox.Item[T], hold mailbox.Hold[T]) {
		h := held[T]{ev: it.Event, topic: it.Topic, seq: it.Seq, publishedAt: it.PublishedAt, hold: hold}
		if it.Meta != nil {
			h.headers, h.id, h.ticket = it.Meta.Headers, it.Meta.ID, ticketOf(it.Meta.Ticket())
		}
		h.redelivery, _ = it.Injected.(*Redelivery)
		s.events = append(s.events, h)
	})
	if n == 0 {
		b.spares.Put(s)
		return nil, nil
	}
	b.company.taken(time.Now())
	b.rested = false
	s.part = part[T]{events: s.events, spare: s}
	return &s.lot, &s.part
}

// recycle keeps the place of events that have their outcome.
func (b *bulk[T]) recycle(p *part[T]) {
	if s := p.spare; s != nil {
		clear(s.events)
		s.events, s.part = s.events[:0], part[T]{}
		b.spares.Put(s)
	}
}
