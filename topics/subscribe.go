package topics

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// Handler handles one event. nil means done; any other error, a panic, a Goexit
// or a missed deadline is a failure, and the policy decides. See
// supervisor.Permanent, Skip and RetryAfter for verdicts.
//
// ctx ends at the deadline of the event, when the subscriber is restarted by
// its group or an operator, and at the deadline of a shutdown. It carries the
// facts of the delivery, see [DeliveryFrom]. Publish with it, so that a handler
// that would wait for itself is told.
type Handler[T any] = func(ctx context.Context, ev T) error

// Behavior is an instance of a subscriber with state; see actors.Behavior.
type Behavior[T any] = actors.Behavior[T]

// Subscription is one subscriber of a topic.
type Subscription = runtime.Subscription

// Delivery says what is known about the event in hand.
type Delivery = actors.Delivery

// DeliveryFrom returns the facts of the delivery that ctx belongs to, false
// outside of a handler. Call it before the handler returns.
func DeliveryFrom(ctx context.Context) (Delivery, bool) { return actors.DeliveryFrom(ctx) }

// What the events behind a failing one do while it waits for its next attempt.
const (
	// Ordered lets nothing overtake it.
	Ordered = actors.Ordered
	// Parked sets it aside and goes on.
	Parked = actors.Parked
)

// SubscriberConfig describes a subscriber. The zero value works: five attempts
// with backoff, a mailbox of 4096 that holds publishers back when it is full,
// and a restart after each panic.
type SubscriberConfig struct {
	// Retry says how often an event is attempted, and when.
	Retry supervisor.Retry
	// Restart says when the instance is replaced, and what follows when that
	// happens too often.
	Restart supervisor.Restart
	// Decide overrules what becomes of a failed event and its subscriber.
	Decide supervisor.Decider
	// Capacity is how many events may wait. Zero is 4096.
	Capacity int
	// Overflow is what happens when so many wait. Zero is mailbox.Block.
	Overflow mailbox.Overflow
	// Key makes mailbox.Latest keep the newest event of each key.
	Key Key
	// Timeout bounds one call of the handler. Zero does not.
	Timeout time.Duration
	// Grace is how long a handler may take to return after its deadline before
	// it is abandoned. Zero is 5 s.
	Grace time.Duration
	// MaxZombies is how many abandoned handlers may still be running before
	// the subscriber waits for one of them. Zero is 2.
	MaxZombies int
	// Ordering is what retries do to the order of events. Zero is [Ordered].
	Ordering actors.Ordering
	// MaxParked is how many events may wait aside under [Parked]. Zero is 1024.
	MaxParked int
	// Group supervises the subscriber. Nil is the runtime's root.
	Group *actors.Group
	// Take ends the subscription once so many events have been handled; 1 is once.
	// One that fails does not count, whether it is retried or becomes a dead
	// letter. No further event begins, and what waits goes the way of
	// DeadLetterRest. Zero is no end.
	Take uint64
	// DeadLetterRest makes dead letters of the events that wait when the
	// subscription ends by itself: by Take, or with the loop of [Topic.Events] or
	// the context of [Topic.Chan]. Else they are dropped and counted.
	DeadLetterRest bool

	joined func(leaver) // told of the subscriber before it handles anything
}

// actor returns the configuration as the tree takes it.
func (c SubscriberConfig) actor(topic, name string) actors.Config {
	return actors.Config{
		Topic: topic, Name: name,
		Policy:   supervisor.Policy{Retry: c.Retry, Restart: c.Restart, Decide: c.Decide},
		Capacity: c.Capacity, Overflow: c.Overflow, Timeout: c.Timeout, Grace: c.Grace,
		MaxZombies: c.MaxZombies, Ordering: c.Ordering, MaxParked: c.MaxParked, Group: c.Group,
	}
}

// Key is a function of an event of any type; see [KeyOf].
type Key struct{ of any }

// KeyOf makes a Key. A key function that panics puts the event under the empty
// key and is reported to Observer.Fault.
func KeyOf[T any](of func(T) string) Key { return Key{of} }

// Subscribe adds a subscriber without state: every event that is published after
// Subscribe has returned is given to handle, one at a time. The name is how
// people refer to it and is unique in the topic.
//
// Errors: everything that is wrong with the name and the configuration, at once;
// runtime.ErrNameTaken; runtime.ErrClosed.
func (t *Topic[T]) Subscribe(name string, handle Handler[T], cfg ...SubscriberConfig) (*Subscription, error) {
	if handle == nil {
		return nil, t.subscribeError(name, errors.New("handler: must not be nil"))
	}
	return t.subscribe(name, actors.CellConfig[T]{Receive: handle}, optional(cfg))
}

// SubscribeFactory adds a subscriber with state: factory makes its first
// instance, and a fresh one for each restart. Otherwise it is Subscribe.
func (t *Topic[T]) SubscribeFactory(name string, factory func() Behavior[T], cfg ...SubscriberConfig) (*Subscription, error) {
	if factory == nil {
		return nil, t.subscribeError(name, errors.New("factory: must not be nil"))
	}
	return t.subscribe(name, actors.CellConfig[T]{Factory: factory}, optional(cfg))
}

func (t *Topic[T]) subscribe(name string, cell actors.CellConfig[T], cfg SubscriberConfig) (*Subscription, error) {
	cell.Config = cfg.actor(t.name, name)
	if cfg.Key.of != nil {
		of, ok := cfg.Key.of.(func(T) string)
		if !ok {
			return nil, t.subscribeError(name, fmt.Errorf("Key %T: must be of the topic's type, func(%T) string", cfg.Key.of, *new(T)))
		}
		cell.Key = of
	}
	taking := take(&cell, cfg)
	sub, err := t.rt.Attach(side[T]{t}, name, func() (runtime.Subscriber, error) {
		c, err := actors.SpawnCell(t.rt.Actors(), t.log, cell)
		if err == nil {
			taking(c)
			if cfg.joined != nil {
				cfg.joined(c)
			}
		}
		return subscriber[T]{c, t}, err
	})
	if err != nil {
		if errors.Is(err, mailbox.ErrClosed) {
			err = runtime.ErrClosed
		}
		return nil, t.subscribeError(name, err)
	}
	return sub, nil
}

func (t *Topic[T]) subscribeError(name string, err error) error {
	return fmt.Errorf("topics: subscribe %s/%s: %w", t.name, name, err)
}

// subscriber is what the runtime sees of a cell.
type subscriber[T any] struct {
	*actors.Cell[T]
	t *Topic[T]
}

func (s subscriber[T]) Redeliver(l runtime.Redelivered, r *actors.Redelivery) error {
	ev, err := s.t.decode(l.Payload, l.ContentType)
	if err != nil {
		return err
	}
	return s.Cell.Redeliver(ev, l.Sequence, l.PublishedAt, l.Headers, r)
}
