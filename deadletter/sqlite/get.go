package sqlite

import (
	"context"
	"encoding/json"
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
		err = complete(ctx, c, map[int64]*row{r.seq: &r}, "= ?", r.seq)
	}
	return r, found, err
}

// readRows reads letters by their seq, in the order given, with everything. One
// statement for all costs half of one for each.
func readRows(ctx context.Context, c *conn, seqs []int64) ([]*row, error) {
	list, err := json.Marshal(seqs)
	if err != nil {
		return nil, err
	}
	bySeq := make(map[int64]*row, len(seqs))
	sql := strings.Replace(selectLetter, "FROM letter_rows l JOIN", "FROM json_each(?) j CROSS JOIN letter_rows l ON l.seq = j.value CROSS JOIN", 1)
	err = c.query(ctx, sql, []any{string(list)}, func(v []any) error {
		r, err := scan(v)
		bySeq[r.seq] = &r
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := complete(ctx, c, bySeq, "IN (SELECT value FROM json_each(?))", string(list)); err != nil {
		return nil, err
	}
	rows := make([]*row, 0, len(seqs))
	for _, seq := range seqs {
		if r := bySeq[seq]; r != nil {
			rows = append(rows, r)
		}
	}
	return rows, nil
}

// complete reads the attempts and redrives of letters, whose seq is as said.
func complete(ctx context.Context, c *conn, rows map[int64]*row, which string, arg any) error {
	var attempts, redrives int64
	for _, r := range rows {
		attempts, redrives = attempts+r.attempts, redrives+r.redrives
	}
	if attempts > 0 {
		err := c.query(ctx, "SELECT seq, number, redrive, started_at, duration_ns, cause, error FROM attempts WHERE seq "+which+" ORDER BY seq, position",
			[]any{arg}, func(v []any) error {
				l := &rows[v[0].(int64)].letter
				l.Attempts = append(l.Attempts, deadletter.Attempt{
					Number: number(v[1]), Redrive: number(v[2]), Started: timeOf(v[3]), Duration: time.Duration(number(v[4])),
					Cause: text(v[5]), Error: text(v[6]),
				})
				return nil
			})
		if err != nil {
			return err
		}
	}
	if redrives > 0 {
		err := c.query(ctx, "SELECT seq, number, by, operation, started_at, ended_at, budget, outcome, error, member, errand FROM redrives WHERE seq "+which+" ORDER BY seq, position",
			[]any{arg}, func(v []any) error {
				l := &rows[v[0].(int64)].letter
				l.Redrives = append(l.Redrives, deadletter.Redrive{
					Number: number(v[1]), By: text(v[2]), Operation: text(v[3]), StartedAt: timeOf(v[4]), EndedAt: timeOf(v[5]),
					Budget: number(v[6]), Outcome: deadletter.Outcome(text(v[7])), Error: text(v[8]), Member: text(v[9]), Errand: text(v[10]),
				})
				return nil
			})
		if err != nil {
			return err
		}
	}
	for _, r := range rows {
		if err := r.restore(); err != nil {
			return err
		}
	}
	return nil
}

func number(v any) int { n, _ := v.(int64); return int(n) }

func text(v any) string { s, _ := v.(string); return s }

// marks returns n question marks for a list.
func marks(n int) string { return strings.TrimSuffix(strings.Repeat("?, ", n), ", ") }
