package deadletter

import (
	"errors"
	"fmt"
)

// The number of letters on a page.
const (
	// DefaultLimit applies if a query names no limit.
	DefaultLimit = 50
	// MaxLimit is the largest a query may ask for.
	MaxLimit = 1000
)

// ErrInvalidQuery is returned by List for a query that breaks a rule of
// [Query.Validate].
var ErrInvalidQuery = errors.New("deadletter: invalid query")

// Query selects letters. Each field that is set must be equal to the letter's,
// byte for byte; there are no wildcards. The zero Query selects all.
type Query struct {
	// Topic, Subscriber, Reason and Fingerprint select by the letter's fields
	// of the same name. Empty means any.
	Topic       string
	Subscriber  string
	Reason      string
	Fingerprint string
	// State selects by state. Zero means any.
	State State
	// After continues behind the page whose Next it is. The letter it was
	// taken from need not exist any more. Empty starts with the newest.
	After string
	// Limit is the largest number of letters to return, at most MaxLimit.
	// Zero means DefaultLimit.
	Limit int
}

// Page is a part of the letters that a query selects.
type Page struct {
	// Letters are in descending order of their IDs, newest first.
	Letters []Letter `json:"letters"`
	// Next is the After of the next page, and empty on the last.
	Next string `json:"next,omitempty"`
	// Total is how many letters the query selects on all its pages, counted
	// when this page was read.
	Total int `json:"total"`
}

// Validate reports every rule that the query breaks, as one error that wraps
// ErrInvalidQuery, or nil. Stores call it first.
func (q Query) Validate() error {
	var faults []error
	if q.State != "" && !q.State.known() {
		faults = append(faults, fmt.Errorf("Query.State %q: must be empty, %q, %q or %q", q.State, StateOpen, StateRedriving, StateResolved))
	}
	if q.Limit < 0 || q.Limit > MaxLimit {
		faults = append(faults, fmt.Errorf("Query.Limit %d: must be 0 to %d", q.Limit, MaxLimit))
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrInvalidQuery, errors.Join(faults...))
}

// Matches reports whether the query selects the letter. After and Limit play
// no part.
func (q Query) Matches(l *Letter) bool {
	state := l.State
	if state == "" {
		state = StateOpen
	}
	return (q.State == "" || q.State == state) &&
		(q.Topic == "" || q.Topic == l.Topic) &&
		(q.Subscriber == "" || q.Subscriber == l.Subscriber) &&
		(q.Reason == "" || q.Reason == l.Reason) &&
		(q.Fingerprint == "" || q.Fingerprint == l.Fingerprint)
}

func (q Query) limit() int {
	if q.Limit == 0 {
		return DefaultLimit
	}
	return q.Limit
}
