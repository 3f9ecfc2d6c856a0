package actors

import (
	"reflect"
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

// Observer is told what happens. Every function is optional, and what is not
// set costs nothing. They are called synchronously, by the goroutine to which
// it happens, possibly several at a time: they must not block. A panic in one
// is swallowed.
type Observer struct {
	// Of events.
	Accepted     func(Event) // a topic has taken an event
	Rejected     func(Event) // a topic has refused an event; Err, Reason
	Unrouted     func(Event) // an event found no subscriber
	Held         func(Event) // a full mailbox holds a publisher back; Delay is how long by now, told at once and every second
	Handled      func(Event) // the handler has succeeded; Attempt
	Failed       func(Event) // an attempt failed; Cause, Err, Attempt
	Retrying     func(Event) // the event will be attempted again after Delay: its attempt Failed, or was postponed, which is no failure
	DeadLettered func(Event) // the event is in the dead-letter store; Reason
	Dropped      func(Event) // Count events have been dropped; Reason
	Redriven     func(Event) // a dead letter's event is back in its mailbox; Reason is the letter

	// Of actors.
	Started    func(Event) // an instance is up: first start or restart
	Restarting func(Event) // the instance is replaced, after Delay; Cause
	Paused     func(Event) // by intensity for Delay, or by an operator (Delay 0); Reason
	Resumed    func(Event)
	Passivated func(Event) // the instance was let go because nothing came; the next message makes another
	Escalated  func(Event) // nobody above could help: the actor waits for Resume
	Hung       func(Event) // a handler was abandoned, or cannot be (Reason zombie_limit)
	Late       func(Event) // an abandoned handler has returned
	Stopped    func(Event) // no handler runs any more; Reason
	Fault      func(Event) // code of the user's beside the handler failed: decider, hook, key; Err

	// Of the dead-letter store.
	StoreFailing   func(Event) // letters cannot be written and wait; Err, Count of them
	StoreRecovered func(Event) // they can again

	// Of the engine of a topic.
	EngineFailing   func(Event) // it takes no events or, with a Subscriber, gives none; Err
	EngineRecovered func(Event) // it does again
}

// And returns an observer that tells both.
func (o Observer) And(p Observer) Observer {
	both := reflect.ValueOf(&o).Elem()
	others := reflect.ValueOf(p)
	for i := range both.NumField() {
		first, second := both.Field(i).Interface().(func(Event)), others.Field(i).Interface().(func(Event))
		switch {
		case second == nil:
		case first == nil:
			both.Field(i).Set(others.Field(i))
		default:
			both.Field(i).Set(reflect.ValueOf(func(e Event) {
				Notify(first, e)
				second(e)
			}))
		}
	}
	return o
}

// Notify calls fn, one of an observer's, if it is set, and survives it.
func Notify(fn func(Event), e Event) {
	if fn != nil {
		panics.Try(func() { fn(e) })
	}
}
