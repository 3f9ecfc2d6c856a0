package actors

import (
	"context"
	"fmt"
	"time"
)

// timer is one that runs, guarded by its life's mu.
type timer struct {
	t      *time.Timer
	every  time.Duration // 0: once
	due    time.Time
	waits  bool // its message is in the mailbox
	bring  func() bool
	revoke func()
}

// After tells the actor of ctx the message m, once, d from now. A timer that the
// instance has set under the same key is replaced.
//
// The message goes through the actor's mailbox, in front of what waits there,
// full or not, and has an outcome like any other. After a replacement,
// [CancelTimer] or the end of the instance, the handler gets no message of the
// old timer, even if it was in the mailbox already: that one is dropped, reason
// canceled. A timer ends with its instance; let Start set it again. When a
// shutdown has begun no timer fires.
//
// Errors: [ErrNoActor]; [ErrTypeMismatch]; [ErrStopped] if the instance is gone.
func After[M any](ctx context.Context, key string, d time.Duration, m M) error {
	return set(ctx, key, max(d, 0), 0, m)
}

// Every is [After] again and again, at a distance of d, which must be positive.
// Of one timer at most one message waits: an actor that is slow, or paused, gets
// fewer of them and no burst.
func Every[M any](ctx context.Context, key string, d time.Duration, m M) error {
	if d <= 0 {
		return fmt.Errorf("actors: timer %q: every %v: must be positive", key, d)
	}
	return set(ctx, key, d, d, m)
}

func set[M any](ctx context.Context, key string, d, every time.Duration, m M) error {
	c, err := lifeOf(ctx)
	if err != nil {
		return fmt.Errorf("actors: timer %q: %w", key, err)
	}
	ref, err := refOf[M](c.life.self)
	if err != nil {
		return fmt.Errorf("actors: timer %q: %w", key, err)
	}
	l := c.life
	t := &timer{every: every, due: time.Now().Add(d)}
	var last *own[M]
	t.bring = func() bool {
		last = &own[M]{m: m, taken: func() { l.took(key, t) }}
		return ref.bring(last)
	}
	t.revoke = func() { ref.revoke(last) }

	l.mu.Lock()
	if l.over {
		l.mu.Unlock()
		return fmt.Errorf("actors: timer %q: %w", key, errOver)
	}
	old := l.timers[key]
	if l.timers == nil {
		l.timers = map[string]*timer{}
	}
	l.timers[key] = t
	t.t = time.AfterFunc(d, func() { l.fire(key, t) })
	waited := old.stop()
	l.mu.Unlock()
	if waited {
		old.revoke()
	}
	return nil
}

// CancelTimer ends the timer of that key, and reports whether there was one.
func CancelTimer(ctx context.Context, key string) bool {
	c, err := lifeOf(ctx)
	if err != nil {
		return false
	}
	l := c.life
	l.mu.Lock()
	t := l.timers[key]
	delete(l.timers, key)
	waited := t.stop()
	l.mu.Unlock()
	if waited {
		t.revoke()
	}
	return t != nil
}

// stop reports whether a message of the timer may be in the mailbox.
func (t *timer) stop() (waited bool) {
	if t == nil {
		return false
	}
	t.t.Stop()
	return t.waits
}

// fire brings the message, with the life locked: once a timer has been replaced,
// none comes any more.
func (l *life) fire(key string, t *timer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.timers[key] != t {
		return
	}
	if l.self.quiet.Load() {
		delete(l.timers, key)
		return
	}
	if !t.waits {
		if t.waits = t.bring(); !t.waits {
			delete(l.timers, key) // the actor is stopping
			return
		}
	}
	if t.every > 0 {
		now := time.Now()
		t.due = t.due.Add(t.every)
		if late := now.Sub(t.due); late > 0 {
			t.due = t.due.Add(late.Truncate(t.every) + t.every)
		}
		t.t.Reset(t.due.Sub(now))
	}
}

// took follows the taking of the timer's message out of the mailbox.
func (l *life) took(key string, t *timer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t.waits = false
	if t.every == 0 && l.timers[key] == t {
		delete(l.timers, key)
	}
}

// stopTimers ends the life as far as others act on it. It reports whether it
// was not over before.
func (l *life) stopTimers() bool {
	l.mu.Lock()
	was := l.over
	l.over = true
	timers := l.timers
	l.timers = nil
	var waited []*timer
	for _, t := range timers {
		if t.stop() {
			waited = append(waited, t)
		}
	}
	l.mu.Unlock()
	for _, t := range waited {
		t.revoke()
	}
	return !was
}
