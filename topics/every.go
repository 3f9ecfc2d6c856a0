package topics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// Schedule says when something recurs; package schedule has intervals and cron
// expressions. Those of cron libraries fit, too.
//
// Next returns the first time after the given one, or the zero time if there is
// none. It is called on a goroutine of its own and must not block. A Schedule with a
// method Period() time.Duration is an interval on the monotonic clock, and Next is
// not called.
type Schedule interface {
	Next(after time.Time) time.Time
}

// ErrProducing is in what Observer.Fault is told of a producer that still runs when
// its next tick is due.
var ErrProducing = errors.New("topics: still producing")

// maxMissed is how many missed ticks of a schedule that is no interval are counted
// one by one.
const maxMissed = 100_000

// Recurring is a recurring publication. Methods are safe for concurrent use.
type Recurring struct {
	topic string
	name  string
	next  func(after time.Time) time.Time
	cycle time.Duration // of an interval, else 0
	work  func(ctx context.Context, r *Recurring, due time.Time)
	fault func(error)
	gone  func(*Recurring)
	poke  func() // those that wait for the end of a tick
	ctx   context.Context
	stop  context.CancelCauseFunc

	mu        sync.Mutex
	timer     *time.Timer
	due       time.Time
	since     time.Time // a tick is in progress
	producing bool      // and the producer runs
	outcome   *uint64   // of the tick, in counts
	ended     bool
	counts    runtime.Recurring
}

// PublishEvery calls produce at each tick of s and publishes what it returns. The
// first tick of an interval is one interval from now. The name is how people refer
// to it and is unique among those of the topic.
//
//   - produce gets the time at which it was due, and a context that ends with Cancel
//     and when a shutdown begins. It runs on a goroutine of its own: one that blocks or
//     fails holds up nobody else. An error, panic or Goexit publishes nothing, is
//     counted, and reported to Observer.Fault; supervisor.Skip(err) is counted only.
//   - One tick is in progress at a time, and that includes waiting for room in a
//     mailbox. Those that are due meanwhile are missed, which is counted; of a
//     producer, Observer.Fault is told, with [ErrProducing].
//   - Ticks that are late, because the machine has slept or the clock was set, become
//     one: the latest; the others are missed. Setting the clock back repeats none.
//   - What the topic refuses is counted and told to Observer.Dropped. It is no dead
//     letter: another tick follows.
//   - Shutdown ends it, and waits for a tick in progress.
//
// Errors: everything that is wrong with name, schedule and function, at once;
// runtime.ErrNameTaken; runtime.ErrClosed.
func (t *Topic[T]) PublishEvery(name string, s Schedule, produce func(ctx context.Context, due time.Time) (T, error)) (*Recurring, error) {
	r, err := t.every(name, s, produce)
	if err != nil {
		return nil, fmt.Errorf("topics: publish %s every %q: %w", t.name, name, err)
	}
	return r, nil
}

func (t *Topic[T]) every(name string, s Schedule, produce func(context.Context, time.Time) (T, error)) (*Recurring, error) {
	var faults []error
	if err := runtime.CheckName(name); err != nil {
		faults = append(faults, fmt.Errorf("name: %w", err))
	}
	if produce == nil {
		faults = append(faults, errors.New("function: must not be nil"))
	}
	r := &Recurring{topic: t.name, name: name, counts: runtime.Recurring{Name: name}, gone: t.later.forget, poke: t.rt.Actors().Poke}
	if s == nil {
		faults = append(faults, errNoSchedule)
	} else if p, ok := s.(interface{ Period() time.Duration }); ok {
		if r.cycle = p.Period(); r.cycle <= 0 {
			faults = append(faults, fmt.Errorf("schedule: interval %v: must be positive", r.cycle))
		}
		r.due = time.Now().Add(r.cycle)
	} else {
		r.next = s.Next
		var err error
		if r.due, err = r.after(time.Now()); err == nil && r.due.IsZero() {
			err = errNoMore
		}
		if err != nil {
			faults = append(faults, err)
		}
	}
	if len(faults) > 0 {
		return nil, errors.Join(faults...)
	}
	r.ctx, r.stop = context.WithCancelCause(context.Background())
	r.fault = func(err error) {
		actors.Notify(t.obs.Fault, runtime.Event{Topic: t.name, Err: fmt.Errorf("topics: %s every %s: %w", t.name, name, err)})
	}
	r.work = func(ctx context.Context, r *Recurring, due time.Time) { t.tick(ctx, r, due, produce) }
	if err := t.later.join(r); err != nil {
		return nil, err
	}
	r.mu.Lock()
	r.arm()
	r.mu.Unlock()
	return r, nil
}

// Cancel ends it: no further tick begins, the context of one in progress ends, and
// nothing of it is published that was not being published. It returns true at the
// first call, false if it had ended before. It does not block.
func (r *Recurring) Cancel() bool { return r.end(context.Canceled) }

func (r *Recurring) end(cause error) bool {
	r.mu.Lock()
	was, idle := r.ended, r.since.IsZero()
	r.ended = true
	r.counts.Next = time.Time{}
	if r.timer != nil {
		r.timer.Stop()
	}
	r.mu.Unlock()
	r.stop(cause)
	if idle && !was {
		r.gone(r)
	}
	return !was
}

// arm sets the timer for the next tick. The caller holds mu.
func (r *Recurring) arm() {
	if r.ended {
		return
	}
	r.counts.Next = r.due
	wait := time.Until(r.due)
	if r.cycle == 0 {
		wait = min(wait, wallCheck)
	}
	if r.timer == nil {
		r.timer = time.AfterFunc(wait, r.fire)
		return
	}
	r.timer.Reset(wait)
}

// fire begins the tick that is due. Nobody else moves due: the timer is set again at
// the end of it.
func (r *Recurring) fire() {
	now := time.Now()
	r.mu.Lock()
	due, early := r.due, r.due.After(now)
	if r.ended || early {
		r.arm()
		r.mu.Unlock()
		return
	}
	r.mu.Unlock()
	tick, next, missed, err := r.advance(due, now)
	if err != nil {
		r.fault(err)
	}

	r.mu.Lock()
	if r.ended {
		r.mu.Unlock()
		return
	}
	r.counts.Missed += missed
	r.due = next
	busy, producing, since := !r.since.IsZero(), r.producing, r.since
	ends := next.IsZero()
	if !ends {
		r.arm()
	} else if busy {
		r.ended = true // and the tick in progress goes on
		r.counts.Next = time.Time{}
	}
	if busy {
		r.counts.Missed++
		r.producing = false // told once
	} else {
		r.counts.Ticks++
		r.outcome = &r.counts.Failed // unless something else is known
		r.since = now
		r.producing = true
	}
	r.mu.Unlock()
	if busy {
		if producing {
			r.fault(fmt.Errorf("%w: for %v", ErrProducing, now.Sub(since)))
		}
		return
	}
	defer r.finish()
	r.work(r.ctx, r, tick)
	if ends {
		r.end(errNoMore)
	}
}

// errNoMore is why the context of a recurring publication ends that has come to its
// end.
var errNoMore = errors.New("topics: schedule has no time to come")

// finish ends a tick, also when an observer has ended its goroutine.
func (r *Recurring) finish() {
	r.mu.Lock()
	*r.outcome++
	r.since, r.producing = time.Time{}, false
	ended := r.ended
	r.mu.Unlock()
	if ended {
		r.gone(r)
	}
	r.poke()
}

// is notes how a tick ends.
func (r *Recurring) is(outcome *uint64) {
	r.mu.Lock()
	r.outcome = outcome
	r.mu.Unlock()
}

// advance returns the latest tick from due on that is not after now, the one that
// follows it, and how many lie between due and the latest.
func (r *Recurring) advance(due, now time.Time) (tick, next time.Time, missed uint64, err error) {
	if r.cycle > 0 {
		n := now.Sub(due) / r.cycle
		tick = due.Add(n * r.cycle)
		return tick, tick.Add(r.cycle), uint64(n), nil
	}
	tick = due
	for {
		if next, err = r.after(tick); err != nil || next.IsZero() || next.After(time.Now()) {
			return tick, next, missed, err
		}
		if missed++; missed == maxMissed {
			next, err = r.after(time.Now())
			return tick, next, missed, err
		}
		tick = next
	}
}

// after asks the schedule, which is the user's.
func (r *Recurring) after(t time.Time) (next time.Time, err error) {
	t = t.Round(0) // times of the wall clock have no monotonic part
	err = survive(func() error {
		next = r.next(t).Round(0)
		return nil
	})
	switch {
	case err != nil:
		return time.Time{}, fmt.Errorf("schedule: %w", err)
	case !next.IsZero() && !next.After(t):
		return time.Time{}, fmt.Errorf("schedule: next after %v is %v, which is not after it", t, next)
	}
	return next, nil
}

func (r *Recurring) account() runtime.Recurring {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.counts
	if !r.since.IsZero() {
		c.Running = max(time.Since(r.since), 1)
	}
	return c
}

// tick produces an event and publishes it.
func (t *Topic[T]) tick(ctx context.Context, r *Recurring, due time.Time, produce func(context.Context, time.Time) (T, error)) {
	var ev T
	err := survive(func() (err error) {
		ev, err = produce(ctx, due)
		return err
	})
	r.mu.Lock()
	r.producing = false
	r.mu.Unlock()
	if supervisor.IsSkip(err) || err != nil && ctx.Err() != nil { // or was told to stop
		r.is(&r.counts.Skipped)
		return
	}
	if err != nil {
		r.fault(err)
		return
	}
	if ctx.Err() != nil {
		err = t.refused(ev, nil, context.Cause(ctx))
	} else {
		err = t.publishDue(ctx, ev, nil)
	}
	if err == nil {
		r.is(&r.counts.Published)
		return
	}
	// There is no caller to be told.
	r.is(&r.counts.Refused)
	reason := actors.Refusal(err)
	if errors.Is(err, ErrNoRoom) {
		reason = actors.ReasonDeadLettersUnavailable
	}
	actors.Notify(t.obs.Dropped, runtime.Event{Topic: t.name, Err: err, Reason: reason, Count: 1})
}

// join adds r, unless its name is taken.
func (l *later[T]) join(r *Recurring) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != laterOpen {
		return runtime.ErrClosed
	}
	if l.every[r.name] != nil {
		return runtime.ErrNameTaken
	}
	if l.every == nil {
		l.every = map[string]*Recurring{}
	}
	l.every[r.name] = r
	return nil
}

// forget follows the end of r. What a shutdown ends stays in the account.
func (l *later[T]) forget(r *Recurring) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state == laterOpen && l.every[r.name] == r {
		delete(l.every, r.name)
	}
}

// recurring returns the recurring publications by name. The caller holds mu.
func (l *later[T]) recurring() []*Recurring {
	list := slices.Collect(maps.Values(l.every))
	slices.SortFunc(list, func(a, b *Recurring) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	return list
}
