package actors

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupe-go/troupe/mailbox"
)

// Config returns the configuration in force: that of the actor with its defaults.
func (c *core) Config() Config { return c.cfg }

// Traits is what a subscriber is beyond its [Config].
type Traits struct {
	Keyed    bool        // the order of each key is kept
	Newest   bool        // the newest event of each key is kept, by mailbox.Latest
	Filtered bool        // not every event is wanted
	Lanes    int         // of priority; 0 is none
	Batch    BatchConfig // zero for a handler of single events
	Group    bool        // a consumer group
	Workers  []Worker    // that share the mailbox, or the members of a group
}

// Worker is one of several actors of a subscriber.
type Worker struct {
	Name  string
	State State
}

func traits[T any](cfg CellConfig[T]) *Traits {
	t := &Traits{
		Keyed: cfg.Keyed, Newest: cfg.Key != nil && cfg.Overflow == mailbox.Latest, Filtered: cfg.Filter != nil, Lanes: cfg.Lanes,
	}
	if cfg.ReceiveBatch != nil || cfg.BatchFactory != nil {
		t.Batch = cfg.Batch
	}
	if !t.Keyed && !t.Newest && !t.Filtered && t.Lanes == 0 && t.Batch == (BatchConfig{}) {
		return nil // of a subscriber like most: there may be a million
	}
	return t
}

// ownTraits returns the traits of one actor.
func (c *core) ownTraits() (t Traits) {
	if c.traits != nil {
		t = *c.traits
	}
	return t
}

// Traits returns what the actor is beyond its Config.
func (c *Cell[T]) Traits() Traits { return c.ownTraits() }

// Traits returns what the workers are beyond their Config, and who they are: of a
// group those that have not left.
func (p *Pool[T]) Traits() Traits {
	t := p.all()[0].ownTraits()
	t.Group = p.host() != nil
	for i, c := range p.members() {
		name := strings.TrimPrefix(c.member, "/")
		if !t.Group {
			name = fmt.Sprintf("#%d", i+1)
		}
		if state := c.State(); state != StateStopped || !t.Group {
			t.Workers = append(t.Workers, Worker{name, state})
		}
	}
	return t
}

// Oldest returns how long the event at the head of the mailbox has waited, zero
// if none waits. It is as exact as [Delivery].PublishedAt, and seen from the last
// checkpoint; see [Counts]. Events that wait for a retry, and redeliveries, are
// not looked at.
func (c *Cell[T]) Oldest() time.Duration {
	c.mu.Lock()
	r := c.saved
	c.mu.Unlock()
	seq, at := r.Oldest()
	if at.IsZero() {
		return 0
	}
	c.mu.Lock()
	if c.oldestSeq == seq && c.oldestAt.Before(at) {
		at = c.oldestAt
	}
	c.oldestSeq, c.oldestAt = seq, at
	c.mu.Unlock()
	return max(0, time.Since(at))
}

// Config returns the configuration in force.
func (g *Group) Config() GroupConfig {
	cfg := GroupConfig{Strategy: g.strategy}
	if g.node != nil {
		cfg.Restart = *g.node.restart
	}
	return cfg
}

// Groups returns the groups inside g, in the order in which they were made.
func (g *Group) Groups() []*Group {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.groups)
}

// Stopped reports whether the group has ended, and its members with it.
func (g *Group) Stopped() bool {
	select {
	case <-g.gone:
		return true
	default:
		return false
	}
}

type ping struct{ reply chan struct{} }

// Ping returns nil once the root of the tree has answered: it decides about
// failures, and a tree that does not answer supervises nobody. If ctx ends first
// it returns the cause.
func (s *System) Ping(ctx context.Context) error {
	p := &ping{make(chan struct{})}
	s.send(s.root.pid, p)
	select {
	case <-p.reply:
		return nil
	case <-s.root.gone:
		return ErrStopped
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
