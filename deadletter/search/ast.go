package search

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Expr is a parsed query. The zero Expr selects everything. It is not changed by
// anything here, and may be used by many goroutines.
type Expr struct {
	// Root is nil for the query that selects everything.
	Root Node
}

// Node is one of *And, *Or, *Not, *Term.
type Node interface{ node() }

// And, Or and Not join nodes. And and Or have at least two.
type (
	And struct{ Nodes []Node }
	Or  struct{ Nodes []Node }
	Not struct{ Node Node }
)

// Op is how a term compares.
type Op int

// The comparisons.
const (
	// Match: equal. Names, numbers, times and payload values.
	Match Op = iota
	// Contains: the text is in it, in any case, see [Fold].
	Contains
	Less
	LessEqual
	Greater
	GreaterEqual
	// Exists: it is there, and not empty.
	Exists
)

var opTexts = [...]string{Match: "", Contains: "", Less: "<", LessEqual: "<=", Greater: ">", GreaterEqual: ">=", Exists: "has:"}

// compares reports whether the operator needs an order.
func (op Op) compares() bool { return op >= Less && op <= GreaterEqual }

// Term compares one field. NewTerm makes one from what a query says; what a store
// needs for the comparison is derived from Value by then.
type Term struct {
	// Field is a name of Fields. Empty is free text, over the error and the
	// payload.
	Field string
	// Path leads into the payload, or is the one name of a header. A payload that
	// is asked for as a whole has none.
	Path []string
	Op   Op
	// Value is what was written, without quotes.
	Value string
	// Parts are what stands before, between and after the stars of a pattern: they
	// come in this order, with anything between them. It is nil if Value has no
	// stars but literal ones. With Match, the first part is at the beginning and
	// the last at the end; with Contains, neither.
	Parts []string
	// Number is Value of a number field, and of a payload's if it is a number.
	Number Number
	// Time and Until are the span of time that Value means: from Time until just
	// before Until. A day is 24 hours long, an exact time a nanosecond. A match is
	// in it, less before it, greater not before Until.
	//
	// For the field age they are the instant that lies Age before now; less age is
	// greater time. For snoozed they are now. What is relative to now is zero
	// until Expr.AsOf.
	Time, Until time.Time
	// Relative is set if Time depends on now.
	Relative bool
	// Age is the duration that Value means, for the field age.
	Age time.Duration
	// Column is where the term begins in the text, in characters from 1; 0 if it
	// was not parsed.
	Column int
}

func (*And) node()  {}
func (*Or) node()   {}
func (*Not) node()  {}
func (*Term) node() {}

// NewTerm makes a term, or says what is wrong with it. With pattern, the stars in
// value stand for anything; otherwise for themselves.
func NewTerm(field string, path []string, op Op, value string, pattern bool) (*Term, error) {
	t := &Term{Field: field, Path: path, Op: op, Value: value}
	if pattern && strings.Contains(value, "*") {
		t.Parts = strings.Split(value, "*")
	}
	if err := t.derive(); err != nil {
		return nil, err
	}
	return t, nil
}

// Timed reports whether the term compares times.
func (t *Term) Timed() bool { return t.Relative || !t.Time.IsZero() }

// Fulfills reports whether text is equal to the value of a Match, or fits its
// pattern.
func (t *Term) Fulfills(text string) bool {
	if t.Parts == nil {
		return text == t.Value
	}
	last := len(t.Parts) - 1
	text, ok := strings.CutPrefix(text, t.Parts[0])
	if !ok {
		return false
	}
	for _, part := range t.Parts[1:last] {
		if _, text, ok = strings.Cut(text, part); !ok {
			return false
		}
	}
	return strings.HasSuffix(text, t.Parts[last])
}

// AsOf returns the query with everything fixed that is relative to now: each such
// term has its Time and Until. The text that String returns stays. An Expr that
// was fixed before is as of then.
func (e Expr) AsOf(now time.Time) Expr {
	if e.Root == nil || !relative(e.Root) {
		return e
	}
	return Expr{Root: asOf(e.Root, now.UTC())}
}

// relative reports whether AsOf has something to do.
func relative(n Node) bool {
	switch n := n.(type) {
	case *And:
		return slices.ContainsFunc(n.Nodes, relative)
	case *Or:
		return slices.ContainsFunc(n.Nodes, relative)
	case *Not:
		return relative(n.Node)
	case *Term:
		return n != nil && n.Relative && n.Time.IsZero()
	}
	return false
}

func asOf(n Node, now time.Time) Node {
	all := func(nodes []Node) []Node {
		fixed := make([]Node, len(nodes))
		for i, n := range nodes {
			fixed[i] = asOf(n, now)
		}
		return fixed
	}
	switch n := n.(type) {
	case *And:
		return &And{all(n.Nodes)}
	case *Or:
		return &Or{all(n.Nodes)}
	case *Not:
		return &Not{asOf(n.Node, now)}
	case *Term:
		if relative(n) {
			t := *n
			t.fix(now)
			return &t
		}
	}
	return n
}

// Terms returns the terms of the query in their order, and for each whether it
// stands under an odd number of negations.
func (e Expr) Terms() (terms []*Term, negated []bool) {
	var walk func(n Node, not bool)
	walk = func(n Node, not bool) {
		switch n := n.(type) {
		case *And:
			for _, n := range n.Nodes {
				walk(n, not)
			}
		case *Or:
			for _, n := range n.Nodes {
				walk(n, not)
			}
		case *Not:
			walk(n.Node, !not)
		case *Term:
			terms, negated = append(terms, n), append(negated, not)
		}
	}
	walk(e.Root, false)
	return terms, negated
}

// Validate returns an error for an Expr that Parse would not make: one that was
// put together by hand from wrong parts.
func (e Expr) Validate() error {
	if e.Root == nil {
		return nil
	}
	terms := 0
	return validate(e.Root, 0, &terms)
}

func validate(n Node, depth int, terms *int) error {
	if depth > 2*MaxDepth+2 {
		return fmt.Errorf("search: more than %d levels", 2*MaxDepth+2)
	}
	all := func(name string, nodes []Node) error {
		if len(nodes) < 2 {
			return fmt.Errorf("search: %s of %d nodes: must be at least 2", name, len(nodes))
		}
		for _, n := range nodes {
			if err := validate(n, depth+1, terms); err != nil {
				return err
			}
		}
		return nil
	}
	switch n := n.(type) {
	case *And:
		if n != nil {
			return all("And", n.Nodes)
		}
	case *Or:
		if n != nil {
			return all("Or", n.Nodes)
		}
	case *Not:
		if n != nil {
			return validate(n.Node, depth+1, terms)
		}
	case *Term:
		if n == nil {
			break
		}
		if *terms++; *terms > MaxTerms {
			return fmt.Errorf("search: more than %d terms", MaxTerms)
		}
		want := Term{Field: n.Field, Path: n.Path, Op: n.Op, Value: n.Value, Parts: n.Parts}
		if err := want.derive(); err != nil {
			return fmt.Errorf("search: Term of field %q: %w", n.Field, err)
		}
		if n.Parts != nil && strings.Join(n.Parts, "*") != n.Value ||
			n.Number != want.Number || n.Relative != want.Relative || n.Age != want.Age ||
			!n.Relative && (!n.Time.Equal(want.Time) || !n.Until.Equal(want.Until)) {
			return fmt.Errorf("search: Term of field %q: not as NewTerm makes it from Value %q", n.Field, n.Value)
		}
		return nil
	}
	return errors.New("search: a node is nil or of an unknown type")
}
