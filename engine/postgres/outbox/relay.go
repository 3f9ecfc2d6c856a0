package outbox

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

const (
	// RelayName is the name of the subscribers that are relays, and of their group.
	RelayName = "relay"
	// ReasonRefused is the reason of the dead letter of a record that the other engine
	// does not take.
	ReasonRefused = "refused"

	relayBatch = 256
	relayBase  = 50 * time.Millisecond
	relayMax   = 5 * time.Second

	// So many processes have to die with a record in hand until it is a dead letter:
	// they die of other things than of bytes that are passed on.
	relayCrashes = 10
)

// RelayConfig describes a relay. The zero value works.
type RelayConfig struct {
	// Batch is how many records are published at once, at most. Zero is 256.
	Batch int
	// Retry is how long the relay waits before it tries again while the other engine
	// does not take records. Zero is from 50 ms to 5 s. MaxAttempts must be zero: a
	// record that could be taken later is tried for as long as that takes.
	Retry supervisor.Retry
	// Lease is how long the records that a process had in hand wait for another after it
	// has gone silent, and with them those of the same keys. Zero is 30 s.
	Lease time.Duration
	// Group supervises it. Nil is the runtime's root.
	Group *actors.Group
}

// Relay carries what has been committed to the outbox of a topic to its engine, as a
// subscriber of the topic outbox.TOPIC of rt, named relay: it is in the tree, is
// restarted, paused and resumed as any other, drains at shutdown, and what fails is
// told. Any number of processes may have one, and they share the work.
//
// Nothing that was committed is skipped, whatever commits first, and the records of a
// key arrive in their order; those without a key in the order of their commits while
// one process relays and nothing fails. A record is published again if the
// process ends, or the other engine fails, before that is noted: it has the same ID,
// which an engine with Caps.Dedup stores once.
//
// While the engine cannot be reached, does not let us in or has no such topic, the relay
// waits, and records with it. One that it refuses for itself, as too large, becomes a
// dead letter with reason [ReasonRefused], and those behind it go on. The payload of the
// letter is the record as JSON, to be mended and sent again.
//
// It blocks while both topics are opened, 10 s at most. The engines must be closed after
// the runtime.
//
// Errors: those of topics.Open and Subscribe; runtime.ErrNameTaken if rt relays the topic
// already.
//
// Price: a round trip to the other engine for a batch, and on one without
// Caps.AtomicBatch for each record of the same key in it, so that a failure cannot let
// one overtake another.
func (o *Outbox) Relay(rt *runtime.Runtime, topic string, cfg ...RelayConfig) (*runtime.Subscription, error) {
	var c RelayConfig
	if len(cfg) > 0 {
		c = cfg[0]
	}
	if c.Batch == 0 {
		c.Batch = relayBatch
	}
	if c.Batch < 0 || c.Retry.MaxAttempts != 0 {
		return nil, fmt.Errorf("outbox: relay %s: RelayConfig.Batch %d: must not be negative, and Retry.MaxAttempts %d: must be 0, since it is without limit",
			topic, c.Batch, c.Retry.MaxAttempts)
	}
	c.Retry.MaxAttempts = supervisor.Unlimited
	if c.Retry.BaseDelay == 0 {
		c.Retry.BaseDelay = relayBase
	}
	if c.Retry.MaxDelay == 0 {
		c.Retry.MaxDelay = max(relayMax, c.Retry.BaseDelay)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	to, err := o.to.Open(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("outbox: relay %s: engine %s: %w", topic, o.to.Name(), err)
	}
	from, err := topics.Open[engine.Record](rt, outboxPrefix+topic, topics.Config{
		Engine: boxed{o.pg}, Codec: recordCodec{},
		Key: topics.KeyOf(func(r engine.Record) string { return r.Key }),
	})
	if err != nil {
		return nil, fmt.Errorf("outbox: relay %s: %w", topic, err)
	}
	sub, err := from.SubscribeBatch(RelayName, (&relay{to, to.Caps().AtomicBatch}).carry, topics.SubscriberConfig{
		Retry: c.Retry, Group: c.Group,
		Capacity: max(1024, c.Batch),
		Batch:    topics.BatchConfig{Size: c.Batch, Period: supervisor.NoDelay},
		Engine:   topics.ConsumeConfig{From: engine.FromOldest, KeyOrder: true, Lease: c.Lease, MaxCrashes: relayCrashes},
	})
	if err != nil {
		return nil, fmt.Errorf("outbox: relay %s: %w", topic, err)
	}
	return sub, nil
}

// relay publishes what the outbox has.
type relay struct {
	to    engine.Topic
	whole bool // all of a batch is stored, or nothing
}

// carry is a topics.BatchHandler.
func (r *relay) carry(ctx context.Context, records []engine.Record) error {
	var failed topics.BatchError
	todo := make([]int, len(records))
	for i := range todo {
		todo[i] = i
	}
	stuck := map[string]error{} // keys whose records wait for one that failed
	for len(todo) > 0 {
		turn, rest := r.turn(records, todo)
		todo = nil
		for i, err := range r.publish(ctx, records, turn) {
			if err != nil {
				failed.Fail(turn[i], err)
				if key := records[turn[i]].Key; !supervisor.IsPermanent(err) && key != "" {
					stuck[key] = err
				}
			}
		}
		for _, at := range rest {
			if err := stuck[records[at].Key]; err != nil {
				failed.Fail(at, err)
			} else {
				todo = append(todo, at)
			}
		}
	}
	return failed.Err()
}

// turn returns what may be published at once: where a part of it can fail, no two of
// the same key.
func (r *relay) turn(records []engine.Record, todo []int) (turn, rest []int) {
	if r.whole {
		return todo, nil
	}
	seen := map[string]bool{}
	for _, at := range todo {
		if key := records[at].Key; key != "" && seen[key] {
			rest = append(rest, at)
			continue
		} else {
			seen[key] = true
		}
		turn = append(turn, at)
	}
	return turn, rest
}

// publish returns nil if all are stored, else an error for each, with its verdict.
func (r *relay) publish(ctx context.Context, records []engine.Record, turn []int) []error {
	batch := make([]engine.Record, len(turn))
	for i, at := range turn {
		batch[i] = records[at]
	}
	errs := r.to.Publish(ctx, batch)
	refused := false
	for _, err := range errs {
		refused = refused || err != nil && !passes(err)
	}
	if !refused {
		return errs
	}
	// In a batch that is stored whole or not at all, it may be another's fault.
	var stop error
	for i, err := range errs {
		switch {
		case err == nil:
			continue
		case stop != nil: // an order is kept
			errs[i] = stop
			continue
		case len(batch) > 1:
			err = errors.Join(r.to.Publish(ctx, batch[i:i+1])...)
		}
		if err != nil && passes(err) {
			stop = err
		} else if err != nil {
			err = supervisor.PermanentAs(ReasonRefused, err)
		}
		errs[i] = err
	}
	return errs
}

// passes reports whether err says nothing about the record: it is tried again.
func passes(err error) bool {
	for _, kind := range []error{
		engine.ErrUnauthorized, engine.ErrNoTopic, engine.ErrMismatch, engine.ErrInUse, engine.ErrClosed,
		context.Canceled, context.DeadlineExceeded,
	} {
		if errors.Is(err, kind) {
			return true
		}
	}
	return engine.Temporary(err)
}
