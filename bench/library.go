// Package bench measures Troupe beside other in-process event libraries: the same events, the same handler,
// every delivery counted. A library is one adapter file; scenario.go holds the work that all of them are put
// through; cmd/report runs everything interleaved and writes RESULTS.md.
package bench

// Event is what every library carries: 16 bytes, no pointers.
type Event struct {
	ID uint64 // consecutive from 0 over all producers of a run
	At int64  // clock() just before Publish; set by the latency scenario only
}

// Bus is an opened library with its subscribers attached. Publish is called by as many goroutines at once as
// Open was told. Close stops the bus and its goroutines; it is called once, after the last Publish.
type Bus interface {
	Publish(Event) error
	Close() error
}

// Where a library runs its handlers: the difference in guarantees that moves the figures most.
const (
	Isolated    = "isolated"     // each subscriber has its own queue and runs beside the others
	InTurn      = "in turn"      // queued, but one goroutine runs all subscribers one after another
	Synchronous = "in `Publish`" // no queue: the publisher runs the handlers
)

// Library is a way to hand events to handlers, with what a reader must know to compare it.
//
// Every adapter runs a subscriber serially (it never runs concurrently with itself), by configuration where
// the library leaves that open. So one plain counter is the same work and the same promise everywhere.
type Library struct {
	Name            string
	Module          string  // path to look the version up in the build info; empty for the standard library
	Handlers        string  // Isolated, InTurn or Synchronous
	Bound           string  // what limits the events in flight
	Ordered         bool    // a subscriber sees the events of one producer in order; asserted by the tests
	Scale           float64 // share of the time of a throughput cell that it runs for, 0 for all; less for slow libraries
	IdleSubscribers int     // in the idle cell, 0 for as many as the others
	Race            string  // why its correctness test is skipped under -race; empty when it is race free
	Guarantees      string  // the paragraph in RESULTS.md
	Open            func(producers int, subs []*Subscriber) (Bus, error)
}

// Baseline is the library that the ratios of RESULTS.md refer to, Ours the one they are about.
const (
	Baseline = "channel"
	Ours     = "troupe"
)

// Libraries lists them all, in the order of RESULTS.md.
func Libraries() []Library {
	return []Library{
		troupe, channel, kelindar, disruptorDefault, disruptorYield, protoActor, goActor,
		gookit, gookitIsolated, eventBusAsync, eventBusSync, watermillGoChannel,
	}
}
