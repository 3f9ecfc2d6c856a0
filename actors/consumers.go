package actors

import (
	"context"
	"fmt"
	"slices"

	"github.com/troupe-go/troupe/mailbox"
)

// ConsumerGroup is a pool whose workers, its members, come and go, and have names
// and behaviors of their own. Each event is handled by one of them; while there is
// none, events wait as the overflow policy says. Methods are safe for concurrent
// use.
//
// The group has a worker that is no member, its host: it handles nothing, stands
// for the group under supervision, and settles what is left at the end when no
// member does.
type ConsumerGroup[T any] struct {
	*Pool[T]
	cell CellConfig[T]
}

// StateVacant is the state of a consumer group without members.
const StateVacant State = "vacant"

// SpawnConsumerGroup makes a group without members. feed is that of [SpawnPool].
// cfg is for all members, without a behavior and without batches; MaxParked is for
// each. Capacity, Overflow, Key, Filter and Priority are of the mailbox that they
// share.
func SpawnConsumerGroup[T any](sys *System, cfg CellConfig[T], feed func(*mailbox.Inbox[T]) error) (*ConsumerGroup[T], error) {
	cfg.Ordering, cfg.Keyed = Parked, cfg.Key != nil
	host := cfg
	host.Receive = func(context.Context, T) error { return nil } // is never called
	host, err := host.complete(sys)
	if err != nil {
		return nil, err
	}
	cfg.Config = host.Config
	g := &ConsumerGroup[T]{newPool[T](sys, host.Config), cfg}
	c := newCell(sys, host)
	c.pool, c.detach, c.alone = g.Pool, func() { g.in.Detach() }, g.vacant
	c.leaving.Store(true)
	g.workers = []*Cell[T]{c}
	g.furnish(c, host, true)
	g.open.Store(1)
	if err := host.Group.spawn(&c.core, cellActor[T]{c}, func() error {
		if err := g.feed(feed); err != nil {
			return err
		}
		g.seat(c)
		return nil
	}); err != nil {
		return nil, err
	}
	return g, nil
}

// Join adds a member, which has the receive function or the factory, and returns
// once it may be given events. Names are unique among the members that have not
// ended.
//
// Errors: ErrNameTaken; [ErrStopped] after Stop.
func (g *ConsumerGroup[T]) Join(name string, receive func(context.Context, T) error, factory func() Behavior[T]) (*Cell[T], error) {
	cfg := g.cell
	cfg.Receive, cfg.Factory = receive, factory
	cfg, err := cfg.complete(g.sys)
	if err != nil {
		return nil, err
	}
	c := newCell(g.sys, cfg)
	c.pool, c.guest, c.member = g.Pool, true, "/"+name
	c.detach = func() { g.left(c) }
	err = cfg.Group.spawn(&c.core, cellActor[T]{c}, func() error {
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.ending {
			return ErrStopped
		}
		g.open.Add(1)
		g.seat(c)
		g.roster.Lock()
		defer g.roster.Unlock()
		g.fold()
		g.workers = append(slices.Clip(g.workers), c)
		c.paused.Store(g.workers[0].paused.Load()) // a Pause that comes now sees c
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("member %q: %w", name, err)
	}
	if g.enter(c) {
		c.nudge() // for what came before
	}
	return c, nil
}

// enter has c woken for events, unless it is to leave already.
func (g *ConsumerGroup[T]) enter(c *Cell[T]) bool {
	g.roster.Lock()
	defer g.roster.Unlock()
	if c.leaving.Load() {
		return false
	}
	team := append(slices.Clip(g.awake()), c)
	g.team.Store(&team)
	return true
}

// left lets c take nothing more, unless it ends with the group.
func (g *ConsumerGroup[T]) left(c *Cell[T]) {
	g.mu.Lock()
	ending := g.ending
	g.mu.Unlock()
	if ending {
		return
	}
	g.roster.Lock()
	was := c.leaving.Swap(true)
	team := slices.DeleteFunc(slices.Clone(g.awake()), func(o *Cell[T]) bool { return o == c })
	g.team.Store(&team)
	g.roster.Unlock()
	if !was {
		g.in.Rouse() // c may have been woken for an event
	}
}

// fold takes off those whose account does not change any more. The caller holds
// roster.
func (g *ConsumerGroup[T]) fold() {
	g.workers = slices.DeleteFunc(slices.Clone(g.workers), func(c *Cell[T]) bool {
		select {
		case <-c.finished:
		default:
			return false
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		n := c.counts()
		if n.Parked > 0 || n.Zombies > 0 {
			return false
		}
		g.former.Add(n)
		g.took += c.saved.Taken()
		return true
	})
}

// host returns the worker that is no member, nil if this is no consumer group.
func (p *Pool[T]) host() *Cell[T] {
	if first := p.all()[0]; first.alone != nil {
		return first
	}
	return nil
}

// members returns the workers that handle events, stopped ones included.
func (p *Pool[T]) members() []*Cell[T] {
	all := p.all()
	if all[0].alone != nil {
		return all[1:]
	}
	return all
}

// vacant reports whether no member is left.
func (p *Pool[T]) vacant() bool { return p.open.Load() == 1 }
