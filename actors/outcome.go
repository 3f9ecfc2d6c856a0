package actors

import "fmt"

// OutcomeKind is how a delivery has ended.
type OutcomeKind string

// The ways in which a delivery ends.
const (
	OutcomeDone         OutcomeKind = "done"
	OutcomeDeadLettered OutcomeKind = "dead_lettered"
	OutcomeDropped      OutcomeKind = "dropped"
	OutcomeFiltered     OutcomeKind = "filtered" // the subscription's filter does not want it
)

// Outcome is what has become of an event at one actor.
type Outcome struct {
	Topic, Subscriber string
	Kind              OutcomeKind
	// Reason says why the event is a dead letter or was dropped, as the account
	// and the letter do.
	Reason string
	// LetterID names the dead letter, if the sink has said by then how.
	LetterID string
	// Attempts is how many calls of the handler were charged, the one that
	// succeeded included.
	Attempts int
	// Err is the last failure, or why there was no attempt. It is nil for an event
	// that is done, unless what the handler replied was of no use.
	Err error

	reply *reply
}

// Failure returns an [*OutcomeError] that names the actor, nil if the event is done
// or not wanted there.
func (o Outcome) Failure() error {
	if o.Kind == OutcomeFiltered || o.Kind == OutcomeDone && o.Err == nil {
		return nil
	}
	return &OutcomeError{o}
}

// Reply returns what the handler has replied, false if nothing.
func (o Outcome) Reply() (v any, ok bool) {
	if o.reply == nil {
		return nil, false
	}
	return o.reply.v, true
}

// OutcomeError says who has not handled an event, and why. It unwraps to Err.
type OutcomeError struct{ Outcome }

func (e *OutcomeError) Error() string {
	s := e.Subscriber + ": " + string(e.Kind)
	if e.Reason != "" {
		s += " (" + e.Reason + ")"
	}
	if e.Err != nil {
		s += fmt.Sprintf(": %v", e.Err) // unlike Err.Error(), survives a user's that panics
	}
	return s
}

func (e *OutcomeError) Unwrap() error { return e.Err }

// outcome tells who waits for it, if somebody does, what has become of an event.
func (c *core) outcome(t *Ticket, o Outcome) {
	if t != nil {
		o.Topic, o.Subscriber = c.cfg.Topic, c.cfg.Name
		t.tell(o)
	}
}
