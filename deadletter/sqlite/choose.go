package sqlite

import (
	"context"
	"math"
	"strings"

	"github.com/troupe-go/troupe/deadletter"
)

// selection is the classes and states that a query asks for, with how many
// letters they have. Every other condition of the query is looked for in these.
type selection struct {
	// kinds are those that have letters, but nil if all classes are selected.
	kinds  []kind
	states []deadletter.State
	n      int64
	all    int64 // letters of the store
}

// kind is one class in one state.
type kind struct {
	class int64
	state deadletter.State
}

// choose finds what is selected from the tallies, which are as the letters are at
// any moment.
func choose(ctx context.Context, c *conn, w *where) (*selection, error) {
	sel := &selection{states: w.states}
	if len(w.states) == 0 {
		return sel, nil
	}
	var err error
	// The account: as many as the sum of the tallies, of which there can be thousands.
	if sel.all, err = c.number(ctx, "SELECT sum(CASE name WHEN 'added' THEN n ELSE -n END) FROM counters WHERE name IN ('added', 'deleted', 'expired', 'dropped')"); err != nil {
		return nil, err
	}
	in := stateList(w.states)
	if len(w.class.terms) == 0 {
		sel.n, err = c.number(ctx, "SELECT coalesce(sum(n), 0) FROM tallies WHERE state IN ("+in+")")
		return sel, err
	}
	sel.kinds = []kind{}
	err = c.query(ctx, "SELECT l.class, l.state, l.n FROM classes c CROSS JOIN tallies l ON l.class = c.class WHERE +l.state IN ("+in+") AND "+w.class.sql(),
		w.class.args, func(v []any) error {
			sel.kinds = append(sel.kinds, kind{v[0].(int64), deadletter.State(text(v[1]))})
			sel.n += v[2].(int64)
			return nil
		})
	return sel, err
}

// stateList returns states as SQL. They are constants of ours.
func stateList(states []deadletter.State) string {
	quoted := make([]string, len(states))
	for i, s := range states {
		quoted[i] = "'" + string(s) + "'"
	}
	return strings.Join(quoted, ", ")
}

// fewKinds is up to how many kinds are merged at once, a look into the index for
// each. Only tests change it.
var fewKinds = 64

// fewBlocks is how many blocks of letters are looked through for those of many
// kinds before these are merged after all: some milliseconds.
const fewBlocks = 16

// walk returns the letters selected behind an ID, newest first, by a query without
// conditions of letters.
func (w *where) walk(ctx context.Context, c *conn, sel *selection, behind string, limit int) ([]int64, pause, error) {
	if sel.kinds == nil || len(sel.kinds) > fewKinds {
		// Where many kinds have letters, most letters are of them. If not, they are
		// merged after all, unless that would take longer than there is time.
		s := w.sieve(c, sel, behind, limit)
		most := fewBlocks
		if !w.until.IsZero() {
			most = math.MaxInt
		}
		if done, err := s.blocks(ctx, w, most); done || err != nil {
			return seqsOf(s.kept), s.pause, err
		}
	}
	if sel.kinds == nil {
		err := c.query(ctx, "SELECT class, state FROM tallies WHERE state IN ("+stateList(w.states)+")", nil, func(v []any) error {
			sel.kinds = append(sel.kinds, kind{v[0].(int64), deadletter.State(text(v[1]))})
			return nil
		})
		if err != nil {
			return nil, pause{}, err
		}
	}
	entries, err := sel.merge(behind).take(ctx, c, limit)
	return seqsOf(entries), pause{}, err
}

// merge reads along the letters of the kinds.
func (sel *selection) merge(behind string) (m merge) {
	for _, k := range sel.kinds {
		m = append(m, &cursor{kind: k, behind: behind})
	}
	return m
}

// cursor reads the entries of one kind, newest first, in growing steps.
type cursor struct {
	kind   kind
	behind string
	step   int
	read   []entry
	ended  bool
}

type entry struct {
	id  string
	seq int64
}

// first returns the entry that comes first, or nil.
func (cu *cursor) first(ctx context.Context, c *conn, step int) (*entry, error) {
	if len(cu.read) == 0 && !cu.ended {
		cu.step = max(step, min(cu.step*2, 512))
		sql, args := "SELECT id, seq FROM letter_rows INDEXED BY letter_rows_class WHERE class = ? AND state = ?", []any{cu.kind.class, string(cu.kind.state)}
		if cu.behind != "" {
			sql, args = sql+" AND id < ?", append(args, cu.behind)
		}
		err := c.query(ctx, sql+" ORDER BY id DESC LIMIT ?", append(args, cu.step), func(v []any) error {
			cu.read = append(cu.read, entry{text(v[0]), v[1].(int64)})
			return nil
		})
		if err != nil {
			return nil, err
		}
		if cu.ended = len(cu.read) < cu.step; len(cu.read) > 0 {
			cu.behind = cu.read[len(cu.read)-1].id
		}
	}
	if len(cu.read) == 0 {
		return nil, nil
	}
	return &cu.read[0], nil
}

// merge reads many cursors in the order of their entries.
type merge []*cursor

// take returns the next entries.
func (m merge) take(ctx context.Context, c *conn, limit int) ([]entry, error) {
	step := 8
	if len(m) <= 2 {
		step = limit
	}
	var entries []entry
	for len(entries) < limit {
		var newest *cursor
		var first *entry
		for _, cu := range m {
			e, err := cu.first(ctx, c, step)
			if err != nil {
				return nil, err
			}
			if e != nil && (first == nil || e.id > first.id) {
				newest, first = cu, e
			}
		}
		if newest == nil {
			break
		}
		entries = append(entries, *first)
		newest.read = newest.read[1:]
	}
	return entries, nil
}
