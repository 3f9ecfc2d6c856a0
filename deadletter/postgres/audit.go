package postgres

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/deadletter"
)

// Record implements [deadletter.Ledger].
func (s *Store) Record(ctx context.Context, e deadletter.AuditEntry) error {
	e = e.Normalize(time.Now())
	return s.write(ctx, false, func(t *tx) error {
		_, err := t.Exec(ctx, "INSERT INTO audit VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING",
			raw(e.ID), stamp(e.At), raw(e.By), raw(e.Action), raw(e.Object), raw(e.Query), int64(e.Count), raw(e.Why), raw(e.Operation), raw(e.Error))
		return err
	})
}

// Audit implements [deadletter.Ledger].
func (s *Store) Audit(ctx context.Context, q deadletter.AuditQuery) (deadletter.AuditPage, error) {
	if err := s.ready(ctx); err != nil {
		return deadletter.AuditPage{}, err
	}
	if err := q.Validate(); err != nil {
		return deadletter.AuditPage{}, err
	}
	limit := limitOr(q.Limit)
	page := deadletter.AuditPage{Entries: []deadletter.AuditEntry{}}
	terms := []string{"true"}
	var args []any
	add := func(term string, v any) {
		args = append(args, v)
		terms = append(terms, fmt.Sprintf("%s $%d", term, len(args)))
	}
	for _, f := range []struct{ column, value string }{{"by", q.By}, {"action", q.Action}, {"object", q.Object}} {
		if f.value != "" {
			add(f.column+" =", raw(f.value))
		}
	}
	if !q.From.IsZero() {
		add("at >=", nanos(q.From))
	}
	if !q.Until.IsZero() {
		add("at <", nanos(q.Until))
	}
	err := s.read(ctx, func(tx pgx.Tx) error {
		if err := tx.QueryRow(ctx, "SELECT count(*) FROM audit WHERE "+strings.Join(terms, " AND "), args...).Scan(&page.Total); err != nil {
			return err
		}
		if q.After != "" {
			add("id <", raw(q.After))
		}
		rows, err := tx.Query(ctx, "SELECT id, at, by, action, object, query, count, why, operation, error FROM audit WHERE "+
			strings.Join(terms, " AND ")+fmt.Sprintf(" ORDER BY id DESC LIMIT %d", limit+1), args...)
		if err != nil {
			return err
		}
		var id, by, action, object, query, why, operation, fault []byte
		var at *int64
		var count int
		_, err = pgx.ForEachRow(rows, []any{&id, &at, &by, &action, &object, &query, &count, &why, &operation, &fault}, func() error {
			page.Entries = append(page.Entries, deadletter.AuditEntry{
				ID: string(id), At: timeOf(at), By: string(by), Action: string(action), Object: string(object), Query: string(query),
				Count: count, Why: string(why), Operation: string(operation), Error: string(fault),
			})
			at = nil
			return nil
		})
		return err
	})
	if err != nil {
		return deadletter.AuditPage{}, err
	}
	if len(page.Entries) > limit {
		page.Entries = page.Entries[:limit]
		page.Next = page.Entries[limit-1].ID
	}
	return page, nil
}
