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
	// Republish publishes what Encode has returned to all subscribers.
	Republish(ctx context.Context, payload []byte, contentType string, headers map[string]string) error
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
	// Undelivered is the account of unrouted events that became dead letters.
	Undelivered actors.Counts `json:"undelivered"`
}

// Register returns the topic of that name and type, which create makes if there
// is none. It is how package topics opens a topic.
//
// Errors: the name is not valid; the topic has another type; [ErrClosed].
func (rt *Runtime) Register(name string, typ reflect.Type, create func() Topic) (Topic, error) {
	if err := validName(name); err != nil {
		return nil, fmt.Errorf("runtime: topic name %q: %w", name, err)
	}
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.state != StateRunning {
		return nil, ErrClosed
	}
	if t := rt.topics[name]; t != nil {
		if t.Type() != typ {
			return nil, fmt.Errorf("%w: %s carries %v, not %v", ErrTypeMismatch, name, t.Type(), typ)
		}
		return t.Topic, nil
	}
	t := create()
	rt.topics[name] = &topic{Topic: t}
	return t, nil
}

// ErrTypeMismatch is returned for a topic that is open with another type.
var ErrTypeMismatch = errors.New("runtime: topic has another type")

// Lookup returns what is open under that name, or [ErrUnknownTopic]. It is how
// package topics finds an actor.
func (rt *Runtime) Lookup(name string) (Topic, error) { return rt.topic(name) }

// topic returns an open topic by name.
func (rt *Runtime) topic(name string) (Topic, error) {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if t := rt.topics[name]; t != nil {
		return t.Topic, nil
	}
	return nil, fmt.Errorf("%w: %s", ErrUnknownTopic, name)
}
