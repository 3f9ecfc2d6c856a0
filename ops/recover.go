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
// that may go on.
func (d *Desk) recover(ctx context.Context) (goOn []deadletter.Operation, err error) {
	inDoubt, err := d.rt.RecoverRedrives(ctx)
	if err != nil {
		return nil, err
	}
	if inDoubt > 0 {
		d.log.Warn("redrives of a process that ended are in doubt, their letters are open", zap.Int("letters", inDoubt))
	}
	q := deadletter.OperationQuery{Limit: deadletter.MaxLimit}
	for more := true; more; more = q.After != "" {
		page, err := d.ledger.Operations(ctx, q)
		if err != nil {
			return nil, err
		}
		for _, op := range page.Operations {
			if op.Items[deadletter.ItemIssued] > 0 {
				if err := d.settle(ctx, op); err != nil {
					return nil, err
				}
			}
			if !op.State.Ended() {
				if op, err = d.ledger.Operation(ctx, op.ID); err != nil {
					return nil, err
				}
				goOn = append(goOn, op)
			}
		}
		q.After = page.Next
	}
	return goOn, nil
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
