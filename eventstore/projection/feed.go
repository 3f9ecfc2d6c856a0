package projection

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/topics"
)

// feed follows the store until ctx ends or nobody takes batches any more.
func (p *Projection) feed(ctx context.Context) {
	defer close(p.ended)
	for errs := 0; ctx.Err() == nil; {
		f, round, err := p.begin(ctx)
		if err == nil {
			errs = 0
			err = p.follow(ctx, f, round)
			p.end(f)
		}
		switch {
		case ctx.Err() != nil, errors.Is(err, errNobody):
			return
		case err == nil:
		case engine.Temporary(err):
			errs++
			p.fault(err)
			wait(ctx, pauseAfter(errs))
		default:
			// A person has to look: the subscriber says so, and pauses.
			p.mu.Lock()
			p.round++
			p.stale = false
			b := batch{round: p.round, fault: err}
			p.mu.Unlock()
			if p.publish(ctx, b) != nil {
				return
			}
		}
	}
}

// begin follows the store from where the checkpoint is.
func (p *Projection) begin(ctx context.Context) (eventstore.Follower, int, error) {
	at, err := p.model.load(ctx)
	if err != nil {
		return nil, 0, fmt.Errorf("projection %s: checkpoint: %w", p.name, err)
	}
	f, err := p.store.Follow(ctx, at, p.cfg.Categories...)
	if err != nil {
		return nil, 0, fmt.Errorf("projection %s: %w", p.name, err)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.round++
	p.follower, p.stale, p.at, p.inHand = f, false, at, 0
	p.tell()
	return f, p.round, nil
}

func (p *Projection) end(f eventstore.Follower) {
	p.mu.Lock()
	p.follower = nil
	p.mu.Unlock()
	if err := f.Close(); err != nil {
		p.fault(fmt.Errorf("projection %s: %w", p.name, err))
	}
}

// follow publishes what the follower gives, until the round is over: nil.
func (p *Projection) follow(ctx context.Context, f eventstore.Follower, round int) error {
	for errs := 0; ; {
		p.lookIfCaughtUp(ctx, f)
		events, err := p.next(ctx, f)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil, errors.Is(err, errKicked):
			errs = 0
		case engine.Temporary(err):
			errs++
			p.fault(fmt.Errorf("projection %s: %w", p.name, err))
			wait(ctx, pauseAfter(errs))
			continue
		default:
			return fmt.Errorf("projection %s: %w", p.name, err)
		}
		if err := p.publish(ctx, batch{events: events, round: round}); err != nil {
			return err
		}
		if p.isStale(round) || p.position() < last(events) {
			// Also if an operator has dropped the batch.
			return nil
		}
	}
}

func last(events []eventstore.Recorded) eventstore.Position {
	if len(events) == 0 {
		return eventstore.Start
	}
	return events[len(events)-1].Position
}

// errKicked ends the wait for events, for the subscriber has something to do.
var errKicked = errors.New("projection: kicked")

// next returns the next events, or errKicked when the checkpoint should be saved or a
// Rebuild waits.
func (p *Projection) next(ctx context.Context, f eventstore.Follower) ([]eventstore.Recorded, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if p.model.unsaved() {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, p.cfg.SavePeriod, errKicked)
		defer stop()
	}
	done := make(chan struct{})
	woken := make(chan struct{})
	go func() {
		defer close(woken)
		select {
		case <-p.kick:
			cancel(errKicked)
		case <-done:
		}
	}()
	events, err := f.Next(ctx, p.cfg.Batch)
	close(done)
	<-woken
	if err != nil && errors.Is(context.Cause(ctx), errKicked) {
		err = errKicked
	}
	return events, err
}

// errNobody is that no batch is taken any more.
var errNobody = errors.New("projection: nobody takes batches")

// publish gives a batch to the subscriber and waits for its outcome.
func (p *Projection) publish(ctx context.Context, b batch) error {
	outcomes, _ := p.topic.PublishWait(ctx, b)
	if len(outcomes) == 0 {
		return errNobody // the runtime or the subscription has ended, or ctx
	}
	if outcomes[0].Kind != topics.OutcomeDone {
		p.restart()
	}
	return nil
}

// lookIfCaughtUp notes that there is nothing to come, once.
func (p *Projection) lookIfCaughtUp(ctx context.Context, f eventstore.Follower) {
	p.mu.Lock()
	is := p.caughtUp
	p.mu.Unlock()
	if is {
		return
	}
	if n, err := f.Lag(ctx); err != nil || n > 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.caughtUp = true
	p.tell()
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
