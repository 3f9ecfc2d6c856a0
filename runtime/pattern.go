package runtime

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
)

// pattern is what a runtime knows of a subscription to a pattern of topics.
type pattern struct {
	sub     *Subscription
	accepts func(Topic) error // says why a topic cannot be taken in
	feed    func(Topic) error // takes another topic in
}

// patternTopic is the place of a pattern in the account: that of a topic that nothing is
// published to.
type patternTopic struct{ name string }

func (p patternTopic) Name() string          { return p.name }
func (p patternTopic) Type() reflect.Type    { return reflect.TypeFor[any]() }
func (p patternTopic) Counts() Publications  { return Publications{Rejected: map[string]uint64{}} }
func (p patternTopic) Drain()                {}
func (p patternTopic) Close()                {}
func (p patternTopic) Flush(context.Context) {}
func (p patternTopic) Durable() bool         { return false }

func (p patternTopic) Encode(any) ([]byte, string, error) { return nil, "", errNotATopic }

func (p patternTopic) Decode(Redelivered) (any, error) { return nil, errNotATopic }

func (p patternTopic) Version() int { return 1 }

func (p patternTopic) Payload() PayloadPolicy { return PayloadPolicy{} }

func (p patternTopic) Republish(context.Context, Redelivered) error { return errNotATopic }

var errNotATopic = errors.New("runtime: a pattern is not a topic")

// AttachPattern registers a subscriber to all topics whose names match the pattern,
// those that are open and those that will be opened. start makes it, with the
// topics that it begins with; feed takes in another one before anything is
// published there, unless accepts refuses it, which refuses the topic. It is how
// package topics subscribes to patterns.
//
// In a pattern, "*" stands for any one part of a name and ">" for all parts, one at
// least, that follow.
//
// Errors: the pattern or the name is not valid; the name is taken; those of start;
// [ErrClosed].
func (rt *Runtime) AttachPattern(name, subscriber string, start func([]Topic) (Subscriber, error), accepts, feed func(Topic) error) (*Subscription, error) {
	if err := validPattern(name); err != nil {
		return nil, fmt.Errorf("runtime: pattern %q: %w", name, err)
	}
	rt.opening.Lock() // no topic is opened meanwhile
	defer rt.opening.Unlock()
	rt.forget()
	rt.mu.Lock()
	if rt.state != StateRunning {
		rt.mu.Unlock()
		return nil, ErrClosed
	}
	if rt.topics[name] == nil {
		rt.topics[name] = &topic{Topic: patternTopic{name}}
	}
	rt.mu.Unlock()
	var open []Topic
	var faults []error
	rt.names.matched(name, func(t Topic) {
		open = append(open, t)
		if err := accepts(t); err != nil {
			faults = append(faults, err)
		}
	})
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	slices.SortFunc(open, func(a, b Topic) int { return strings.Compare(a.Name(), b.Name()) })
	s, err := rt.Attach(patternTopic{name}, subscriber, func() (Subscriber, error) { return start(open) })
	if err != nil {
		return nil, err
	}
	rt.patterns.add(name, pattern{s, accepts, feed})
	return s, nil
}

// match gives a new topic to the subscribers whose patterns match its name, or to
// none. The caller holds opening.
func (rt *Runtime) match(t Topic) error {
	rt.forget()
	var takers []pattern
	var faults []error
	rt.patterns.matching(t.Name(), func(p pattern) {
		if p.sub.stopped() {
			return
		}
		takers = append(takers, p)
		if err := p.accepts(t); err != nil {
			faults = append(faults, fmt.Errorf("subscriber %s/%s: %w", p.sub.topic, p.sub.name, err))
		}
	})
	if len(faults) > 0 {
		return errors.Join(faults...)
	}
	for _, p := range takers {
		if err := p.feed(t); err != nil {
			return err
		}
	}
	return nil
}

// forget takes out the subscriptions to patterns that have stopped since the last
// call. The caller holds opening.
func (rt *Runtime) forget() {
	rt.mu.Lock()
	stale := rt.stale
	rt.stale = nil
	rt.mu.Unlock()
	for _, name := range stale {
		rt.patterns.remove(name, func(p pattern) bool { return p.sub.stopped() })
	}
}
