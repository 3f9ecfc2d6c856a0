package actors

import (
	"cmp"
	"time"

	"github.com/troupe-go/troupe/supervisor"
)

// Sink takes the events that no attempt could handle.
type Sink interface {
	// Bury takes the dead delivery over and later calls its Stored or Lost, or
	// returns false because there is no room; then it calls room, once, as
	// soon as there is. It does not block.
	Bury(d *Dead, room func()) bool
}

// Attempt is one call of a handler that did not succeed.
type Attempt struct {
	Number   int
	Started  time.Time
	Duration time.Duration
	Cause    supervisor.Cause
	Err      error
}

// Dead is a delivery that has ended without being handled.
type Dead struct {
	Topic, Subscriber string
	Pattern           string // that the subscriber is subscribed to, if not to Topic
	Event             any
	Sequence          uint64
	PublishedAt       time.Time
	Headers           map[string]string
	ID                string // that the event was given, "" for one that is derived
	Reason            string
	Attempts          []Attempt // first and newest of them
	AttemptCount      int
	Redelivery        *Redelivery // set if the delivery was a redelivery

	key uint64
	// LetterID is set by the sink if it knows by which name the delivery will be
	// found, before Stored.
	LetterID string

	ledger *ledger
	tell   *Observer
	ticket *Ticket // of who waits for the outcome
	err    error   // why it is dead
}

// Delivery returns the facts of the delivery; it had no more than AttemptCount
// attempts.
func (d *Dead) Delivery() Delivery {
	return Delivery{
		Topic: d.Topic, Subscriber: d.Subscriber, Sequence: d.Sequence, Attempt: d.AttemptCount,
		PublishedAt: d.PublishedAt, Headers: d.Headers, id: d.ID, key: d.key,
	}
}

// Stored says that the delivery is safe in a store.
func (d *Dead) Stored() {
	d.ledger.mu.Lock()
	d.ledger.parked--
	d.ledger.store(d.Reason)
	d.ledger.mu.Unlock()
	d.ledger.changed()
	d.outcome(OutcomeDeadLettered, d.Reason)
	if d.tell.DeadLettered != nil {
		Notify(d.tell.DeadLettered, d.event())
	}
}

// Lost says that the delivery could not be stored, and why.
func (d *Dead) Lost(reason string) {
	d.ledger.mu.Lock()
	d.ledger.parked--
	d.ledger.drop(reason, 1)
	d.ledger.mu.Unlock()
	d.ledger.changed()
	d.outcome(OutcomeDropped, reason)
	if d.Redelivery != nil {
		d.Redelivery.end(reason, d.lastErr())
	}
	if d.tell.Dropped != nil {
		e := d.event()
		e.Reason, e.Count = reason, 1
		Notify(d.tell.Dropped, e)
	}
}

// outcome tells who waits for the outcome; who waits for an answer knows already.
func (d *Dead) outcome(kind OutcomeKind, reason string) {
	if d.ticket == nil || d.ticket.early() {
		return
	}
	o := Outcome{
		Topic: cmp.Or(d.Pattern, d.Topic), Subscriber: d.Subscriber, Kind: kind, Reason: reason, Attempts: d.AttemptCount, Err: d.err,
	}
	if kind == OutcomeDeadLettered {
		o.LetterID = d.LetterID
	}
	d.ticket.tell(o)
}

func (d *Dead) lastErr() error {
	if n := len(d.Attempts); n > 0 {
		return d.Attempts[n-1].Err
	}
	return nil
}

func (d *Dead) event() Event {
	e := Event{Topic: d.Topic, Subscriber: d.Subscriber, Sequence: d.Sequence, Reason: d.Reason, Attempt: d.AttemptCount}
	if n := len(d.Attempts); n > 0 {
		e.Cause, e.Err = d.Attempts[n-1].Cause, d.lastErr()
	}
	return e
}

// Redelivery is the return of a dead letter to the actor that failed.
type Redelivery struct {
	// LetterID names the letter.
	LetterID string
	// EventID is the ID of the event. Empty is that of the letter, for one that
	// was written before letters had it.
	EventID string
	// Number counts the letter's redeliveries from 1.
	Number int
	// Budget is how many attempts it may use, more or fewer than the retry
	// policy grants; 0 is what the policy says.
	Budget int
	// Rehearsal has the handler called once, to see what happens, and nothing
	// follows from it: there is no further attempt and no dead letter, and it is
	// counted as dropped, reason [ReasonRehearsal], also if the handler succeeds.
	Rehearsal bool
	// Ended is told the outcome, unless that is another dead letter. err is
	// nil for an event that was handled.
	Ended func(dropped string, err error)
	// Note is what the sink wants to know of it.
	Note any
}

// rehearses reports whether nothing must follow from h.
func (h *held[T]) rehearses() bool { return h.redelivery != nil && h.redelivery.Rehearsal }

func (r *Redelivery) end(dropped string, err error) {
	if r.Ended != nil {
		r.Ended(dropped, err)
	}
}

// The reasons of drops that are decided here.
const (
	ReasonDeadLettersUnavailable = "dead_letters_unavailable"
	ReasonOverflowOldest         = "overflow_oldest"
	ReasonOverflowNewest         = "overflow_newest"
	ReasonSuperseded             = "superseded"
	ReasonZombieLimit            = "zombie_limit"
	ReasonIntensity              = "restart_intensity"
	ReasonOperator               = "operator"
	ReasonRehearsal              = "rehearsal"
	// ReasonReturned is that the event went back to the engine of its topic, which
	// will deliver it again: nothing is lost.
	ReasonReturned = "returned"
)
