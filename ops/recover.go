package ops

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"go.uber.org/zap"
)

// recover settles what a process that has ended had issued, and returns the operations
// that may go on here.
func (d *Desk) recover(ctx context.Context) (goOn []deadletter.Operation, err error) {
	inDoubt, err := d.rt.RecoverRedrives(ctx)
	if err != nil {
		return nil, err
	}
	if inDoubt > 0 {
		d.log.Warn("redrives of a process that ended are in doubt, their letters are open", zap.Int("letters", inDoubt))
	}
	return d.orphans(ctx, nil)
}

// adopt goes on with the operations of members of the fleet that have died.
func (d *Desk) adopt() {
	if d.rt.Attending().IsZero() {
		return
	}
	orphans, err := d.orphans(d.life, unfinished)
	if err != nil && d.life.Err() == nil {
		d.log.Warn("cannot look for operations of members that have died", zap.Error(err))
	}
	for _, op := range orphans {
		d.log.Warn("operation goes on here, its member has died", zap.String("operation", op.ID))
		if err := d.start(op); err != nil && d.life.Err() == nil {
			d.log.Error("operation cannot go on", zap.String("operation", op.ID), zap.Error(err))
		}
	}
}

// orphans settles the operations in those states that nobody does, and returns those
// that may go on. In a fleet they belong to this desk then. One whose letters are under
// way at a member that lives is left until they have their outcomes.
func (d *Desk) orphans(ctx context.Context, states []deadletter.OperationState) (goOn []deadletter.Operation, err error) {
	q := deadletter.OperationQuery{States: states, Limit: deadletter.MaxLimit}
	for more := true; more; more = q.After != "" {
		page, err := d.ledger.Operations(ctx, q)
		if err != nil {
			return goOn, err
		}
		for _, op := range page.Operations {
			issued := op.Items[deadletter.ItemIssued] > 0
			if !issued && op.State.Ended() || d.runner(op.ID) != nil {
				continue
			}
			if mine, err := d.claim(ctx, op); err != nil {
				return goOn, err
			} else if !mine {
				continue
			}
			if issued {
				if err := d.settle(ctx, op); err != nil {
					return goOn, err
				}
			}
			if !op.State.Ended() {
				if op, err = d.ledger.Operation(ctx, op.ID); err != nil {
					return goOn, err
				}
				goOn = append(goOn, op)
			}
		}
		q.After = page.Next
	}
	return goOn, nil
}

// claim makes an operation this desk's, and reports whether it is. Outside of a fleet
// all are.
func (d *Desk) claim(ctx context.Context, op deadletter.Operation) (bool, error) {
	me := d.rt.Member()
	switch {
	case me == "" || op.Member == me:
		return true, nil
	case d.rt.Living(op.Member):
		return false, nil
	}
	if underWay, err := d.underWay(ctx, op); underWay || err != nil {
		return false, err
	}
	err := d.ledger.UpdateOperation(ctx, op.ID, func(now *deadletter.Operation) error {
		if now.Member != op.Member {
			return errAsItWas
		}
		now.Member, now.Node = me, d.rt.Node()
		return nil
	})
	if errors.Is(err, errAsItWas) || errors.Is(err, deadletter.ErrNotFound) {
		return false, nil
	}
	return err == nil, err
}

// underWay reports whether a letter of the operation is at a member that lives, or on its
// way to one.
func (d *Desk) underWay(ctx context.Context, op deadletter.Operation) (bool, error) {
	q := deadletter.ItemQuery{Operation: op.ID, States: []deadletter.ItemState{deadletter.ItemIssued}, After: -1, Limit: batch}
	for more := true; more; more = q.After >= 0 {
		page, err := d.ledger.Items(ctx, q)
		if err != nil {
			return false, err
		}
		for _, it := range page.Items {
			l, err := d.ledger.Get(ctx, it.Letter)
			if errors.Is(err, deadletter.ErrNotFound) {
				continue
			}
			if err != nil {
				return false, err
			}
			if n := len(l.Redrives); l.State == deadletter.StateRedriving && n > 0 && l.Redrives[n-1].Operation == op.ID &&
				(l.Redrives[n-1].Errand != "" || d.rt.Living(l.Redrives[n-1].Member)) {
				return true, nil
			}
		}
		q.After = page.Next
	}
	return false, nil
}

// settle gives every issued item of the operation what its letter knows of it.
func (d *Desk) settle(ctx context.Context, op deadletter.Operation) error {
	p, _ := decodePlan(op)
	q := deadletter.ItemQuery{Operation: op.ID, States: []deadletter.ItemState{deadletter.ItemIssued}, After: -1, Limit: batch}
	doubts := 0
	for more := true; more; more = q.After >= 0 {
		page, err := d.ledger.Items(ctx, q)
		if err != nil {
			return err
		}
		if len(page.Items) == 0 {
			break
		}
		for i := range page.Items {
			it := &page.Items[i]
			l, err := d.ledger.Get(ctx, it.Letter)
			if err != nil && !errors.Is(err, deadletter.ErrNotFound) {
				return err
			}
			it.State, it.Error = whatBecame(op.ID, p, l, err == nil)
			it.EndedAt = time.Now()
			switch it.State {
			case deadletter.ItemPending:
				it.IssuedAt, it.EndedAt = time.Time{}, time.Time{}
			case deadletter.ItemInDoubt:
				doubts++
			}
		}
		if err := d.ledger.UpdateItems(ctx, op.ID, page.Items); err != nil {
			return err
		}
		q.After = page.Next
	}
	if doubts > 0 {
		d.log.Warn("operation has letters in doubt", zap.String("operation", op.ID), zap.Int("letters", doubts))
	}
	return nil
}

// whatBecame returns the state of an item that was issued when the process ended, and
// what there is to say of it.
func whatBecame(operation string, p plan, l deadletter.Letter, there bool) (deadletter.ItemState, string) {
	const doubt = "the process ended before the outcome was known"
	switch {
	case p.Redrive == nil || p.Redrive.Rehearse:
		return deadletter.ItemInDoubt, doubt
	case !there:
		return deadletter.ItemInDoubt, doubt + ", and the letter is gone"
	}
	for i := len(l.Redrives) - 1; i >= 0; i-- {
		r := l.Redrives[i]
		if r.Operation != operation {
			continue
		}
		switch {
		case r.Outcome == deadletter.OutcomeDone && strings.HasPrefix(r.Error, runtime.SucceededBy):
			return deadletter.ItemFailed, r.Error
		case r.Outcome == deadletter.OutcomeDone:
			return deadletter.ItemDone, ""
		case r.Outcome == deadletter.OutcomeSkipped:
			return deadletter.ItemDone, "skipped: " + r.Error
		case r.Outcome == deadletter.OutcomeFailed:
			return deadletter.ItemFailed, r.Error
		case r.Outcome == deadletter.OutcomeAborted:
			return deadletter.ItemPending, "" // nobody has handled it
		}
		return deadletter.ItemInDoubt, doubt
	}
	return deadletter.ItemPending, "" // it was never given to anybody
}
