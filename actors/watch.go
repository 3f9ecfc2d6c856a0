package actors

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Terminated says that an actor has stopped for good: no handler of it runs, and
// each of its messages has its outcome or is with the dead letters. A restart
// is no end.
type Terminated struct {
	Topic, Name string
	// Reason is that of Stop or of the supervisor, such as subscriber_stopped,
	// unsubscribed or shutdown.
	Reason string
	// Err is the failure after which the supervisor has stopped it, or nil.
	Err error
}

// watchers are those who want to know of a core's end.
type watchers struct {
	mu   sync.Mutex
	told *Terminated // once it has come
	by   map[*core]*watch
}

// watch is one actor's interest in the end of another.
type watch struct {
	tell   func(Terminated)
	revoke func() // what tell has brought
}

// Watch has the actor of ctx told when whom stops, or at once if it has: build
// makes the message, which comes through the actor's mailbox in front of what
// waits there, full or not. There is exactly one message for each Watch; one
// more for the same actor replaces the first.
//
// A watch belongs to the actor and lives through its restarts. It ends with the
// message, with [Unwatch] or with the actor, and leaves nothing behind. build
// runs as part of the handling of the message, so a panic in it is that of a
// handler.
//
// Errors: [ErrNoActor]; [ErrTypeMismatch]; [ErrWouldDeadlock] for an actor that
// would wait for its own end; [ErrStopped] if the actor of ctx has stopped.
func Watch[M, N any](ctx context.Context, whom *Ref[N], build func(Terminated) M) error {
	err := watchRef(ctx, whom, build)
	if err != nil {
		return fmt.Errorf("actors: watch %s: %w", whom.Name(), err)
	}
	return nil
}

func watchRef[M, N any](ctx context.Context, whom *Ref[N], build func(Terminated) M) error {
	if build == nil {
		return errors.New("build must not be nil")
	}
	c, err := lifeOf(ctx)
	if err != nil {
		return err
	}
	s := c.life.self
	ref, err := refOf[M](s)
	if err != nil {
		return err
	}
	other := &whom.cell.core
	if other == s.core {
		return fmt.Errorf("%w: it would wait for its own end", ErrWouldDeadlock)
	}
	w := &watch{}
	o := &own[M]{taken: func() { s.unwatch(other, w) }}
	w.tell = func(t Terminated) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.watching[other] != w {
			return
		}
		o.build = func() M { return build(t) }
		ref.bring(o)
	}
	w.revoke = func() { ref.revoke(o) }

	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return ErrStopped
	}
	before := s.watching[other]
	if s.watching == nil {
		s.watching = map[*core]*watch{}
	}
	s.watching[other] = w
	s.mu.Unlock()
	if before != nil {
		before.revoke()
	}
	if t := other.watch(s.core, w); t != nil {
		w.tell(*t)
		return nil
	}
	s.mu.Lock()
	over := s.over
	s.mu.Unlock()
	if over { // in between, so that nobody else takes it back
		other.unwatch(s.core, w)
	}
	return nil
}

// Unwatch ends a [Watch]: the handler gets no message of it any more, even if it
// was in the mailbox already, where it is dropped, reason canceled. It reports
// whether there was one.
func Unwatch[N any](ctx context.Context, whom *Ref[N]) bool {
	c, err := lifeOf(ctx)
	if err != nil {
		return false
	}
	s, other := c.life.self, &whom.cell.core
	s.mu.Lock()
	w := s.watching[other]
	delete(s.watching, other)
	s.mu.Unlock()
	if w == nil {
		return false
	}
	other.unwatch(s.core, w)
	w.revoke()
	return true
}

// unwatch forgets a watch that has ended.
func (s *self) unwatch(whom *core, w *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watching[whom] == w {
		delete(s.watching, whom)
	}
}

// watch registers a watcher, or returns the end that has come.
func (c *core) watch(by *core, w *watch) *Terminated {
	c.watchers.mu.Lock()
	defer c.watchers.mu.Unlock()
	if c.watchers.told != nil {
		return c.watchers.told
	}
	if c.watchers.by == nil {
		c.watchers.by = map[*core]*watch{}
	}
	c.watchers.by[by] = w
	return nil
}

func (c *core) unwatch(by *core, w *watch) {
	c.watchers.mu.Lock()
	defer c.watchers.mu.Unlock()
	if c.watchers.by[by] == w {
		delete(c.watchers.by, by)
	}
}

// tellWatchers follows the end.
func (c *core) tellWatchers() {
	c.mu.Lock()
	t := &Terminated{Topic: c.cfg.Topic, Name: c.cfg.Name, Reason: c.stopReason, Err: c.lastErr}
	c.mu.Unlock()
	c.watchers.mu.Lock()
	by := c.watchers.by
	c.watchers.told, c.watchers.by = t, nil
	c.watchers.mu.Unlock()
	for _, w := range by {
		w.tell(*t)
	}
}

// stoppedFor notes why the supervisor stops the actor.
func (c *core) stoppedFor(err error) {
	c.mu.Lock()
	c.lastErr = err
	c.mu.Unlock()
}
