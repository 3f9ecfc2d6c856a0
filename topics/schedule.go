package topics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"time"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
)

// Unpublished says what becomes of the events that are scheduled when the runtime
// shuts down.
type Unpublished uint8

const (
	// DeadLetterUnpublished makes them dead letters, to be published later.
	DeadLetterUnpublished Unpublished = iota
	// DiscardUnpublished drops and counts them.
	DiscardUnpublished
)

// Scheduled is one event that is to be published later. The zero value is of none.
type Scheduled struct{ p interface{ cancel() bool } }

// Cancel takes the event back. It returns true, once, if the event will not be
// published; false if it was, is being, or could not be published, or was canceled
// before. It does not block. Its price grows with the logarithm of the number of
// events that are pending.
func (s Scheduled) Cancel() bool { return s.p != nil && s.p.cancel() }

// PublishAfter publishes ev once d has passed. A nil error means that the topic has
// taken the event: it will be published, be canceled by the handle, or become a
// dead letter.
//
//   - ctx ends nothing but this call. The publication belongs to no handler.
//   - d is of the monotonic clock: setting the time does not change it. A d of zero
//     or less is now, on another goroutine.
//   - Events are published in the order in which they are due, and those that are
//     due at once in that of the calls. A mailbox that is full under mailbox.Block
//     makes those of this topic wait, and no other's.
//   - What the topic refuses then, for a mailbox that is full under mailbox.Reject or
//     for want of a subscriber, becomes a dead letter of the topic, with the reason
//     of the refusal; redriving it publishes it again.
//   - Shutdown does not wait for it: see [Config].Unpublished. What a handler
//     schedules during a shutdown is left in the same way.
//
// Errors: the cause of ctx; runtime.ErrClosed. Price: one allocation, and some 56
// bytes beside the event while it waits, less than half of a timer of its own
// (BenchmarkPending); no goroutine.
func (t *Topic[T]) PublishAfter(ctx context.Context, d time.Duration, ev T, m ...Meta) (Scheduled, error) {
	at := int64(time.Since(epoch))
	if at > 0 { // it is not in a synctest bubble, whose clock stands at the year 2000
		d = min(d, time.Duration(math.MaxInt64-at)) // in 292 years
	}
	return t.later.take(ctx, monotonic, at+int64(d), ev, m)
}

// PublishAt is PublishAfter for a time of the wall clock: when the clock is set, or
// the machine has slept, that is noticed within 10 s. A time that has passed is now.
//
// Errors: also a time that is zero, or after the year 2261.
func (t *Topic[T]) PublishAt(ctx context.Context, at time.Time, ev T, m ...Meta) (Scheduled, error) {
	if at.IsZero() || at.Year() > maxYear {
		return Scheduled{}, fmt.Errorf("topics: publish %s at %v: time: must not be zero, or after the year %d", t.name, at, maxYear)
	}
	nanos := int64(0)
	if at.Unix() > 0 { // before 1678 there are no nanoseconds
		nanos = at.UnixNano()
	}
	return t.later.take(ctx, wall, nanos, ev, m)
}

// maxYear is the last whole one that nanoseconds since 1970 reach.
const maxYear = 2261

// take takes an event, due at at of that clock.
func (l *later[T]) take(ctx context.Context, clock uint8, at int64, ev T, m []Meta) (Scheduled, error) {
	p := &pending[T]{ev: ev, clock: clock, place: -1}
	if len(m) > 0 {
		meta := m[0]
		meta.Headers = maps.Clone(meta.Headers)
		p.meta = &meta
	}
	if ctx.Err() != nil {
		return Scheduled{}, l.t.refused(ev, p.meta, context.Cause(ctx))
	}
	l.mu.Lock()
	switch {
	case l.state == laterOpen:
		l.counts.Taken++
		l.add(p, at)
	case l.state == laterDraining && l.t.rt.Actors().Guard().Admit(ctx):
		l.counts.Taken++
		l.leaving++
		l.leave(leaving[T]{p, l.due(clock, at), runtime.ErrClosed})
	default:
		l.mu.Unlock()
		return Scheduled{}, l.t.refused(ev, p.meta, mailbox.ErrClosed)
	}
	l.mu.Unlock()
	return Scheduled{p}, nil
}

// publishDue publishes an event that a schedule has brought.
func (t *Topic[T]) publishDue(ctx context.Context, ev T, m *Meta) error {
	if m != nil {
		return t.PublishWith(ctx, ev, *m)
	}
	return t.Publish(ctx, ev)
}

var errNoSchedule = errors.New("schedule: must not be nil")
