package runtime

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/troupe-go/troupe/actors"
)

// The errors of names.
var (
	ErrUnknownTopic      = errors.New("runtime: unknown topic")
	ErrUnknownSubscriber = errors.New("runtime: unknown subscriber")
	ErrNameTaken         = actors.ErrNameTaken
)

// Topic is the untyped side of a topic: what is needed for accounts, dead
// letters and shutdown. Package topics implements it; programs do not.
type Topic interface {
	Name() string
	// Type is that of the events.
	Type() reflect.Type
	// Counts returns the account of publications.
	Counts() Publications
	// Encode returns an event, which is of Type, as a store keeps it.
	Encode(event any) (payload []byte, contentType string, err error)
	// Decode returns the event of a letter.
	Decode(l Redelivered) (event any, err error)
	// Version is that of Type, as Encode writes it. It counts from 1.
	Version() int
	// Payload is what dead letters keep of events.
	Payload() PayloadPolicy
	// Republish publishes the event of a letter to all subscribers.
	Republish(ctx context.Context, l Redelivered) error
	// Drain refuses publications from outside of handlers, and Close all.
	Drain()
	Close()
}

// Publications is the account of a topic:
//
//	Attempted = Accepted + Σ Rejected
type Publications struct {
	Attempted uint64            `json:"attempted"`
	Accepted  uint64            `json:"accepted"`
	Rejected  map[string]uint64 `json:"rejected"` // by reason
	Unrouted  uint64            `json:"unrouted"` // accepted and without a subscriber
	Waiting   int               `json:"waiting"`  // publishers held back at this moment
	// Undelivered is the account of events that became dead letters without a
	// subscriber: unrouted ones, and scheduled ones that were refused or left.
	Undelivered actors.Counts `json:"undelivered"`
	// Scheduled is the account of events to be published later, and Recurring
	// that of the producers, by name.
	Scheduled Scheduled   `json:"scheduled"`
	Recurring []Recurring `json:"recurring,omitempty"`
}

// Register returns the topic of that name and type, which create makes if there
// is none. It is how package topics opens a topic.
//
// Errors: the name is not valid; the topic has another type, or one that a subscriber
// to a pattern does not take; [ErrClosed].
func (rt *Runtime) Register(name string, typ reflect.Type, create func() Topic) (Topic, error) {
	if err := validName(name); err != nil {
		return nil, fmt.Errorf("runtime: topic name %q: %w", name, err)
	}
	if t, err := rt.registered(name, typ); t != nil || err != nil {
		return t, err
	}
	rt.opening.Lock()
	defer rt.opening.Unlock()
	if t, err := rt.registered(name, typ); t != nil || err != nil {
		return t, err
	}
	t := create()
	if err := rt.match(t); err != nil {
		return nil, err
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.state != StateRunning {
		t.Close()
		return nil, ErrClosed
	}
	rt.names.add(name, t)
	rt.topics[name] = &topic{Topic: t}
	return t, nil
}

// registered returns the topic of that name, nil if there is none.
func (rt *Runtime) registered(name string, typ reflect.Type) (Topic, error) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.state != StateRunning {
		return nil, ErrClosed
	}
	t := rt.topics[name]
	if t == nil {
		return nil, nil
	}
	if t.Type() != typ {
		return nil, fmt.Errorf("%w: %s carries %v, not %v", ErrTypeMismatch, name, t.Type(), typ)
	}
	return t.Topic, nil
}

// ErrTypeMismatch is returned for a topic that is open with another type. A
// topic never changes its type, so to a handler it is a permanent failure.
var ErrTypeMismatch = actors.ErrTypeMismatch

// Topic returns an open topic by name, or [ErrUnknownTopic].
func (rt *Runtime) Topic(name string) (Topic, error) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if t := rt.topics[name]; t != nil {
		return t.Topic, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrUnknownTopic, name)
}
