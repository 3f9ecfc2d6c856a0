package deadletter

import (
	"slices"
	"strings"
	"time"

	"github.com/troupe-go/troupe/deadletter/search"
)

// subject is a letter that an expression looks at, with what is made of it only
// once.
type subject struct {
	*Letter
	payload payloadValue
}

// matcher is an expression prepared for many letters. It is never written to.
type matcher interface{ matches(s *subject) bool }

type (
	allOf  []matcher
	anyOf  []matcher
	noneOf struct{ matcher }
	termOf struct {
		*search.Term
		folded  []string // the parts of a text, folded
		ascii   bool     // no character beyond ASCII folds to one of theirs
		numeric bool     // a payload value is compared as a number
	}
)

func (a allOf) matches(s *subject) bool {
	for _, m := range a {
		if !m.matches(s) {
			return false
		}
	}
	return true
}

func (a anyOf) matches(s *subject) bool {
	return slices.ContainsFunc(a, func(m matcher) bool { return m.matches(s) })
}

func (n noneOf) matches(s *subject) bool { return !n.matcher.matches(s) }

// compile prepares an expression that is fixed in time.
func compile(n search.Node) matcher {
	all := func(nodes []search.Node) []matcher {
		ms := make([]matcher, len(nodes))
		for i, n := range nodes {
			ms[i] = compile(n)
		}
		return ms
	}
	switch n := n.(type) {
	case *search.And:
		return allOf(all(n.Nodes))
	case *search.Or:
		return anyOf(all(n.Nodes))
	case *search.Not:
		return noneOf{compile(n.Node)}
	case *search.Term:
		t := &termOf{Term: n}
		if n.Parts == nil {
			_, t.numeric = search.ParseNumber(n.Value)
		}
		if n.Op == search.Contains {
			t.folded = []string{search.Fold(n.Value)}
			if n.Parts != nil {
				t.folded = nil
				for _, p := range n.Parts {
					t.folded = append(t.folded, search.Fold(p))
				}
			}
			// But the Kelvin sign folds to k, and the long s to s.
			all := strings.Join(t.folded, "")
			t.ascii = isASCII(all) && !strings.ContainsAny(all, "ks")
		}
		return t
	}
	return anyOf{} // nothing; Query.Validate reports it
}

// asksFor reports whether the expression has a term of the field state that the
// state fulfills, outside of negations.
func asksFor(n search.Node, state State) bool {
	terms, negated := search.Expr{Root: n}.Terms()
	for i, t := range terms {
		if t != nil && t.Field == "state" && !negated[i] && t.Op == search.Match && t.Fulfills(string(state)) {
			return true
		}
	}
	return false
}

func (t *termOf) matches(s *subject) bool {
	switch t.Field {
	case "":
		return t.text(s.Error) || t.bytes(s.Payload)
	case "topic":
		return t.name(s.Topic)
	case "sub":
		return t.name(s.Subscriber)
	case "pattern":
		return t.name(s.Pattern)
	case "state":
		return t.name(string(s.state()))
	case "reason":
		return t.name(s.Reason)
	case "cause":
		return t.name(s.Cause)
	case "err":
		return t.text(s.Error)
	case "type":
		return t.names(s.ErrorTypes)
	case "panic":
		return t.text(s.PanicValue)
	case "stack":
		return t.text(s.Stack)
	case "group":
		return t.name(s.Fingerprint)
	case "payload":
		if len(t.Path) == 0 {
			return t.bytes(s.Payload)
		}
		return s.payload.any(s.Letter, t.Path, t.value)
	case "header":
		return t.header(s.Headers)
	case "content":
		return t.name(s.ContentType)
	case "gotype":
		return t.name(s.GoType)
	case "size":
		return t.integer(uint64(len(s.Payload)))
	case "age", "first":
		return t.time(s.FirstFailedAt)
	case "failed":
		return t.time(s.LastFailedAt)
	case "published":
		return t.time(s.PublishedAt)
	case "resolved":
		return t.time(s.ResolvedAt())
	case "attempts":
		return t.integer(uint64(max(s.AttemptCount, 0)))
	case "redrives":
		return t.integer(uint64(max(s.RedriveCount(), 0)))
	case "snoozed":
		if t.Op == search.Exists {
			return !s.SnoozedUntil.IsZero()
		}
		return s.Snoozed(t.Time) == (t.Value == "yes")
	case "closed":
		if s.Closed == nil {
			return t.name("")
		}
		return t.name(s.Closed.As)
	case "op":
		return t.names(s.operations())
	case "id":
		return t.name(s.ID)
	case "seq":
		return t.integer(s.Sequence)
	case "event":
		return t.name(s.EventID)
	case "causation":
		return t.name(s.CausationID)
	case "corr":
		return t.name(s.CorrelationID)
	case "node":
		return t.name(s.Node)
	case "build":
		return t.name(s.Build)
	case "imported":
		return t.name(s.ImportedFrom)
	}
	return false
}

func (t *termOf) name(s string) bool {
	if t.Op == search.Exists {
		return s != ""
	}
	return t.Fulfills(s)
}

// names is about any of them.
func (t *termOf) names(all []string) bool { return slices.ContainsFunc(all, t.name) }

func (t *termOf) header(headers map[string]string) bool {
	for k, v := range headers {
		if strings.EqualFold(k, t.Path[0]) && (t.Op == search.Exists || t.Fulfills(v)) {
			return true
		}
	}
	return false
}

func (t *termOf) integer(n uint64) bool {
	if t.Op == search.Exists {
		return n != 0
	}
	return t.number(search.UintNumber(n))
}

func (t *termOf) number(n search.Number) bool {
	c := n.Compare(t.Number)
	switch t.Op {
	case search.Match:
		return c == 0
	case search.Less:
		return c < 0
	case search.LessEqual:
		return c <= 0
	case search.Greater:
		return c > 0
	case search.GreaterEqual:
		return c >= 0
	}
	return false
}

// time compares a time with the span of the term. A letter that has no such time
// is never found by it.
func (t *termOf) time(at time.Time) bool {
	if at.IsZero() {
		return false
	}
	op := t.Op
	if t.Field == "age" { // what is older was earlier
		switch op {
		case search.Less:
			op = search.Greater
		case search.LessEqual:
			op = search.GreaterEqual
		case search.Greater:
			op = search.Less
		case search.GreaterEqual:
			op = search.LessEqual
		}
	}
	switch op {
	case search.Exists:
		return true
	case search.Match:
		return !at.Before(t.Time) && at.Before(t.Until)
	case search.Less:
		return at.Before(t.Time)
	case search.LessEqual:
		return at.Before(t.Until)
	case search.Greater:
		return !at.Before(t.Until)
	case search.GreaterEqual:
		return !at.Before(t.Time)
	}
	return false
}

// operations returns the operations that redrove or closed the letter.
func (l *Letter) operations() (ids []string) {
	for i := range l.Redrives {
		if id := l.Redrives[i].Operation; id != "" {
			ids = append(ids, id)
		}
	}
	for c, n := l.Closed, 0; c != nil && n < maxClosings; c, n = c.Before, n+1 {
		if c.Operation != "" {
			ids = append(ids, c.Operation)
		}
	}
	return ids
}
