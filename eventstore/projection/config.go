package projection

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// Config describes a projection. The zero value works.
type Config struct {
	// Categories are those whose events are wanted. None is all.
	Categories []string
	// Batch is how many events are read, and with OpenTx committed, together at most.
	// Zero is 256.
	Batch int
	// SaveEvery and SavePeriod are after how many events, or how long after the first
	// of them, Open saves the checkpoint. Zero is 1,000 and 1 s. OpenTx always does.
	SaveEvery  int
	SavePeriod time.Duration
	// Checkpoints keeps that of Open. Nil is the store.
	Checkpoints eventstore.Checkpoints
	// Retry says how often an event is attempted before the projection pauses, and when.
	Retry supervisor.Retry
	// Timeout bounds the handling of a batch. Zero does not.
	Timeout time.Duration
	// Grace is how long a handler may take to return after its deadline before it is
	// abandoned. Zero is 5 s.
	Grace time.Duration
	// Middleware is put around the handling of a batch.
	Middleware []runtime.Middleware
}

func (c Config) withDefaults(store eventstore.Store) Config {
	if c.Batch == 0 {
		c.Batch = 256
	}
	if c.SaveEvery == 0 {
		c.SaveEvery = 1000
	}
	if c.SavePeriod == 0 {
		c.SavePeriod = time.Second
	}
	if c.Checkpoints == nil {
		c.Checkpoints = store
	}
	c.Retry = c.Retry.WithDefaults()
	return c
}

func (c Config) validate() error {
	var faults []error
	for _, category := range c.Categories {
		if err := eventstore.CheckCategory(category); err != nil {
			faults = append(faults, fmt.Errorf("Categories: %w", err))
		}
	}
	if c.Batch < 0 {
		faults = append(faults, fmt.Errorf("Batch %d: must not be negative", c.Batch))
	}
	if c.SaveEvery < 0 {
		faults = append(faults, fmt.Errorf("SaveEvery %d: must not be negative", c.SaveEvery))
	}
	if c.SavePeriod < 0 {
		faults = append(faults, fmt.Errorf("SavePeriod %v: must not be negative", c.SavePeriod))
	}
	if err := c.Retry.Validate(); err != nil {
		faults = append(faults, fmt.Errorf("Retry: %w", err))
	}
	return errors.Join(faults...)
}

// EventError says which event a projection could not handle, and why.
type EventError struct {
	Projection string
	Event      eventstore.Recorded
	Err        error
}

func (e *EventError) Error() string {
	ev := &e.Event
	return fmt.Sprintf("projection %s: event %s, a %q, which is version %d of %s, at %s: %v",
		e.Projection, ev.ID, ev.Type, ev.Version, ev.Stream, ev.Position, e.Err)
}

func (e *EventError) Unwrap() error { return e.Err }
