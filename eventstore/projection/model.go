package projection

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/supervisor"
)

// model is how events are applied and the checkpoint kept. Its methods are called by the
// subscriber, one at a time, but for load and unsaved.
type model interface {
	// load returns where the checkpoint is.
	load(ctx context.Context) (eventstore.Position, error)
	// apply handles events and calls advance as it goes. Without events it saves.
	apply(ctx context.Context, events []eventstore.Recorded) error
	// save moves the checkpoint to where the projection is.
	save(ctx context.Context) error
	unsaved() bool
	// reset moves the checkpoint to Start and calls f.
	reset(ctx context.Context, f any) error
	// conflict is told that another process has moved the checkpoint.
	conflict(err error)
}

// plain saves the checkpoint now and then.
type plain struct {
	p      *Projection
	handle func(context.Context, eventstore.Recorded) error

	mu    sync.Mutex
	saved eventstore.Position // where the checkpoint is
	n     int                 // events since
	since time.Time           // when the first of them was handled
}

func (m *plain) load(ctx context.Context) (eventstore.Position, error) {
	at, err := m.p.cfg.Checkpoints.LoadCheckpoint(ctx, m.p.name)
	if err == nil {
		m.set(at)
	}
	return at, err
}

func (m *plain) set(saved eventstore.Position) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.saved, m.n = saved, 0
}

func (m *plain) unsaved() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.n > 0
}

func (m *plain) apply(ctx context.Context, events []eventstore.Recorded) error {
	for i := range events {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := m.p.each(ctx, &events[i], m.handle); err != nil {
			return err
		}
		m.mu.Lock()
		if m.n++; m.n == 1 {
			m.since = time.Now()
		}
		m.mu.Unlock()
		m.p.advance(1, events[i].Position)
	}
	m.mu.Lock()
	due := m.n >= m.p.cfg.SaveEvery || m.n > 0 && time.Since(m.since) >= m.p.cfg.SavePeriod
	m.mu.Unlock()
	if due {
		return m.save(ctx)
	}
	return nil
}

// each calls the handler with one event.
func (p *Projection) each(ctx context.Context, ev *eventstore.Recorded, handle func(context.Context, eventstore.Recorded) error) error {
	err := handle(ctx, *ev)
	if err == nil || errors.Is(err, supervisor.ErrSkip) {
		return nil
	}
	return &EventError{Projection: p.name, Event: *ev, Err: err}
}

func (m *plain) save(ctx context.Context) error {
	at := m.p.position()
	m.mu.Lock()
	saved, n := m.saved, m.n
	m.mu.Unlock()
	if n == 0 {
		return nil
	}
	if err := m.p.cfg.Checkpoints.SaveCheckpoint(ctx, m.p.name, saved, at); err != nil {
		return fmt.Errorf("projection %s: checkpoint: %w", m.p.name, err)
	}
	m.set(at)
	return nil
}

func (m *plain) conflict(err error) { m.p.fault(err) }

// reset moves the checkpoint first: after a crash in between events come again, which a
// handler has to be ready for anyway, and none is left out.
func (m *plain) reset(ctx context.Context, f any) error {
	apply, ok := f.(func(context.Context) error)
	if !ok {
		return errors.New("RebuildTx is for projections of OpenTx with that transaction")
	}
	saved, err := m.p.cfg.Checkpoints.LoadCheckpoint(ctx, m.p.name)
	if err != nil {
		return err
	}
	if err := m.p.cfg.Checkpoints.SaveCheckpoint(ctx, m.p.name, saved, eventstore.Start); err != nil {
		return err
	}
	m.set(eventstore.Start)
	return apply(ctx)
}

// transactional moves the checkpoint with each batch.
type transactional[Tx any] struct {
	p      *Projection
	in     eventstore.Transactor[Tx]
	handle func(context.Context, Tx, eventstore.Recorded) error
}

func (m *transactional[Tx]) load(ctx context.Context) (eventstore.Position, error) {
	return m.in.LoadCheckpoint(ctx, m.p.name)
}

func (m *transactional[Tx]) apply(ctx context.Context, events []eventstore.Recorded) error {
	step := len(events)
	if m.p.failing() {
		step = 1 // so that what comes before the culprit gets done
	}
	for len(events) > 0 {
		some := events[:step]
		to := some[step-1].Position
		err := m.in.Transact(ctx, m.p.name, m.p.position(), to, func(ctx context.Context, tx Tx) error {
			for i := range some {
				if err := context.Cause(ctx); err != nil {
					return err
				}
				err := m.p.each(ctx, &some[i], func(ctx context.Context, ev eventstore.Recorded) error { return m.handle(ctx, tx, ev) })
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("projection %s: %w", m.p.name, err)
		}
		m.p.advance(step, to)
		events = events[step:]
	}
	return nil
}

func (m *transactional[Tx]) save(context.Context) error { return nil }
func (m *transactional[Tx]) unsaved() bool              { return false }

// conflict is what follows from a commit whose answer was lost, or from another process
// that does the same work.
func (m *transactional[Tx]) conflict(error) {}

func (m *transactional[Tx]) reset(ctx context.Context, f any) error {
	apply, ok := f.(func(context.Context, Tx) error)
	if !ok {
		return errors.New("use RebuildTx with the transaction of OpenTx")
	}
	at, err := m.in.LoadCheckpoint(ctx, m.p.name)
	if err != nil {
		return err
	}
	return m.in.Transact(ctx, m.p.name, at, eventstore.Start, apply)
}

// failing reports whether the last attempt has failed.
func (p *Projection) failing() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.failures > 0
}
