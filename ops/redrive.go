package ops

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
)

const (
	// DefaultMaxFailures is the part of a step, in percent, that may fail before a
	// redrive with Steps stops.
	DefaultMaxFailures = 10
	// NeverStop is the MaxFailures of a redrive that goes on whatever fails.
	NeverStop = -1
	// judgedFrom is how many outcomes a step needs before it is judged, if it has
	// more: the first failure of many is not yet a part of them.
	judgedFrom = 10
)

// Redrive is the plan of a redrive.
type Redrive struct {
	Scope Scope `json:"scope"`
	// To is another subscriber or topic; zero is the subscriber that failed.
	To Target `json:"to,omitzero"`
	// Budget is the number of attempts, 0 those of the retry policy.
	Budget int `json:"budget"`
	// Rate is letters per second, 0 as fast as the mailbox has room.
	Rate float64 `json:"rate,omitempty"`
	// Steps are the parts, in percent of all, after which it waits for outcomes,
	// such as 1, 5, 20, 100: each larger than the one before, the last 100. A step
	// has a letter more than the one before at least. None is 100.
	Steps []float64 `json:"steps,omitempty"`
	// MaxFailures stops it when more than that part, in percent, of what has an
	// outcome in the current step has failed: from the tenth outcome of the step on,
	// and at its end. What is in the mailbox by then is handled all the same: about
	// half a second's work, 512 letters at the most. Zero means DefaultMaxFailures with Steps, never without;
	// see NeverStop.
	MaxFailures float64 `json:"max_failures,omitempty"`
	// Fix repairs each payload first: each letter's event is sent as a new one, and
	// the letter resolved as fixed. One that Fix returns an error for is left.
	Fix string `json:"fix,omitempty"`
	// Rehearse calls the handler without settling the letter, if the subscriber
	// allows it. Letters of any state are rehearsed.
	Rehearse bool `json:"rehearse,omitempty"`
}

// Target is where events go.
type Target struct {
	Topic      string `json:"topic,omitempty"`      // empty: the letter's
	Subscriber string `json:"subscriber,omitempty"` // empty: all of the topic
}

func (t Target) destination() runtime.Destination {
	return runtime.Destination{Topic: t.Topic, Subscriber: t.Subscriber}
}

func (t Target) String() string {
	switch {
	case t == Target{}:
		return "the subscriber that failed"
	case t.Subscriber == "":
		return "all subscribers of " + t.Topic
	case t.Topic == "":
		return t.Subscriber
	}
	return t.Topic + "/" + t.Subscriber
}

// validate reports every fault of the plan.
func (d *Desk) validate(r Redrive) error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if r.Budget < 0 {
		fault("Redrive.Budget %d: must be a number of attempts, or 0 for those of the retry policy", r.Budget)
	}
	if err := checkRate(r.Rate); err != nil {
		fault("Redrive.Rate %w", err)
	}
	last := 0.0
	for i, s := range r.Steps {
		if !(s > last && s <= 100) {
			fault("Redrive.Steps[%d] %v: must be above %v and at most 100", i, s, last)
			break
		}
		last = s
	}
	if len(r.Steps) > 0 && last < 100 && faults == nil {
		fault("Redrive.Steps: must end with 100, or the rest is never sent")
	}
	if m := r.MaxFailures; m != NeverStop && !(m >= 0 && m <= 100) {
		fault("Redrive.MaxFailures %v: must be 0 to 100 percent, or %d for never", m, NeverStop)
	}
	if r.Fix != "" && d.fixes(r.Fix) == nil {
		fault("Redrive.Fix %q: is not registered; there are %v", r.Fix, d.fixNames())
	}
	if r.Rehearse && r.To.Topic != "" && r.To.Subscriber == "" {
		fault("Redrive.To.Subscriber: a rehearsal needs one")
	}
	if len(faults) > 0 {
		return fmt.Errorf("%w: %w", ErrInvalid, errors.Join(faults...))
	}
	return r.Scope.validate()
}

func checkRate(perSecond float64) error {
	if !(perSecond >= 0 && perSecond <= 1e6) || math.IsNaN(perSecond) {
		return fmt.Errorf("%v: must be from 0, which is no limit, to 1,000,000 letters per second", perSecond)
	}
	return nil
}

// maxFailures is MaxFailures in force, in percent.
func (r Redrive) maxFailures() float64 {
	if r.MaxFailures == 0 {
		if len(r.Steps) > 0 {
			return DefaultMaxFailures
		}
		return NeverStop
	}
	return r.MaxFailures
}

// ends returns, for each step, how many of the letters belong to it and those before.
// There are fewer than Steps if there are fewer letters.
func (r Redrive) ends(total int) []int {
	var ends []int
	for _, s := range r.Steps {
		n := min(total, int(math.Ceil(float64(total)*s/100)))
		if s == 100 {
			n = total
		}
		if len(ends) > 0 && n <= ends[len(ends)-1] {
			n = min(total, ends[len(ends)-1]+1)
		}
		if len(ends) == 0 || n > ends[len(ends)-1] {
			ends = append(ends, n)
		}
	}
	if len(ends) == 0 {
		ends = []int{total}
	}
	return ends
}

// Redrive begins to give letters back, as the plan says, and returns the operation. Its
// set is what the scope selects now, oldest first: letters that come later are not part
// of it. The package says what is promised.
//
// Errors: everything that is wrong with the plan, at once; [ErrInvalid] if the scope
// selects nothing; [ErrReadOnly], [ErrClosed]; those of the ledger.
func (d *Desk) Redrive(ctx context.Context, by By, r Redrive) (Operation, error) {
	var op Operation
	err := d.audited(ctx, by, deadletter.AuditEntry{Action: kindRedrive, Query: r.Scope.text()}, func(e *deadletter.AuditEntry) error {
		if err := d.validate(r); err != nil {
			return err
		}
		ids, err := d.ids(ctx, r.Scope, kindRedrive)
		if err != nil {
			return err
		}
		e.Count = len(ids)
		op, err = d.begin(ctx, by, kindRedrive, r.Scope, ids, plan{Redrive: &r, Rate: r.Rate})
		e.Operation, e.Object = op.ID, op.ID
		return err
	})
	return op, err
}

// begin stores an operation and starts it.
func (d *Desk) begin(ctx context.Context, by By, kind string, s Scope, ids []string, p plan) (Operation, error) {
	if len(ids) == 0 {
		return Operation{}, invalid("Scope: selects no letter")
	}
	op := deadletter.Operation{
		ID: deadletter.NewID(time.Now()), Kind: kind, State: deadletter.OperationRunning, By: by.Name, Why: by.Why,
		Node: d.rt.Node(), Member: d.rt.Member(), Query: s.text(), CreatedAt: time.Now(), Plan: p.encode(),
		Total: len(ids), Items: map[deadletter.ItemState]int{deadletter.ItemPending: len(ids)},
	}
	if err := d.ledger.AddOperation(ctx, op, ids); err != nil {
		// It may be there all the same, and the next desk would go on with it.
		look, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
		defer cancel()
		if _, missing := d.ledger.Operation(look, op.ID); missing != nil {
			return Operation{}, err
		}
	}
	// From here on it goes on, whatever becomes of ctx.
	if err := d.start(op); err != nil {
		return Operation{}, err
	}
	return d.view(context.WithoutCancel(ctx), op)
}
