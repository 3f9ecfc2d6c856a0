package deadletter

import (
	"context"
	"slices"
	"strings"
	"time"
)

// memoryAudit holds entries in ascending order of their IDs.
type memoryAudit []AuditEntry

// Record implements [Ledger].
func (m *Memory) Record(ctx context.Context, e AuditEntry) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e = e.Normalize(time.Now())
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	at, found := slices.BinarySearchFunc(m.audit, e.ID, func(e AuditEntry, id string) int { return strings.Compare(e.ID, id) })
	if found {
		return nil
	}
	m.audit = slices.Insert(m.audit, at, e)
	if n := len(m.audit) - m.cfg.MaxAudit; n > 0 {
		// The room in front is given back when append has to move the rest.
		clear(m.audit[:n])
		m.audit = m.audit[n:]
	}
	return nil
}

// Audit implements [Ledger].
func (m *Memory) Audit(ctx context.Context, q AuditQuery) (AuditPage, error) {
	if err := ctx.Err(); err != nil {
		return AuditPage{}, err
	}
	if err := q.Validate(); err != nil {
		return AuditPage{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return AuditPage{}, ErrClosed
	}
	found, next, total := pageOf(m.audit, q.After, limitOr(q.Limit),
		func(e AuditEntry) string { return e.ID }, func(e AuditEntry) bool { return q.Matches(&e) })
	if found == nil {
		found = []AuditEntry{}
	}
	return AuditPage{Entries: found, Next: next, Total: total}, nil
}
