package topics

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
)

// Outcome is what has become of an event at one subscriber; see actors.Outcome.
type Outcome = actors.Outcome

// OutcomeError says which subscriber has not handled an event, and why. It unwraps
// to what the handler returned last.
type OutcomeError = actors.OutcomeError

// The ways in which a delivery ends.
const (
	OutcomeDone         = actors.OutcomeDone
	OutcomeDeadLettered = actors.OutcomeDeadLettered
	OutcomeDropped      = actors.OutcomeDropped
	OutcomeFiltered     = actors.OutcomeFiltered
)

// Outcomes are those of one event, in the order in which they came.
type Outcomes []Outcome

// Err joins an [*OutcomeError] for each subscriber that has not handled the event.
// It is nil if all have.
func (o Outcomes) Err() error {
	var errs []error
	for _, one := range o {
		errs = append(errs, one.Failure())
	}
	return errors.Join(errs...)
}

// Of returns the outcome at a subscriber, false if it is not known.
func (o Outcomes) Of(subscriber string) (Outcome, bool) {
	for _, one := range o {
		if one.Subscriber == subscriber {
			return one, true
		}
	}
	return Outcome{}, false
}

// PublishWait is Publish that waits until every subscriber that the event was
// accepted for has finished with it: after all attempts, done, dead-lettered and in
// the store, dropped, or filtered. It returns one outcome for each; none if the topic has no
// subscriber and Config.Unrouted takes such events.
//
// The error is nil if all have handled the event. Else it joins what
// [Outcomes.Err] does with what ended the wait: ctx bounds acceptance and wait
// together, and its cause comes with the names of those that are still busy. The
// event goes on without the one who waited.
//
// Errors also are those of Publish, without outcomes, and then nobody gets the event;
// among them [ErrWouldDeadlock] for a handler of a subscriber of this topic, or of one
// that such a subscriber waits for. Should that only become so after acceptance, the
// event goes on.
//
// meta, if given, is as in PublishWith. Price: some allocations, and a checkpoint of
// each subscriber for this event (BenchmarkPublishWait).
func (t *Topic[T]) PublishWait(ctx context.Context, ev T, meta ...Meta) (Outcomes, error) {
	ticket := actors.NewTicket(t.rt.Actors())
	defer ticket.Close()
	m := carried(ctx, meta)
	if err := t.send(ctx, ticket, ev, m); err != nil {
		return nil, t.refused(ev, m, err)
	}
	err := ticket.Wait(ctx)
	outcomes := Outcomes(ticket.Outcomes())
	if failed := outcomes.Err(); failed != nil || err != nil {
		return outcomes, fmt.Errorf("topics: publish %s: %w", t.name, errors.Join(busy(ticket, err), failed))
	}
	return outcomes, nil
}

// send publishes ev with a ticket. Of an error the topic has not been told.
func (t *Topic[T]) send(ctx context.Context, ticket *actors.Ticket, ev T, m *mailbox.Meta) error {
	err := t.refuse("waiting for what becomes of an event")
	if err != nil {
		return err
	}
	if t.around == nil {
		err = actors.Send(ctx, ticket, t.log, ev, m)
	} else {
		_, err = actors.Around(ctx, t.around, 1, m.Headers, func(ctx context.Context, headers map[string]string) (int, error) {
			m.Headers = headers
			if err := actors.Send(ctx, ticket, t.log, ev, m); err != nil {
				return 0, err
			}
			return 1, nil
		})
	}
	if err != nil {
		return err
	}
	if t.accepted != nil {
		actors.Notify(t.accepted, runtime.Event{Topic: t.name})
	}
	return nil
}

// carried returns a copy of what may travel with an event, as PublishWith has it.
func carried(ctx context.Context, meta []Meta) *mailbox.Meta {
	m := optional(meta)
	m.Headers = inherit(ctx, m.Headers)
	return &m
}

// busy adds the names of whom was waited for to the error of a wait.
func busy(ticket *actors.Ticket, err error) error {
	if names := ticket.Busy(); err != nil && len(names) > 0 {
		return fmt.Errorf("waiting for %s: %w", strings.Join(names, ", "), err)
	}
	return err
}
