package topics

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// errLoop is why an event was not handled whose loop body did not come to its end.
var errLoop = errors.New("topics: body of the loop panicked or ended its goroutine")

// errLeft ends the context of a call that would hand over an event nobody takes: then
// what it returns is no failure, and the event goes the way of the rest.
var errLeft = errors.New("topics: nobody takes events any more")

// Events subscribes for as long as a loop goes on:
//
//	for order, err := range orders.Events(ctx, "report") {
//		if err != nil {
//			return err
//		}
//		…
//	}
//
// The subscription begins with the loop: it gets what is published from then on. The
// body is the handler. An event is done when the loop asks for the next one or is
// left; one whose body panics becomes a dead letter, reason permanent, and the panic
// goes on. The body cannot fail an event otherwise, and a deadline would be
// lost on it: SubscriberConfig.Timeout must not be set. A body that still runs at the
// end of a shutdown is abandoned, and its event a dead letter, reason hung.
//
// Leaving the loop ends the subscription and waits for its end. What still waits is
// dropped and counted, or dead-lettered: see [SubscriberConfig].DeadLetterRest. After
// SubscriberConfig.Take events the loop ends without an error. Else its last turn has
// an error and no event: the cause of ctx; runtime.ErrClosed at shutdown, when what
// waited has been handled; actors.ErrStopped if somebody ended the subscription; what
// is wrong with the name or the configuration; runtime.ErrNameTaken, also for a second
// loop at the same time. Two loops one after the other are two subscriptions.
//
// Do not call Shutdown from the body: it would wait for the body.
//
// Price: two switches of goroutines and an allocation for each event.
func (t *Topic[T]) Events(ctx context.Context, name string, cfg ...SubscriberConfig) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		if err := t.loop(ctx, name, optional(cfg), yield); err != nil {
			yield(*new(T), err)
		}
	}
}

// handed is an event on its way into the loop, and the way back of its outcome.
type handed[T any] struct {
	ev      T
	outcome chan error
}

// loop returns why no more events come, nil if it was left or has taken its number.
func (t *Topic[T]) loop(ctx context.Context, name string, cfg SubscriberConfig, yield func(T, error) bool) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if cfg.Timeout != 0 {
		return t.subscribeError(name, fmt.Errorf("Timeout %v: must not be set for a loop, which could not be told", cfg.Timeout))
	}
	events, left := make(chan handed[T]), make(chan struct{})
	var cell leaver
	cell, err := t.stream(name, cfg, func(ctx context.Context, ev T) error {
		h := handed[T]{ev, make(chan error, 1)}
		select {
		case events <- h:
			return <-h.outcome
		case <-left:
			cell.Interrupt(errLeft)
			return errLeft
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	if err != nil {
		return err
	}
	var inHand chan error // of the body, if it does not come to its end
	defer func() {
		cell.Stop(cfg.rest(), supervisor.ReasonUnsubscribed) // before another begins
		if inHand != nil {
			inHand <- supervisor.Permanent(errLoop)
		}
		close(left)
		<-cell.Done()
	}()
	for taken := uint64(0); cfg.Take == 0 || taken < cfg.Take; taken++ {
		if ctx.Err() != nil { // it has ended during the body, and goes before what waits
			return context.Cause(ctx)
		}
		select {
		case h := <-events:
			inHand = h.outcome
			more := yield(h.ev, nil)
			inHand = nil
			if !more {
				cell.Stop(cfg.rest(), supervisor.ReasonUnsubscribed)
			}
			h.outcome <- nil
			if !more {
				return nil
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-cell.Done():
			return t.ended()
		}
	}
	return nil
}

// ended is why a subscription is over that neither its loop nor its context ended.
func (t *Topic[T]) ended() error {
	if t.later.open() {
		return actors.ErrStopped
	}
	return runtime.ErrClosed
}

// Chan subscribes a channel, for code that selects on one. Handing an event over is
// handling it: it is done when the receiver has it, whatever becomes of it then. The
// channel has no buffer; what is not received yet waits in the mailbox, under the
// policy of cfg. With a Timeout, an event that nobody receives in time is a failed
// attempt.
//
// The channel is closed when the subscription has ended: with ctx, so that a receiver
// that walks away leaves nothing behind if it ends ctx; after Take events; by
// Unsubscribe; at shutdown, when what waited has been received. What waits when ctx
// ends is dropped and counted, or dead-lettered: see [SubscriberConfig].DeadLetterRest.
//
// Errors: those of [Topic.Subscribe]; the cause of ctx.
func (t *Topic[T]) Chan(ctx context.Context, name string, cfg ...SubscriberConfig) (<-chan T, error) {
	if ctx.Err() != nil {
		return nil, t.subscribeError(name, context.Cause(ctx))
	}
	c := optional(cfg)
	events, left := make(chan T), make(chan struct{})
	var cell leaver
	cell, err := t.stream(name, c, func(ctx context.Context, ev T) error {
		select {
		case events <- ev:
			return nil
		case <-left:
			cell.Interrupt(errLeft)
			return errLeft
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	})
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() {
		cell.Stop(c.rest(), supervisor.ReasonUnsubscribed)
		close(left)
	})
	cell.AfterDone(func() {
		stop()
		close(events)
	})
	return events, nil
}

// stream subscribes a function of ours and returns what ends it.
func (t *Topic[T]) stream(name string, cfg SubscriberConfig, handle Handler[T]) (leaver, error) {
	var cell leaver
	cfg.joined = func(l leaver) { cell = l }
	_, err := t.subscribe(name, actors.CellConfig[T]{Receive: handle}, cfg)
	return cell, err
}
