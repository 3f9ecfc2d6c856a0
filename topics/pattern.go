package topics

import (
	"errors"
	"fmt"
	"reflect"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
)

// Any is an event of any topic, for subscribers to patterns of topics that do not
// share a type.
type Any struct {
	// Topic is where it was published.
	Topic string
	// Event is of the topic's type. Making it costs an allocation for most types.
	Event any
}

// SubscribePattern adds a subscriber to every topic of rt whose name matches the
// pattern, those that are open and those that will be opened. "*" stands for any
// one part of a name, ">" at the end for all parts that follow, one at least:
// orders.*.placed, orders.>. If T is [Any], the topics may have any types; else
// all that match must have the type T.
//
// It is one subscriber, with one mailbox and one instance, and has its place in the
// account under the name of the pattern; [DeliveryFrom] tells the topic of an event,
// and so do dead letters. The order of each topic is kept. Under mailbox.Block,
// Reject and Unbounded, Capacity is for each topic, under the other policies for
// all of them. Actors of [Spawn] are not topics.
//
// Publishing does not look at patterns: its price is that of one more subscriber.
// Subscribing, and opening a topic, costs a look at what matches.
//
// Errors: those of [Topic.Subscribe]; the pattern is not valid, or has no wildcard;
// [ErrTypeMismatch], which names the topics. From then on, [Open] returns it for a
// topic that matches and has another type.
func SubscribePattern[T any](rt *runtime.Runtime, pattern, name string, handle Handler[T], cfg ...SubscriberConfig) (*Subscription, error) {
	if handle == nil {
		return nil, subscribeError(pattern, name, errors.New("handler: must not be nil"))
	}
	return subscribePattern(rt, pattern, name, actors.CellConfig[T]{Receive: handle}, optional(cfg))
}

// SubscribePatternFactory is SubscribePattern for a subscriber with state; see
// [Topic.SubscribeFactory].
func SubscribePatternFactory[T any](rt *runtime.Runtime, pattern, name string, factory func() Behavior[T], cfg ...SubscriberConfig) (*Subscription, error) {
	if factory == nil {
		return nil, subscribeError(pattern, name, errors.New("factory: must not be nil"))
	}
	return subscribePattern(rt, pattern, name, actors.CellConfig[T]{Factory: factory}, optional(cfg))
}

func subscribePattern[T any](rt *runtime.Runtime, pattern, name string, cell actors.CellConfig[T], cfg SubscriberConfig) (*Subscription, error) {
	cell.Config = cfg.actor(pattern, name)
	if err := typed(cfg, &cell); err != nil {
		return nil, subscribeError(pattern, name, err)
	}
	if err := around(rt, cfg.Middleware, &cell); err != nil {
		return nil, subscribeError(pattern, name, err)
	}
	showPayload(&cell)
	joined := take(&cell, cfg)
	return attachPattern(rt, pattern, name, cfg, func(feed func(*mailbox.Inbox[T]) error) (*actors.Pool[T], error) {
		pool, err := actors.SpawnPool(rt.Actors(), cell, feed)
		if err == nil {
			joined(pool)
		}
		return pool, err
	})
}

// showPayload makes dead letters of events of any topic show the event alone.
func showPayload[T any](cell *actors.CellConfig[T]) {
	if reflect.TypeFor[T]() == reflect.TypeFor[Any]() {
		cell.Payload = func(ev T) any { return any(ev).(Any).Event }
	}
}

// attachPattern registers the subscriber that spawn makes, which is fed by the topics
// that match.
func attachPattern[T any](rt *runtime.Runtime, pattern, name string, cfg SubscriberConfig, spawn func(feed func(*mailbox.Inbox[T]) error) (*actors.Pool[T], error)) (*Subscription, error) {
	s := &patternSubscriber[T]{rt: rt, replay: !cfg.NoReplay}
	sub, err := rt.AttachPattern(pattern, name, func(open []runtime.Topic) (runtime.Subscriber, error) {
		var err error
		s.Pool, err = spawn(func(in *mailbox.Inbox[T]) error {
			s.in = in
			for _, t := range open {
				if err := s.feed(t); err != nil {
					return err
				}
			}
			return nil
		})
		return s, err
	}, s.accepts, s.feed)
	if err != nil {
		return nil, subscribeError(pattern, name, asClosed(err))
	}
	return sub, nil
}

// patternSubscriber is what the runtime sees of a subscriber to a pattern.
type patternSubscriber[T any] struct {
	*actors.Pool[T]
	rt     *runtime.Runtime
	in     *mailbox.Inbox[T]
	replay bool
}

// anyTopic is a topic of any type.
type anyTopic interface {
	refuse(what string) error
	feedAny(in *mailbox.Inbox[Any], replay bool) error
}

func (s side[T]) refuse(what string) error { return s.t.refuse(what) }

func (s side[T]) feedAny(in *mailbox.Inbox[Any], replay bool) error {
	return feed(s.t, in, s.t.name, replay, func(ev T) Any { return Any{s.t.name, ev} })
}

func (s *patternSubscriber[T]) accepts(t runtime.Topic) error {
	_, same := t.(side[T])
	topic, isTopic := t.(anyTopic)
	if isTopic {
		if err := topic.refuse("a pattern"); err != nil {
			return err
		}
	}
	if same || !isTopic || reflect.TypeFor[T]() == reflect.TypeFor[Any]() {
		return nil
	}
	return fmt.Errorf("%w: %s carries %v, not %v: subscribe with topics.Any", ErrTypeMismatch, t.Name(), t.Type(), reflect.TypeFor[T]())
}

func (s *patternSubscriber[T]) feed(t runtime.Topic) error {
	if same, ok := t.(side[T]); ok {
		return feed(same.t, s.in, same.t.name, s.replay, func(ev T) T { return ev })
	}
	if topic, ok := t.(anyTopic); ok {
		return topic.feedAny(any(s.in).(*mailbox.Inbox[Any]), s.replay)
	}
	return nil
}

func (s *patternSubscriber[T]) Redeliver(l runtime.Redelivered, r *actors.Redelivery) error {
	t, err := s.rt.Topic(l.Topic)
	if err != nil {
		return err
	}
	decoded, err := t.Decode(l)
	if err != nil {
		return err
	}
	ev, ok := decoded.(T)
	if !ok {
		ev = any(Any{l.Topic, decoded}).(T) // accepts has seen to it
	}
	return s.RedeliverOf(l.Topic, ev, l.Sequence, l.PublishedAt, l.Headers, r)
}
