package sqlite

import (
	"context"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// Record implements [deadletter.Ledger].
func (s *Store) Record(ctx context.Context, e deadletter.AuditEntry) error {
	e = e.Normalize(time.Now())
	return s.do(ctx, 1, func(_ *job, t *tx) error {
		return t.do("INSERT OR IGNORE INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
			e.ID, stamp(e.At), e.By, e.Action, e.Object, e.Query, e.Count, e.Why, e.Operation, e.Error)
	})
}

// Audit implements [deadletter.Ledger].
func (s *Store) Audit(ctx context.Context, q deadletter.AuditQuery) (deadletter.AuditPage, error) {
	if err := ctx.Err(); err != nil {
		return deadletter.AuditPage{}, err
	}
	if err := q.Validate(); err != nil {
		return deadletter.AuditPage{}, err
	}
	limit := limitOr(q.Limit)
	page := deadletter.AuditPage{Entries: []deadletter.AuditEntry{}}
	var where condition
	for _, f := range []struct{ column, value string }{{"by", q.By}, {"action", q.Action}, {"object", q.Object}} {
		if f.value != "" {
			where.add(f.column+" = ?", f.value)
		}
	}
	if !q.From.IsZero() {
		where.add("at >= ?", nanos(q.From))
	}
	if !q.Until.IsZero() {
		where.add("at < ?", nanos(q.Until))
	}
	err := s.read(ctx, func(c *conn) error {
		n, err := c.number(ctx, "SELECT count(*) FROM audit WHERE "+where.sql(), where.args...)
		if err != nil {
			return err
		}
		page.Total = int(n)
		if q.After != "" {
			where.add("id < ?", q.After)
		}
		err = c.query(ctx, "SELECT id, at, by, action, object, query, count, why, operation, error FROM audit WHERE "+where.sql()+
			" ORDER BY id DESC LIMIT ?", append(where.args, limit+1), func(v []any) error {
			page.Entries = append(page.Entries, deadletter.AuditEntry{
				ID: text(v[0]), At: timeOf(v[1]), By: text(v[2]), Action: text(v[3]), Object: text(v[4]), Query: text(v[5]),
				Count: number(v[6]), Why: text(v[7]), Operation: text(v[8]), Error: text(v[9]),
			})
			return nil
		})
		if err == nil && len(page.Entries) > limit {
			page.Entries = page.Entries[:limit]
			page.Next = page.Entries[limit-1].ID
		}
		return err
	})
	if err != nil {
		return deadletter.AuditPage{}, err
	}
	return page, nil
}
