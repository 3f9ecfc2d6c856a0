package mailbox

import (
	"context"
	"sync/atomic"
)

// AppendTicket is AppendMeta for an event whose outcomes somebody waits for: each
// consumer finds the ticket with the event and says on it what has become of the
// event there. What a ticket is, is between the publisher and the consumers.
//
// It returns the owners of the cursors that the event was accepted for, but for
// those that have read it and were closed meanwhile. m may be nil.
func (l *Log[T]) AppendTicket(ctx context.Context, v T, m *Meta, ticket any) (owners []any, err error) {
	if m == nil {
		m = new(Meta)
	}
	m.ticket = ticket
	if err := l.AppendMeta(ctx, v, m); err != nil {
		return nil, err
	}
	return l.ownersAt(m.pos), nil
}

// Owners returns the owners of the cursors that an event published now would
// reach.
func (l *Log[T]) Owners() []any {
	l.mu.Lock()
	defer l.mu.Unlock()
	owners := make([]any, 0, len(l.cursors.all))
	for _, c := range l.cursors.all {
		owners = append(owners, c.owner)
	}
	return owners
}

// ownersAt returns the owners of the cursors, not closed yet, that position pos is
// part of. Whether it is does not change any more once pos has been claimed.
func (l *Log[T]) ownersAt(pos uint64) []any {
	l.mu.Lock()
	defer l.mu.Unlock()
	owners := make([]any, 0, len(l.cursors.all))
	for _, cs := range [][]*Cursor[T]{l.cursors.all, l.leaving.all} {
		for _, c := range cs {
			if c.start <= pos && pos < c.end.Load() {
				owners = append(owners, c.owner)
			}
		}
	}
	return owners
}

// Ticket returns what the event was given by AppendTicket; nil, also of no Meta,
// if nobody waits for its outcome.
func (m *Meta) Ticket() any {
	if m == nil {
		return nil
	}
	return m.ticket
}

// Plain reports whether there is an event to take now that has no ticket. It costs
// what More does: tickets are looked for once in a run of slots, and only in a
// segment that has any.
func (r *Reader[T]) Plain() bool { return r.k < r.plain || r.findPlain() }

// findPlain is not inlined so that Plain is: with this body in it, Plain is too large,
// and a call for each event is a fifth of the price of a delivery to ten subscribers.
//
//go:noinline
func (r *Reader[T]) findPlain() bool { return r.k == len(r.run) && r.find() && r.plain > 0 }

// Sprint gives up to n of the events that have been found and have no ticket to
// handle, until one returns an error or stop is not 0. They count as taken, the one
// in hand included. It is Take in a loop that has no more in it than that.
func (r *Reader[T]) Sprint(ctx context.Context, n int, stop *atomic.Uint32, handle func(context.Context, T) error) error {
	run := r.run[r.k:min(r.plain, r.k+n)]
	k := r.k
	for i := range run {
		k++
		r.k = k // the one in hand is known by it
		if err := handle(ctx, run[i].v); err != nil {
			return err
		}
		if stop.Load() != 0 {
			return nil
		}
	}
	return nil
}

// Ticket returns the ticket of the event that Next returned last, nil if it has
// none. Like Facts it may be asked while the event has not been let go.
func (r *Reader[T]) Ticket() any {
	if r.plain > 0 {
		return nil
	}
	_, m := r.Facts()
	return m.Ticket()
}

// part ends the run of slots that was found before the first event with a ticket,
// or behind it if it comes first: a run has none, or is one.
func (r *Reader[T]) part() {
	for k := range r.run {
		if r.seg.metaAt(uint64(r.at+k)).Ticket() == nil {
			continue
		}
		r.run = r.run[:max(1, k)]
		r.plain = k
		return
	}
}
