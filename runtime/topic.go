package runtime

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"go.uber.org/zap"
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
	// Flush returns when what came from the topic's engine is settled there, or ctx
	// ends. It comes last.
	Flush(ctx context.Context)
	// Durable is that accepted events survive the process.
	Durable() bool
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
	// Undelivered is the account of events that became dead letters without being
	// given to a subscriber: unrouted ones, scheduled ones that were refused or left,
	// and what came from an engine and could not be decoded or is suspect.
	Undelivered actors.Counts `json:"undelivered"`
	// Scheduled is the account of events to be published later, and Recurring
	// that of the producers, by name.
	Scheduled Scheduled   `json:"scheduled"`
	Recurring []Recurring `json:"recurring,omitempty"`
	// Engine is what the topic is on beside this process, nil for nothing.
	Engine *EngineState `json:"engine,omitempty"`
}

// EngineState is how a topic does on its engine.
type EngineState struct {
	Name         string        `json:"name"`
	Acknowledged uint64        `json:"acknowledged"`      // events that it has stored for us
	Unhandled    uint64        `json:"unhandled"`         // came, and became dead letters before a handler had them
	Failing      string        `json:"failing,omitempty"` // why it does not take events, if so
	Since        time.Time     `json:"since,omitzero"`
	Groups       []EngineGroup `json:"groups,omitempty"` // of the subscribers in this process
}

// EngineGroup is how a subscriber of this process does with its engine.
type EngineGroup struct {
	Name    string    `json:"name"`
	Here    int       `json:"here"`              // records that are here and not settled there
	Again   uint64    `json:"again"`             // came again while they were here
	Late    uint64    `json:"late"`              // handled here when they were another's already
	Failing string    `json:"failing,omitempty"` // why nothing comes or is settled, if so
	Since   time.Time `json:"since,omitzero"`
}

// Register returns the topic of that name and type, which create makes if there
// is none. It is how package topics opens a topic.
//
// Errors: the name is not valid; the topic has another type, or one that a subscriber
// to a pattern does not take; those of create; [ErrClosed].
func (rt *Runtime) Register(name string, typ reflect.Type, create func() (Topic, error)) (Topic, error) {
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
	t, err := create()
	if err != nil {
		return nil, err
	}
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
	if _, volatile := rt.cfg.DeadLetters.(*deadletter.Memory); volatile && t.Durable() {
		rt.cfg.Logger.Warn("events are durable and dead letters are not: they are in memory", fieldRuntime(rt.cfg.Name), zap.String("topic", name))
	}
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
