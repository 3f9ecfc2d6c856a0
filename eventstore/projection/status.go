package projection

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/eventstore"
)

// Status says how a projection does.
type Status struct {
	Name     string              `json:"name"`
	State    actors.State        `json:"state"`
	Position eventstore.Position `json:"position"` // of the last event that was handled
	Handled  uint64              `json:"handled"`  // events, since it was opened
	// Lag is how many events are to come; a store may count to 10,000 only.
	Lag uint64 `json:"lag"`
	// CaughtUp is that there once was nothing to come, since it was opened or rebuilt.
	CaughtUp bool `json:"caught_up"`
	// Err is why the last attempt has failed, nil if it has not: an *EventError if that was
	// about an event.
	Err error `json:"-"`
}

// ErrBehind is why a projection is not ready that works.
var ErrBehind = errors.New("projection: has not caught up")

// Status asks the store for the lag. Errors are those of the store; the rest of the status
// holds nevertheless.
func (p *Projection) Status(ctx context.Context) (Status, error) {
	p.mu.Lock()
	s := Status{Name: p.name, State: p.sub.Subscriber().State(), Position: p.at, Handled: p.handled, CaughtUp: p.caughtUp, Err: p.lastErr}
	f, inHand := p.follower, p.inHand
	p.mu.Unlock()
	if f == nil {
		return s, fmt.Errorf("projection %s: does not follow the store yet, or any more", p.name)
	}
	n, err := f.Lag(ctx)
	if err != nil {
		return s, fmt.Errorf("projection %s: %w", p.name, err)
	}
	s.Lag = n + uint64(inHand)
	return s, nil
}

// Ready returns nil if the read model can be read: the projection works and has caught up
// once. Else it says why not: [ErrBehind] with the lag, or that it is paused, with the
// *EventError that it is about. It suits a readiness check; that a projection is paused is
// in Runtime.Health, too.
func (p *Projection) Ready(ctx context.Context) error {
	s, err := p.Status(ctx)
	switch s.State {
	case actors.StateEscalated, actors.StatePaused, actors.StateHung, actors.StateStopped, actors.StateDraining:
		return errors.Join(fmt.Errorf("projection %s: %s at %q", p.name, s.State, s.Position), s.Err)
	}
	if !s.CaughtUp {
		return errors.Join(fmt.Errorf("%w: %s is at %q, %d events to come", ErrBehind, p.name, s.Position, s.Lag), s.Err, err)
	}
	return nil
}
