package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/troupe-go/troupe/deadletter"
)

// manyKinds is up to how many kinds are named in a statement.
const manyKinds = 200

// fewLetters is up to how many letters are looked at one by one rather than
// looked for in the full-text index or along all IDs. Only tests change it.
var fewLetters int64 = 2000

// from returns the FROM and WHERE of the letters that a query selects, but for
// what the full-text index can do.
func (s *Store) from(w *where, sel *selection) (string, []any) {
	var b strings.Builder
	var args []any
	b.WriteString("FROM letter_rows l")
	named := sel.kinds != nil && len(sel.kinds) <= manyKinds
	// Where the class is joined with the state, the classes alone are not enough.
	byClass := sel.kinds != nil && (!named || strings.Contains(w.class.sql(), "l.state"))
	if byClass || strings.Contains(w.letter.sql(), "c.") {
		b.WriteString(" CROSS JOIN classes c ON c.class = l.class")
	}
	fmt.Fprintf(&b, " WHERE l.state IN (%s)", stateList(w.states))
	if named {
		var classes []int64
		for _, k := range sel.kinds {
			classes = append(classes, k.class)
		}
		slices.Sort(classes)
		list := strings.Trim(strings.ReplaceAll(fmt.Sprint(slices.Compact(classes)), " ", ", "), "[]")
		fmt.Fprintf(&b, " AND l.class IN (%s)", list)
	}
	if byClass {
		b.WriteString(" AND " + w.class.sql())
		args = append(args, w.class.args...)
	}
	if len(w.letter.terms) > 0 {
		b.WriteString(" AND " + w.letter.sql())
		args = append(args, w.letter.args...)
	}
	return b.String(), args
}

// indexedFrom is from with what the full-text index can do, if there are many
// letters to look at.
func (s *Store) indexedFrom(ctx context.Context, c *conn, w *where, sel *selection) (string, []any, error) {
	from, args := s.from(w, sel)
	if len(w.needles) == 0 || sel.n <= fewLetters {
		return from, args, nil
	}
	upTo, err := watermark(ctx, c)
	return from + ` AND l.seq IN (SELECT rowid FROM texts WHERE texts MATCH ? UNION ALL SELECT seq FROM stale UNION ALL SELECT seq FROM letter_rows WHERE seq > ?)`,
		append(args, match(w.needles), upTo), err
}

// watermark is the last letter that the full-text index knows.
func watermark(ctx context.Context, c *conn) (int64, error) {
	return c.number(ctx, "SELECT n FROM counters WHERE name = 'indexed'")
}

// total returns how many letters a query with conditions of letters selects.
func (s *Store) total(ctx context.Context, c *conn, q deadletter.Query, w *where, sel *selection) (int64, error) {
	return s.counts.of(ctx, c, q, func() (int64, error) {
		from, args, err := s.indexedFrom(ctx, c, w, sel)
		if err != nil {
			return 0, err
		}
		return c.number(ctx, "SELECT count(*) "+from, args...)
	})
}

// search returns the letters selected behind an ID, newest first, by a query with
// conditions of letters that selects that many.
func (s *Store) search(ctx context.Context, c *conn, w *where, sel *selection, behind string, limit int, total int64) ([]int64, error) {
	if len(w.needles) > 0 && sel.n > fewLetters {
		return s.searchText(ctx, c, w, sel, behind, limit)
	}
	from, args := s.from(w, sel)
	if behind != "" {
		from, args = from+" AND l.id < ?", append(args, behind)
	}
	order := " ORDER BY +l.id DESC LIMIT ?"
	if total > fewLetters && total > sel.n/1000 {
		// So many that walking along the IDs soon finds them.
		order = " ORDER BY l.id DESC LIMIT ?"
		index := " INDEXED BY letter_rows_id"
		if len(w.states) == 1 {
			index = " INDEXED BY letter_rows_state"
		}
		from = strings.Replace(from, "FROM letter_rows l", "FROM letter_rows l"+index, 1)
	}
	var seqs []int64
	err := c.query(ctx, "SELECT l.seq "+from+order, append(args, limit), func(v []any) error {
		seqs = append(seqs, v[0].(int64))
		return nil
	})
	return seqs, err
}

// textStep is how many letters of the full-text index are looked at at once.
const textStep = 64

// searchText is search with the full-text index. The index has letters in the
// order of their seq, which is nearly that of their IDs: it is read from the end,
// until no letter that is left can be newer than those that were found.
func (s *Store) searchText(ctx context.Context, c *conn, w *where, sel *selection, behind string, limit int) ([]int64, error) {
	from, args := s.from(w, sel)
	if behind != "" {
		from, args = from+" AND l.id < ?", append(args, behind)
	}
	upTo, err := watermark(ctx, c)
	if err != nil {
		return nil, err
	}
	var found []entry
	// look keeps those of the letters that the query selects.
	look := func(seqs []int64) error {
		list, err := json.Marshal(seqs)
		if err != nil {
			return err
		}
		err = c.query(ctx, "SELECT l.id, l.seq "+from+" AND l.seq IN (SELECT value FROM json_each(?))", append(slices.Clone(args), string(list)), func(v []any) error {
			found = append(found, entry{id: text(v[0]), seq: v[1].(int64)})
			return nil
		})
		slices.SortFunc(found, func(a, b entry) int { return strings.Compare(b.id, a.id) })
		// A letter that is stale may come from the index as well.
		found = slices.CompactFunc(found, func(a, b entry) bool { return a.seq == b.seq })
		found = found[:min(len(found), limit)]
		return err
	}
	stale, err := numbers(ctx, c, "SELECT seq FROM stale")
	if err == nil && len(stale) > 0 {
		err = look(stale)
	}
	if err != nil {
		return nil, err
	}
	last := int64(1<<62 - 1)
	if behind != "" {
		block, err := c.number(ctx, "SELECT coalesce(max(block), -1) FROM blocks WHERE low < ?", behind)
		if err != nil {
			return nil, err
		}
		last = (block+1)<<blockBits - 1
	}
	for step := textStep; ; step = min(2*step, 1024) {
		var seqs []int64
		tail := last > upTo
		if tail {
			seqs, err = numbers(ctx, c, "SELECT seq FROM letter_rows WHERE seq > ? AND seq <= ? ORDER BY seq DESC LIMIT ?", upTo, last, step)
		} else {
			seqs, err = numbers(ctx, c, "SELECT rowid FROM texts WHERE texts MATCH ? AND rowid <= ? ORDER BY rowid DESC LIMIT ?", match(w.needles), last, step)
		}
		if err == nil && len(seqs) > 0 {
			err = look(seqs)
		}
		if err != nil {
			return nil, err
		}
		switch {
		case len(seqs) == step:
			last = seqs[len(seqs)-1] - 1
		case tail:
			last = upTo
		default:
			return seqsOf(found), nil
		}
		if len(found) == limit {
			high, err := c.textOf(ctx, "SELECT max(high) FROM blocks WHERE block <= ?", last>>blockBits)
			if err != nil {
				return nil, err
			}
			if high < found[limit-1].id {
				return seqsOf(found), nil
			}
		}
	}
}

func seqsOf(entries []entry) []int64 {
	seqs := make([]int64, len(entries))
	for i, e := range entries {
		seqs[i] = e.seq
	}
	return seqs
}

// numbers returns the integers of a query.
func numbers(ctx context.Context, c *conn, sql string, args ...any) (all []int64, err error) {
	err = c.query(ctx, sql, args, func(v []any) error {
		all = append(all, v[0].(int64))
		return nil
	})
	return all, err
}
