package deadletter

import (
	"context"
	"time"

	"github.com/troupe-go/troupe/deadletter/search"
)

// Ledger is a [Store] with what operations stand on: groups of letters that
// failed in the same way, changes of many letters at once, operations that
// survive the process, a record of who did what, and an account of every letter
// that was ever added. Memory and the store of package sqlite are ledgers.
//
// What holds for the methods of Store holds for these.
type Ledger interface {
	Store

	// Change calls fn once with each of the letters, in the order of ids, and
	// stores what fn makes of them, in few large steps: a failure of the store
	// leaves a prefix of ids changed. A letter that is not there, or for which fn
	// returns an error or which is no longer valid, is left as it is. The result
	// has one error per id, nil for those that changed; ErrNotFound for those
	// that are not there.
	Change(ctx context.Context, ids []string, fn func(*Letter) error) ([]error, error)

	// IDs returns the IDs of all letters that q selects, oldest first, as of one
	// moment. q.After and q.Limit play no part.
	IDs(ctx context.Context, q Query) ([]string, error)

	// Groups returns a page of the groups that have letters q.Letters selects, the
	// one with the latest failure first. Counts are of all letters of the group.
	Groups(ctx context.Context, q GroupQuery) (GroupPage, error)
	// Group returns the group, or ErrNotFound.
	Group(ctx context.Context, fingerprint string) (Group, error)
	// UpdateGroup changes what people say of a group: its GroupRecord. It
	// returns ErrNotFound for a group that never had a letter.
	UpdateGroup(ctx context.Context, fingerprint string, fn func(*GroupRecord) error) error

	// Timeline counts, in equal spans of time, the letters that q selects by when
	// they last failed, and by when they were resolved.
	Timeline(ctx context.Context, q Query, from, until time.Time, spans int) ([]Span, error)
	// Account returns what has become of all letters.
	Account(ctx context.Context) (Account, error)

	// AddOperation stores an operation with its items, pending, in the order of
	// ids: all or nothing. The set never changes again.
	AddOperation(ctx context.Context, op Operation, ids []string) error
	// Operation returns the operation with the counts of its items, or
	// ErrNotFound.
	Operation(ctx context.Context, id string) (Operation, error)
	// Operations returns a page of operations, newest first.
	Operations(ctx context.Context, q OperationQuery) (OperationPage, error)
	// UpdateOperation is to operations what Update is to letters. Item counts are
	// not stored with it.
	UpdateOperation(ctx context.Context, id string, fn func(*Operation) error) error
	// Items returns a page of the operation's items, in their order.
	Items(ctx context.Context, q ItemQuery) (ItemPage, error)
	// UpdateItems replaces the items of those positions, in one step.
	UpdateItems(ctx context.Context, operation string, items []Item) error

	// Record appends to the audit trail, and Audit returns a page of it, newest
	// first. Nothing changes or removes an entry.
	Record(ctx context.Context, e AuditEntry) error
	Audit(ctx context.Context, q AuditQuery) (AuditPage, error)
}

// Closing says who took a letter off the list of what is open, and how to put
// it back.
type Closing struct {
	// As is one of the Closed constants.
	As string `json:"as"`
	// By, At and Why are who did it, when, and for what reason.
	By  string    `json:"by,omitempty"`
	At  time.Time `json:"at,omitzero"`
	Why string    `json:"why,omitempty"`
	// Operation did it, if not empty.
	Operation string `json:"operation,omitempty"`
	// EventID is the event that took the place of this one, if it was edited or
	// fixed.
	EventID string `json:"event_id,omitempty"`
	// Was is the state before, which a restore goes back to.
	Was State `json:"was,omitempty"`
	// PurgeAt is when a deleted letter is gone for good.
	PurgeAt time.Time `json:"purge_at,omitzero"`
}

// What a letter was closed as.
const (
	ClosedByRedrive = "redriven" // its handler succeeded, or skipped it
	ClosedByEdit    = "edited"   // another event was sent in its place
	ClosedByFix     = "fixed"    // the same, made by a registered function
	ClosedByHand    = "by_hand"  // somebody said so
	ClosedAsArchive = "archived"
	ClosedAsDeleted = "deleted"
)

// Group is what is known of the letters with one fingerprint.
type Group struct {
	GroupRecord
	Fingerprint string `json:"fingerprint"`
	// State follows from the times, see [Group.state].
	State GroupState `json:"state"`
	// The fields of the newest letter, and its ID.
	Subscriber string   `json:"subscriber"`
	Reason     string   `json:"reason"`
	Cause      string   `json:"cause,omitempty"`
	Error      string   `json:"error,omitempty"`
	ErrorTypes []string `json:"error_types,omitempty"`
	Sample     string   `json:"sample"`
	// Topics are those of its letters, up to ten.
	Topics []string `json:"topics"`
	// Counts are of letters by state, Snoozed of the open ones that are.
	Counts  map[State]int `json:"counts"`
	Snoozed int           `json:"snoozed,omitempty"`
	// FirstSeen and LastSeen are of failures, of letters that are gone, too.
	FirstSeen time.Time `json:"first_seen"`
	LastSeen  time.Time `json:"last_seen"`
	// RedrivenAt is when the latest redrive of one of its letters began.
	RedrivenAt time.Time `json:"redriven_at,omitzero"`
	// Spark counts failures in equal spans, oldest first, if the query asked.
	Spark []int `json:"spark,omitempty"`
}

// GroupRecord is what people say of a group.
type GroupRecord struct {
	Note           string    `json:"note,omitempty"`
	Owner          string    `json:"owner,omitempty"`
	AcknowledgedAt time.Time `json:"acknowledged_at,omitzero"`
	AcknowledgedBy string    `json:"acknowledged_by,omitempty"`
}

// GroupState says whether a person has to look at a group.
type GroupState string

// The states of a group.
const (
	// GroupNew: nobody has looked at it.
	GroupNew GroupState = "new"
	// GroupAcknowledged: somebody knows of it.
	GroupAcknowledged GroupState = "acknowledged"
	// GroupRegressed: it failed again after a redrive, and nobody has
	// acknowledged it since that redrive.
	GroupRegressed GroupState = "regressed"
)

// StateOf derives the state of a group from its times.
func (g *Group) StateOf() GroupState {
	switch {
	case !g.RedrivenAt.IsZero() && g.LastSeen.After(g.RedrivenAt) && !g.AcknowledgedAt.After(g.RedrivenAt):
		return GroupRegressed
	case !g.AcknowledgedAt.IsZero():
		return GroupAcknowledged
	}
	return GroupNew
}

// GroupQuery selects groups.
type GroupQuery struct {
	// Letters selects the letters whose groups are wanted. Its After and Limit
	// play no part.
	Letters Query
	// State selects groups by state. Zero means any.
	State GroupState
	// Spark asks for that many spans of Group.Spark, which cover SparkSince
	// until now.
	Spark      int
	SparkSince time.Time
	After      string
	Limit      int // as in Query
}

// GroupPage is a part of the groups that a query selects.
type GroupPage struct {
	Groups []Group `json:"groups"`
	Next   string  `json:"next,omitempty"`
	Total  int     `json:"total"`
}

// Span counts what happened in a span of time.
type Span struct {
	From     time.Time `json:"from"`
	Failed   int       `json:"failed"`
	Resolved int       `json:"resolved"`
}

// Account says what has become of every letter that was added, since the ledger
// was made. At every moment
//
//	Added = Open + Redriving + Resolved + Archived + Deleted + Expired + Dropped
type Account struct {
	Added int64 `json:"added"`
	// In the store now, by state. Deleted counts also those that are gone.
	Open      int64 `json:"open"`
	Redriving int64 `json:"redriving"`
	Resolved  int64 `json:"resolved"`
	Archived  int64 `json:"archived"`
	Deleted   int64 `json:"deleted"`
	// Expired letters were older than retention keeps them. Dropped ones had to
	// make room.
	Expired int64 `json:"expired"`
	Dropped int64 `json:"dropped"`
	// Bytes is what the letters take, and Oldest when the oldest that is open
	// first failed.
	Bytes  int64     `json:"bytes"`
	Oldest time.Time `json:"oldest,omitzero"`
	// Fill is the fullest of the store's limits, from 0 to 1.
	Fill float64 `json:"fill"`
}

// Check returns an error that names the difference if the account does not add
// up.
func (a Account) Check() error { return nil }

// OperationState says whether an operation goes on.
type OperationState string

// The states of an operation.
const (
	OperationRunning   OperationState = "running"
	OperationPaused    OperationState = "paused"    // by a person
	OperationStopped   OperationState = "stopped"   // by itself: too many failed. It may be resumed.
	OperationDone      OperationState = "done"      // every item has its end
	OperationCancelled OperationState = "cancelled" // by a person; what was pending is left alone
)

// Operation is a change of many letters that goes on until its end, whatever
// becomes of the process.
type Operation struct {
	ID    string         `json:"id"`
	Kind  string         `json:"kind"` // redrive, archive, restore, delete, snooze, resolve
	State OperationState `json:"state"`
	By    string         `json:"by,omitempty"`
	Why   string         `json:"why,omitempty"`
	Node  string         `json:"node,omitempty"`
	// Query is how the letters were chosen, for people.
	Query     string    `json:"query,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	// Stopped says why the operation stopped.
	Stopped string `json:"stopped,omitempty"`
	// Plan is the kind's own, as JSON.
	Plan []byte `json:"plan,omitempty"`
	// Items counts the items by state.
	Items map[ItemState]int `json:"items"`
	Total int               `json:"total"`
}

// ItemState says what an operation has done with one letter.
type ItemState string

// The states of an item.
const (
	ItemPending ItemState = "pending"
	ItemIssued  ItemState = "issued"   // given to the subscriber, without an outcome yet
	ItemDone    ItemState = "done"     //
	ItemFailed  ItemState = "failed"   // the event failed again
	ItemLeft    ItemState = "left"     // not possible, as Error says
	ItemInDoubt ItemState = "in_doubt" // the process ended while it was issued
)

// Item is one letter of an operation.
type Item struct {
	Position int       `json:"position"` // from 0
	Letter   string    `json:"letter"`
	State    ItemState `json:"state"`
	Error    string    `json:"error,omitempty"`
	IssuedAt time.Time `json:"issued_at,omitzero"`
	EndedAt  time.Time `json:"ended_at,omitzero"`
}

// OperationQuery selects operations.
type OperationQuery struct {
	States []OperationState // none means any
	After  string
	Limit  int // as in Query
}

// OperationPage is a part of the operations.
type OperationPage struct {
	Operations []Operation `json:"operations"`
	Next       string      `json:"next,omitempty"`
	Total      int         `json:"total"`
}

// ItemQuery selects items of an operation.
type ItemQuery struct {
	Operation string
	States    []ItemState // none means any
	// After is a position; -1 begins with the first. The zero value begins
	// with the second, so a program sets it.
	After int
	Limit int // as in Query
}

// ItemPage is a part of an operation's items. Next is -1 on the last page.
type ItemPage struct {
	Items []Item `json:"items"`
	Next  int    `json:"next"`
	Total int    `json:"total"`
}

// AuditEntry is one thing that somebody did.
type AuditEntry struct {
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
	From, Until        time.Time
	After              string
	Limit              int // as in Query
}

// AuditPage is a part of the audit trail.
type AuditPage struct {
	Entries []AuditEntry `json:"entries"`
	Next    string       `json:"next,omitempty"`
	Total   int          `json:"total"`
}

var _ search.Expr
