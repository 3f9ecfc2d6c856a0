// Package search is the query language of dead letters.
package search

import "time"

// Expr is a parsed query. The zero Expr selects everything.
type Expr struct {
	// Root is nil for the query that selects everything.
	Root Node
	text string
}

// Node is one of *And, *Or, *Not, *Term.
type Node interface{ node() }

// And, Or and Not join nodes.
type (
	And struct{ Nodes []Node }
	Or  struct{ Nodes []Node }
	Not struct{ Node Node }
)

// Op is how a term compares.
type Op int

// The comparisons.
const (
	Match    Op = iota // equal, or a pattern with * in it
	Contains           // text within, whatever the case
	Less
	LessEqual
	Greater
	GreaterEqual
	Exists
)

// Term compares one field.
type Term struct {
	Field  string   // a name of Fields; "" is free text over error and payload
	Path   []string // of payload.a.b and header.name
	Op     Op
	Value  string // as written, without quotes
	Number float64
	Time   time.Time
	Age    time.Duration
	Column int // of the term in the text, from 1
}

func (*And) node()  {}
func (*Or) node()   {}
func (*Not) node()  {}
func (*Term) node() {}

// Parse reads a query.
func Parse(text string) (Expr, error) { panic("not built") }

// String returns the text in its normal form.
func (e Expr) String() string { return e.text }
