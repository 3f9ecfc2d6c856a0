package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/troupe-go/troupe/deadletter"
)

// manyKinds is up to how many kinds are named in a statement.
const manyKinds = 200

// from returns the FROM and WHERE of the letters that a query selects.
func (s *Store) from(ctx context.Context, c *conn, w *where, sel *selection) (string, []any, error) {
	var b strings.Builder
	var args []any
	b.WriteString("FROM letter_rows l")
	joined := strings.Contains(w.letter.sql(), "c.") || len(sel.kinds) > manyKinds
	if joined {
		b.WriteString(" JOIN classes c ON c.class = l.class")
	}
	fmt.Fprintf(&b, " WHERE l.state IN (%s)", stateList(w.states))
	if len(sel.kinds) > manyKinds {
		b.WriteString(" AND " + w.class.sql())
		args = append(args, w.class.args...)
	} else if sel.kinds != nil {
		seen := map[int64]bool{}
		for _, k := range sel.kinds {
			seen[k.class] = true
		}
		// Class and state together select exactly the kinds, since a class is
		// selected by its fields, in all states, unless the query mixes the two.
		var list []string
		for class := range seen {
			list = append(list, fmt.Sprint(class))
		}
		fmt.Fprintf(&b, " AND l.class IN (%s)", strings.Join(list, ", "))
		if strings.Contains(w.class.sql(), "l.state") {
			if !joined {
				return s.mixed(w)
			}
			b.WriteString(" AND " + w.class.sql())
			args = append(args, w.class.args...)
		}
	}
	if len(w.letter.terms) > 0 {
		b.WriteString(" AND " + w.letter.sql())
		args = append(args, w.letter.args...)
	}
	return b.String(), args, nil
}

// mixed is from for conditions that join fields of the class with the state.
func (s *Store) mixed(w *where) (string, []any, error) {
	sql := fmt.Sprintf("FROM letter_rows l JOIN classes c ON c.class = l.class WHERE l.state IN (%s) AND %s AND %s",
		stateList(w.states), w.class.sql(), w.letter.sql())
	return sql, append(append([]any{}, w.class.args...), w.letter.args...), nil
}

// total returns how many letters a query with conditions of letters selects.
func (s *Store) total(ctx context.Context, c *conn, q deadletter.Query, w *where, sel *selection) (int64, error) {
	from, args, err := s.from(ctx, c, w, sel)
	if err != nil {
		return 0, err
	}
	return c.number(ctx, "SELECT count(*) "+from, args...)
}

// search returns the letters selected behind an ID, newest first, by a query with
// conditions of letters.
func (s *Store) search(ctx context.Context, c *conn, w *where, sel *selection, behind string, limit int, total int64) ([]int64, error) {
	from, args, err := s.from(ctx, c, w, sel)
	if err != nil {
		return nil, err
	}
	if behind != "" {
		from, args = from+" AND l.id < ?", append(args, behind)
	}
	var seqs []int64
	err = c.query(ctx, "SELECT l.seq "+from+" ORDER BY l.id DESC LIMIT ?", append(args, limit), func(v []any) error {
		seqs = append(seqs, v[0].(int64))
		return nil
	})
	return seqs, err
}
