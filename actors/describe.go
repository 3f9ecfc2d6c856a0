package actors

import (
	"context"
	"slices"
	"time"
)

// Config returns the configuration in force: that of the actor with its defaults.
func (c *core) Config() Config { return c.cfg }

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
