package runtime

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"go.uber.org/zap"
)

// Observer is told what happens; see actors.Observer.
type Observer = actors.Observer

// Event is what an [Observer] is told.
type Event = actors.Event

// Config describes a Runtime. The zero value works.
type Config struct {
	// Name says which runtime of a process a log line or letter is from.
	// Empty is "troupe".
	Name string
	// Logger receives lifecycle (info), dead letters and held-back publishers
	// (warn), and what loses data or needs a person (error). Nil is silent.
	Logger *zap.Logger
	// DeadLetters keeps what no attempt could handle. Nil is a bounded store in
	// memory, see [deadletter.MemoryConfig]. The runtime does not close it. If it is a
	// deadletter.Fleet, the runtime is a member of that until its end: see
	// [Runtime.Member].
	DeadLetters deadletter.Store
	// Build is the version of the program, which letters have. Empty is what Go's
	// tools have written into it: the version of its module, or its revision.
	Build string
	// Observer is told everything that happens. The zero value costs nothing.
	Observer Observer
	// Middleware is put around the handler of every subscriber, and of every actor
	// of topics.Spawn, the first one outermost. It is outside of that of the
	// subscriber.
	Middleware []Middleware
	// Instrument stands around publications and handlers, for traces and
	// latencies; see package telemetry. The zero value costs nothing.
	Instrument actors.Instrument
	// ProfileLabels marks the goroutines of each subscriber for profiles, with
	// the labels troupe_topic and troupe_subscriber. It costs one call of
	// pprof.SetGoroutineLabels for each batch of events.
	ProfileLabels bool
	// DrainTimeout is how long Run lets the pipeline flush after its context
	// has ended. Zero is 30 s.
	DrainTimeout time.Duration
	// CancelGrace is how long handlers may take to return after their contexts
	// were ended at the deadline of a shutdown, and how long dead letters may
	// then take to be written. Zero is 5 s.
	CancelGrace time.Duration
	// MaxParkedLetters is how many dead letters of one subscriber may wait for
	// the store. A subscriber with so many waits itself, until the store works
	// again; others do not. Zero is 256.
	MaxParkedLetters int
	// Redact removes from a dead letter what must not be kept or seen, before it comes
	// into the store and whenever a redrive has added to it. It may change Payload,
	// PayloadError, Headers, Error, PanicValue, Stack and the Errors of Attempts and
	// Redrives; changes of other fields are ignored. It sees a letter again that it has
	// changed before, and must leave that as it is. For the message of a redrive it gets
	// a letter that has no more than its names and Error.
	//
	// A letter whose payload it has changed cannot be redriven as it is; its
	// PayloadError says so. If Redact panics, or does not return, everything that it
	// may change is withheld, the payload too, and the letter is kept without.
	//
	// It must be safe for concurrent use and quick: the store waits for it. It is not
	// about logs and observers, which get the errors as they are. Nil is none.
	Redact func(*deadletter.Letter)
}

func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name = "troupe"
	}
	if c.Build == "" {
		c.Build = build()
	}
	if c.DrainTimeout == 0 {
		c.DrainTimeout = 30 * time.Second
	}
	if c.CancelGrace == 0 {
		c.CancelGrace = 5 * time.Second
	}
	if c.MaxParkedLetters == 0 {
		c.MaxParkedLetters = 256
	}
	if c.Logger == nil {
		c.Logger = zap.NewNop()
	}
	c.Middleware = slices.Clone(c.Middleware)
	return c
}

func (c Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if err := validName(c.Name); err != nil {
		fault("Name %q: %w", c.Name, err)
	}
	if c.DrainTimeout < 0 {
		fault("DrainTimeout %v: must not be negative", c.DrainTimeout)
	}
	if c.CancelGrace < 0 {
		fault("CancelGrace %v: must not be negative", c.CancelGrace)
	}
	if c.MaxParkedLetters < 0 {
		fault("MaxParkedLetters %d: must not be negative", c.MaxParkedLetters)
	}
	for i, m := range c.Middleware {
		if m == nil {
			fault("Middleware[%d]: %w", i, errNilMiddleware)
		}
	}
	return errors.Join(faults...)
}
