package runtime

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

// What becomes of the events that still wait when a subscriber unsubscribes.
const (
	// Drain handles them first.
	Drain = actors.Drain
	// DeadLetterRest makes them dead letters.
	DeadLetterRest = actors.DeadLetterRest
	// Discard drops and counts them.
	Discard = actors.Discard
)

// Cell is the part of an *actors.Cell that does not depend on its events.
type Cell interface {
	Counts() actors.Counts
	State() actors.State
	Since() time.Duration
	Config() actors.Config
	Traits() actors.Traits
	Oldest() time.Duration
	Capacity() int
	Overflow() mailbox.Overflow
	Pause()
	Resume()
	Restart()
	Hurry()
	Stop(rest actors.Rest, reason string)
	Done() <-chan struct{}
	AfterDone(f func())
	Abandon() bool
	RedeliveryRoom() int
	Handles(ctx context.Context) bool
}

// Subscriber is the untyped side of a subscriber. Package topics implements it;
// programs do not.
type Subscriber interface {
	Cell
	// Redeliver decodes a letter's payload and puts the event into the mailbox.
	Redeliver(l Redelivered, r *actors.Redelivery) error
}

// Redelivered is a dead letter's event on its way back.
type Redelivered struct {
	Topic         string
	Payload       []byte
	ContentType   string
	GoType        string // as which it was published, for messages
	SchemaVersion int    // of the payload; 0 for a letter without one
	Sequence      uint64
	PublishedAt   time.Time
	Headers       map[string]string
	EventID       string
}

// Subscription is one subscriber of a topic. Methods are safe for concurrent
// use.
type Subscription struct {
	rt    *Runtime
	topic string
	name  string
	cell  Subscriber // nil while it is being attached
}

// Attach registers a subscriber that start makes. It is how package topics
// subscribes.
//
// Errors: the name is not valid or taken; those of start; [ErrClosed].
func (rt *Runtime) Attach(t Topic, name string, start func() (Subscriber, error)) (*Subscription, error) {
	return rt.attach(t, name, start, false)
}

// AttachChild is [Runtime.Attach] for a subscriber that another one stops before
// it stops itself. It works while a shutdown drains, too, since the other one may
// have to restart.
func (rt *Runtime) AttachChild(t Topic, name string, start func() (Subscriber, error)) (*Subscription, error) {
	return rt.attach(t, name, start, true)
}

func (rt *Runtime) attach(t Topic, name string, start func() (Subscriber, error), child bool) (*Subscription, error) {
	if err := validName(name); err != nil {
		return nil, fmt.Errorf("runtime: subscriber name %q: %w", name, err)
	}
	s := &Subscription{rt: rt, topic: t.Name(), name: name}
	rt.mu.Lock()
	if rt.state != StateRunning && !(child && rt.state == StateDraining) {
		rt.mu.Unlock()
		return nil, ErrClosed
	}
	if o := rt.byName[s.key()]; o != nil && (o.cell == nil || !o.stopped()) {
		rt.mu.Unlock()
		return nil, fmt.Errorf("%w: %s/%s", ErrNameTaken, s.topic, name)
	}
	if len(rt.subs) >= rt.foldAt {
		rt.fold()
		rt.foldAt = 2*len(rt.subs) + 16
	}
	rt.subs = append(rt.subs, s)
	rt.byName[s.key()] = s // reserves the name
	if !child {
		rt.attaching.Add(1)
		defer rt.attaching.Done()
	}
	rt.mu.Unlock()

	cell, err := start() // unlocked: it tells observers, and they may look at us
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if err != nil {
		rt.subs = slices.DeleteFunc(rt.subs, func(o *Subscription) bool { return o == s })
		delete(rt.byName, s.key())
		return nil, err
	}
	s.cell = cell
	return s, nil
}

func (s *Subscription) key() [2]string { return [2]string{s.topic, s.name} }

// Subscription returns a subscriber by name.
func (rt *Runtime) Subscription(topic, name string) (*Subscription, error) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.topics[topic] == nil {
		return nil, fmt.Errorf("%w: %s", ErrUnknownTopic, topic)
	}
	if s := rt.byName[[2]string{topic, name}]; s != nil && s.cell != nil && !s.stopped() {
		return s, nil
	}
	return nil, fmt.Errorf("%w: %s/%s", ErrUnknownSubscriber, topic, name)
}

// Pause keeps a subscriber from taking another event; see [Subscription.Pause].
func (rt *Runtime) Pause(topic, subscriber string) error {
	return rt.control(topic, subscriber, (*Subscription).Pause)
}

// Resume ends a pause; see [Subscription.Resume].
func (rt *Runtime) Resume(topic, subscriber string) error {
	return rt.control(topic, subscriber, (*Subscription).Resume)
}

// Restart replaces a subscriber's instance; see [Subscription.Restart].
func (rt *Runtime) Restart(topic, subscriber string) error {
	return rt.control(topic, subscriber, (*Subscription).Restart)
}

func (rt *Runtime) control(topic, subscriber string, do func(*Subscription)) error {
	s, err := rt.Subscription(topic, subscriber)
	if err == nil {
		do(s)
	}
	return err
}

// Topic returns the name of the topic.
func (s *Subscription) Topic() string { return s.topic }

// Name returns the name of the subscriber.
func (s *Subscription) Name() string { return s.name }

// Subscriber returns the untyped side of the subscriber. It is how package
// topics finds an actor.
func (s *Subscription) Subscriber() Subscriber { return s.cell }

// Pause keeps the subscriber from taking another event, until Resume. The one
// in hand is finished; events that come wait, as its overflow policy says. It
// does not block and is idempotent.
func (s *Subscription) Pause() { s.cell.Pause() }

// Resume ends a pause, whether an operator or the supervisor made it: a
// subscriber that cools down or has escalated is restarted at once.
func (s *Subscription) Resume() { s.cell.Resume() }

// Restart replaces the subscriber's instance. The event in hand, if any, is
// attempted again, uncharged.
func (s *Subscription) Restart() { s.cell.Restart() }

// Done is closed when the subscriber has stopped and every event of its mailbox
// has its outcome or is on its way into the dead-letter store.
func (s *Subscription) Done() <-chan struct{} { return s.cell.Done() }

// Unsubscribe ends the subscription: events that are published from now on are
// not its any more. rest says what becomes of those that wait: [Drain],
// [DeadLetterRest] or [Discard].
//
// It blocks until the subscriber has stopped: when it returns nil, no handler
// call runs or will start. If ctx ends first it returns the cause, and the
// subscription ends in its own time; a call with DeadLetterRest or Discard
// hurries one that drains. One that is paused, cools down or has escalated
// drains what it has when it is resumed. Called from the subscriber's own handler it returns
// nil at once, and the subscription ends after that handler. It is idempotent.
func (s *Subscription) Unsubscribe(ctx context.Context, rest actors.Rest) error {
	if rest > Discard {
		return fmt.Errorf("runtime: unsubscribe %s/%s: rest %d: must be Drain, DeadLetterRest or Discard", s.topic, s.name, rest)
	}
	s.cell.Stop(rest, supervisor.ReasonUnsubscribed)
	if s.cell.Handles(ctx) {
		return nil
	}
	select {
	case <-s.cell.Done():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fold moves stopped subscribers out of the way, and their counts into those of
// the topic as soon as nothing can change them any more. What a shutdown stops
// stays, so that a final account has names. The caller holds mu.
func (rt *Runtime) fold() {
	if rt.state != StateRunning {
		return
	}
	rt.subs = slices.DeleteFunc(rt.subs, func(s *Subscription) bool {
		if s.cell == nil || !s.stopped() {
			return false
		}
		rt.past = append(rt.past, s)
		if rt.byName[s.key()] == s {
			delete(rt.byName, s.key())
		}
		return true
	})
	rt.past = slices.DeleteFunc(rt.past, func(s *Subscription) bool {
		c := s.cell.Counts()
		if c.Parked > 0 || c.Zombies > 0 {
			return false
		}
		rt.topics[s.topic].former.Add(c)
		return true
	})
}

func (s *Subscription) stopped() bool {
	select {
	case <-s.cell.Done():
		return true
	default:
		return false
	}
}
