package actors

import (
	"time"

	"github.com/sourcegraph/conc/panics"
	"github.com/troupe-go/troupe/supervisor"
)

// Event is what an [Observer] is told. Fields that do not apply are zero.
type Event struct {
	Topic      string
	Subscriber string
	Sequence   uint64
	Attempt    int
	Cause      supervisor.Cause
	Err        error
	Reason     string
	Delay      time.Duration
	Count      uint64
}

// Observer is told what happens to actors and their events. Every function is
// optional, and what is not set costs nothing. They are called synchronously,
// by the goroutine to which it happens, possibly several at a time: they must
// not block. A panic in one is swallowed.
type Observer struct {
	Started      func(Event) // an instance is up: first start or restart
	Failed       func(Event) // an attempt failed; Cause, Err, Attempt
	Retrying     func(Event) // the event will be attempted again after Delay
	DeadLettered func(Event) // the event is in the dead-letter store; Reason
	Dropped      func(Event) // Count events have been dropped; Reason
	Restarting   func(Event) // the instance is replaced, after Delay; Cause
	Paused       func(Event) // by intensity for Delay, or by an operator (Delay 0); Reason
	Resumed      func(Event)
	Escalated    func(Event) // nobody above could help: the actor waits for Resume
	Hung         func(Event) // a handler was abandoned, or cannot be (Reason zombie_limit)
	Late         func(Event) // an abandoned handler has returned
	Stopped      func(Event) // no handler runs any more; Reason
	Fault        func(Event) // code of the user's beside the handler failed: decider, hook, key; Err
}

// tell calls fn, if there is one, and survives it.
func tell(fn func(Event), e Event) {
	if fn != nil {
		panics.Try(func() { fn(e) })
	}
}
