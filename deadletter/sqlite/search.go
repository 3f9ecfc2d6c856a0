package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
)

// manyKinds is up to how many kinds are named in a statement.
const manyKinds = 200

// fewLetters is up to how many letters are looked at one by one rather than
// looked for in an index, and up to how many found are remembered. Only tests
// change it.
var fewLetters int64 = 2000

// Where the letters of a query come from.
const (
	fromAll   = "letter_rows l"
	fromClass = "letter_rows l INDEXED BY letter_rows_class"
	fromList  = "json_each(?) j CROSS JOIN letter_rows l ON l.seq = j.value"
	// fromBlockList has the letters of blocks, read along the table.
	fromBlockList = "json_each(?) j CROSS JOIN letter_rows l NOT INDEXED ON l.seq >= j.value << 8 AND l.seq < (j.value + 1) << 8"
	fromSnoozed   = "letter_rows l INDEXED BY letter_rows_snoozed"
	fromTail      = "letter_rows l NOT INDEXED"
	// fromText has what the full-text index finds, but for those whose text has
	// changed, these, and those that are not in it yet.
	fromText = `(SELECT rowid AS seq FROM texts WHERE texts MATCH ? AND rowid NOT IN (SELECT seq FROM stale)
		UNION ALL SELECT seq FROM stale UNION ALL SELECT seq FROM letter_rows WHERE seq > ?) m CROSS JOIN letter_rows l ON l.seq = m.seq`
)

// from returns the FROM and WHERE of the letters of a source that a query
// selects; the arguments of the source come first.
func (w *where) from(sel *selection, source string, of ...any) (string, []any) {
	var b strings.Builder
	args := of
	b.WriteString("FROM " + source)
	named := sel.kinds != nil && len(sel.kinds) <= manyKinds
	// Where the class is joined with the state, the classes alone are not enough.
	byClass := sel.kinds != nil && (!named || strings.Contains(w.class.sql(), "l.state"))
	if byClass || strings.Contains(w.letter.sql(), "c.") {
		b.WriteString(" CROSS JOIN classes c ON c.class = l.class")
	}
	state := "l.state"
	if source == fromAll && w.timed == 0 {
		state = "+l.state" // no index begins with the state but those of times
	}
	fmt.Fprintf(&b, " WHERE %s IN (%s)", state, stateList(w.states))
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

// best is from with the source that has the fewest letters to look at.
func (w *where) best(ctx context.Context, c *conn, sel *selection) (string, []any, error) {
	named := sel.kinds != nil && len(sel.kinds) <= manyKinds
	if named && sel.n <= fewLetters {
		from, args := w.from(sel, fromClass)
		return from, args, nil
	}
	blocks, few, err := w.fits(ctx, c)
	if err != nil {
		return "", nil, err
	}
	if few && int64(len(blocks))<<blockBits < sel.n {
		list, err := json.Marshal(append([]int64{}, blocks...))
		from, args := w.from(sel, fromBlockList, string(list))
		return from, args, err
	}
	if named && sel.n < sel.all/20 {
		from, args := w.from(sel, fromClass)
		return from, args, nil
	}
	if len(w.needles) > 0 && sel.n > fewLetters {
		upTo, err := watermark(ctx, c)
		if err != nil {
			return "", nil, err
		}
		terms, err := w.match(ctx, c)
		from, args := w.from(sel, fromText, terms, upTo)
		return from, args, err
	}
	from, args := w.from(sel, fromAll)
	return from, args, nil
}

// watermark is the last letter that the full-text index knows.
func watermark(ctx context.Context, c *conn) (int64, error) {
	return c.number(ctx, "SELECT n FROM counters WHERE name = 'indexed'")
}

// found is what a query with conditions of letters selects.
type found struct {
	total int64
	few   []entry // all of them, newest first, if they are few
}

// count looks at all letters that a query may select.
func (w *where) count(ctx context.Context, c *conn, sel *selection) (found, error) {
	from, args, err := w.best(ctx, c, sel)
	if err != nil {
		return found{}, err
	}
	f, err := w.few(ctx, c, from, args, fewLetters)
	if err == nil && f.few == nil {
		f.total, err = c.number(ctx, "SELECT count(*) "+from, args...)
	}
	return f, err
}

// few returns all letters of a source if they are few, or nothing.
func (w *where) few(ctx context.Context, c *conn, from string, args []any, few int64) (found, error) {
	// In one row: the engine stops within a row when ctx ends.
	list, err := c.textOf(ctx, "SELECT json_group_array(seq) FROM (SELECT l.seq "+from+" LIMIT ?)", append(slices.Clone(args), few+1)...)
	if err != nil {
		return found{}, err
	}
	var seqs []int64
	if err := json.Unmarshal([]byte(list), &seqs); err != nil || int64(len(seqs)) > few {
		return found{}, err
	}
	f := found{total: int64(len(seqs)), few: []entry{}}
	err = c.query(ctx, "SELECT l.id, l.seq FROM "+fromList, []any{list}, func(v []any) error {
		f.few = append(f.few, entry{id: text(v[0]), seq: v[1].(int64)})
		return nil
	})
	slices.SortFunc(f.few, newestFirst)
	return f, err
}

func newestFirst(a, b entry) int { return strings.Compare(b.id, a.id) }

// page returns the letters found behind an ID, newest first, and where the look for
// them ended if its time was over.
func (w *where) page(ctx context.Context, c *conn, sel *selection, f found, behind string, limit int) ([]int64, pause, error) {
	if f.few != nil {
		rest := f.few
		if behind != "" {
			i, _ := slices.BinarySearchFunc(rest, behind, func(e entry, id string) int { return strings.Compare(id, e.id) })
			for i < len(rest) && rest[i].id >= behind {
				i++
			}
			rest = rest[i:]
		}
		return seqsOf(rest[:min(limit, len(rest))]), pause{}, nil
	}
	s := w.sieve(c, sel, behind, limit)
	walks := sel.kinds != nil && len(sel.kinds) <= fewKinds
	few, err := false, error(nil)
	if walks || len(w.needles) > 0 { // or blocks are looked into in any case
		var blocks []int64
		blocks, few, err = w.fits(ctx, c)
		few = few && int64(len(blocks))<<blockBits < sel.n
	}
	switch {
	case err != nil:
	case few:
		_, err = s.blocks(ctx, w, math.MaxInt)
	case walks && (len(w.needles) == 0 || sel.n < sel.all/20):
		err = s.walk(ctx, sel)
	case len(w.needles) > 0:
		err = s.text(ctx, w, f.total > 0 && f.total < sel.all/rareText)
	default:
		_, err = s.blocks(ctx, w, math.MaxInt)
	}
	return seqsOf(s.kept), s.pause, err
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
