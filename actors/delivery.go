package actors

import (
	"context"
	"time"
)

// Delivery says what is known about the event that a handler has in hand.
type Delivery struct {
	Topic      string
	Subscriber string
	// Sequence numbers the events of the topic from 1; numbers may be missing.
	Sequence uint64
	// Attempt counts from 1. Above 1 the handler may have done part of the work.
	Attempt int
	// PublishedAt is when the event was published. While all subscribers are
	// busy the clock is read for one event in 16 only, and the others have
	// the time of the one before. It does not change once it has been asked for.
	PublishedAt time.Time
	// Headers travelled with the event. They must not be changed.
	Headers map[string]string
	// LetterID names the dead letter that this is a redelivery of.
	LetterID string
	// Rehearsal says that somebody wants to see what the handler makes of that
	// letter, and that nothing follows from it: the handler should do no work that
	// others see. Only subscribers that allow it get any.
	Rehearsal bool

	id     string  // given
	key    uint64  // for one that is not
	ticket *Ticket // of who waits for the outcome
}

// Source returns what the topic's engine has delivered, an *engine.Delivery; nil for
// an event that came from the memory of this process.
func (d Delivery) Source() any {
	if !d.ticket.kept() {
		return nil
	}
	return d.ticket.notice.Source()
}

// DeliveryFrom returns the facts of the delivery that ctx belongs to, false
// outside of a handler.
//
// Call it from the handler, before it returns: the context of a handler
// without a timeout is used again for the next event. The copy may be kept.
func DeliveryFrom(ctx context.Context) (Delivery, bool) {
	if d, ok := ctx.Value(deliveryKey{}).(*deliveryCtx); ok && d.facts != nil {
		return d.facts(), true
	}
	return Delivery{}, false
}

// DeliveriesFrom returns the facts of every event of the batch that ctx belongs to,
// in its order; of a handler of single events, those of the one. Otherwise it is
// [DeliveryFrom], which knows the first event of a batch. It allocates.
func DeliveriesFrom(ctx context.Context) []Delivery {
	if d, ok := ctx.Value(deliveryKey{}).(*deliveryCtx); ok && d.all != nil {
		if all := d.all(); all != nil {
			return all
		}
	}
	if d, ok := DeliveryFrom(ctx); ok {
		return []Delivery{d}
	}
	return nil
}

// callerOf returns the actor whose handler or hook ctx belongs to, else nil.
func callerOf(ctx context.Context) *core {
	if d, ok := ctx.Value(deliveryKey{}).(*deliveryCtx); ok {
		return d.core
	}
	return nil
}

type deliveryKey struct{}

// deliveryCtx is the context of a handler: that of its actor's instance, which
// ends when the instance must go, or of one delivery with a deadline.
//
// One is made for each instance, not for each event, because it would be the
// only allocation on the success path.
type deliveryCtx struct {
	context.Context
	core  *core
	facts func() Delivery   // nil for a hook
	all   func() []Delivery // of an actor that handles batches, else nil
}

func (d *deliveryCtx) Value(key any) any {
	if _, ok := key.(deliveryKey); ok {
		return d
	}
	return d.Context.Value(key)
}

// InHandler reports whether ctx is that of a handler or hook.
func InHandler(ctx context.Context) bool { return callerOf(ctx) != nil }
