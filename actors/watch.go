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

// watchers are those who want to know of an actor's end.
type watchers struct {
	mu   sync.Mutex
	told *Terminated // once it has come
	by   map[*self]*watch
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
	other := whom.cell.self
	if other == s {
		return fmt.Errorf("%w: it would wait for its own end", ErrWouldDeadlock)
	}
	w := &watch{}
	o := &own[M]{taken: func() { s.unwatched(other, w) }}
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
		s.watching = map[*self]*watch{}
	}
	s.watching[other] = w
	s.mu.Unlock()
	if before != nil {
		before.revoke()
	}
	if t := other.watch(s, w); t != nil {
		w.tell(*t)
		return nil
	}
	s.mu.Lock()
	over := s.over
	s.mu.Unlock()
	if over { // in between, so that nobody else takes it back
		other.unwatch(s, w)
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
	s, other := c.life.self, whom.cell.self
	s.mu.Lock()
	w := s.watching[other]
	delete(s.watching, other)
	s.mu.Unlock()
	if w == nil {
		return false
	}
	other.unwatch(s, w)
	w.revoke()
	return true
}

// unwatched forgets a watch that has ended.
func (s *self) unwatched(whom *self, w *watch) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watching[whom] == w {
		delete(s.watching, whom)
	}
}

// watch registers a watcher, or returns the end that has come.
func (s *self) watch(by *self, w *watch) *Terminated {
	s.watchers.mu.Lock()
	defer s.watchers.mu.Unlock()
	if s.watchers.told != nil {
		return s.watchers.told
	}
	if s.watchers.by == nil {
		s.watchers.by = map[*self]*watch{}
	}
	s.watchers.by[by] = w
	return nil
}

func (s *self) unwatch(by *self, w *watch) {
	s.watchers.mu.Lock()
	defer s.watchers.mu.Unlock()
	if s.watchers.by[by] == w {
		delete(s.watchers.by, by)
	}
}

// tellWatchers follows the end.
func (s *self) tellWatchers() {
	if s == nil {
		return
	}
	c := s.core
	c.mu.Lock()
	t := &Terminated{Topic: c.cfg.Topic, Name: c.cfg.Name, Reason: c.stopReason, Err: s.lastErr}
	c.mu.Unlock()
	s.watchers.mu.Lock()
	by := s.watchers.by
	s.watchers.told, s.watchers.by = t, nil
	s.watchers.mu.Unlock()
	for _, w := range by {
		w.tell(*t)
	}
}

// stoppedFor notes why the supervisor stops the actor.
func (c *core) stoppedFor(err error) {
	if c.self == nil {
		return
	}
	c.mu.Lock()
	c.self.lastErr = err
	c.mu.Unlock()
}
