package deadletter

import "time"

// AuditEntry is one thing that somebody did.
type AuditEntry struct {
	// ID and At are set by Record if they are empty: a new ID, and now.
	ID     string    `json:"id"`
	At     time.Time `json:"at"`
	By     string    `json:"by"`
	Action string    `json:"action"` // such as redrive or pause_subscriber
	// Object is what it was done to: a letter, group, operation or subscriber.
	Object    string `json:"object,omitempty"`
	Query     string `json:"query,omitempty"`
	Count     int    `json:"count"`
	Why       string `json:"why,omitempty"`
	Operation string `json:"operation,omitempty"`
	// Error is why it did not succeed.
	Error string `json:"error,omitempty"`
}

// AuditQuery selects audit entries.
type AuditQuery struct {
	By, Action, Object string // equal to the entry's; empty means any
	// From and Until bound At: not before From, before Until. Zero is no bound.
	From, Until time.Time
	// After and Limit are as in Query.
	After string
	Limit int
}

// AuditPage is a part of the audit trail.
type AuditPage struct {
	Entries []AuditEntry `json:"entries"`
	Next    string       `json:"next,omitempty"`
	Total   int          `json:"total"`
}

// Normalize returns the entry as ledgers keep it: with an ID and a time, which is
// in UTC.
func (e AuditEntry) Normalize(now time.Time) AuditEntry {
	if e.At.IsZero() {
		e.At = now
	}
	e.At = utc(e.At)
	if e.ID == "" {
		e.ID = NewID(e.At)
	}
	return e
}

// Validate reports every rule that the query breaks, as one error that wraps
// ErrInvalidQuery, or nil.
func (q AuditQuery) Validate() error {
	return invalidQuery(limitFault("AuditQuery.Limit", q.Limit))
}

// Matches reports whether the query selects the entry. After and Limit play no
// part.
func (q AuditQuery) Matches(e *AuditEntry) bool {
	return (q.By == "" || q.By == e.By) &&
		(q.Action == "" || q.Action == e.Action) &&
		(q.Object == "" || q.Object == e.Object) &&
		(q.From.IsZero() || !e.At.Before(q.From)) &&
		(q.Until.IsZero() || e.At.Before(q.Until))
}
