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
		failed, err := w.histogram(ctx, c, sel, t, "last_failed_at", from, until)
		if err != nil {
			return err
		}
		resolved, err := w.histogram(ctx, c, sel, t, "resolved_at", from, until)
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

// byTime are the indexes of times, which have all that a query needs that asks
// for no more than classes and states.
var byTime = map[string]string{
	"last_failed_at": "letter_rows l INDEXED BY letter_rows_failed",
	"resolved_at":    "letter_rows l INDEXED BY letter_rows_resolved",
}

// histogram counts letters by a time, in the spans of a timeline.
func (w *where) histogram(ctx context.Context, c *conn, sel *selection, t *deadletter.Timeline, column string, since, until time.Time) ([]int, error) {
	counts := make([]int, len(t.Spans()))
	from, args := w.from(sel, byTime[column])
	if len(w.letter.terms) > 0 {
		var err error
		if from, args, err = w.best(ctx, c, sel); err != nil {
			return nil, err
		}
	}
	first := nanos(since)
	sql := "SELECT min((l." + column + " - ?) / ?, ?), count(*) " + from +
		" AND l." + column + " IS NOT NULL AND l." + column + " >= ? AND l." + column + " < ? GROUP BY 1"
	all := append([]any{first, int64(t.Width()), len(counts) - 1}, args...)
	err := c.query(ctx, sql, append(all, first, nanos(until)), func(v []any) error {
		counts[number(v[0])] += number(v[1])
		return nil
	})
	return counts, err
}
