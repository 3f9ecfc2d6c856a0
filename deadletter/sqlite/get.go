package sqlite

import (
	"context"
	"strings"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// Get implements [deadletter.Store].
func (s *Store) Get(ctx context.Context, id string) (l deadletter.Letter, err error) {
	err = s.read(ctx, func(c *conn) error {
		r, found, err := readLetter(ctx, c, id)
		if err == nil && !found {
			err = notFound(id)
		}
		l = r.letter
		return err
	})
	return l, err
}

// readLetter reads one letter with its attempts and redrives.
func readLetter(ctx context.Context, c *conn, id string) (r row, found bool, err error) {
	err = c.query(ctx, selectLetter+"WHERE l.id = ?", []any{id}, func(v []any) (err error) {
		found = true
		r, err = scan(v)
		return err
	})
	if err == nil && found {
		err = complete(ctx, c, &r)
	}
	return r, found, err
}

// complete reads the attempts and redrives of a letter.
func complete(ctx context.Context, c *conn, r *row) error {
	if r.attempts > 0 {
		err := c.query(ctx, "SELECT number, redrive, started_at, duration_ns, cause, error FROM attempts WHERE seq = ? ORDER BY position",
			[]any{r.seq}, func(v []any) error {
				r.letter.Attempts = append(r.letter.Attempts, deadletter.Attempt{
					Number: number(v[0]), Redrive: number(v[1]), Started: timeOf(v[2]), Duration: time.Duration(number(v[3])),
					Cause: text(v[4]), Error: text(v[5]),
				})
				return nil
			})
		if err != nil {
			return err
		}
	}
	if r.redrives > 0 {
		return c.query(ctx, "SELECT number, by, operation, started_at, ended_at, budget, outcome, error FROM redrives WHERE seq = ? ORDER BY position",
			[]any{r.seq}, func(v []any) error {
				r.letter.Redrives = append(r.letter.Redrives, deadletter.Redrive{
					Number: number(v[0]), By: text(v[1]), Operation: text(v[2]), StartedAt: timeOf(v[3]), EndedAt: timeOf(v[4]),
					Budget: number(v[5]), Outcome: deadletter.Outcome(text(v[6])), Error: text(v[7]),
				})
				return nil
			})
	}
	return nil
}

// readRows reads letters by their seq, in the order given, with everything.
func readRows(ctx context.Context, c *conn, seqs []int64) ([]row, error) {
	rows := make([]row, 0, len(seqs))
	for _, seq := range seqs {
		err := c.query(ctx, selectLetter+"WHERE l.seq = ?", []any{seq}, func(v []any) error {
			r, err := scan(v)
			rows = append(rows, r)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for i := range rows {
		if err := complete(ctx, c, &rows[i]); err != nil {
			return nil, err
		}
	}
	return rows, nil
}

func number(v any) int { n, _ := v.(int64); return int(n) }

func text(v any) string { s, _ := v.(string); return s }

// marks returns n question marks for a list.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }
