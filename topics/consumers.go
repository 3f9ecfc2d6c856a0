package topics

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// ConsumerGroup is one subscriber whose work is done by members that come and go,
// each with a name and a handler of its own: every event is handled by one of them.
// Its mailbox belongs to the group. While there is no member, events wait as the
// overflow policy says (State is "vacant"), and if it ends without one, they become
// dead letters, unless Discard was asked for. It is safe for concurrent use.
//
// The embedded Subscription is that of the group: Pause, Unsubscribe and the account
// are for all members together, and dead letters, which name the group, go back to
// any member.
type ConsumerGroup[T any] struct {
	*Subscription
	g       *actors.ConsumerGroup[T]
	rt      *runtime.Runtime
	wrapped []Middleware
}

// ConsumerGroup adds a subscriber without members; see [ConsumerGroup.Join]. The
// configuration holds for each member, but for Capacity, Overflow, Key, Filter and
// Priority, which are of the mailbox that they share: with Key, no event of a key is
// handled before the one before it has its outcome, whoever handles them. Like with
// Workers, a failing event waits aside at the member that had it, which goes on with
// others.
//
// Errors: those of [Topic.Subscribe]; Workers, Take and Batch, which are not for
// groups.
func (t *Topic[T]) ConsumerGroup(name string, cfg ...SubscriberConfig) (*ConsumerGroup[T], error) {
	c := optional(cfg)
	if err := t.validateConsume(&c); err != nil {
		return nil, t.subscribeError(name, err)
	}
	g := &ConsumerGroup[T]{rt: t.rt, wrapped: c.Middleware}
	cell, err := g.describe(t.name, name, c)
	if err != nil {
		return nil, t.subscribeError(name, err)
	}
	g.Subscription, err = t.rt.Attach(side[T]{t}, name, func() (runtime.Subscriber, error) {
		spawn := func(log *mailbox.Log[T]) (handler[T], error) {
			var err error
			g.g, err = actors.SpawnConsumerGroup(t.rt.Actors(), cell, func(in *mailbox.Inbox[T]) error {
				return t.feed(in, log, !c.NoReplay)
			})
			return g.g, err
		}
		if t.out != nil {
			return t.consume(c, name, spawn)
		}
		group, err := spawn(t.log)
		return subscriber[T]{group, t}, err
	})
	if err != nil {
		return nil, t.subscribeError(name, asClosed(err))
	}
	return g, nil
}

// PatternConsumerGroup is [Topic.ConsumerGroup] for the topics of a pattern; see
// [SubscribePattern].
func PatternConsumerGroup[T any](rt *runtime.Runtime, pattern, name string, cfg ...SubscriberConfig) (*ConsumerGroup[T], error) {
	g := &ConsumerGroup[T]{rt: rt, wrapped: optional(cfg).Middleware}
	cell, err := g.describe(pattern, name, optional(cfg))
	if err != nil {
		return nil, subscribeError(pattern, name, err)
	}
	showPayload(&cell)
	g.Subscription, err = attachPattern(rt, pattern, name, optional(cfg), func(feed func(*mailbox.Inbox[T]) error) (*actors.Pool[T], error) {
		var err error
		if g.g, err = actors.SpawnConsumerGroup(rt.Actors(), cell, feed); err != nil {
			return nil, err
		}
		return g.g.Pool, nil
	})
	if err != nil {
		return nil, err
	}
	return g, nil
}

func (g *ConsumerGroup[T]) describe(topic, name string, c SubscriberConfig) (cell actors.CellConfig[T], err error) {
	var faults []error
	if c.Workers != 0 {
		faults = append(faults, fmt.Errorf("Workers %d: must be 0 for a consumer group, whose members join", c.Workers))
	}
	if c.Take != 0 {
		faults = append(faults, fmt.Errorf("Take %d: must be 0 for a consumer group, whose members would begin more than that", c.Take))
	}
	cell.Config = c.actor(topic, name)
	if err := typed(c, &cell); err != nil {
		faults = append(faults, err)
	}
	return cell, errors.Join(faults...)
}

// Member is one of the consumers of a [ConsumerGroup].
type Member struct {
	name string
	cell member
}

type member interface {
	Stop(rest actors.Rest, reason string)
	Done() <-chan struct{}
	Handles(ctx context.Context) bool
	Pause()
	Resume()
	Restart()
	State() actors.State
}

// Join adds a member, which from then on is given events. The name is how people
// refer to it and is unique among the members.
//
// Errors: the name is not valid; the handler is nil; runtime.ErrNameTaken;
// runtime.ErrClosed if the group has ended.
func (g *ConsumerGroup[T]) Join(name string, handle Handler[T]) (*Member, error) {
	if handle == nil {
		return nil, g.joinError(name, errors.New("handler: must not be nil"))
	}
	return g.join(name, actors.CellConfig[T]{Receive: handle})
}

// JoinFactory is Join for a member with state; see [Topic.SubscribeFactory].
func (g *ConsumerGroup[T]) JoinFactory(name string, factory func() Behavior[T]) (*Member, error) {
	if factory == nil {
		return nil, g.joinError(name, errors.New("factory: must not be nil"))
	}
	return g.join(name, actors.CellConfig[T]{Factory: factory})
}

func (g *ConsumerGroup[T]) join(name string, cell actors.CellConfig[T]) (*Member, error) {
	if err := runtime.CheckName(name); err != nil {
		return nil, g.joinError(name, fmt.Errorf("name: %w", err))
	}
	if err := around(g.rt, g.wrapped, &cell); err != nil {
		return nil, g.joinError(name, err)
	}
	c, err := g.g.Join(name, cell.Receive, cell.Factory)
	if err != nil {
		return nil, g.joinError(name, asClosed(err))
	}
	return &Member{name, c}, nil
}

func (g *ConsumerGroup[T]) joinError(member string, err error) error {
	return fmt.Errorf("topics: join %q to %s/%s: %w", member, g.Topic(), g.Subscription.Name(), err)
}

// Name returns the name of the member.
func (m *Member) Name() string { return m.name }

// Leave ends the membership. The member takes no further event; what it has in hand,
// and what waits aside for another attempt, it brings to an end. What waits in the
// group's mailbox is for the others.
//
// It blocks until the member has stopped. If ctx ends first it returns the cause, and
// the member leaves in its own time. Called from the member's own handler it returns
// nil at once. It is idempotent.
func (m *Member) Leave(ctx context.Context) error {
	m.cell.Stop(actors.Drain, supervisor.ReasonUnsubscribed)
	if m.cell.Handles(ctx) {
		return nil
	}
	select {
	case <-m.cell.Done():
		return nil
	case <-ctx.Done():
		return fmt.Errorf("topics: leave %q: %w", m.name, context.Cause(ctx))
	}
}

// Done is closed when the member has stopped: after Leave, with the group, or by its
// supervisor. A member that its policy stops leaves; what it had aside becomes dead
// letters, and the others go on.
func (m *Member) Done() <-chan struct{} { return m.cell.Done() }

// State says what the member is doing.
func (m *Member) State() actors.State { return m.cell.State() }

// Pause keeps the member from taking another event, until Resume. The others go on.
func (m *Member) Pause() { m.cell.Pause() }

// Resume ends a pause; see Subscription.Resume.
func (m *Member) Resume() { m.cell.Resume() }

// Restart replaces the member's instance; see Subscription.Restart.
func (m *Member) Restart() { m.cell.Restart() }

// asClosed makes what has ended an ErrClosed of the runtime.
func asClosed(err error) error {
	if errors.Is(err, mailbox.ErrClosed) || errors.Is(err, actors.ErrStopped) {
		return runtime.ErrClosed
	}
	return err
}
