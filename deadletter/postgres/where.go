package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
)

// where is a query as a condition in SQL of letter_rows l. Every letter that the query
// selects fulfills it; if it is exact, no other does. If it is not, each that does is
// asked by matches.
type where struct {
	sql     string
	args    []any
	exact   bool
	matches func(*deadletter.Letter) bool
}

var allStates = []deadletter.State{
	deadletter.StateOpen, deadletter.StateRedriving, deadletter.StateResolved, deadletter.StateArchived, deadletter.StateDeleted,
}

// compile makes the condition of a query that is valid and fixed in time.
func compile(q deadletter.Query) *where {
	w := &where{matches: q.Matcher()}
	states := allStates
	if !q.SelectsDeleted() {
		states = allStates[:len(allStates)-1]
	}
	if q.State != "" {
		states = []deadletter.State{q.State}
	}
	terms := []string{w.inStates(states)}
	for _, f := range []struct{ column, value string }{
		{"topic", q.Topic}, {"subscriber", q.Subscriber}, {"reason", q.Reason}, {"fingerprint", q.Fingerprint},
	} {
		if f.value != "" {
			terms = append(terms, "l."+f.column+" = "+w.arg(raw(f.value)))
		}
	}
	w.exact = true
	if q.Where.Root != nil {
		sql, exact := w.node(q.Where.Root)
		terms, w.exact = append(terms, sql), exact
	}
	w.sql = strings.Join(terms, " AND ")
	return w
}

// arg returns the place of an argument.
func (w *where) arg(v any) string {
	w.args = append(w.args, v)
	return fmt.Sprintf("$%d", len(w.args))
}

// inStates names states, which are constants of ours.
func (w *where) inStates(states []deadletter.State) string {
	if len(states) == 0 {
		return "false"
	}
	quoted := make([]string, len(states))
	for i, s := range states {
		quoted[i] = "'" + string(s) + "'"
	}
	return "l.state IN (" + strings.Join(quoted, ", ") + ")"
}

// node returns a condition that the letters fulfill for which n holds, and whether no
// others do.
func (w *where) node(n search.Node) (sql string, exact bool) {
	join := func(nodes []search.Node, by string) (string, bool) {
		exact := true
		var terms []string
		for _, n := range nodes {
			sql, e := w.node(n)
			terms, exact = append(terms, sql), exact && e
		}
		return "(" + strings.Join(terms, by) + ")", exact
	}
	switch n := n.(type) {
	case *search.And:
		return join(n.Nodes, " AND ")
	case *search.Or:
		return join(n.Nodes, " OR ")
	case *search.Not:
		args := len(w.args)
		sql, exact := w.node(n.Node)
		if !exact { // what it lets through may be what is not to be selected
			w.args = w.args[:args]
			return "true", false
		}
		return "(NOT " + sql + ")", true
	case *search.Term:
		sql, exact := w.term(n)
		return "(" + sql + ")", exact
	}
	return "false", true
}

// The columns of fields, by how they compare. None of a name or number is ever NULL.
var (
	nameColumns = map[string]string{
		"topic": "l.topic", "sub": "l.subscriber", "reason": "l.reason", "group": "l.fingerprint",
		"pattern": "l.pattern", "cause": "l.cause", "content": "l.content_type", "gotype": "l.go_type", "id": "l.id",
		"event": "l.event_id", "causation": "l.causation_id", "corr": "l.correlation_id", "node": "l.node", "build": "l.build", "imported": "l.imported_from",
	}
	numberColumns = map[string]string{
		"size": "coalesce(length(l.payload), 0)::bigint", "attempts": "greatest(l.attempt_count, 0)", "redrives": "greatest(l.redrive_count, 0)",
	}
	timeColumns = map[string]string{
		"age": "l.first_failed_at", "first": "l.first_failed_at", "failed": "l.last_failed_at",
		"published": "l.published_at", "resolved": "l.resolved_at",
	}
)

func (w *where) term(t *search.Term) (sql string, exact bool) {
	if column, ok := nameColumns[t.Field]; ok {
		return w.name(t, column), true
	}
	if column, ok := numberColumns[t.Field]; ok {
		return w.number(t, column), true
	}
	if column, ok := timeColumns[t.Field]; ok {
		return w.time(t, column), true
	}
	switch t.Field {
	case "state":
		if t.Op == search.Exists {
			return "true", true
		}
		return w.inStates(slices.DeleteFunc(slices.Clone(allStates), func(s deadletter.State) bool { return !t.Fulfills(string(s)) })), true
	case "snoozed":
		if t.Op == search.Exists {
			return "l.snoozed_until IS NOT NULL", true
		}
		sql := "(l.snoozed_until IS NOT NULL AND l.state = 'open' AND l.snoozed_until > " + w.arg(nanos(t.Time)) + ")"
		if t.Value == "no" {
			sql = "NOT " + sql
		}
		return sql, true
	case "", "err", "payload":
		if len(t.Path) == 0 {
			return w.text(t)
		}
	}
	return "true", false
}

func (w *where) name(t *search.Term, column string) string {
	switch {
	case t.Op == search.Exists:
		return column + " <> ''"
	case t.Parts == nil:
		return column + " = " + w.arg(raw(t.Value))
	}
	parts := make([]string, len(t.Parts))
	for i, p := range t.Parts {
		parts[i] = likeEscape.Replace(p)
	}
	return column + " LIKE " + w.arg(raw(strings.Join(parts, "%")))
}

var likeEscape = strings.NewReplacer(`\`, `\\`, "%", `\%`, "_", `\_`)

// text finds the letters whose error and payload have every part of the term somewhere.
// Where, and in which order, is for matches to say.
func (w *where) text(t *search.Term) (sql string, exact bool) {
	if t.Op == search.Exists {
		const err, payload = "l.error_size > 0", "coalesce(length(l.payload), 0) > 0"
		return map[string]string{"": err + " OR " + payload, "err": err, "payload": payload}[t.Field], true
	}
	parts := t.Parts
	if parts == nil {
		parts = []string{t.Value}
	}
	terms := []string{"true"}
	for _, p := range parts {
		p = search.Fold(p)
		// What is no text is not in the body as it is, see indexed.
		if p != "" && utf8.ValidString(p) && !strings.Contains(p, "\x00") {
			terms = append(terms, "l.body LIKE "+w.arg("%"+likeEscape.Replace(p)+"%"))
		}
	}
	return strings.Join(terms, " AND "), false
}

func (w *where) number(t *search.Term, column string) string {
	n, exact := t.Number.Floor()
	compare := func(op string) string { return column + " " + op + " " + w.arg(n) }
	switch t.Op {
	case search.Exists:
		return column + " <> 0"
	case search.Match:
		if exact {
			return compare("=")
		}
	case search.Less:
		if exact {
			return compare("<")
		}
		return compare("<=")
	case search.LessEqual:
		return compare("<=")
	case search.Greater:
		return compare(">")
	case search.GreaterEqual:
		if exact {
			return compare(">=")
		}
		return compare(">")
	}
	return "false"
}

// older is what the comparison of an age means for the time: what is older was earlier.
var older = map[search.Op]search.Op{
	search.Less: search.Greater, search.LessEqual: search.GreaterEqual,
	search.Greater: search.Less, search.GreaterEqual: search.LessEqual,
}

func (w *where) time(t *search.Term, column string) string {
	op := t.Op
	if o, ok := older[op]; ok && t.Field == "age" {
		op = o
	}
	// A letter without the time is never selected, and so always by a negation.
	there := column + " IS NOT NULL"
	compare := func(op string, n int64) string { return " AND " + column + " " + op + " " + w.arg(n) }
	from, until := nanos(t.Time), nanos(t.Until)
	switch op {
	case search.Exists:
		return there
	case search.Match:
		return there + compare(">=", from) + compare("<", until)
	case search.Less:
		return there + compare("<", from)
	case search.LessEqual:
		return there + compare("<", until)
	case search.Greater:
		return there + compare(">=", until)
	case search.GreaterEqual:
		return there + compare(">=", from)
	}
	return "false"
}

// lookStep is how many letters are read at once to be asked.
const lookStep = 500

// each calls fn with the letters that a query selects whose condition is not exact,
// newest first.
func (w *where) each(ctx context.Context, tx pgx.Tx, fn func(*deadletter.Letter)) error {
	return w.eachUntil(ctx, tx, func(l *deadletter.Letter) bool { fn(l); return false })
}

// eachUntil is each until fn returns true. It holds no more than a step of them.
func (w *where) eachUntil(ctx context.Context, tx pgx.Tx, fn func(*deadletter.Letter) bool) error {
	var last []byte
	for {
		args := slices.Clone(w.args)
		sql := selectLetter + "WHERE " + w.sql
		if last != nil {
			args = append(args, last)
			sql += fmt.Sprintf(" AND l.id < $%d", len(args))
		}
		rows, err := tx.Query(ctx, sql+fmt.Sprintf(" ORDER BY l.id DESC LIMIT %d", lookStep), args...)
		if err != nil {
			return err
		}
		letters, err := pgx.CollectRows(rows, scan)
		if err != nil {
			return err
		}
		for i := range letters {
			if w.matches(&letters[i]) && fn(&letters[i]) {
				return nil
			}
		}
		if len(letters) < lookStep {
			return nil
		}
		last = raw(letters[len(letters)-1].ID)
	}
}
