package postgres

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/deadletter"
)

// List implements [deadletter.Store].
func (s *Store) List(ctx context.Context, q deadletter.Query) (deadletter.Page, error) {
	if err := s.ready(ctx); err != nil {
		return deadletter.Page{}, err
	}
	q = q.AsOf(time.Now())
	if err := q.Validate(); err != nil {
		return deadletter.Page{}, err
	}
	limit := limitOr(q.Limit)
	page := deadletter.Page{Letters: []deadletter.Letter{}}
	err := s.read(ctx, func(tx pgx.Tx) error {
		w := compile(q)
		if !w.exact {
			return w.eachUntil(ctx, tx, func(l *deadletter.Letter) (enough bool) {
				page.Total++
				if (q.After == "" || l.ID < q.After) && len(page.Letters) <= limit {
					page.Letters = append(page.Letters, *l)
				}
				page.Partial = q.Quick && len(page.Letters) > limit
				return page.Partial
			})
		}
		if q.Quick && len(w.args) > 0 { // states alone are counted along their index
			page.Partial = true
		} else if err := tx.QueryRow(ctx, "SELECT count(*) FROM letter_rows l WHERE "+w.sql, w.args...).Scan(&page.Total); err != nil {
			return err
		}
		sql, args := selectLetter+"WHERE "+w.sql, w.args
		if q.After != "" {
			sql += " AND l.id < " + w.arg(raw(q.After))
			args = w.args
		}
		rows, err := tx.Query(ctx, sql+fmt.Sprintf(" ORDER BY l.id DESC LIMIT %d", limit+1), args...)
		if err != nil {
			return err
		}
		letters, err := pgx.CollectRows(rows, scan)
		page.Letters = append(page.Letters, letters...)
		return err
	})
	if err != nil {
		return deadletter.Page{}, err
	}
	if page.Partial {
		page.Total = len(page.Letters) // with the one that says that there is more
	}
	if len(page.Letters) > limit {
		page.Letters = slices.Clip(page.Letters[:limit])
		page.Next = page.Letters[limit-1].ID
	}
	return page, nil
}

func limitOr(limit int) int {
	if limit == 0 {
		return deadletter.DefaultLimit
	}
	return limit
}

// IDs implements [deadletter.Ledger].
func (s *Store) IDs(ctx context.Context, q deadletter.Query) ([]string, error) {
	if err := s.ready(ctx); err != nil {
		return nil, err
	}
	q.After, q.Limit = "", 0
	q = q.AsOf(time.Now())
	if err := q.Validate(); err != nil {
		return nil, err
	}
	ids := []string{}
	err := s.read(ctx, func(tx pgx.Tx) error {
		w := compile(q)
		if !w.exact {
			err := w.each(ctx, tx, func(l *deadletter.Letter) { ids = append(ids, l.ID) })
			slices.Reverse(ids)
			return err
		}
		rows, err := tx.Query(ctx, "SELECT l.id FROM letter_rows l WHERE "+w.sql+" ORDER BY l.id", w.args...)
		if err != nil {
			return err
		}
		var id []byte
		_, err = pgx.ForEachRow(rows, []any{&id}, func() error {
			ids = append(ids, string(id))
			return nil
		})
		return err
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}
