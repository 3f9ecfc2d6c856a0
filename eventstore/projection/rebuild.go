package projection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
)

// Rebuild makes the read model anew: it moves the checkpoint to the start, has clear empty
// the read model, and lets all events come again. It returns when clear has; see
// CaughtUp for the rest. A projection that is paused, also on an event that it cannot
// handle, goes on with that.
//
// After a crash between the two the read model is as it was, and all events come again.
// To have readers see the old one meanwhile, open a projection of another name beside it.
//
// Errors: those of clear and of the store, after which events may come again; the cause of
// ctx, after which the rebuild may still begin; engine.ErrClosed.
func (p *Projection) Rebuild(ctx context.Context, clear func(ctx context.Context) error) error {
	if clear == nil {
		clear = func(context.Context) error { return nil }
	}
	return p.rebuild(ctx, clear)
}

// RebuildTx is [Projection.Rebuild] for those of [OpenTx]: clear runs in the transaction
// that moves the checkpoint.
func RebuildTx[Tx any](ctx context.Context, p *Projection, clear func(ctx context.Context, tx Tx) error) error {
	return p.rebuild(ctx, clear)
}

func (p *Projection) rebuild(ctx context.Context, clear any) error {
	r := &reset{apply: clear, done: make(chan error, 1)}
	p.mu.Lock()
	if p.reset != nil {
		p.mu.Unlock()
		return fmt.Errorf("projection %s: rebuild: another one waits to begin: %w", p.name, engine.ErrInUse)
	}
	p.reset = r
	p.mu.Unlock()
	// What fails at this moment may pause the projection after we have resumed it.
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	for {
		p.sub.Resume()
		select {
		case p.kick <- struct{}{}:
		default:
		}
		select {
		case err := <-r.done:
			if err != nil {
				return fmt.Errorf("projection %s: rebuild: %w", p.name, err)
			}
			return nil
		case <-again.C:
		case <-p.ended:
			return fmt.Errorf("projection %s: rebuild: %w", p.name, engine.ErrClosed)
		case <-ctx.Done():
			return fmt.Errorf("projection %s: rebuild: %w", p.name, context.Cause(ctx))
		}
	}
}

func (p *Projection) takeReset() *reset {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.reset
	p.reset = nil
	return r
}

// doReset is called by the subscriber.
func (p *Projection) doReset(ctx context.Context, r *reset) (err error) {
	defer p.restart()
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("panic: %v", v)
		}
	}()
	if err := p.model.reset(ctx, r.apply); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.at, p.caughtUp, p.failures, p.lastErr = eventstore.Start, false, 0, nil
	p.tell()
	return nil
}

// CaughtUp waits until the projection has once had nothing left to handle, since it was
// opened or rebuilt. Errors: the cause of ctx; engine.ErrClosed.
func (p *Projection) CaughtUp(ctx context.Context) error {
	return p.until(ctx, "catch up", func() bool { return p.caughtUp })
}

// Wait waits until the projection has handled the event at a position, as an Append or a
// command has returned it, so that the read model shows what one has done oneself. It must
// be of a category that the projection wants.
//
// Errors: the cause of ctx; engine.ErrClosed.
func (p *Projection) Wait(ctx context.Context, pos eventstore.Position) error {
	return p.until(ctx, "wait for "+string(pos), func() bool { return p.at >= pos })
}

func (p *Projection) until(ctx context.Context, what string, true func() bool) error {
	for {
		p.mu.Lock()
		is, changed, at, last := true(), p.changed, p.at, p.lastErr
		p.mu.Unlock()
		if is {
			return nil
		}
		select {
		case <-changed:
			continue
		case <-p.ended:
			return fmt.Errorf("projection %s: %s: %w", p.name, what, engine.ErrClosed)
		case <-ctx.Done():
			return errors.Join(fmt.Errorf("projection %s: %s: it is at %q: %w", p.name, what, at, context.Cause(ctx)), last)
		}
	}
}
