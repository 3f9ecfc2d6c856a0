package supervisor

import "time"

// Fate is what becomes of the event.
type Fate uint8

const (
	// FateRetry keeps the event and attempts it again after the delay. It is the
	// zero value.
	FateRetry Fate = iota
	// FateDeadLetter ends the event as a dead letter.
	FateDeadLetter
	// FateDrop ends the event uncared for but counted.
	FateDrop
	// FateDone ends the event as handled.
	FateDone
)

var fateNames = []string{"retry", "dead_letter", "drop", "done"}

// String returns retry, dead_letter, drop or done.
func (f Fate) String() string { return enumName("Fate", fateNames, uint8(f)) }

// Directive is what becomes of the actor.
type Directive uint8

const (
	// DirectiveResume keeps the actor and its state. It is the zero value.
	DirectiveResume Directive = iota
	// DirectiveRestart replaces the actor by a fresh instance, if [Intensity]
	// allows; the queue is kept.
	DirectiveRestart
	// DirectiveStop ends the actor; what is left in its queue becomes dead letters
	// with reason [ReasonStopped].
	DirectiveStop
	// DirectiveEscalate makes it the failure of the group above.
	DirectiveEscalate
)

var directiveNames = []string{"resume", "restart", "stop", "escalate"}

// String returns resume, restart, stop or escalate.
func (d Directive) String() string { return enumName("Directive", directiveNames, uint8(d)) }

// The reasons of dead letters and drops. They are the values of a metric label and
// of a search field, so a [Decider] that brings its own keeps them few and constant.
const (
	// ReasonExhausted: no attempt left.
	ReasonExhausted = "attempts_exhausted"
	// ReasonPermanent: the handler returned [Permanent], or a [Decider] ruled so
	// without a reason of its own.
	ReasonPermanent = "permanent"
	// ReasonHung: the handler did not return within deadline and grace. It is not
	// retried because the abandoned call may still be at work on the event.
	ReasonHung = "hung"
	// ReasonSkipped: the handler returned [Skip]. A drop, not a dead letter.
	ReasonSkipped = "skipped"
	// ReasonOverflow: the mailbox was full and its policy is to dead-letter.
	ReasonOverflow = "overflow"
	// ReasonShutdown: left over when the runtime ended.
	ReasonShutdown = "shutdown"
	// ReasonStopped: left over when supervision stopped the subscriber.
	ReasonStopped = "subscriber_stopped"
	// ReasonUnsubscribed: left over when the subscriber unsubscribed.
	ReasonUnsubscribed = "unsubscribed"
	// ReasonUndecodable: what the topic's engine has delivered is no event of the
	// topic. The letter has the bytes.
	ReasonUndecodable = "undecodable"
	// ReasonCrashSuspect: the event was in hand when the process died, more than
	// once. It is not handled again unless it is sent back.
	ReasonCrashSuspect = "crash_suspect"
	// ReasonUnrouted: the topic had no subscriber.
	ReasonUnrouted = "no_subscriber"
)

// Decision is the answer to a [Failure], on two independent axes: Fate, Delay and
// Reason are about the event, Directive is about the actor.
type Decision struct {
	// Fate is what becomes of the event.
	Fate Fate
	// Delay is the wait before the next attempt, with [FateRetry]. It is the wait
	// of this event: a restart may take longer, see [Verdict].
	Delay time.Duration
	// Uncharged makes the attempt not count, with [FateRetry]: it leaves no trace in
	// the event's history, and the next one has the same number. See [Postpone].
	Uncharged bool
	// Reason is why the event ends, with [FateDeadLetter] and [FateDrop]; else empty.
	Reason string
	// Directive is what becomes of the actor.
	Directive Directive
	// Fault is the panic of the user's code that was asked for this decision: the
	// [Decider], or a method of the error. It wraps a [*PanicError]. The decision
	// then stands without that code, and someone should read the fault.
	Fault error
}
