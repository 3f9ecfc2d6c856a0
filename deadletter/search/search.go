// Package search is the query language of dead letters.
package search

// Limits of a query.
const (
	// MaxText is its length in bytes, MaxTerms the number of its terms, and
	// MaxDepth how deep parentheses and negations may stand in each other.
	MaxText  = 4096
	MaxTerms = 200
	MaxDepth = 50

	maxTerms = MaxTerms
	maxDepth = 2*MaxDepth + 2
)

// Parse reads a query.
func Parse(text string) (Expr, error) { panic("not built") }

// String returns the text in its normal form.
func (e Expr) String() string { panic("not built") }
