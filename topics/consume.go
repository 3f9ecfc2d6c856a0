package topics

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
)

// ConsumeConfig is what a subscriber asks of its topic's engine. The subscriber's
// name is that of its group: subscribers of one name share the events, in whatever
// process they are, and each name gets all of them. The zero value works.
type ConsumeConfig struct {
	// From is where the group begins if it is new: zero is with what is published
	// from then on.
	From engine.Start
	// KeyOrder asks that the order of each key of the topic's Config.Key holds over
	// all processes, also when one dies or joins. Without, it holds within one.
	KeyOrder bool
	// Lease is how long after this process has gone silent its events go to
	// another. It is extended for as long as they are here. Zero is 30 s.
	Lease time.Duration
	// MaxCrashes is at the how manyth death of the process with the event in hand
	// the event becomes a dead letter, reason crash_suspect, instead of being
	// handled again. It needs an engine.Marker. Zero is 2, the least.
	MaxCrashes int
}

const (
	defaultLease      = 30 * time.Second
	defaultMaxCrashes = 2
	// engineCapacity is the Capacity of subscribers on an engine: what is here is
	// not with the other processes.
	engineCapacity = 1024
	// engineParked is what may wait aside beside that.
	engineParked = 1024
)

// validateConsume checks what is not for subscribers of a topic on an engine, or only
// for them, and fills in defaults.
func (t *Topic[T]) validateConsume(cfg *SubscriberConfig) error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	c := &cfg.Engine
	if t.out == nil {
		if *c != (ConsumeConfig{}) {
			fault("Engine: is for a topic with an Engine")
		}
		return errors.Join(faults...)
	}
	if cfg.Overflow.String() != mailbox.Block.String() {
		fault("Overflow %v: must be Block on an engine, which keeps what does not fit", cfg.Overflow)
	}
	if c.From > engine.FromOldest {
		fault("Engine.From %d: must be engine.FromNow or engine.FromOldest", c.From)
	}
	if c.KeyOrder && t.out.key == nil {
		fault("Engine.KeyOrder: needs the topic's Config.Key")
	}
	if c.KeyOrder && !t.out.caps.KeyOrder {
		fault("Engine.KeyOrder: %w by %s for this topic", engine.ErrUnsupported, t.out.name)
	}
	if c.KeyOrder && cfg.Key.of == nil && (cfg.Workers > 1 || cfg.Ordering == Parked) {
		fault("Engine.KeyOrder: needs a Key with Workers or Parked, or events of a key overtake each other here")
	}
	if c.Lease < 0 {
		fault("Engine.Lease %v: must not be negative", c.Lease)
	}
	if c.MaxCrashes < 0 || c.MaxCrashes == 1 {
		fault("Engine.MaxCrashes %d: must be 2 or more, or 0 for 2", c.MaxCrashes)
	}
	if c.Lease == 0 {
		c.Lease = defaultLease
	}
	if c.MaxCrashes == 0 {
		c.MaxCrashes = defaultMaxCrashes
	}
	if cfg.Capacity == 0 {
		cfg.Capacity = engineCapacity
	}
	return errors.Join(faults...)
}

// consume joins the group and has spawn start what handles the events of the log that
// it is given. Nothing is fetched before that.
func (t *Topic[T]) consume(cfg SubscriberConfig, name string, spawn func(log *mailbox.Log[T]) (handler[T], error)) (*consumer[T], error) {
	limit := cfg.Capacity
	if cfg.Workers > 1 || cfg.Ordering == Parked {
		limit += cmp.Or(cfg.MaxParked, engineParked)
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	sub, err := t.out.topic.Subscribe(ctx, engine.SubscribeConfig{
		Group: name, From: cfg.Engine.From, MaxInFlight: limit, Lease: cfg.Engine.Lease, KeyOrder: cfg.Engine.KeyOrder,
	})
	if err != nil {
		return nil, fmt.Errorf("engine %s: %w", t.out.name, err)
	}
	in := newIntake(t.out, name, sub, limit, cfg.Engine)
	cell, err := spawn(in.log)
	if err != nil {
		leave, cancel := context.WithTimeout(context.Background(), engineTimeout)
		defer cancel()
		return nil, errors.Join(err, sub.Close(leave))
	}
	if !in.begin(cell) {
		return nil, runtime.ErrClosed
	}
	return &consumer[T]{subscriber[T]{cell, t}, in}, nil
}

// consumer is what the runtime sees of a subscriber on an engine.
type consumer[T any] struct {
	subscriber[T]
	in *intake[T]
}

// Stop ends intake first: what Drain handles is what is here.
func (c *consumer[T]) Stop(rest actors.Rest, reason string) {
	c.in.halt()
	c.subscriber.Stop(rest, reason)
}

// Undecoded is an event that could not be decoded, as it came from the topic's
// engine. It is the event of a dead letter, reason undecodable, whose payload is
// Data.
type Undecoded struct {
	Data          []byte
	ContentType   string
	SchemaVersion int
	Err           error
}

// UndecodedVersion is what the runtime asks for when it makes the letter.
func (u *Undecoded) UndecodedVersion() int { return u.SchemaVersion }
