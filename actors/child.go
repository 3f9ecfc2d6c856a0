package actors

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/troupe-go/troupe/supervisor"
)

// SpawnChild starts an actor as a child of the one that ctx belongs to, under
// the parent's name and a dot, or, if the parent has a topic of its own, under
// its name on that topic.
//
// Children have a group of their own, with the strategy OwnConfig.Children of the
// parent; what it escalates is a failure of the parent, which restarts it. They stop before the parent does, the last one
// first, and before its Stop hook runs: when it stops, with their messages going
// the way of the parent's, and, without OwnConfig.KeepChildren, when it is
// restarted, with their messages dead-lettered. But for Drain the contexts of
// their handlers end then.
//
// Call it from Receive or Start. Use topics.SpawnChild where there is a runtime.
//
// Errors: those of [Spawn]; [ErrNoActor]; [ErrStopped] also if the instance that
// ctx belongs to is gone.
func SpawnChild[M any](ctx context.Context, name string, factory func() Behavior[M], cfg Config) (*Ref[M], error) {
	ref, err := spawnBelow(ctx, name, factory, cfg)
	if err != nil {
		return nil, fmt.Errorf("actors: spawn child %q: %w", name, err)
	}
	return ref, nil
}

func spawnBelow[M any](ctx context.Context, name string, factory func() Behavior[M], cfg Config) (*Ref[M], error) {
	c, err := lifeOf(ctx)
	if err != nil {
		return nil, err
	}
	l, s := c.life, c.life.self
	switch {
	case name == "":
		return nil, errors.New("Name: must not be empty")
	case cfg.Group != nil:
		return nil, errors.New("Group: must be nil, a child is of its parent's group")
	case l.isOver():
		return nil, errOver
	}
	if cfg.Group, err = s.childGroup(); err != nil {
		return nil, err
	}
	cfg.Topic = s.core.cfg.Topic
	if full := s.core.cfg.Name + "." + name; s.core.cfg.Topic != s.core.cfg.Name {
		name = full
	}
	ref, err := spawn(s.core.sys, name, factory, cfg, s)
	if err != nil {
		return nil, err
	}
	if !s.adopt(l, ref.cell.self) {
		ref.cell.Stop(DeadLetterRest, supervisor.ReasonStopped)
		return nil, errOver
	}
	return ref, nil
}

// Child returns the child of that name, false if the actor that ctx belongs to
// has none, or one that is told another type.
func Child[M any](ctx context.Context, name string) (*Ref[M], bool) {
	c, err := lifeOf(ctx)
	if err != nil {
		return nil, false
	}
	s := c.life.self
	full := s.core.cfg.Name + "." + name
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, child := range s.children {
		if n := child.core.cfg.Name; n == full || n == name && s.core.cfg.Topic == s.core.cfg.Name {
			ref, ok := child.ref.(*Ref[M])
			return ref, ok
		}
	}
	return nil, false
}

func (l *life) isOver() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.over
}

// childGroup returns the group of the children, which it makes for the first.
func (s *self) childGroup() (*Group, error) {
	s.mu.Lock()
	g, over := s.group, s.over
	s.mu.Unlock()
	if over {
		return nil, ErrStopped
	}
	if g != nil {
		return g, nil
	}
	g, err := s.core.cfg.Group.group(s.core.name()+".*", GroupConfig{Strategy: s.core.cfg.Own.Children}, s.core)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over {
		s.core.sys.as.Root.Stop(g.pid)
		return nil, ErrStopped
	}
	s.group = g
	return g, nil
}

// adopt notes a child of the instance l, false if that is gone.
func (s *self) adopt(l *life, child *self) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.over || l.isOver() {
		return false
	}
	if !child.left {
		s.children = append(s.children, child)
	}
	return true
}

// leave follows the end of the actor: its parent has a child less.
func (s *self) leave() {
	if s == nil || s.parent == nil {
		return
	}
	p := s.parent
	p.mu.Lock()
	defer p.mu.Unlock()
	s.left = true
	p.children = slices.DeleteFunc(p.children, func(c *self) bool { return c == s })
}

// stopChildren stops the children, the last one first, and waits for each.
func (s *self) stopChildren() {
	s.mu.Lock()
	children := slices.Clone(s.children)
	s.mu.Unlock()
	if len(children) == 0 {
		return
	}
	s.core.mu.Lock()
	rest, reason := DeadLetterRest, supervisor.ReasonStopped
	if s.core.ending {
		rest, reason = s.childRest, s.core.stopReason
	}
	s.core.mu.Unlock()
	for _, child := range slices.Backward(children) {
		child.core.Stop(rest, reason)
		if rest != Drain {
			// It may wait for its parent, which waits for it.
			child.core.Interrupt(ErrStopped)
		}
		<-child.core.finished
	}
}

// endChildren stops the children that are left, as of an instance that hung, and
// their group, whose name another actor of this name will want.
func (s *self) endChildren() {
	if s == nil {
		return
	}
	s.stopChildren()
	s.mu.Lock()
	g := s.group
	s.mu.Unlock()
	if g != nil {
		s.core.sys.as.Root.Stop(g.pid)
		<-g.gone
	}
}

// failedBelow answers what a child has escalated: the actor is restarted. If it
// is about to stop, the child is stopped at once.
func (c *core) failedBelow(f *fault, stop func()) {
	if c.isEnding() {
		stop()
		return
	}
	f.who.down(StateBackoff)
	c.self.mu.Lock()
	c.self.hurt = true
	c.self.mu.Unlock()
	c.report(&fault{Failure: f.Failure, directive: supervisor.DirectiveRestart, who: c})
	c.nudge()
}

// revive restarts children that were kept, if it was one of them that has had
// the actor restarted.
func (s *self) revive() {
	s.mu.Lock()
	hurt, g := s.hurt, s.group
	s.hurt = false
	s.mu.Unlock()
	if hurt && g != nil && s.core.cfg.Own.KeepChildren {
		s.core.sys.send(g.pid, &restartAll{})
	}
}

// above reports whether c is the actor or a descendant of it.
func (s *self) above(c *core) bool {
	if c == nil || c.self == nil {
		return false
	}
	for d := c.self; d != nil; d = d.parent {
		if d == s {
			return true
		}
	}
	return false
}
