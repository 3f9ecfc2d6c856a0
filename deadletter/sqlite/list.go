package sqlite

import (
	"cmp"
	"context"
	"encoding/hex"
	"slices"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// List implements [deadletter.Store]. Pages and totals of topic, subscriber,
// reason, group and state, in any combination, cost the same whatever the store
// holds. What the other fields cost is in the documentation of the package.
func (s *Store) List(ctx context.Context, q deadletter.Query) (deadletter.Page, error) {
	if err := ctx.Err(); err != nil {
		return deadletter.Page{}, err
	}
	q = q.AsOf(time.Now())
	if err := q.Validate(); err != nil {
		return deadletter.Page{}, err
	}
	limit := limitOr(q.Limit)
	page := deadletter.Page{Letters: []deadletter.Letter{}}
	err := s.read(ctx, func(c *conn) error {
		f, err := s.find(ctx, c, q, limit+1)
		if err != nil {
			return err
		}
		seqs, more := f.seqs, len(f.seqs) > limit
		if more {
			seqs = seqs[:limit]
		}
		rows, err := readRows(ctx, c, seqs)
		if err != nil {
			return err
		}
		for _, r := range rows {
			page.Letters = append(page.Letters, r.letter)
		}
		page.Total, page.Partial = int(f.total), !f.known
		switch {
		case more:
			page.Next = rows[len(rows)-1].letter.ID
		case f.rest != "":
			page.Next, page.Searched = f.rest, f.searched
		}
		return nil
	})
	if err != nil {
		return deadletter.Page{}, err
	}
	return page, nil
}

func limitOr(limit int) int {
	if limit == 0 {
		return deadletter.DefaultLimit
	}
	return limit
}

// result is what find finds: the first letters behind q.After, newest first, and how
// many there are on all pages, or at least if that is not known.
type result struct {
	seqs  []int64
	total int64
	known bool
	pause
}

// pause is where a look for letters ended before its time: there may be more behind
// rest, which is empty if it has come to its end.
type pause struct {
	rest     string
	searched float64 // part of the store
}

func (s *Store) find(ctx context.Context, c *conn, q deadletter.Query, limit int) (result, error) {
	w := compile(q)
	defer w.release()
	w.known = s.spans
	if q.Quick {
		w.until = time.Now().Add(cmp.Or(q.Within, deadletter.DefaultWithin))
	}
	none := result{known: true}
	sel, err := choose(ctx, c, w)
	if err != nil || sel.n == 0 {
		return none, err
	}
	if len(w.letter.terms) == 0 {
		seqs, at, err := w.walk(ctx, c, sel, q.After, limit)
		return result{seqs: seqs, total: sel.n, known: true, pause: at}, err
	}
	f, known, err := s.counts.of(ctx, c, w, sel, q)
	if err != nil || known && f.total == 0 {
		return none, err
	}
	seqs, at, err := w.page(ctx, c, sel, f, q.After, limit)
	r := result{seqs: seqs, total: f.total, known: known, pause: at}
	if !known {
		// A page that is the first and the last has all of them.
		r.total, r.known = int64(len(seqs)), q.After == "" && len(seqs) < limit && at.rest == ""
	}
	return r, err
}

// IDs implements [deadletter.Ledger].
func (s *Store) IDs(ctx context.Context, q deadletter.Query) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	q.After, q.Limit = "", 0
	q = q.AsOf(time.Now())
	if err := q.Validate(); err != nil {
		return nil, err
	}
	ids := []string{}
	err := s.read(ctx, func(c *conn) error {
		w := compile(q)
		defer w.release()
		w.known = s.spans
		sel, err := choose(ctx, c, w)
		if err != nil || sel.n == 0 {
			return err
		}
		from, args, err := w.best(ctx, c, sel)
		if err != nil {
			return err
		}
		err = c.query(ctx, "SELECT l.id "+from, args, func(v []any) error {
			ids = append(ids, text(v[0]))
			return ctx.Err()
		})
		slices.Sort(ids)
		return err
	})
	if err != nil {
		return nil, err
	}
	return ids, nil
}

func unhex(s string) string { b, _ := hex.DecodeString(s); return string(b) }
