package topics

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// leaveTimeout bounds how long a group is taken leave of, after a shutdown's deadline.
const leaveTimeout = 2 * time.Second

// Told makes taken an actors.Notice.
func (tk *taken[T]) Told(o actors.Outcome) {
	s := engine.Settlement{Verdict: engine.Nack} // what has no end here has one elsewhere
	switch {
	case o.Kind == actors.OutcomeDone, o.Kind == actors.OutcomeFiltered,
		o.Kind == actors.OutcomeDropped && o.Reason == supervisor.ReasonSkipped:
		s.Verdict = engine.Ack
	case o.Kind == actors.OutcomeDeadLettered: // it is in the store
		s.Verdict, s.Reason = engine.Term, o.Reason
	}
	tk.decide(s)
}

// Source is the delivery.
func (tk *taken[T]) Source() any {
	tk.in.mu.Lock()
	defer tk.in.mu.Unlock()
	return tk.d
}

// decide says what has become of the record here.
func (tk *taken[T]) decide(s engine.Settlement) {
	in := tk.in
	in.mu.Lock()
	if tk.handed {
		tk.handed = false
		in.handed--
	}
	tk.decided, tk.end = true, s
	in.owe(tk)
	in.mu.Unlock()
	signal(in.room)
}

// owe has the engine told. The caller holds mu.
func (in *intake[T]) owe(tk *taken[T]) {
	s := tk.end
	s.Delivery = tk.d
	tk.owed++
	in.owing++
	in.settled = append(in.settled, s)
	signal(in.work)
}

// settle runs until everything is settled and the subscriber has stopped, or the
// engine is waited for no longer. Then it leaves the group.
func (in *intake[T]) settle() {
	defer close(in.done)
	var renew <-chan time.Time
	if in.out.caps.Lease {
		ticker := time.NewTicker(max(in.lease/3, time.Millisecond))
		defer ticker.Stop()
		renew = ticker.C
	}
	for !in.finished() {
		select {
		case <-in.work:
			if !in.tell() {
				in.leave()
				return
			}
		case <-renew:
			in.extend()
		case <-in.settling.Done():
			in.leave()
			return
		}
	}
	in.leave()
}

// finished reports whether there is nothing to come.
func (in *intake[T]) finished() bool {
	select {
	case <-in.fetched:
	default:
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.stopped && len(in.open) == 0
}

// tell tells the engine what has been decided, until it has taken note. It returns
// false if that is not to be waited for any longer.
func (in *intake[T]) tell() bool {
	in.mu.Lock()
	batch := in.settled
	in.settled = nil
	in.mu.Unlock()
	if len(batch) == 0 {
		return true
	}
	pause := pauses{base: engineBase, max: engineMax}
	for {
		late, err := in.sub.Settle(in.settling, batch)
		if err == nil {
			in.noted(batch, late)
			return true
		}
		if in.settling.Err() != nil {
			return false
		}
		in.fails(err)
		if errors.Is(err, engine.ErrClosed) {
			return false
		}
		select {
		case <-time.After(pause.next()):
		case <-in.settling.Done():
			return false
		}
	}
}

// noted forgets what the engine has taken note of.
func (in *intake[T]) noted(batch []engine.Settlement, late int) {
	in.mu.Lock()
	in.late += uint64(late)
	in.owing -= len(batch)
	for _, s := range batch {
		place := s.Delivery.Place
		if tk := in.open[place]; tk != nil {
			if tk.owed--; tk.owed == 0 {
				delete(in.open, place)
			}
		}
	}
	in.mu.Unlock()
	signal(in.room)
}

// extend begins the leases of what is still here anew.
func (in *intake[T]) extend() {
	in.mu.Lock()
	ds := make([]*engine.Delivery, 0, len(in.open))
	for _, tk := range in.open {
		if !tk.decided {
			ds = append(ds, tk.d)
		}
	}
	in.mu.Unlock()
	if len(ds) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(in.settling, in.lease/3)
	defer cancel()
	if err := in.sub.Extend(ctx, ds); err != nil && in.settling.Err() == nil {
		in.fails(err)
	}
}

// leave leaves the group; what is here and not settled goes back.
func (in *intake[T]) leave() {
	timeout := engineTimeout
	if in.settling.Err() != nil {
		timeout = leaveTimeout
	}
	in.halt()
	in.giveUp()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	if err := in.sub.Close(ctx); err != nil && !errors.Is(err, engine.ErrClosed) {
		in.fails(err)
	}
	in.log.Close()
}

// fails notes that the engine does not do what it is asked for, works that it does.
func (in *intake[T]) fails(err error) {
	in.mu.Lock()
	first := in.failing == nil
	in.failing = err
	if first {
		in.since = time.Now()
	}
	in.mu.Unlock()
	if first {
		actors.Notify(in.out.t.obs.EngineFailing, runtime.Event{Topic: in.out.t.name, Subscriber: in.name, Err: err})
	}
}

func (in *intake[T]) works() {
	in.mu.Lock()
	was := in.failing != nil
	in.failing = nil
	in.mu.Unlock()
	if was {
		actors.Notify(in.out.t.obs.EngineRecovered, runtime.Event{Topic: in.out.t.name, Subscriber: in.name})
	}
}

// state is what an account shows.
func (in *intake[T]) state() runtime.EngineGroup {
	in.mu.Lock()
	defer in.mu.Unlock()
	g := runtime.EngineGroup{Name: in.name, Here: len(in.open), Again: in.again, Late: in.late, Since: in.since}
	if in.failing != nil {
		g.Failing = in.failing.Error()
	}
	return g
}
