package actors

import (
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
	Event             any
	Sequence          uint64
	PublishedAt       time.Time
	Headers           map[string]string
	Reason            string
	Attempts          []Attempt // first and newest of them
	AttemptCount      int
	Redelivery        *Redelivery // set if the delivery was a redelivery

	ledger *ledger
	tell   *Observer
}

// Stored says that the delivery is safe in a store.
func (d *Dead) Stored() {
	d.ledger.mu.Lock()
	d.ledger.parked--
	d.ledger.store(d.Reason)
	d.ledger.mu.Unlock()
	d.ledger.changed()
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
	if d.Redelivery != nil {
		d.Redelivery.end(reason, d.lastErr())
	}
	if d.tell.Dropped != nil {
		e := d.event()
		e.Reason, e.Count = reason, 1
		Notify(d.tell.Dropped, e)
	}
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
	// Number counts the letter's redeliveries from 1.
	Number int
	// Budget is how many attempts it may use, more or fewer than the retry
	// policy grants; 0 is what the policy says.
	Budget int
	// Ended is told the outcome, unless that is another dead letter. err is
	// nil for an event that was handled.
	Ended func(dropped string, err error)
}

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
)
