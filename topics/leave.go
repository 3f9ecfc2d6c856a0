package topics

import (
	"errors"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// errObserverGoexit is why an event was not published whose publication an observer
// cut short.
var errObserverGoexit = errors.New("topics: an observer ended the goroutine that publishes")

// leave passes events on to the goroutine that brings them to the dead letters. The
// caller holds mu and has counted them as leaving.
func (l *later[T]) leave(list ...leaving[T]) {
	l.left = append(l.left, list...)
	if len(l.left) > 0 && !l.burial {
		l.burial = true
		go l.bury()
	}
}

// bury gives every event that leaves its outcome.
func (l *later[T]) bury() {
	defer func() { // also if an observer ends this goroutine
		l.mu.Lock()
		if l.burial = len(l.left) > 0; l.burial {
			go l.bury()
		} else {
			l.left = nil
		}
		l.mu.Unlock()
		l.t.rt.Actors().Poke()
	}()
	for {
		l.mu.Lock()
		if len(l.left) == 0 {
			n := l.untold
			l.untold = 0
			l.mu.Unlock()
			if n > 0 {
				actors.Notify(l.t.obs.Dropped, runtime.Event{Topic: l.t.name, Reason: supervisor.ReasonShutdown, Count: n})
			}
			return
		}
		it := l.left[0]
		l.left[0] = leaving[T]{}
		l.left = l.left[1:]
		l.mu.Unlock()
		l.buryOne(it)
	}
}

func (l *later[T]) buryOne(it leaving[T]) {
	count, closed := &l.counts.Refused, errors.Is(it.err, runtime.ErrClosed)
	discard := closed && l.t.cfg.Unpublished == DiscardUnpublished
	switch {
	case discard:
		count = &l.counts.Discarded
	case closed:
		count = &l.counts.Left
	}
	defer func() {
		l.mu.Lock()
		*count++
		l.leaving--
		if discard {
			l.untold++
		}
		l.mu.Unlock()
	}()
	if !discard {
		l.t.account.BuryWaiting(it.dead(l.t.name, closed), nil)
	}
	it.p.clear()
}

// dead returns what becomes the letter of it.
func (it leaving[T]) dead(topic string, closed bool) *actors.Dead {
	d := &actors.Dead{Topic: topic, Event: it.p.ev, PublishedAt: it.due, Reason: supervisor.ReasonShutdown}
	if m := it.p.meta; m != nil {
		d.Headers = m.Headers
	}
	if closed {
		return d
	}
	switch {
	case errors.Is(it.err, ErrNoRoom):
		d.Reason = supervisor.ReasonUnrouted
	default:
		d.Reason = actors.Refusal(it.err)
	}
	d.Attempts = []actors.Attempt{{Number: 1, Started: time.Now(), Cause: supervisor.CauseError, Err: it.err}}
	d.AttemptCount = 1
	return d
}
