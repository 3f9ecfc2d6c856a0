package mailbox

import (
	"context"
	"weak"
)

// Claim is a publication whose producer was stopped between P1 and P2 of
// [Log.Append]: the one state that no code of a user's can be made to last.
type Claim[T any] struct {
	log *Log[T]
	seg *segment[T]
	i   uint64
}

// Claim is P1.
func (l *Log[T]) Claim() Claim[T] {
	for {
		seg := l.tail.Load()
		if i := seg.claim.Add(1) - 1; i < seg.len() {
			return Claim[T]{l, seg, i}
		}
		l.extend(seg)
	}
}

// AppendBatchAfterItsCheck is AppendBatch of vs, or of as many as the segment has
// slots, whose producer found room and was stopped until there was none.
func (l *Log[T]) AppendBatchAfterItsCheck(ctx context.Context, vs []T) (n, claimed int, err error) {
	seg := l.tail.Load()
	vs = vs[:min(uint64(len(vs)), seg.len()-seg.claimed())]
	if len(vs) == 0 {
		return 0, 0, nil
	}
	n, err = l.fill(ctx, vs, seg, seg.claim.Add(uint64(len(vs)))-uint64(len(vs)))
	return n, len(vs), err
}

// Finish is what Append does from P2 on.
func (c Claim[T]) Finish(ctx context.Context, v T, m *Meta) error {
	return c.log.appendSlow(ctx, v, m, c.seg, c.i)
}

// Tail returns a function that reports whether what is now the last segment
// has been kept from the garbage collector.
func (l *Log[T]) Tail() func() bool {
	w := weak.Make(l.tail.Load())
	return func() bool { return w.Value() != nil }
}

// MaxSegment is how many slots a segment has.
const MaxSegment = maxSegment

// Swept returns below which position everything has been let go.
func (l *Log[T]) Swept() uint64 {
	l.sweepMu.Lock()
	defer l.sweepMu.Unlock()
	return l.swept
}

// Now is the clock of the log.
func Now() int64 { return now() }

// OwnersAt returns whom the event with m, which has a ticket, was accepted for.
func (l *Log[T]) OwnersAt(m *Meta) []any { return l.ownersAt(m.pos) }

// WithTicket returns a Meta with a ticket, as AppendTicket makes it.
func WithTicket(ticket any) *Meta { return &Meta{ticket: ticket} }
