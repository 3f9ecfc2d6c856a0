package actors

import (
	"context"
	"errors"
	"fmt"
)

var (
	// ErrStashFull is returned when as many messages have been set aside as the
	// actor may keep.
	ErrStashFull = errors.New("actors: stash full")

	errNotHandling = errors.New("actors: stash: not in a handler")
	// errStash is what becomes of nil when the message has been stashed.
	errStash = errors.New("actors: stashed")
)

// stashes reports whether a handler has set its message aside: in time or late,
// that is done.
func stashes(err error) bool {
	if late, ok := err.(lateError); ok {
		err = late.error
	}
	return err == errStash
}

// Stash sets the message in hand aside until [UnstashAll], once the handler has
// returned nil. If it returns an error or panics, the message is one that has
// failed, and not set aside. A restart unstashes; what is set aside when the
// actor stops goes the way of the messages that wait, and of Drain becomes dead
// letters.
//
// To the account it waits for another attempt (Counts.RetryWait, of which
// Counts.Stashed), uncharged: a runtime with stashed messages is not idle, but
// Shutdown does not wait for an actor that has nothing else.
//
// Errors: [ErrStashFull], see OwnConfig.MaxStash: a handler that returns it has
// the message retried later; [ErrNoActor]. Call it from the handler itself.
func Stash(ctx context.Context) error {
	c, err := lifeOf(ctx)
	if err != nil {
		return fmt.Errorf("actors: stash: %w", err)
	}
	if !c.life.handling {
		return errNotHandling
	}
	s := c.life.self.core
	s.mu.Lock()
	n := s.ledger.stashed
	s.mu.Unlock()
	if n >= uint64(s.cfg.Own.MaxStash) {
		return fmt.Errorf("%w: %s has set %d messages aside", ErrStashFull, s.name(), n)
	}
	c.life.stashing = true
	return nil
}

// UnstashAll gives back the messages that have been set aside, in their order:
// they are handled after the one in hand, before those that wait in the mailbox.
//
// Errors: [ErrNoActor].
func UnstashAll(ctx context.Context) error {
	c, err := lifeOf(ctx)
	if err != nil {
		return fmt.Errorf("actors: unstash: %w", err)
	}
	c.life.self.core.box.w.unstash()
	return nil
}

// setAside puts the message in hand into the stash. The batch goes on.
func (l *loop[T]) setAside() bool {
	c := l.c
	l.claim()
	h := l.cur
	if h == nil {
		h = l.hold()
	}
	l.close(func() {
		c.retryWait++
		c.stashed++
		c.stash = append(c.stash, h)
	})
	return true
}

// unstash moves the stash in front of the lane.
func (c *Cell[T]) unstash() {
	c.mu.Lock()
	n := len(c.stash)
	if n > 0 {
		c.lane = append(c.stash, c.lane...)
		c.stash = nil
		c.ledger.lane += uint64(n)
		c.retryWait -= uint64(n)
		c.stashed -= uint64(n)
	}
	c.mu.Unlock()
	if n > 0 {
		c.nudge()
	}
}
