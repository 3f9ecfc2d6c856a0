package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/deadletter"
)

// Timeline implements [deadletter.Ledger].
func (s *Store) Timeline(ctx context.Context, q deadletter.Query, from, until time.Time, spans int) ([]deadletter.Span, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	t, err := deadletter.NewTimeline(from, until, spans)
	if err != nil {
		return nil, err
	}
	q.After, q.Limit = "", 0
	q = q.AsOf(time.Now())
	if err := q.Validate(); err != nil {
		return nil, err
	}
	all := t.Spans()
	err = s.read(ctx, func(tx pgx.Tx) error {
		w := compile(q)
		if !w.exact {
			return w.each(ctx, tx, func(l *deadletter.Letter) { t.Add(l.LastFailedAt, l.ResolvedAt()) })
		}
		if err := w.histogram(ctx, tx, t, "l.last_failed_at", from, until, func(span, n int) { all[span].Failed += n }); err != nil {
			return err
		}
		return w.histogram(ctx, tx, t, "l.resolved_at", from, until, func(span, n int) { all[span].Resolved += n })
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// histogram counts letters by a time, in the spans of a timeline.
func (w *where) histogram(ctx context.Context, tx pgx.Tx, t *deadletter.Timeline, column string, since, until time.Time, count func(span, n int)) error {
	args := slices.Clone(w.args)
	arg := func(n int64) string {
		args = append(args, n)
		return fmt.Sprintf("$%d::bigint", len(args))
	}
	first, last := arg(nanos(since)), arg(nanos(until))
	sql := fmt.Sprintf("SELECT least((%s - %s) / %s, %s), count(*) FROM letter_rows l WHERE %s AND %s >= %s AND %s < %s GROUP BY 1",
		column, first, arg(int64(t.Width())), arg(int64(len(t.Spans())-1)), w.sql, column, first, column, last)
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	var span, n int
	_, err = pgx.ForEachRow(rows, []any{&span, &n}, func() error {
		count(span, n)
		return nil
	})
	return err
}
