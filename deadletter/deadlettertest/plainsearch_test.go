package deadlettertest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
)

// evaluator says which letters a query selects, in the most obvious way there is:
// patterns are regular expressions, numbers are big.Rat, and a payload is taken
// apart into all its values. It shares no code with Query.Matches but the parser.
type evaluator struct {
	now time.Time
	bug string
}

func (e evaluator) holds(n search.Node, l *deadletter.Letter) bool {
	switch n := n.(type) {
	case nil:
		return true
	case *search.And:
		return !slices.ContainsFunc(n.Nodes, func(n search.Node) bool { return !e.holds(n, l) })
	case *search.Or:
		return slices.ContainsFunc(n.Nodes, func(n search.Node) bool { return e.holds(n, l) })
	case *search.Not:
		return !e.holds(n.Node, l)
	}
	return e.term(n.(*search.Term), l)
}

// asks reports whether tombstones are wanted.
func (e evaluator) asks(n search.Node, not bool) bool {
	switch n := n.(type) {
	case *search.And:
		return slices.ContainsFunc(n.Nodes, func(n search.Node) bool { return e.asks(n, not) })
	case *search.Or:
		return slices.ContainsFunc(n.Nodes, func(n search.Node) bool { return e.asks(n, not) })
	case *search.Not:
		return e.asks(n.Node, !not)
	case *search.Term:
		return n.Field == "state" && !not && n.Op == search.Match && e.pattern(n, "", true).MatchString("deleted")
	}
	return false
}

func (e evaluator) pattern(t *search.Term, flags string, whole bool) *regexp.Regexp {
	parts := t.Parts
	if parts == nil {
		parts = []string{t.Value}
	}
	var quoted []string
	for _, p := range parts {
		quoted = append(quoted, regexp.QuoteMeta(p))
	}
	text := strings.Join(quoted, ".*")
	if whole {
		text = "^(?:" + text + ")$"
	}
	return regexp.MustCompile("(?s" + flags + ")" + text)
}

func (e evaluator) term(t *search.Term, l *deadletter.Letter) bool {
	state := string(l.State)
	var operations []string
	for _, r := range l.Redrives {
		operations = append(operations, r.Operation)
	}
	closed := ""
	var resolved time.Time
	if l.Closed != nil {
		closed = l.Closed.As
	}
	for c := l.Closed; c != nil; c = c.Before {
		operations = append(operations, c.Operation)
		if state != "open" && state != "redriving" && c.As != "archived" && c.As != "deleted" {
			resolved = c.At
		}
	}
	operations = slices.DeleteFunc(operations, func(s string) bool { return s == "" })

	names := map[string][]string{
		"topic": {l.Topic}, "sub": {l.Subscriber}, "pattern": {l.Pattern}, "state": {state}, "reason": {l.Reason}, "cause": {l.Cause},
		"type": l.ErrorTypes, "group": {l.Fingerprint}, "content": {l.ContentType}, "gotype": {l.GoType}, "closed": {closed},
		"op": operations, "id": {l.ID}, "event": {l.EventID}, "causation": {l.CausationID}, "corr": {l.CorrelationID},
		"node": {l.Node}, "build": {l.Build}, "imported": {l.ImportedFrom},
	}
	texts := map[string][]string{"": {l.Error, string(l.Payload)}, "err": {l.Error}, "panic": {l.PanicValue}, "stack": {l.Stack}, "payload": {string(l.Payload)}}
	numbers := map[string]uint64{"size": uint64(len(l.Payload)), "attempts": uint64(l.AttemptCount), "redrives": uint64(len(l.Redrives)), "seq": l.Sequence}
	times := map[string]time.Time{"failed": l.LastFailedAt, "first": l.FirstFailedAt, "published": l.PublishedAt, "resolved": resolved}

	if t.Op == search.Exists {
		there := slices.ContainsFunc(append(names[t.Field], texts[t.Field]...), func(s string) bool { return s != "" })
		switch {
		case t.Field == "payload" && len(t.Path) > 0:
			return len(e.values(t, l)) > 0
		case t.Field == "header":
			return len(e.headers(t, l)) > 0
		case t.Field == "age":
			return !l.FirstFailedAt.IsZero()
		case t.Field == "snoozed":
			return !l.SnoozedUntil.IsZero()
		}
		return there || numbers[t.Field] != 0 || !times[t.Field].IsZero()
	}
	if values, ok := names[t.Field]; ok {
		return slices.ContainsFunc(values, e.pattern(t, "", true).MatchString)
	}
	if number, ok := numbers[t.Field]; ok {
		return order(t.Op, new(big.Rat).SetUint64(number).Cmp(rat(t.Value)))
	}
	if at, ok := times[t.Field]; ok {
		return e.time(t, at)
	}
	switch t.Field {
	case "payload":
		if len(t.Path) > 0 {
			return slices.ContainsFunc(e.values(t, l), func(v any) bool { return e.value(t, v) })
		}
	case "header":
		return slices.ContainsFunc(e.headers(t, l), e.pattern(t, "", true).MatchString)
	case "age":
		age, _ := time.ParseDuration(map[string]string{"1d": "24h", "1w": "168h", "500d": "12000h"}[t.Value])
		if age == 0 {
			age, _ = time.ParseDuration(t.Value)
		}
		is := e.now.Sub(l.FirstFailedAt)
		return !l.FirstFailedAt.IsZero() && order(t.Op, int(max(-1, min(1, is-age))))
	case "snoozed":
		return (state == "open" && l.SnoozedUntil.After(e.now)) == (t.Value == "yes")
	}
	flags := "i"
	if e.bug == "search is about case" {
		flags = ""
	}
	return slices.ContainsFunc(texts[t.Field], e.pattern(t, flags, false).MatchString)
}

func order(op search.Op, c int) bool {
	switch op {
	case search.Less:
		return c < 0
	case search.LessEqual:
		return c <= 0
	case search.Greater:
		return c > 0
	case search.GreaterEqual:
		return c >= 0
	}
	return c == 0
}

func rat(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		return nil
	}
	return r
}

func (e evaluator) time(t *search.Term, at time.Time) bool {
	if at.IsZero() {
		return false
	}
	from, until := t.Time, t.Until
	midnight := time.Date(e.now.Year(), e.now.Month(), e.now.Day(), 0, 0, 0, 0, time.UTC)
	switch ago, relative := strings.CutPrefix(t.Value, "now"); {
	case relative:
		d, _ := time.ParseDuration(strings.ReplaceAll(ago, "1d", "24h"))
		from = e.now.Add(d)
		until = from.Add(1)
	case t.Value == "today":
		from, until = midnight, midnight.Add(24*time.Hour)
	case t.Value == "yesterday":
		from, until = midnight.Add(-24*time.Hour), midnight
	}
	switch t.Op {
	case search.Less:
		return at.Before(from)
	case search.LessEqual:
		return at.Before(until)
	case search.Greater:
		return !at.Before(until)
	case search.GreaterEqual:
		return !at.Before(from)
	}
	return !at.Before(from) && at.Before(until)
}

func (e evaluator) headers(t *search.Term, l *deadletter.Letter) (values []string) {
	for k, v := range l.Headers {
		if strings.EqualFold(k, t.Path[0]) {
			values = append(values, v)
		}
	}
	return values
}

// values returns all values at the path.
func (e evaluator) values(t *search.Term, l *deadletter.Letter) []any {
	if l.ContentType == "application/cbor" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(l.Payload))
	d.UseNumber()
	var root, more any
	if d.Decode(&root) != nil || d.Decode(&more) != io.EOF {
		return nil
	}
	at := []any{root}
	for _, step := range t.Path {
		var next []any
		for len(at) > 0 {
			v := at[0]
			at = at[1:]
			switch v := v.(type) {
			case map[string]any:
				if step == "*" {
					for _, m := range v {
						next = append(next, m)
					}
				} else if m, ok := v[step]; ok {
					next = append(next, m)
				}
			case []any:
				if n, err := strconv.Atoi(step); err == nil {
					if n < len(v) {
						next = append(next, v[n])
					}
				} else if step == "*" {
					next = append(next, v...)
				} else {
					at = append(at, v...)
				}
			}
		}
		at = next
	}
	var all []any
	for len(at) > 0 {
		v := at[0]
		at = at[1:]
		all = append(all, v)
		if list, ok := v.([]any); ok {
			at = append(at, list...)
		}
	}
	return all
}

func (e evaluator) value(t *search.Term, v any) bool {
	want := rat(t.Value)
	if t.Parts != nil {
		want = nil
	}
	text, isText := "", false
	switch v := v.(type) {
	case json.Number:
		if want != nil {
			got := rat(v.String())
			if e.bug == "search reads payload numbers as float64" {
				f, _ := v.Float64()
				w, _ := want.Float64()
				return order(t.Op, new(big.Rat).SetFloat64(f).Cmp(new(big.Rat).SetFloat64(w)))
			}
			return order(t.Op, got.Cmp(want))
		}
		if t.Op != search.Match {
			return false
		}
		text, isText = v.String(), true
	case string:
		text, isText = v, true
	case bool:
		text, isText = strconv.FormatBool(v), t.Op == search.Match
	case nil:
		text, isText = "null", t.Op == search.Match
	}
	if !isText {
		return false
	}
	if t.Op == search.Match {
		return e.pattern(t, "", true).MatchString(text)
	}
	if want != nil {
		got := rat(text)
		return got != nil && order(t.Op, got.Cmp(want))
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return e.time(t, at)
		}
	}
	return false
}
