package sqlite

import (
	"database/sql/driver"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
)

// where is a query as conditions in SQL, that select exactly what Query.Matches
// does. In all of them l has the columns class and state of letter_rows or
// tallies, and c is classes.
type where struct {
	states []deadletter.State // a letter in another one is not selected
	class  condition          // of c and of l.state alone
	letter condition          // of l and c
	// needles are folded texts that are all in the error and payload of every
	// letter selected, long enough for the full-text index.
	needles []string
	terms   string // what is asked of it, see match
	// awake is the opposite of the only condition of letters, if that is that they
	// are not snoozed: most are not, and those that are have an index.
	awake   *condition
	timed   int // how many of the conditions an index of times serves
	handles []int64
	may     mayHave   // what a block with such a letter fulfills, or nil
	known   *spans    // what is known of blocks, or nil
	until   time.Time // when a look for a page ends, if ever: see sieve
}

// condition is terms that are joined by AND.
type condition struct {
	terms []string
	args  []any
}

func (c *condition) add(sql string, args ...any) {
	c.terms = append(c.terms, sql)
	c.args = append(c.args, args...)
}

func (c *condition) sql() string {
	if len(c.terms) == 0 {
		return "1"
	}
	return strings.Join(c.terms, " AND ")
}

var allStates = []deadletter.State{
	deadletter.StateOpen, deadletter.StateRedriving, deadletter.StateResolved, deadletter.StateArchived, deadletter.StateDeleted,
}

// compile makes the conditions of a query that is valid and fixed in time. The
// caller releases them.
func compile(q deadletter.Query) *where {
	w := &where{states: allStates}
	if !q.SelectsDeleted() {
		w.states = allStates[:len(allStates)-1]
	}
	if q.State != "" {
		w.states = []deadletter.State{q.State}
	}
	for column, value := range map[string]string{"c.topic": q.Topic, "c.subscriber": q.Subscriber, "c.reason": q.Reason, "c.fingerprint": q.Fingerprint} {
		if value != "" {
			w.class.add(column+" = ?", value)
		}
	}
	// In the same order always, so that the statement is prepared once.
	w.class = w.class.sorted()
	if q.Where.Root != nil {
		w.may = summaryOf(q.Where.Root)
	}
	nodes := []search.Node{q.Where.Root}
	if and, ok := q.Where.Root.(*search.And); ok {
		nodes = and.Nodes
	}
	for _, n := range nodes {
		if n == nil {
			continue
		}
		if t, ok := n.(*search.Term); ok {
			if t.Field == "state" && t.Op == search.Match {
				w.states = slices.DeleteFunc(slices.Clone(w.states), func(s deadletter.State) bool { return !t.Fulfills(string(s)) })
				continue
			}
			w.needle(t)
			if served(t) {
				w.timed++
			}
			if t.Field == "snoozed" && t.Op == search.Match && t.Value == "no" {
				yes := *t
				yes.Value = "yes"
				sql, args := w.term(&yes)
				w.awake = &condition{}
				w.awake.add("("+sql+")", args...)
			}
		}
		sql, args := w.node(n)
		if ofClass(n) {
			w.class.add(sql, args...)
		} else {
			w.letter.add(sql, args...)
		}
	}
	if len(w.letter.terms) != 1 {
		w.awake = nil
	}
	return w
}

func (c condition) sorted() condition {
	order := make([]int, len(c.terms))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(c.terms[a], c.terms[b]) })
	var s condition
	for _, i := range order {
		s.add(c.terms[i], c.args[i])
	}
	return s
}

func (w *where) release() { release(w.handles) }

// ofClass reports whether the letters of a class and state are all selected or
// none.
func ofClass(n search.Node) bool {
	terms, _ := search.Expr{Root: n}.Terms()
	return !slices.ContainsFunc(terms, func(t *search.Term) bool {
		return !slices.Contains([]string{"topic", "sub", "reason", "group", "state"}, t.Field)
	})
}

// minNeedle is the length of a text that the index can find: it knows runs of
// three characters.
const minNeedle = 3

// needle notes what the full-text index can do for a term.
func (w *where) needle(t *search.Term) {
	parts := t.Parts
	if parts == nil {
		parts = []string{t.Value}
	}
	switch {
	case t.Op == search.Contains && (t.Field == "" || t.Field == "err" || t.Field == "payload" && len(t.Path) == 0):
	case t.Op == search.Match && (t.Field == "event" || t.Field == "causation" || t.Field == "corr" || t.Field == "header"):
	case t.Op == search.Match && t.Field == "payload":
		if _, numeric := search.ParseNumber(t.Value); numeric && t.Parts == nil {
			parts = []string{digits(t.Value)}
		}
	default:
		return
	}
	for _, p := range parts {
		p = search.Fold(p)
		// What is no text is not in the index as it is, see indexed.
		if utf8.ValidString(p) && !strings.Contains(p, "\x00") && utf8.RuneCountInString(p) >= minNeedle {
			w.needles = append(w.needles, p)
		}
	}
}

// digits returns what a number has in common with all ways to write it that have no
// exponent, and "" for one that has, or is too long: see plainNumber.
func digits(number string) string {
	d := strings.TrimLeft(strings.TrimPrefix(number, "-"), "0")
	if len(d) > maxDigits || strings.Trim(d, "0123456789.") != "" || strings.Count(d, ".") > 1 {
		return ""
	}
	if strings.Contains(d, ".") {
		d = strings.TrimRight(strings.TrimRight(d, "0"), ".")
	}
	return d
}

// served reports whether an index of times serves a term.
func served(t *search.Term) bool {
	column := timeColumns[t.Field]
	return (column == "l.first_failed_at" || column == "l.last_failed_at") && t.Op != search.Exists
}

// older is what the comparison of an age means for the time: what is older was
// earlier.
var older = map[search.Op]search.Op{
	search.Less: search.Greater, search.LessEqual: search.GreaterEqual,
	search.Greater: search.Less, search.GreaterEqual: search.LessEqual,
}

func (w *where) node(n search.Node) (string, []any) {
	switch n := n.(type) {
	case *search.And:
		return w.join(n.Nodes, " AND ")
	case *search.Or:
		return w.join(n.Nodes, " OR ")
	case *search.Not:
		sql, args := w.node(n.Node)
		return "NOT " + sql, args
	case *search.Term:
		sql, args := w.term(n)
		return "(" + sql + ")", args
	}
	return "0", nil
}

func (w *where) join(nodes []search.Node, by string) (string, []any) {
	var terms []string
	var args []any
	for _, n := range nodes {
		sql, a := w.node(n)
		terms, args = append(terms, sql), append(args, a...)
	}
	return "(" + strings.Join(terms, by) + ")", args
}

// The columns of fields, by how they compare. None of a name, text or number is
// ever NULL.
var (
	nameColumns = map[string]string{
		"topic": "c.topic", "sub": "c.subscriber", "reason": "c.reason", "group": "c.fingerprint", "state": "l.state",
		"pattern": "l.pattern", "cause": "l.cause", "content": "l.content_type", "gotype": "l.go_type", "id": "l.id",
		"event": "l.event_id", "causation": "l.causation_id", "corr": "l.correlation_id", "node": "l.node", "build": "l.build", "imported": "l.imported_from",
	}
	textColumns = map[string][]string{
		"": {"l.error", "l.payload"}, "err": {"l.error"}, "payload": {"l.payload"}, "panic": {"l.panic_value"}, "stack": {"l.stack"},
	}
	numberColumns = map[string]string{
		"size": "coalesce(length(l.payload), 0)", "attempts": "max(l.attempt_count, 0)", "redrives": "max(l.redrive_count, 0)",
	}
	timeColumns = map[string]string{
		"age": "l.first_failed_at", "first": "l.first_failed_at", "failed": "l.last_failed_at",
		"published": "l.published_at", "resolved": "l.resolved_at",
	}
)

func (w *where) term(t *search.Term) (string, []any) {
	if column, ok := nameColumns[t.Field]; ok {
		return w.name(t, column)
	}
	if columns, ok := textColumns[t.Field]; ok && len(t.Path) == 0 {
		return w.text(t, columns)
	}
	if column, ok := numberColumns[t.Field]; ok {
		return numberTerm(t, column)
	}
	if column, ok := timeColumns[t.Field]; ok {
		return timeTerm(t, column)
	}
	if t.Field == "snoozed" {
		if t.Op == search.Exists {
			return "l.snoozed_until IS NOT NULL", nil
		}
		sql := "l.snoozed_until IS NOT NULL AND l.state = 'open' AND l.snoozed_until > ?"
		if t.Value == "no" {
			sql = "NOT (" + sql + ")"
		}
		return sql, []any{nanos(t.Time)}
	}
	return w.other(t)
}

func (w *where) name(t *search.Term, column string) (string, []any) {
	switch {
	case t.Op == search.Exists:
		return column + " <> ''", nil
	case t.Parts == nil:
		return column + " = ?", []any{t.Value}
	}
	if len(t.Parts) == 2 && t.Parts[1] == "" && after(t.Parts[0]) != "" {
		return column + " >= ? AND " + column + " < ?", []any{t.Parts[0], after(t.Parts[0])}
	}
	fits := w.test(func(v []driver.Value) bool { return t.Fulfills(str(v[0])) })
	sql, args := "troupe_test(?, "+whole(column)+")", []any{fits}
	if prefix := t.Parts[0]; prefix != "" {
		if behind := after(prefix); behind != "" { // an index finds what begins alike
			sql, args = column+" >= ? AND "+column+" < ? AND "+sql, append([]any{prefix, behind}, args...)
		}
	}
	return sql, args
}

// after returns the first text behind all that begin with prefix, "" if there is none.
func after(prefix string) string {
	b := []byte(prefix)
	for len(b) > 0 && b[len(b)-1] == 0xff {
		b = b[:len(b)-1]
	}
	if len(b) > 0 {
		b[len(b)-1]++
	}
	return string(b)
}

func (w *where) text(t *search.Term, columns []string) (string, []any) {
	var terms []string
	var args []any
	if t.Op == search.Exists {
		for _, c := range columns {
			if c == "l.payload" {
				terms = append(terms, "l.payload IS NOT NULL")
			} else {
				terms = append(terms, c+" <> ''")
			}
		}
		return strings.Join(terms, " OR "), nil
	}
	// The matcher of package deadletter, asked about one text.
	one := *t
	one.Field = "err"
	matches := deadletter.Query{Where: search.Expr{Root: &one}}.Matcher()
	h := w.test(func(v []driver.Value) bool {
		return matches(&deadletter.Letter{Error: str(v[0])})
	})
	for _, c := range columns {
		terms = append(terms, "troupe_test(?, "+whole(c)+")")
		args = append(args, h)
	}
	return strings.Join(terms, " OR "), args
}

func numberTerm(t *search.Term, column string) (string, []any) {
	n, exact := t.Number.Floor()
	switch t.Op {
	case search.Exists:
		return column + " <> 0", nil
	case search.Match:
		if !exact {
			return "0", nil
		}
		return column + " = ?", []any{n}
	case search.Less:
		if exact {
			return column + " < ?", []any{n}
		}
		return column + " <= ?", []any{n}
	case search.LessEqual:
		return column + " <= ?", []any{n}
	case search.Greater:
		return column + " > ?", []any{n}
	case search.GreaterEqual:
		if exact {
			return column + " >= ?", []any{n}
		}
		return column + " > ?", []any{n}
	}
	return "0", nil
}

func timeTerm(t *search.Term, column string) (string, []any) {
	op := t.Op
	if o, ok := older[op]; ok && t.Field == "age" {
		op = o
	}
	// A letter without the time is never selected, and so always by a negation.
	there := column + " IS NOT NULL"
	from, until := nanos(t.Time), nanos(t.Until)
	switch op {
	case search.Exists:
		return there, nil
	case search.Match:
		return there + " AND " + column + " >= ? AND " + column + " < ?", []any{from, until}
	case search.Less:
		return there + " AND " + column + " < ?", []any{from}
	case search.LessEqual:
		return there + " AND " + column + " < ?", []any{until}
	case search.Greater:
		return there + " AND " + column + " >= ?", []any{until}
	case search.GreaterEqual:
		return there + " AND " + column + " >= ?", []any{from}
	}
	return "0", nil
}

// other is a term that needs what SQL cannot see: it is asked of a letter that
// has the columns of its field, and nothing else.
func (w *where) other(t *search.Term) (string, []any) {
	matches := deadletter.Query{State: deadletter.StateOpen, Where: search.Expr{Root: t}}.Matcher()
	ask := func(fill func(*deadletter.Letter, []driver.Value)) int64 {
		return w.test(func(v []driver.Value) bool {
			l := deadletter.Letter{State: deadletter.StateOpen}
			fill(&l, v)
			return matches(&l)
		})
	}
	switch t.Field {
	case "type":
		return "troupe_test(?, l.error_types)", []any{ask(func(l *deadletter.Letter, v []driver.Value) { _ = decode(v[0], &l.ErrorTypes) })}
	case "header":
		return "troupe_test(?, l.headers)", []any{ask(func(l *deadletter.Letter, v []driver.Value) {
			if mayHold(v[0], t) {
				_ = decode(v[0], &l.Headers)
			}
		})}
	case "payload":
		return "troupe_test(?, l.payload, CAST(l.content_type AS BLOB), CAST(l.payload_error AS BLOB))", []any{ask(func(l *deadletter.Letter, v []driver.Value) {
			l.Payload, _ = v[0].([]byte)
			l.ContentType, l.PayloadError = str(v[1]), str(v[2])
		})}
	case "closed":
		return "troupe_test(?, l.closed)", []any{ask(func(l *deadletter.Letter, v []driver.Value) { _ = decode(v[0], &l.Closed) })}
	case "seq":
		return "troupe_test(?, l.sequence)", []any{ask(func(l *deadletter.Letter, v []driver.Value) { n, _ := v[0].(int64); l.Sequence = uint64(n) })}
	case "op":
		return "troupe_test(?, l.closed, (SELECT group_concat(hex(r.operation)) FROM redrives r WHERE r.seq = l.seq AND l.redrives_kept > 0))",
			[]any{ask(func(l *deadletter.Letter, v []driver.Value) {
				_ = decode(v[0], &l.Closed)
				for _, h := range strings.Split(str(v[1]), ",") {
					l.Redrives = append(l.Redrives, deadletter.Redrive{Operation: unhex(h)})
				}
			})}
	}
	return "0", nil
}

// mayHold reports whether headers can have the value of a term: to look for it as it
// is written is quick, and to decode is not.
func mayHold(headers driver.Value, t *search.Term) bool {
	if t.Op != search.Match || t.Parts != nil || strings.ContainsFunc(t.Value, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	}) {
		return true // it may be written in another way
	}
	return strings.Contains(str(headers), t.Value)
}

func (w *where) test(fn test) int64 {
	h := register(fn)
	w.handles = append(w.handles, h)
	return h
}

// whole is a column as an argument: a text would end at its first zero byte.
func whole(column string) string {
	if column == "l.payload" {
		return column
	}
	return "CAST(" + column + " AS BLOB)"
}

func str(v driver.Value) string {
	switch v := v.(type) {
	case string:
		return v
	case []byte:
		return string(v)
	}
	return ""
}
