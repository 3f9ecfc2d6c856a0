package runtime

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"go.uber.org/zap"
)

// How the members of a deadletter.Fleet work together.
const (
	// FleetBeat is how often a member says that it lives, and looks for errands and for
	// the outcomes of its own.
	FleetBeat = time.Second
	// FleetLease is how long it is believed. What a member that has died had in hand is
	// in doubt after that.
	FleetLease = 15 * time.Second
	// FleetPatience is how long an event waits for a member that has its subscriber.
	FleetPatience = 30 * time.Second
)

const (
	// fleetWindow is how many events for one subscriber may be without an outcome at
	// other members.
	fleetWindow = 256
	// fleetCall bounds one call of the store.
	fleetCall = 5 * time.Second
)

// fleet is the runtime's membership: a goroutine that attends, takes errands for
// subscribers that live here, watches those that others took, and ends the redrives of
// members that have died.
type fleet struct {
	rt    *Runtime
	store deadletter.Fleet
	self  deadletter.Member
	wake  chan struct{} // has room for one
	stop  context.CancelFunc
	ended chan struct{}
	turn  sync.Mutex // one round at a time

	// Of the round.
	told     []deadletter.Served // what the store knows that is served here
	unserved map[string]time.Time
	failing  bool

	mu      sync.Mutex
	alive   []string
	since   time.Time // of attendance without a gap, zero if there is one
	seen    time.Time // of the last
	away    map[string]*wayBack
	serving map[Destination]served
}

// served is what is known of a destination for a beat.
type served struct {
	by  []string
	err error
	at  time.Time
}

// joinFleet makes the runtime a member, if its store is that of a fleet.
func joinFleet(rt *Runtime) {
	store, ok := rt.cfg.DeadLetters.(deadletter.Fleet)
	if !ok {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	f := &fleet{
		rt: rt, store: store, wake: make(chan struct{}, 1), stop: stop, ended: make(chan struct{}),
		unserved: map[string]time.Time{}, away: map[string]*wayBack{}, serving: map[Destination]served{},
	}
	now := time.Now()
	f.self = deadletter.Member{ID: cmp.Or(rt.node, rt.cfg.Name) + "/" + actors.NewID(now), Runtime: rt.cfg.Name, Node: rt.node, Build: rt.cfg.Build, StartedAt: now}
	rt.fleet = f // before it runs
	go f.run(ctx)
}

// Member returns the ID of the runtime in its fleet, empty if its store is not a
// deadletter.Fleet. It is another one after each start.
func (rt *Runtime) Member() string {
	if rt.fleet == nil {
		return ""
	}
	return rt.fleet.self.ID
}

// Attending returns since when the runtime has been a member of its fleet without a gap.
// It is zero while that is not certain: others may hold it for dead and take over what it
// was doing. Outside of a fleet it is never certain.
func (rt *Runtime) Attending() time.Time {
	f := rt.fleet
	if f == nil {
		return time.Time{}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if time.Since(f.seen) > FleetLease/2 {
		return time.Time{}
	}
	return f.since
}

// Living reports whether that member of the fleet lives, as far as is known here, which
// may be as old as [FleetBeat]. A runtime itself lives.
func (rt *Runtime) Living(member string) bool {
	f := rt.fleet
	if f == nil || member == "" {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return member == f.self.ID || slices.Contains(f.alive, member)
}

// leave ends the membership, with what is left of ctx.
func (f *fleet) leave(ctx context.Context) {
	if f == nil {
		return
	}
	f.stop()
	<-f.ended
	ctx, cancel := context.WithTimeout(ctx, fleetCall)
	defer cancel()
	if err := guarded(func() error { return f.store.Leave(ctx, f.self.ID) }); err != nil {
		f.rt.cfg.Logger.Warn("fleet not left, the others find out", fieldRuntime(f.rt.cfg.Name), zap.Error(err))
	}
}

func (f *fleet) run(ctx context.Context) {
	defer close(f.ended)
	beat := time.NewTicker(FleetBeat)
	defer beat.Stop()
	for {
		_, err := f.round(ctx)
		if ctx.Err() != nil {
			return
		}
		if err != nil && !f.failing {
			f.rt.cfg.Logger.Warn("fleet: the store of dead letters does not answer", fieldRuntime(f.rt.cfg.Name), zap.Error(err))
		}
		f.failing = err != nil
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
		case <-f.wake:
		}
	}
}

func (f *fleet) nudge() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// round does everything once, and returns how many redrives of members that died it has
// ended.
func (f *fleet) round(ctx context.Context) (ended int, err error) {
	f.turn.Lock()
	defer f.turn.Unlock()
	if f.rt.State() == StateClosed {
		return 0, ErrClosed
	}
	err = guarded(func() error {
		if err := f.attend(ctx); err != nil {
			return fmt.Errorf("runtime: attend: %w", err)
		}
		ended, err = f.look(ctx)
		return err
	})
	return ended, err
}

// attend says that the runtime lives, and what it serves if that has changed.
func (f *fleet) attend(ctx context.Context) error {
	m := f.self
	if now := f.rt.serves(); f.told == nil || !slices.Equal(now, f.told) {
		m.Serves = now
	}
	ctx, cancel := context.WithTimeout(ctx, fleetCall)
	defer cancel()
	began := time.Now()
	alive, err := f.store.Attend(ctx, m, FleetLease)
	if err != nil {
		return err
	}
	if m.Serves != nil {
		f.told = m.Serves
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.since.IsZero() || began.Sub(f.seen) > FleetLease/2 {
		f.since = began
		f.told = nil // what was known may have gone with the membership: said again
	}
	f.seen, f.alive = began, alive
	return nil
}

// serves returns whom this runtime can give events to, in order.
func (rt *Runtime) serves() []deadletter.Served {
	rt.mu.Lock()
	defer rt.mu.Unlock()
	if rt.state != StateRunning {
		return []deadletter.Served{}
	}
	all := make([]deadletter.Served, 0, len(rt.topics)+len(rt.byName))
	for name := range rt.topics {
		all = append(all, deadletter.Served{Topic: name})
	}
	for at, s := range rt.byName {
		if s.cell != nil && !s.stopped() {
			all = append(all, deadletter.Served{Topic: at[0], Subscriber: at[1]})
		}
	}
	slices.SortFunc(all, func(a, b deadletter.Served) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Subscriber, b.Subscriber))
	})
	return all
}

// look goes through all letters that are redriving.
func (f *fleet) look(ctx context.Context) (ended int, err error) {
	f.mu.Lock()
	waiting := make(map[string]*wayBack, len(f.away))
	for id, w := range f.away {
		waiting[id] = w
	}
	f.mu.Unlock()
	unserved := f.unserved
	f.unserved = map[string]time.Time{}
	offers := map[Destination][]offer{}
	q := deadletter.Query{State: deadletter.StateRedriving, Limit: deadletter.MaxLimit}
	for {
		call, cancel := context.WithTimeout(ctx, fleetCall)
		page, err := f.store.List(call, q)
		cancel()
		if err != nil {
			f.unserved = unserved
			return ended, fmt.Errorf("runtime: look for errands: %w", err)
		}
		for _, l := range page.Letters {
			if len(l.Redrives) == 0 {
				continue
			}
			if w := waiting[l.ID]; w != nil && w.is(&l) {
				delete(waiting, l.ID)
			}
			r := l.Redrives[len(l.Redrives)-1]
			switch {
			case r.Errand != "":
				err = f.offer(ctx, l, unserved, offers)
			case r.Member != f.self.ID && f.rt.Living(r.Member):
			default:
				var n int
				n, err = f.orphan(ctx, l)
				ended += n
			}
			if err != nil {
				return ended, err
			}
		}
		if page.Next == "" {
			break
		}
		q.After = page.Next
	}
	for at, some := range offers {
		if err := f.take(ctx, at, some); err != nil {
			return ended, err
		}
	}
	for _, w := range waiting {
		if err := f.came(ctx, w); err != nil {
			return ended, err
		}
	}
	return ended, nil
}

// orphan ends a redrive that nobody has in hand: in doubt if its member has died, and
// aborted if it is ours, as of a call of the store that failed and was done all the same.
func (f *fleet) orphan(ctx context.Context, l deadletter.Letter) (ended int, err error) {
	r := l.Redrives[len(l.Redrives)-1]
	outcome, text := deadletter.OutcomeInDoubt, "the process ended before the outcome was known"
	if r.Member == f.self.ID {
		outcome, text = deadletter.OutcomeAborted, "it was not given to its subscriber"
	}
	call, cancel := context.WithTimeout(ctx, fleetCall)
	defer cancel()
	err = f.store.Update(call, l.ID, func(now *deadletter.Letter) error {
		if n := len(now.Redrives); f.rt.underWay.has(l.ID) || n == 0 || now.Redrives[n-1] != r {
			return errUnderWay
		}
		return now.EndRedrive(outcome, text, time.Now())
	})
	switch {
	case err == nil:
		return 1, nil
	case errors.Is(err, errUnderWay), errors.Is(err, deadletter.ErrNotRedriving), errors.Is(err, deadletter.ErrNotFound):
		return 0, nil
	}
	return 0, fmt.Errorf("runtime: end redrive of %s: %w", l.ID, err)
}
