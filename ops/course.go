package ops

import (
	"context"
	"errors"
	"math"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"golang.org/x/time/rate"
)

// setLimit is called by start, or with mu held.
func (r *runner) setLimit(perSecond float64) {
	r.limit = perSecond
	if perSecond == 0 {
		r.limiter = nil
		return
	}
	// A twentieth of a second at a time, so that a batch is worth its write.
	burst := max(1, int(math.Ceil(perSecond/20)))
	if r.limiter == nil {
		r.limiter = rate.NewLimiter(rate.Limit(perSecond), burst)
		return
	}
	r.limiter.SetLimit(rate.Limit(perSecond))
	r.limiter.SetBurst(burst)
}

// steer changes the course of an operation in the ledger.
func (d *Desk) steer(ctx context.Context, id string, fn func(*deadletter.Operation, *plan) error) (op deadletter.Operation, p plan, err error) {
	err = d.ledger.UpdateOperation(ctx, id, func(now *deadletter.Operation) (err error) {
		op = now.Clone()
		if p, err = decodePlan(op); err != nil {
			return err
		}
		if err := fn(now, &p); err != nil {
			return err
		}
		now.Plan = p.encode()
		op = now.Clone()
		return nil
	})
	return op, p, err
}

// change changes the course, in the ledger first.
func (r *runner) change(ctx context.Context, fn func(*deadletter.Operation, *plan) error) (deadletter.Operation, error) {
	r.course.Lock()
	defer r.course.Unlock()
	op, p, err := r.d.steer(ctx, r.op.ID, func(now *deadletter.Operation, p *plan) error {
		if now.Member != r.op.Member {
			return conflict("operation %s is done by %s now", r.op.ID, now.Member)
		}
		return fn(now, p)
	})
	if err != nil {
		if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrInvalid) {
			r.mu.Lock()
			r.unsure = true // it may have been done
			r.mu.Unlock()
			r.nudge()
		}
		return deadletter.Operation{}, err
	}
	r.follow(op, p)
	r.d.ring.add(Event{Kind: EventOperation, Object: op.ID, Text: progress(op.State, op.Items, op.Total)})
	r.nudge()
	return op, nil
}

// follow takes the course from what the ledger has.
func (r *runner) follow(op deadletter.Operation, p plan) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unsure = false
	r.state, r.since = op.State, p.Since
	if p.Rate != r.limit {
		r.setLimit(p.Rate)
	}
	if r.state != deadletter.OperationRunning && r.interrupt != nil {
		r.interrupt()
	}
}

// errCutOff keeps a runner waiting that others may hold for dead.
var errCutOff = errors.New("ops: the fleet cannot be reached: another member may go on with it")

// look reads the course from the ledger, if a change of it may or may not have been done:
// in a fleet, now and then, and after every gap in which others may have taken over.
func (r *runner) look() error {
	r.course.Lock()
	defer r.course.Unlock()
	r.mu.Lock()
	unsure := r.unsure
	r.mu.Unlock()
	var since time.Time
	if r.op.Member != "" {
		if since = r.d.rt.Attending(); since.IsZero() && !r.closing() {
			return errCutOff
		}
		unsure = unsure || !since.Equal(r.member) || time.Since(r.looked) >= lookPeriod
	}
	if !unsure {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	op, err := r.d.ledger.Operation(ctx, r.op.ID)
	if err != nil {
		return err
	}
	p, err := decodePlan(op)
	if err != nil {
		return err
	}
	r.member, r.looked, r.lost = since, time.Now(), op.Member != r.op.Member
	r.follow(op, p)
	return nil
}

// stop stops the operation by itself.
func (r *runner) stop(why string) error {
	err := r.turn(func(op *deadletter.Operation) { op.State, op.Stopped = deadletter.OperationStopped, why })
	if err != nil || r.d.alerts == nil {
		return err
	}
	r.d.alerts.stopped(r.op, why)
	return nil
}

// done ends the operation.
func (r *runner) done() error {
	return r.turn(func(op *deadletter.Operation) { op.State, op.EndedAt = deadletter.OperationDone, time.Now() })
}

// turn changes the course unless somebody else has.
func (r *runner) turn(to func(*deadletter.Operation)) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	_, err := r.change(ctx, func(op *deadletter.Operation, _ *plan) error {
		if op.State != deadletter.OperationRunning {
			return errAsItWas
		}
		to(op)
		return nil
	})
	if errors.Is(err, errAsItWas) {
		return nil
	}
	if err == nil {
		r.tell(true)
	}
	return err
}
