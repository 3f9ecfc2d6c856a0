package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/supervisor"
)

// ErrNoPayload is returned for a letter whose event could not be kept.
var ErrNoPayload = errors.New("runtime: letter has no payload")

// RedriveConfig says how a dead letter is given back. The zero value works.
type RedriveConfig struct {
	// By says who asked for it, for the record.
	By string
	// Budget is how many attempts it may use. Zero is what the subscriber's
	// retry policy grants to a new event.
	Budget int
}

// Redrive gives a dead letter's event back to the one subscriber that failed,
// never to others, and returns when it is in that subscriber's mailbox. The
// letter stays and records the outcome: it is resolved when the handler
// succeeds and open again, with the new attempts, when it does not. A letter of
// an event that found no subscriber is published again.
//
// Delivery is at least once: after a crash a letter may be redriving whose
// handler has succeeded. Redriven events are not in order with others.
//
// Errors: [ErrClosed]; deadletter.ErrNotFound; deadletter.ErrNotOpen, which keeps two
// operators from sending the same event twice; [ErrNoPayload];
// [ErrUnknownTopic], [ErrUnknownSubscriber]; a mailbox.FullError when as many
// redriven events wait as the mailbox may hold; what decoding returned; those
// of the store. After an error the letter is open, with a record of the try if
// it came to one.
func (rt *Runtime) Redrive(ctx context.Context, letterID string, cfg ...RedriveConfig) error {
	if err := rt.redrive(ctx, letterID, optional(cfg)); err != nil {
		return fmt.Errorf("runtime: redrive %s: %w", letterID, err)
	}
	return nil
}

func (rt *Runtime) redrive(ctx context.Context, id string, cfg RedriveConfig) error {
	if cfg.Budget < 0 {
		return fmt.Errorf("RedriveConfig.Budget %d: must not be negative", cfg.Budget)
	}
	if !rt.running() {
		return ErrClosed
	}
	store := rt.cfg.DeadLetters
	l, err := store.Get(ctx, id)
	if err != nil {
		return err
	}
	if l.PayloadError != "" {
		return fmt.Errorf("%w: %s", ErrNoPayload, l.PayloadError)
	}
	back := Redelivered{
		Topic:   l.Topic,
		Payload: l.Payload, ContentType: l.ContentType, GoType: l.GoType, SchemaVersion: l.SchemaVersion,
		Sequence: l.Sequence, PublishedAt: l.PublishedAt, Headers: l.Headers, EventID: cmp.Or(l.EventID, id),
	}
	var give func(number int) error
	if l.Subscriber == "" {
		t, err := rt.Topic(l.Topic)
		if err != nil {
			return err
		}
		give = func(int) error {
			err := t.Republish(ctx, back)
			if err == nil {
				rt.letters.redriven(id, deadletter.OutcomeDone, "published again")
			}
			return err
		}
	} else {
		s, err := rt.Subscription(cmp.Or(l.Pattern, l.Topic), l.Subscriber)
		if err != nil {
			return err
		}
		give = func(number int) error {
			return s.cell.Redeliver(back, &actors.Redelivery{
				LetterID: id, EventID: l.EventID, Number: number, Budget: cfg.Budget,
				Ended: func(dropped string, err error) { rt.redriveEnded(id, dropped, err) },
			})
		}
	}
	var number int
	if err := store.Update(ctx, id, func(l *deadletter.Letter) error {
		number, err = l.BeginRedrive(cfg.By, cfg.Budget, time.Now())
		return err
	}); err != nil {
		return err
	}
	if err := give(number); err != nil {
		aborted := func(l *deadletter.Letter) error {
			return l.EndRedrive(deadletter.OutcomeAborted, err.Error(), time.Now())
		}
		if store.Update(context.WithoutCancel(ctx), id, aborted) != nil {
			rt.letters.redriven(id, deadletter.OutcomeAborted, err.Error()) // it will be written
		}
		return err
	}
	actors.Notify(rt.obs.Redriven, Event{Topic: l.Topic, Subscriber: l.Subscriber, Sequence: l.Sequence, Reason: id})
	return nil
}

// redriveEnded notes an outcome that is not another dead letter.
func (rt *Runtime) redriveEnded(id, dropped string, err error) {
	switch dropped {
	case "":
		rt.letters.redriven(id, deadletter.OutcomeDone, "")
	case supervisor.ReasonSkipped:
		rt.letters.redriven(id, deadletter.OutcomeSkipped, message(err))
	default:
		rt.letters.redriven(id, deadletter.OutcomeAborted, dropped)
	}
}

// failedAgain records that a redriven event has become a dead letter again.
func failedAgain(l *deadletter.Letter, d *actors.Dead, at time.Time) error {
	reason := l.Reason
	describe(l, d, d.Redelivery.Number)
	outcome := deadletter.OutcomeFailed
	if len(d.Attempts) == 0 {
		// It was not attempted, so what is known of the failure still holds.
		outcome, l.Reason = deadletter.OutcomeAborted, reason
	} else {
		l.Fingerprint = deadletter.Fingerprint(*l)
	}
	return l.EndRedrive(outcome, d.Reason, at)
}

// optional returns the configuration of a call that may come without one.
func optional[C any](cfg []C) (c C) {
	if len(cfg) > 0 {
		c = cfg[0]
	}
	return c
}
