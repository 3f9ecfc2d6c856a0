package runtime

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

const (
	// letterBatch is how many letters one call of the store gets at most. A store
	// in a file takes 25,000 a second in batches of 1024, 15,000 in those of 256,
	// and 40 ms for one.
	letterBatch = 1024
	// storeTimeout bounds a call of the store; storeGrace is how long a call
	// may go on after that before its goroutine is given up.
	storeTimeout = 10 * time.Second
	storeGrace   = 5 * time.Second
)

// letters is the dead-letter actor: it brings dead deliveries into the store.
//
// What waits is in a list of its own rather than in the actor's mailbox, so that
// it is written in batches and survives whatever happens to the actor: a call
// of the store that fails or panics is repeated with growing pauses, one that
// hangs is abandoned. The actor lives in a tree of
// its own, which nothing that ends the other actors reaches, and its failures
// are never dead letters.
type letters struct {
	rt    *Runtime
	store deadletter.Store
	max   int
	sys   *actors.System
	ref   *actors.Ref[struct{}]

	mu      sync.Mutex
	waiting []*unwritten                // in order of arrival
	counts  map[subscriberName]int      // of them, by subscriber
	rooms   map[subscriberName][]func() // to call when there is room
	failing error                       // of the store, since
	since   time.Time                   //
	changed chan struct{}               // closed when waiting has become empty or closed is set
	closed  bool                        // nothing is taken any more
}

type subscriberName struct{ topic, name string }

// unwritten is one thing to bring into the store: a new letter, or the outcome
// of a redrive.
type unwritten struct {
	of      subscriberName
	dead    *actors.Dead // nil for an outcome that is not another failure
	id      string
	at      time.Time
	outcome func(*deadletter.Letter) error
	way     *wayBack // of a redrive, nil else
	result  Redriven // of way
	edited  bool     // a new letter, of the event that was sent in place of way's

	// Guarded by letters.mu.
	news    LetterNews         // of what outcome has changed
	letter  *deadletter.Letter // once it has been made
	begun   bool               // making it has begun
	bare    bool               // without its payload, since the store refused it
	refused bool               // even so
	written bool               // ended
}

func newLetters(rt *Runtime, cfg Config) *letters {
	return &letters{
		rt: rt, store: cfg.DeadLetters, max: cfg.MaxParkedLetters,
		counts: map[subscriberName]int{}, rooms: map[subscriberName][]func(){}, changed: make(chan struct{}),
	}
}

func (w *letters) start() error {
	sys, err := actors.NewSystem(actors.SystemConfig{Beside: w.rt.sys, Observer: Observer{Failed: w.storeFailed, Hung: w.storeFailed}})
	if err != nil {
		return err
	}
	w.sys = sys
	w.ref, err = actors.Spawn(sys, "dead-letters", func() actors.Behavior[struct{}] {
		return actors.Behavior[struct{}]{Receive: func(ctx context.Context, _ struct{}) error { return w.write(ctx) }}
	}, actors.Config{
		Policy: supervisor.Policy{
			Retry:   supervisor.Retry{MaxAttempts: supervisor.Unlimited, BaseDelay: 50 * time.Millisecond, MaxDelay: 5 * time.Second},
			Restart: supervisor.Restart{MaxCooldown: 15 * time.Second, Cooldown: time.Second},
			Decide:  tryAgain,
		},
		Capacity: 1, Overflow: mailbox.Latest, // any number of calls to work are one
		Timeout: storeTimeout, Grace: storeGrace,
	})
	return err
}

// tryAgain keeps the call to work, whatever has become of the one before: a call
// that hangs would be a dead letter of the dead-letter actor, and nobody would
// look at what waits until the next letter comes.
func tryAgain(_ supervisor.Failure, d supervisor.Decision) supervisor.Decision {
	d.Fate = supervisor.FateRetry
	return d
}

// Bury makes letters an actors.Sink.
func (w *letters) Bury(d *actors.Dead, room func()) bool {
	of := subscriberName{cmp.Or(d.Pattern, d.Topic), d.Subscriber}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		d.Lost(actors.ReasonDeadLettersUnavailable)
		return true
	}
	if w.counts[of] >= w.max {
		if room != nil {
			w.rooms[of] = append(w.rooms[of], room)
		}
		w.mu.Unlock()
		return false
	}
	now := time.Now()
	u := &unwritten{of: of, dead: d, id: deadletter.NewID(now), at: now}
	if way := wayOf(d); way != nil {
		u.way, u.edited = way, way.edited
		u.result = Redriven{Outcome: way.outcomeOf(d), Error: cmp.Or(deathMessage(d), d.Reason)}
		if !way.edited {
			u.id = way.l.ID
			u.outcome = func(l *deadletter.Letter) error { return way.failedAgain(l, d, now) }
		}
	}
	d.LetterID = u.id
	w.counts[of]++
	w.add(u)
	w.mu.Unlock()
	w.call()
	return true
}

// redriven notes the outcome of a redrive that has not failed again.
func (w *letters) redriven(way *wayBack, outcome deadletter.Outcome, message string) {
	now := time.Now()
	w.note(&unwritten{id: way.l.ID, at: now, outcome: way.outcome(outcome, message, now), way: way,
		result: Redriven{Outcome: outcome, Error: message}})
}

// note takes an outcome, and says so if it is too late for that.
func (w *letters) note(u *unwritten) {
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		u.unsaved()
		return
	}
	w.add(u)
	w.mu.Unlock()
	w.call()
}

// unsaved says that the outcome of a redrive will never be written.
func (u *unwritten) unsaved() {
	u.result.Unsaved = fmt.Errorf("%w: the runtime has ended", ErrInDoubt)
	u.way.tell(u.result)
}

// add is called with mu held.
func (w *letters) add(u *unwritten) { w.waiting = append(w.waiting, u) }

// call wakes the actor.
func (w *letters) call() {
	// A Latest mailbox always takes it, until the actor is stopped at the end.
	_ = w.ref.Tell(context.Background(), struct{}{})
}

// storeFailed is told that a call of the store did not succeed.
func (w *letters) storeFailed(e Event) {
	if e.Err == nil {
		return
	}
	w.mu.Lock()
	first := w.failing == nil
	w.failing = e.Err
	if first {
		w.since = time.Now()
	}
	n := uint64(len(w.waiting))
	w.mu.Unlock()
	if first {
		actors.Notify(w.rt.obs.StoreFailing, Event{Err: e.Err, Count: n})
	}
}

func (w *letters) snapshot() LettersSnapshot {
	w.mu.Lock()
	defer w.mu.Unlock()
	snap := LettersSnapshot{Waiting: len(w.waiting)}
	if w.failing != nil {
		snap.Failing, snap.Since = w.failing.Error(), w.since
	}
	return snap
}

// flush returns when everything is in the store, or ctx ends.
func (w *letters) flush(ctx context.Context) {
	for {
		w.mu.Lock()
		n, changed := len(w.waiting), w.changed
		w.mu.Unlock()
		if n == 0 {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// close ends the actor. What is not in the store by now is lost, and counted. A
// call of the store that is under way may take until grace ends.
func (w *letters) close(grace context.Context) {
	w.mu.Lock()
	w.closed = true
	lost := slices.DeleteFunc(w.waiting, func(u *unwritten) bool { return u.written })
	w.waiting = nil
	var calls []func()
	for _, rooms := range w.rooms {
		calls = append(calls, rooms...)
	}
	w.rooms = nil
	for _, u := range lost {
		u.written = true
	}
	w.mu.Unlock()
	for _, u := range lost {
		if u.dead != nil {
			u.dead.Lost(actors.ReasonDeadLettersUnavailable) // which tells of a redrive, too
		} else {
			u.unsaved()
		}
	}
	for _, room := range calls {
		room()
	}
	cell := w.ref.Cell()
	cell.Stop(actors.Discard, supervisor.ReasonShutdown)
	cell.Interrupt(ErrClosed)
	select {
	case <-cell.Done():
	case <-grace.Done():
		cell.Abandon() // a call of the store that ignores its context
		<-cell.Done()
	}
	w.sys.Close()
}
