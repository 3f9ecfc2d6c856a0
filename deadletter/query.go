package deadletter

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/deadletter/search"
)

// The number of letters on a page, and the time for one.
const (
	// DefaultLimit applies if a query names no limit.
	DefaultLimit = 50
	// MaxLimit is the largest a query may ask for.
	MaxLimit = 1000
	// DefaultWithin is how long a query that is Quick looks for letters if it says
	// nothing else.
	DefaultWithin = 2 * time.Millisecond
)

// ErrInvalidQuery is returned by List for a query that breaks a rule of
// [Query.Validate].
var ErrInvalidQuery = errors.New("deadletter: invalid query")

// Query selects letters. Each field that is set must be equal to the letter's,
// byte for byte; there are no wildcards but in Where. The zero Query selects all
// that are not deleted.
type Query struct {
	// Topic, Subscriber, Reason and Fingerprint select by the letter's fields
	// of the same name. Empty means any.
	Topic       string
	Subscriber  string
	Reason      string
	Fingerprint string
	// State selects by state. Zero means any but deleted, unless Where asks for
	// those: see [Query.SelectsDeleted].
	State State
	// Where selects in the query language. The zero Expr selects all.
	Where search.Expr
	// Now is what Where is relative to where it speaks of ages. Zero means the
	// time of the call; who reads several pages sets it, so that all are as of
	// one moment.
	Now time.Time
	// After continues behind the page whose Next it is. The letter it was
	// taken from need not exist any more. Empty starts with the newest.
	After string
	// Limit is the largest number of letters to return, at most MaxLimit.
	// Zero means DefaultLimit.
	Limit int
	// Quick answers at once. It does not wait for a total that takes longer than the
	// page: Page.Total may then be of what is known, and Page.Partial says so. Nor
	// does it wait for letters that are rare: a page may have fewer than Limit, or
	// none, and yet a Next, with which the same query looks on; Page.Searched says
	// how far it has come. The same query without Quick looks at all and counts all.
	Quick bool
	// Within is about how long a query that is Quick looks for letters. Zero means
	// DefaultWithin; others it does not concern. At least some letters are looked at,
	// so that page after page comes to an end.
	Within time.Duration
}

// Page is a part of the letters that a query selects.
type Page struct {
	// Letters are in descending order of their IDs, newest first.
	Letters []Letter `json:"letters"`
	// Next is the After of the next page, and empty on the last. It is not always the
	// ID of a letter.
	Next string `json:"next,omitempty"`
	// Total is how many letters the query selects on all its pages, counted
	// when this page was read.
	Total int `json:"total"`
	// Partial says that there are at least Total: those of this page, and one more
	// if the page is full and there is a next. Only a query that is Quick gets such a
	// page.
	Partial bool `json:"partial,omitempty"`
	// Searched is set if a query that is Quick has ended before its page was full: the
	// part of the store, from the newest letter to the oldest, that this page and
	// those before it have looked at. It is more than 0 and less than 1, and a guess
	// from the place reached. The page has a Next.
	Searched float64 `json:"searched,omitempty"`
}

// Validate reports every rule that the query breaks, as one error that wraps
// ErrInvalidQuery, or nil. Stores call it first.
func (q Query) Validate() error {
	var faults []error
	if q.State != "" && !q.State.known() {
		faults = append(faults, fmt.Errorf("Query.State %q: must be empty, %s", q.State, knownStates))
	}
	if err := q.Where.Validate(); err != nil {
		faults = append(faults, fmt.Errorf("Query.Where: %w", err))
	}
	faults = append(faults, limitFault("Query.Limit", q.Limit))
	if q.Within < 0 {
		faults = append(faults, fmt.Errorf("Query.Within %v: must not be negative", q.Within))
	}
	return invalidQuery(faults...)
}

// AsOf returns the query with what Where says relative to the present fixed: as of
// q.Now, or of now if that is zero. Stores call it first.
func (q Query) AsOf(now time.Time) Query {
	if q.Now.IsZero() {
		q.Now = now
	}
	q.Now = utc(q.Now)
	q.Where = q.Where.AsOf(q.Now)
	return q
}

// SelectsDeleted reports whether the query may select tombstones: if State is
// StateDeleted, or if State is empty and Where has a term state: that a deleted
// letter fulfills, and that is not negated.
func (q Query) SelectsDeleted() bool {
	return q.State == StateDeleted || q.State == "" && asksFor(q.Where.Root, StateDeleted)
}

// Matches reports whether the query selects the letter. After and Limit play
// no part. For many letters, [Query.Matcher] is faster.
func (q Query) Matches(l *Letter) bool {
	if q.Where.Root == nil {
		return q.matchesFields(l, q.State == StateDeleted)
	}
	return q.Matcher()(l)
}

// Matcher returns a function that does what Matches does, with everything
// prepared that does not depend on the letter; ages are as of q.Now, or of this
// call. The function is safe for concurrent use.
func (q Query) Matcher() func(*Letter) bool {
	deleted := q.SelectsDeleted()
	if q.Where.Root == nil {
		return func(l *Letter) bool { return q.matchesFields(l, deleted) }
	}
	q = q.AsOf(time.Now())
	where := compile(q.Where.Root)
	return func(l *Letter) bool {
		return q.matchesFields(l, deleted) && where.matches(&subject{Letter: l})
	}
}

func (q *Query) matchesFields(l *Letter, deleted bool) bool {
	state := l.state()
	return (deleted || state != StateDeleted) &&
		(q.State == "" || q.State == state) &&
		(q.Topic == "" || q.Topic == l.Topic) &&
		(q.Subscriber == "" || q.Subscriber == l.Subscriber) &&
		(q.Reason == "" || q.Reason == l.Reason) &&
		(q.Fingerprint == "" || q.Fingerprint == l.Fingerprint)
}
