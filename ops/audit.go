package ops

import (
	"context"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"go.uber.org/zap"
)

// By says who does something and why; it goes to the audit trail.
type By struct {
	Name string `json:"name"`
	Why  string `json:"why,omitempty"`
}

const (
	// recordTimeout bounds one try to write an audit entry.
	recordTimeout = 10 * time.Second
	// maxUnrecorded is how many entries wait for a store that fails.
	maxUnrecorded = 1000
	// housePeriod is how often entries that wait are tried again, and operations of
	// members that have died are looked for.
	housePeriod = 5 * time.Second
)

// Audit returns a page of the audit trail, newest first.
func (d *Desk) Audit(ctx context.Context, q deadletter.AuditQuery) (deadletter.AuditPage, error) {
	return d.ledger.Audit(ctx, q)
}

// audited does something and records it, whatever becomes of it. do may complete the
// entry.
func (d *Desk) audited(ctx context.Context, by By, e deadletter.AuditEntry, do func(e *deadletter.AuditEntry) error) error {
	if d.rt == nil {
		return ErrReadOnly
	}
	err := d.writable()
	if err == nil && by.Name == "" {
		err = invalid(`By.Name "": say who does it, for the audit trail`)
	}
	if err == nil {
		err = do(&e)
	}
	e.By, e.Why, e.At = by.Name, by.Why, time.Now()
	if err != nil {
		e.Error = err.Error()
	}
	d.record(ctx, e)
	return err
}

// record writes an entry. One that cannot be written now is logged, and written later.
func (d *Desk) record(ctx context.Context, e deadletter.AuditEntry) {
	e.ID = deadletter.NewID(e.At)
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), recordTimeout)
	defer cancel()
	if err := d.ledger.Record(ctx, e); err != nil {
		d.unwritten("audit entry waits for the store", e, err)
		d.mu.Lock()
		if len(d.unrecorded) < maxUnrecorded {
			d.unrecorded = append(d.unrecorded, e)
			d.mu.Unlock()
			return
		}
		d.mu.Unlock()
		d.unwritten("audit entry lost", e, err)
		return
	}
	d.ring.add(Event{Kind: EventAudit, Object: e.ID, Text: e.Action})
}

func (d *Desk) unwritten(message string, e deadletter.AuditEntry, err error) {
	d.log.Error(message, zap.Error(err), zap.String("by", e.By), zap.String("action", e.Action), zap.String("object", e.Object),
		zap.String("query", e.Query), zap.Int("count", e.Count), zap.String("why", e.Why), zap.String("operation", e.Operation), zap.String("failure", e.Error))
}

// keepHouse writes what could not be written before, and looks after operations that
// nobody does any more.
func (d *Desk) keepHouse() {
	tick := time.NewTicker(housePeriod)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			d.recordAgain()
			d.adopt()
		case <-d.life.Done():
			d.recordAgain()
			d.mu.Lock()
			lost := d.unrecorded
			d.unrecorded = nil
			d.mu.Unlock()
			for _, e := range lost {
				d.unwritten("audit entry lost", e, ErrClosed)
			}
			return
		}
	}
}

func (d *Desk) recordAgain() {
	for {
		d.mu.Lock()
		if len(d.unrecorded) == 0 {
			d.mu.Unlock()
			return
		}
		e := d.unrecorded[0]
		d.mu.Unlock()
		ctx, cancel := context.WithTimeout(context.Background(), recordTimeout)
		err := d.ledger.Record(ctx, e)
		cancel()
		if err != nil {
			return
		}
		d.mu.Lock()
		d.unrecorded = d.unrecorded[1:]
		d.mu.Unlock()
		d.ring.add(Event{Kind: EventAudit, Object: e.ID, Text: e.Action})
	}
}
