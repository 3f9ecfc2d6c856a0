package sqlite

import (
	"context"
	"slices"
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
	if sel.all, err = c.number(ctx, "SELECT coalesce(sum(n), 0) FROM tallies"); err != nil {
		return nil, err
	}
	in := stateList(w.states)
	if len(w.class.terms) == 0 {
		sel.n, err = c.number(ctx, "SELECT coalesce(sum(n), 0) FROM tallies WHERE state IN ("+in+")")
		return sel, err
	}
	sel.kinds = []kind{}
	err = c.query(ctx, "SELECT l.class, l.state, l.n FROM classes c CROSS JOIN tallies l ON l.class = c.class WHERE l.state IN ("+in+") AND "+w.class.sql(),
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

const (
	// fewKinds is up to how many kinds are merged, a look into the index for each.
	fewKinds = 64
	// walkSteps is how many letters are passed by in search of those of many
	// kinds before these are merged after all: a few milliseconds.
	walkSteps = 10_000
)

// walk returns the letters selected behind an ID, newest first.
func (sel *selection) walk(ctx context.Context, c *conn, behind string, limit int) ([]int64, error) {
	if len(sel.kinds) > fewKinds {
		return sel.pick(ctx, c, behind, limit)
	}
	return sel.merge(behind).take(ctx, c, limit, nil, -1)
}

// merge reads along the letters selected.
func (sel *selection) merge(behind string) (m merge) {
	if sel.kinds == nil {
		for _, s := range sel.states {
			m = append(m, &cursor{sql: ofState, args: []any{string(s)}, behind: behind, state: s})
		}
	}
	for _, k := range sel.kinds {
		m = append(m, &cursor{sql: ofKind, args: []any{k.class, string(k.state)}, behind: behind})
	}
	return m
}

// pick is walk for many kinds: it first walks along all letters.
func (sel *selection) pick(ctx context.Context, c *conn, behind string, limit int) ([]int64, error) {
	wanted := make(map[kind]bool, len(sel.kinds))
	for _, k := range sel.kinds {
		wanted[k] = true
	}
	m := (&selection{states: sel.states}).merge(behind)
	seqs, err := m.take(ctx, c, limit, wanted, walkSteps)
	if err != nil || len(seqs) == limit || m.ended() {
		return seqs, err
	}
	return sel.merge(behind).take(ctx, c, limit, nil, -1)
}

const (
	ofState = "SELECT id, seq, class FROM letter_rows INDEXED BY letter_rows_state WHERE state = ?"
	ofKind  = "SELECT id, seq, class FROM letter_rows INDEXED BY letter_rows_class WHERE class = ? AND state = ?"
)

// cursor reads entries of an index, newest first, in growing steps.
type cursor struct {
	sql    string
	args   []any
	behind string
	state  deadletter.State
	step   int
	read   []entry
	ended  bool
}

type entry struct {
	id    string
	seq   int64
	class int64
}

// first returns the entry that comes first, or nil.
func (cu *cursor) first(ctx context.Context, c *conn, step int) (*entry, error) {
	if len(cu.read) == 0 && !cu.ended {
		cu.step = max(step, min(cu.step*2, 512))
		sql, args := cu.sql, slices.Clone(cu.args)
		if cu.behind != "" {
			sql, args = sql+" AND id < ?", append(args, cu.behind)
		}
		err := c.query(ctx, sql+" ORDER BY id DESC LIMIT ?", append(args, cu.step), func(v []any) error {
			cu.read = append(cu.read, entry{text(v[0]), v[1].(int64), v[2].(int64)})
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

// take returns the first entries, of the wanted kinds if that is not nil, and
// looks at no more than that many if steps is not negative.
func (m merge) take(ctx context.Context, c *conn, limit int, wanted map[kind]bool, steps int) ([]int64, error) {
	step := 8
	if len(m) <= 2 || wanted != nil {
		step = limit
	}
	var seqs []int64
	for ; len(seqs) < limit && steps != 0; steps-- {
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
		if wanted == nil || wanted[kind{first.class, newest.state}] {
			seqs = append(seqs, first.seq)
		}
		newest.read = newest.read[1:]
	}
	return seqs, nil
}

func (m merge) ended() bool {
	return !slices.ContainsFunc(m, func(cu *cursor) bool { return len(cu.read) > 0 || !cu.ended })
}
