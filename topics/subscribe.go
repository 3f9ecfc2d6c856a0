package topics

import (
	"context"
	"errors"
	"fmt"
	"reflect"
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
	// Key makes mailbox.Latest keep the newest event of each key. With Workers, or
	// under [Parked], it keeps the order of each key: no event of a key is handled
	// before the one before it has its outcome, through retries and restarts,
	// while those of other keys go on.
	Key Key
	// Workers is how many events are handled at the same time, by as many actors
	// with an instance each, that share the mailbox. Above 1 a failing event waits
	// aside like under [Parked], and events are in no order but for Key. Zero is 1.
	Workers int
	// Filter says which events are wanted. Zero wants all.
	Filter Filter
	// Priority sorts the events that wait into lanes; see [PriorityOf]. Zero is
	// the order of publication.
	Priority Priority
	// Batch says when a batch begins, of a subscriber that handles batches; see
	// [Topic.SubscribeBatch]. Zero is 100 events or 1 s.
	Batch BatchConfig
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
	// MaxParked is how many events may wait aside, under [Parked] or with Workers:
	// with Workers+MaxParked it bounds how many are in flight. Zero is 1024.
	MaxParked int
	// NoReplay leaves out what the topic keeps for newcomers.
	NoReplay bool
	// Middleware is put around the handler, the first one outermost, inside that
	// of runtime.Config. It is called once, by Subscribe.
	Middleware []Middleware
	// Rehearsal lets operators have the handler called with the event of a dead
	// letter to see what happens, once and without consequences for the letter. The
	// handler sees it by Delivery.Rehearsal, and should then do no work that others
	// see. It is not for handlers of batches.
	Rehearsal bool
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
	// Engine is what is asked of the engine of a topic that has one.
	Engine ConsumeConfig

	joined func(leaver) // told of the subscriber before it handles anything
}

// actor returns the configuration as the tree takes it.
func (c SubscriberConfig) actor(topic, name string) actors.Config {
	return actors.Config{
		Topic: topic, Name: name,
		Policy:   supervisor.Policy{Retry: c.Retry, Restart: c.Restart, Decide: c.Decide},
		Capacity: c.Capacity, Overflow: c.Overflow, Timeout: c.Timeout, Grace: c.Grace,
		MaxZombies: c.MaxZombies, Ordering: c.Ordering, MaxParked: c.MaxParked, Group: c.Group, Rehearsal: c.Rehearsal,
	}
}

// Key is a function of an event of any type; see [KeyOf].
type Key struct{ of any }

// KeyOf makes a Key. A key function that panics puts the event under the empty
// key and is reported to Observer.Fault.
func KeyOf[T any](of func(T) string) Key { return Key{of} }

// Priority is a function of an event of any type; see [PriorityOf].
type Priority struct {
	of    any
	lanes int
}

// maxLanes bounds the lanes of a Priority.
const maxLanes = 16

// PriorityOf makes a Priority of lanes from 0 to lanes-1; what is outside goes into
// the nearest. Events of higher lanes go first, but for one in 17 that is of a lane
// which would starve. Within a lane, and for each Key, the order of publication is
// kept. A function that panics puts the event into lane 0 and is reported to
// Observer.Fault.
//
// What the overflow policy does is not a matter of priority: under Block, a full
// mailbox holds back urgent events, too.
func PriorityOf[T any](lanes int, of func(T) int) Priority { return Priority{of, lanes} }

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
	if err := t.validateConsume(&cfg); err != nil {
		return nil, t.subscribeError(name, err)
	}
	cell.Config = cfg.actor(t.name, name)
	if err := typed(cfg, &cell); err != nil {
		return nil, t.subscribeError(name, err)
	}
	if err := around(t.rt, cfg.Middleware, &cell); err != nil {
		return nil, t.subscribeError(name, err)
	}
	joined := take(&cell, cfg)
	sub, err := t.rt.Attach(side[T]{t}, name, func() (runtime.Subscriber, error) {
		spawn := func(log *mailbox.Log[T]) (handler[T], error) {
			c, err := t.start(log, cell, !cfg.NoReplay)
			if err == nil {
				joined(c)
				if cfg.joined != nil {
					cfg.joined(c)
				}
			}
			return c, err
		}
		if t.out != nil {
			return t.consume(cfg, name, spawn)
		}
		c, err := spawn(t.log)
		return subscriber[T]{c, t}, err
	})
	if err != nil {
		return nil, t.subscribeError(name, asClosed(err))
	}
	return sub, nil
}

// typed fills in what depends on the type of the events.
func typed[T any](c SubscriberConfig, cell *actors.CellConfig[T]) error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	var ok bool
	if c.Key.of != nil {
		if cell.Key, ok = c.Key.of.(func(T) string); !ok {
			fault("Key %T: must be of the topic's type, func(%v) string", c.Key.of, reflect.TypeFor[T]())
		}
	}
	if c.Priority.of != nil {
		if cell.Priority, ok = c.Priority.of.(func(T) int); !ok {
			fault("Priority %T: must be of the topic's type, func(%v) int", c.Priority.of, reflect.TypeFor[T]())
		}
		if cell.Lanes = c.Priority.lanes; cell.Lanes < 2 || cell.Lanes > maxLanes {
			fault("Priority of %d lanes: must be between 2 and %d", cell.Lanes, maxLanes)
		}
	}
	var err error
	if cell.Filter, err = compile[T](c.Filter); err != nil {
		fault("Filter: %w", err)
	}
	if cell.Workers = c.Workers; c.Workers < 0 || c.Workers > actors.MaxWorkers {
		fault("Workers %d: must be between 1 and %d, or 0 for 1", c.Workers, actors.MaxWorkers)
	}
	if c.Take > 0 && (cell.ReceiveBatch != nil || cell.BatchFactory != nil) {
		fault("Take %d: must be without batches, which would begin more than that", c.Take)
	}
	if c.Take > 0 && c.Workers > 1 {
		fault("Take %d: must be without Workers, which would begin more than that", c.Take)
	}
	if c.Rehearsal && (cell.ReceiveBatch != nil || cell.BatchFactory != nil) {
		fault("Rehearsal: must be without batches, whose events share their fate")
	}
	if c.Batch != (BatchConfig{}) && cell.ReceiveBatch == nil && cell.BatchFactory == nil {
		fault("Batch: is for handlers of batches; see SubscribeBatch")
	}
	cell.Batch = c.Batch
	cell.Keyed = cell.Key != nil && (c.Workers > 1 || c.Ordering == Parked)
	return errors.Join(faults...)
}

func (t *Topic[T]) subscribeError(name string, err error) error {
	return subscribeError(t.name, name, err)
}

func subscribeError(topic, name string, err error) error {
	return fmt.Errorf("topics: subscribe %s/%s: %w", topic, name, err)
}

// subscriber is what the runtime sees of a cell.
type subscriber[T any] struct {
	handler[T]
	t *Topic[T]
}

// handler is a cell or a pool of cells.
type handler[T any] interface {
	runtime.Cell
	Interrupt(cause error)
	Redeliver(ev T, seq uint64, publishedAt time.Time, headers map[string]string, r *actors.Redelivery) error
}

// start spawns what cfg describes, to read log.
func (t *Topic[T]) start(log *mailbox.Log[T], cfg actors.CellConfig[T], replay bool) (handler[T], error) {
	// With keys, what comes back from the dead letters has to wait for its key, too.
	if cfg.Workers > 1 || cfg.Keyed || t.keeper != nil && replay {
		return actors.SpawnPool(t.rt.Actors(), cfg, func(in *mailbox.Inbox[T]) error {
			return t.feed(in, log, replay)
		})
	}
	return actors.SpawnCell(t.rt.Actors(), log, cfg)
}

func (s subscriber[T]) Redeliver(l runtime.Redelivered, r *actors.Redelivery) error {
	ev, err := s.t.decode(l)
	if err != nil {
		return err
	}
	return s.handler.Redeliver(ev, l.Sequence, l.PublishedAt, l.Headers, r)
}
