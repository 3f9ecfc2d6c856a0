package ops

import (
	"context"
	"errors"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// The kinds of a Change.
const (
	ChangeArchive = "archive" // open and resolved letters are put aside, to be kept
	ChangeRestore = "restore" // what closed a letter last is undone
	ChangeDelete  = "delete"  // letters go, after the time in which they can be restored
	ChangeSnooze  = "snooze"  // open letters are hidden until a time
	ChangeResolve = "resolve" // open letters have been dealt with by hand
)

// Change is archive, restore, delete, snooze or resolve, of many letters.
type Change struct {
	Kind  string    `json:"kind"`
	Scope Scope     `json:"scope"`
	Until time.Time `json:"until,omitzero"` // of a snooze; zero, or a time that has passed, ends one
	// Confirm is the number of letters as the operator has seen it. A delete needs
	// it. A change is refused if there is another number of them by now.
	Confirm *int `json:"confirm,omitempty"`
}

func (c Change) validate() error {
	switch c.Kind {
	case ChangeArchive, ChangeRestore, ChangeResolve, ChangeSnooze:
	case ChangeDelete:
		if c.Confirm == nil {
			return invalid("Change.Confirm: a delete needs the number of letters that it is about")
		}
	default:
		return invalid("Change.Kind %q: must be archive, restore, delete, snooze or resolve", c.Kind)
	}
	if c.Kind != ChangeSnooze && !c.Until.IsZero() {
		return invalid("Change.Until: is for snooze only")
	}
	return c.Scope.validate()
}

// Change begins to change letters and returns the operation, which goes on by itself.
// Its set is what the scope selects now. A letter in whose state the change makes no
// sense is left: one that is being redriven, for example, or to be restored and open. A
// deleted letter can be restored for Config.Undo.
//
// Errors: [ErrInvalid]; [ErrConflict] if there are more or fewer letters than were
// confirmed; [ErrReadOnly], [ErrClosed]; those of the ledger.
func (d *Desk) Change(ctx context.Context, by By, c Change) (Operation, error) {
	var op Operation
	err := d.audited(ctx, by, deadletter.AuditEntry{Action: c.Kind, Query: c.Scope.text()}, func(e *deadletter.AuditEntry) error {
		if err := c.validate(); err != nil {
			return err
		}
		ids, err := d.ids(ctx, c.Scope, c.Kind)
		if err != nil {
			return err
		}
		e.Count = len(ids)
		if c.Confirm != nil && *c.Confirm != len(ids) {
			return conflict("Change.Confirm %d: there are %d letters now", *c.Confirm, len(ids))
		}
		op, err = d.begin(ctx, by, c.Kind, c.Scope, ids, plan{Change: &c})
		e.Operation, e.Object = op.ID, op.ID
		return err
	})
	return op, err
}

// errChanged says that a letter has been changed by this operation already.
var errChanged = errors.New("ops: changed before")

// changeSome changes a batch of letters. Doing it again, after a process that ended in
// between, changes nothing.
func (r *runner) changeSome(ctx context.Context, items []deadletter.Item) error {
	ids := make([]string, len(items))
	for i, it := range items {
		ids[i] = it.Letter
	}
	c, now := r.plan.Change, time.Now()
	closing := deadletter.Closing{By: r.op.By, At: now, Why: r.op.Why, Operation: r.op.ID}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	for i := range items {
		items[i].State, items[i].IssuedAt = deadletter.ItemIssued, now
	}
	if c.Kind == ChangeRestore {
		// What is undone leaves no trace, and doing it again would undo more: a process
		// that ends here leaves them in doubt.
		if err := r.d.ledger.UpdateItems(ctx, r.op.ID, items); err != nil {
			for _, it := range items { // what was done of it is taken back
				r.pending--
				r.finish(it, deadletter.ItemPending, "")
			}
			return err
		}
	}
	errs, err := r.d.ledger.Change(ctx, ids, func(l *deadletter.Letter) error {
		if l.Closed != nil && l.Closed.Operation == r.op.ID && c.Kind != ChangeRestore {
			return errChanged
		}
		switch c.Kind {
		case ChangeArchive:
			return l.Archive(closing)
		case ChangeRestore:
			return l.Restore()
		case ChangeDelete:
			closing := closing
			closing.PurgeAt = now.Add(r.d.cfg.Undo)
			return l.Delete(closing)
		case ChangeSnooze:
			return l.Snooze(c.Until)
		default:
			return l.Resolve(closing)
		}
	})
	if len(errs) != len(items) {
		return err // which the store has not promised: it is tried again
	}
	for i, it := range items {
		r.pending--
		switch {
		case errs[i] == nil || errors.Is(errs[i], errChanged):
			r.finish(it, deadletter.ItemDone, "")
		case err != nil && errors.Is(errs[i], err):
			r.finish(it, deadletter.ItemPending, "") // it was not reached
		default:
			r.finish(it, deadletter.ItemLeft, errs[i].Error())
		}
	}
	r.cursor = items[len(items)-1].Position
	return err
}
