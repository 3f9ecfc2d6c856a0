package ops

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// kindRedrive is the kind of an operation that gives letters back.
const kindRedrive = "redrive"

// unfinished are the states of operations that may go on.
var unfinished = []deadletter.OperationState{deadletter.OperationRunning, deadletter.OperationPaused, deadletter.OperationStopped}

// Operation is an operation with what can be told of its progress.
type Operation struct {
	deadletter.Operation
	// Plan is that of a redrive. Its Scope names no letters: they are the items.
	Plan Redrive `json:"plan,omitzero"`
	// Change is that of any other kind.
	Change Change `json:"change,omitzero"`
	Step   int    `json:"step,omitempty"` // of Plan.Steps, from 1
	// Rate is the limit as it is, letters per second; 0 is none.
	Rate float64 `json:"rate,omitempty"`
	// ETA is how long the rest takes at the pace of the last half minute; zero if
	// that is not known, or the operation does not run.
	ETA time.Duration `json:"eta_ns,omitempty"`
}

// plan is what an operation has to know to go on, as the ledger keeps it.
type plan struct {
	Redrive *Redrive `json:"redrive,omitempty"`
	Change  *Change  `json:"change,omitempty"`
	// Rate is the limit as it is.
	Rate float64 `json:"rate,omitempty"`
	// Since is the position from which failures count: what came before has been
	// seen by whoever has resumed it.
	Since int `json:"since,omitempty"`
}

func (p plan) encode() []byte {
	if p.Redrive != nil {
		r := *p.Redrive
		r.Scope.IDs = nil // they are the items
		p.Redrive = &r
	}
	if p.Change != nil {
		c := *p.Change
		c.Scope.IDs = nil
		p.Change = &c
	}
	data, err := json.Marshal(p)
	if err != nil {
		panic(err) // plain values, which validate has seen
	}
	return data
}

func decodePlan(op deadletter.Operation) (p plan, err error) {
	if err := json.Unmarshal(op.Plan, &p); err != nil {
		return p, conflict("operation %s: its plan cannot be read: %w", op.ID, err)
	}
	if (p.Redrive == nil) == (p.Change == nil) {
		return p, conflict("operation %s: it is none of this program's", op.ID)
	}
	return p, nil
}

// Operation returns the operation, or deadletter.ErrNotFound.
func (d *Desk) Operation(ctx context.Context, id string) (Operation, error) {
	op, err := d.ledger.Operation(ctx, id)
	if err != nil {
		return Operation{}, err
	}
	return d.view(ctx, op)
}

// view adds what can be told of its progress.
func (d *Desk) view(ctx context.Context, op deadletter.Operation) (Operation, error) {
	v := Operation{Operation: op}
	p, err := decodePlan(op)
	if err != nil {
		return v, nil //nolint:nilerr // an operation of another program can be looked at, too
	}
	v.Rate = p.Rate
	if p.Change != nil {
		v.Change = *p.Change
		return v, nil
	}
	v.Plan = *p.Redrive
	if len(v.Plan.Steps) > 0 {
		ends := v.Plan.ends(op.Total)
		page, err := d.ledger.Items(ctx, deadletter.ItemQuery{Operation: op.ID, After: -1, Limit: 1,
			States: []deadletter.ItemState{deadletter.ItemPending, deadletter.ItemIssued}})
		if err != nil {
			return v, err
		}
		v.Step = len(ends)
		if len(page.Items) > 0 {
			v.Step = stepOf(ends, page.Items[0].Position) + 1
		}
	}
	if r := d.runner(op.ID); r != nil && op.State == deadletter.OperationRunning {
		v.ETA = r.eta(op.Items[deadletter.ItemPending])
	}
	return v, nil
}

// stepOf returns the step, from 0, that a position belongs to.
func stepOf(ends []int, position int) int {
	for i, end := range ends {
		if position < end {
			return i
		}
	}
	return len(ends) - 1
}

// PauseOperation keeps a running operation from going on. What is in a mailbox is
// handled, and its outcome recorded.
//
// Errors: deadletter.ErrNotFound; [ErrConflict] if it does not run.
func (d *Desk) PauseOperation(ctx context.Context, by By, id string) (Operation, error) {
	return d.turn(ctx, by, id, "pause_operation", func(op *deadletter.Operation, _ *plan) error {
		if op.State != deadletter.OperationRunning {
			return conflict("operation %s is %s: only one that is running can be paused", id, op.State)
		}
		op.State = deadletter.OperationPaused
		return nil
	})
}

// ResumeOperation lets a paused or stopped operation go on. Failures are counted anew.
//
// Errors: deadletter.ErrNotFound; [ErrConflict] if it runs or has ended.
func (d *Desk) ResumeOperation(ctx context.Context, by By, id string) (Operation, error) {
	first := math.MaxInt
	page, err := d.ledger.Items(ctx, deadletter.ItemQuery{Operation: id, After: -1, Limit: 1, States: []deadletter.ItemState{deadletter.ItemPending}})
	if err == nil && len(page.Items) > 0 {
		first = page.Items[0].Position
	}
	return d.turn(ctx, by, id, "resume_operation", func(op *deadletter.Operation, p *plan) error {
		switch {
		case err != nil:
			return err
		case op.State != deadletter.OperationPaused && op.State != deadletter.OperationStopped:
			return conflict("operation %s is %s: only one that is paused or has stopped can be resumed", id, op.State)
		}
		if op.State == deadletter.OperationStopped {
			p.Since = min(first, op.Total)
		}
		op.State, op.Stopped = deadletter.OperationRunning, ""
		return nil
	})
}

// CancelOperation ends an operation for good: what is pending is left alone, what is in
// a mailbox is handled and its outcome recorded.
//
// Errors: deadletter.ErrNotFound; [ErrConflict] if it has ended.
func (d *Desk) CancelOperation(ctx context.Context, by By, id string) (Operation, error) {
	return d.turn(ctx, by, id, "cancel_operation", func(op *deadletter.Operation, _ *plan) error {
		if op.State.Ended() {
			return conflict("operation %s is %s already", id, op.State)
		}
		op.State, op.EndedAt = deadletter.OperationCancelled, time.Now()
		return nil
	})
}

// SetRate changes how many letters per second a redrive sends back, from now on; 0 is no
// limit.
//
// Errors: [ErrInvalid]; deadletter.ErrNotFound; [ErrConflict] for one that has ended.
func (d *Desk) SetRate(ctx context.Context, by By, id string, perSecond float64) (Operation, error) {
	return d.turn(ctx, by, id, "set_rate", func(op *deadletter.Operation, p *plan) error {
		if err := checkRate(perSecond); err != nil {
			return invalid("Rate %w", err)
		}
		switch {
		case p.Redrive == nil:
			return conflict("operation %s is no redrive", id)
		case op.State.Ended():
			return conflict("operation %s is %s already", id, op.State)
		}
		p.Rate = perSecond
		return nil
	})
}

// turn changes the course of an operation.
func (d *Desk) turn(ctx context.Context, by By, id, action string, change func(*deadletter.Operation, *plan) error) (Operation, error) {
	var op deadletter.Operation
	err := d.audited(ctx, by, deadletter.AuditEntry{Action: action, Object: id, Operation: id}, func(e *deadletter.AuditEntry) error {
		known, err := d.ledger.Operation(ctx, id)
		if err != nil {
			return err
		}
		e.Count, e.Query = known.Total, known.Query
		r := d.runner(id)
		if r == nil {
			if known.State.Ended() {
				return conflict("operation %s is %s already", id, known.State)
			}
			if d.rt.Member() == "" {
				return conflict("operation %s does not belong to this runtime", id)
			}
			op, _, err = d.steer(ctx, id, change) // who does it follows within a second
			return err
		}
		op, err = r.change(ctx, change)
		return err
	})
	if err != nil {
		return Operation{}, err
	}
	return d.view(context.WithoutCancel(ctx), op)
}

func (d *Desk) runner(id string) *runner {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.runners[id]
}

// errAsItWas keeps an operation as it is.
var errAsItWas = errors.New("ops: nothing to change")
