package aggregate

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// Config describes the aggregates of a category: S is their state, C what can be asked
// of them, E what happens to them. Category, Schema, Decide and Evolve are required.
type Config[S, C, E any] struct {
	// Category is that of the streams.
	Category string
	// Schema encodes and decodes the events.
	Schema *eventstore.Schema[E]
	// New returns the state of one to which nothing has happened. Nil is the zero S.
	New func(id string) S
	// Decide returns what happens on a command, nothing if that is nothing, or an error
	// that is the caller's answer: a refusal. It must not change the state, and should
	// do nothing that others see: after a conflict it is asked again, on another state.
	// An error that is one of supervisor.RetryAfter, or a temporary one of package
	// engine, is no answer but a failure, and the command is tried again.
	Decide func(ctx context.Context, state S, command C) ([]E, error)
	// Evolve returns what an event makes of the state, which it may change and return.
	// It cannot refuse: the event has happened.
	Evolve func(state S, ev E) S
	// Commands encodes commands for dead letters. Without, C is encoded as JSON, which
	// an interface can not be decoded from: then those dead letters can not be given
	// back.
	Commands *eventstore.Schema[C]
	// Snapshots says how often states are saved. Zero is never.
	Snapshots Snapshots
	// Conflicts is how often a command is decided anew in a row because another process
	// was faster, before that counts as a failed attempt. Zero is 10.
	Conflicts int
	// PassivateAfter is how long a state is kept after its last command. Zero is 5 min.
	PassivateAfter time.Duration
	// MaxLoaded is how many states are kept; of more, that which has waited longest is
	// forgotten. Zero is 10,000.
	MaxLoaded int
	// Subscriber is how the actors are supervised. Zero Workers are 8, and a zero Restart
	// has no limit of restarts, since there is nothing in a worker that others would
	// miss. Key must be zero.
	Subscriber topics.SubscriberConfig
}

// Snapshots says how often states are saved, and as what.
type Snapshots struct {
	// Every is after how many events of a stream. Zero is never.
	Every int
	// Schema is the version of the state: count it up whenever S or what Evolve does
	// changes, so that older snapshots are not used any more. Zero is 1.
	Schema int
	// Codec encodes states. Nil is JSON, which sees exported fields only.
	Codec eventstore.Codec
}

func (c Config[S, C, E]) withDefaults() Config[S, C, E] {
	if c.New == nil {
		c.New = func(string) (zero S) { return zero }
	}
	if c.Snapshots.Schema == 0 {
		c.Snapshots.Schema = 1
	}
	if c.Snapshots.Codec == nil {
		c.Snapshots.Codec = eventstore.JSON
	}
	if c.Conflicts == 0 {
		c.Conflicts = 10
	}
	if c.PassivateAfter == 0 {
		c.PassivateAfter = 5 * time.Minute
	}
	if c.MaxLoaded == 0 {
		c.MaxLoaded = 10_000
	}
	if c.Subscriber.Workers == 0 {
		c.Subscriber.Workers = 8
	}
	if c.Subscriber.Restart == (supervisor.Restart{}) {
		c.Subscriber.Restart.MaxRestarts = supervisor.Unlimited
	}
	return c
}

func (c Config[S, C, E]) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if err := eventstore.CheckCategory(c.Category); err != nil {
		fault("Category %q: %w", c.Category, err)
	}
	if c.Schema == nil {
		fault("Schema: must not be nil")
	}
	if c.Decide == nil {
		fault("Decide: must not be nil")
	}
	if c.Evolve == nil {
		fault("Evolve: must not be nil")
	}
	for name, n := range map[string]int{"Snapshots.Every": c.Snapshots.Every, "Snapshots.Schema": c.Snapshots.Schema, "Conflicts": c.Conflicts, "MaxLoaded": c.MaxLoaded} {
		if n < 0 {
			fault("%s %d: must not be negative", name, n)
		}
	}
	if c.PassivateAfter < 0 {
		fault("PassivateAfter %v: must not be negative", c.PassivateAfter)
	}
	if c.Subscriber.Key != (topics.Key{}) {
		fault("Subscriber.Key: must be zero: it is the ID")
	}
	return errors.Join(faults...)
}
