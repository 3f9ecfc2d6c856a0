package deadletter

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

var (
	// ErrInvalidOperation is returned for an operation or an item that no ledger
	// accepts. Nothing has been changed.
	ErrInvalidOperation = errors.New("deadletter: invalid operation")
	// ErrOperationExists is returned by AddOperation for an ID that is taken.
	ErrOperationExists = errors.New("deadletter: operation exists")
)

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
	// Member is the runtime that does it, in a [Fleet].
	Member string `json:"member,omitempty"`
	// Query is how the letters were chosen, for people.
	Query     string    `json:"query,omitempty"`
	CreatedAt time.Time `json:"created_at"`
	EndedAt   time.Time `json:"ended_at,omitzero"`
	// Stopped says why the operation stopped.
	Stopped string `json:"stopped,omitempty"`
	// Plan is the kind's own, as JSON.
	Plan []byte `json:"plan,omitempty"`
	// Items counts the items by state; a state without items is not in it.
	Items map[ItemState]int `json:"items"`
	Total int               `json:"total"`
}

// ItemState says what an operation has done with one letter.
type ItemState string

// The states of an item.
const (
	ItemPending ItemState = "pending"
	ItemIssued  ItemState = "issued"   // given to the subscriber, without an outcome yet
	ItemDone    ItemState = "done"     // as it should be
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
	// After and Limit are as in Query.
	After string
	Limit int
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

// Ended reports whether an operation in this state will never go on.
func (s OperationState) Ended() bool { return s == OperationDone || s == OperationCancelled }

func (s OperationState) known() bool {
	switch s {
	case OperationRunning, OperationPaused, OperationStopped, OperationDone, OperationCancelled:
		return true
	}
	return false
}

func (s ItemState) known() bool {
	switch s {
	case ItemPending, ItemIssued, ItemDone, ItemFailed, ItemLeft, ItemInDoubt:
		return true
	}
	return false
}

// Clone returns a deep copy.
func (op Operation) Clone() Operation {
	op.Plan = slices.Clone(op.Plan)
	op.Items = maps.Clone(op.Items)
	return op
}

// Normalize returns a deep copy in the form in which ledgers keep operations: an
// empty state is running, times are in UTC, and there are no counts. Ledgers call
// it; other code rarely needs to.
func (op Operation) Normalize() Operation {
	op.Items, op.Total = nil, 0
	op = op.Clone()
	if op.State == "" {
		op.State = OperationRunning
	}
	op.CreatedAt, op.EndedAt = utc(op.CreatedAt), utc(op.EndedAt)
	return op
}

// Validate reports every reason for which ledgers refuse the operation, as one
// error that wraps ErrInvalidOperation, or nil.
func (op Operation) Validate() error {
	var faults []error
	if op.ID == "" {
		faults = append(faults, errors.New(`Operation.ID "": must not be empty`))
	}
	if op.State != "" && !op.State.known() {
		faults = append(faults, fmt.Errorf("Operation.State %q: must be empty or one of the Operation constants", op.State))
	}
	return invalidOperation(faults...)
}

// Normalize returns the item with times in UTC, as ledgers keep it.
func (it Item) Normalize() Item {
	it.IssuedAt, it.EndedAt = utc(it.IssuedAt), utc(it.EndedAt)
	return it
}

// Validate reports every reason for which ledgers refuse the item in place of the
// one that is at its position, as one error that wraps ErrInvalidOperation, or
// nil.
func (it Item) Validate(stored Item) error {
	var faults []error
	if it.Letter != stored.Letter {
		faults = append(faults, fmt.Errorf("Item.Letter %q: must be %q, which position %d has", it.Letter, stored.Letter, it.Position))
	}
	if !it.State.known() {
		faults = append(faults, fmt.Errorf("Item.State %q: must be one of the Item constants", it.State))
	}
	return invalidOperation(faults...)
}

func invalidOperation(faults ...error) error {
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalidOperation, err)
	}
	return nil
}

// Validate reports every rule that the query breaks, as one error that wraps
// ErrInvalidQuery, or nil.
func (q OperationQuery) Validate() error {
	faults := []error{limitFault("OperationQuery.Limit", q.Limit)}
	for _, s := range q.States {
		if !s.known() {
			faults = append(faults, fmt.Errorf("OperationQuery.States %q: must be of the Operation constants", s))
		}
	}
	return invalidQuery(faults...)
}

// Matches reports whether the query selects the operation. After and Limit play
// no part.
func (q OperationQuery) Matches(op *Operation) bool {
	return len(q.States) == 0 || slices.Contains(q.States, op.State)
}

// Validate reports every rule that the query breaks, as one error that wraps
// ErrInvalidQuery, or nil.
func (q ItemQuery) Validate() error {
	faults := []error{limitFault("ItemQuery.Limit", q.Limit)}
	if q.After < -1 {
		faults = append(faults, fmt.Errorf("ItemQuery.After %d: must be -1 or a position", q.After))
	}
	for _, s := range q.States {
		if !s.known() {
			faults = append(faults, fmt.Errorf("ItemQuery.States %q: must be of the Item constants", s))
		}
	}
	return invalidQuery(faults...)
}

// Matches reports whether the query selects the item. After and Limit play no
// part.
func (q ItemQuery) Matches(it *Item) bool {
	return len(q.States) == 0 || slices.Contains(q.States, it.State)
}
