package deadletter

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// ErrNotClosed is returned by Restore for a letter that nobody has closed.
var ErrNotClosed = errors.New("deadletter: letter is not closed")

// StateError is returned by the methods that change a letter's state, which have
// then changed nothing. It wraps ErrNotOpen, ErrNotRedriving or ErrNotClosed.
type StateError struct {
	ID    string
	State State // the letter's
	Err   error
}

// Error names the fault and the state.
func (e *StateError) Error() string { return fmt.Sprintf("%v: it is %s", e.Err, e.State) }

// Unwrap returns which state was needed.
func (e *StateError) Unwrap() error { return e.Err }

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
	// PurgeAt is when a deleted letter is gone for good. Zero is never.
	PurgeAt time.Time `json:"purge_at,omitzero"`
	// Before is the closing that this one came on top of, as of a resolved letter
	// that was archived. A restore goes back to it.
	Before *Closing `json:"before,omitempty"`
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

// maxClosings is one more than the closings that can come on top of each other:
// resolved, archived, deleted.
const maxClosings = 4

// Resolve closes an open letter whose event has been dealt with in another way
// than by a redrive. c.As is ClosedByEdit, ClosedByFix or ClosedByHand, which is
// what an empty one means. It returns a *StateError that wraps ErrNotOpen for a
// letter that is not open.
func (l *Letter) Resolve(c Closing) error {
	switch c.As {
	case "":
		c.As = ClosedByHand
	case ClosedByEdit, ClosedByFix, ClosedByHand:
	default:
		return fmt.Errorf("deadletter: Closing.As %q: must be empty, %q, %q or %q", c.As, ClosedByHand, ClosedByEdit, ClosedByFix)
	}
	return l.close(StateResolved, c, StateOpen)
}

// Archive puts an open or resolved letter aside for good: it is kept, and counts
// neither as open nor as resolved. It returns a *StateError that wraps ErrNotOpen
// for a letter in any other state.
func (l *Letter) Archive(c Closing) error {
	c.As = ClosedAsArchive
	return l.close(StateArchived, c, StateOpen, StateResolved)
}

// Delete makes a tombstone of an open, resolved or archived letter, which can be
// restored until c.PurgeAt. It returns a *StateError that wraps ErrNotOpen for a
// letter that is being redriven or is deleted already. Stores let go of the
// letter when PurgeAt has come.
func (l *Letter) Delete(c Closing) error {
	c.As = ClosedAsDeleted
	return l.close(StateDeleted, c, StateOpen, StateResolved, StateArchived)
}

func (l *Letter) close(to State, c Closing, from ...State) error {
	was := l.state()
	if !slices.Contains(from, was) {
		return &StateError{ID: l.ID, State: was, Err: ErrNotOpen}
	}
	if c.As != ClosedAsDeleted {
		c.PurgeAt = time.Time{}
	}
	c.Was, c.Before = was, l.Closed
	l.State, l.Closed = to, &c
	return nil
}

// Restore undoes the latest closing: a deleted or archived letter goes back to
// the state it was in, a resolved one is open again. A snooze that has not ended
// holds again. It returns a *StateError that wraps ErrNotClosed for a letter that
// is open or being redriven.
func (l *Letter) Restore() error {
	switch s := l.state(); s {
	case StateResolved, StateArchived, StateDeleted:
	default:
		return &StateError{ID: l.ID, State: s, Err: ErrNotClosed}
	}
	l.State = StateOpen
	if c := l.Closed; c != nil {
		if c.Was != "" {
			l.State = c.Was
		}
		l.Closed = c.Before
	}
	return nil
}

// Snooze hides an open letter from those who look for what is to be done, until
// that time. Zero, or any time that has passed, ends it. It returns a *StateError
// that wraps ErrNotOpen for a letter that is not open. A redrive ends it, too.
func (l *Letter) Snooze(until time.Time) error {
	if s := l.state(); s != StateOpen {
		return &StateError{ID: l.ID, State: s, Err: ErrNotOpen}
	}
	l.SnoozedUntil = until
	return nil
}

// Snoozed reports whether the letter is open and snoozed at that time.
func (l *Letter) Snoozed(now time.Time) bool {
	return l.state() == StateOpen && l.SnoozedUntil.After(now)
}

// ResolvedAt returns when the letter was resolved, also if it has been archived
// or deleted since. It is zero for a letter that was not.
func (l *Letter) ResolvedAt() time.Time {
	if s := l.state(); s == StateOpen || s == StateRedriving {
		return time.Time{}
	}
	for c, n := l.Closed, 0; c != nil && n < maxClosings; c, n = c.Before, n+1 {
		if c.As != ClosedAsArchive && c.As != ClosedAsDeleted {
			return c.At
		}
	}
	return time.Time{}
}

// state is State with what empty means.
func (l *Letter) state() State {
	if l.State == "" {
		return StateOpen
	}
	return l.State
}

// clone returns a deep copy, of no more closings than there can be: a letter from
// elsewhere may lead in a circle.
func (c *Closing) clone(normal func(*Closing)) *Closing {
	var first *Closing
	for at, n := &first, 0; c != nil && n < maxClosings; c, n = c.Before, n+1 {
		one := *c
		one.Before = nil
		if normal != nil {
			normal(&one)
		}
		*at, at = &one, &one.Before
	}
	return first
}

// validate reports every fault of the closings.
func (c *Closing) validate() (faults []error) {
	for n := 0; c != nil; c, n = c.Before, n+1 {
		if n == maxClosings-1 {
			return append(faults, fmt.Errorf("Letter.Closed: %d closings on top of each other, must be at most %d", n+1, maxClosings-1))
		}
		switch c.Was {
		case "", StateOpen, StateResolved, StateArchived:
		default:
			faults = append(faults, fmt.Errorf("Letter.Closed.Was %q: must be empty, %q, %q or %q", c.Was, StateOpen, StateResolved, StateArchived))
		}
	}
	return faults
}

func (c *Closing) size() (n int) {
	for i := 0; c != nil && i < maxClosings; c, i = c.Before, i+1 {
		n += closingOverhead + len(c.As) + len(c.By) + len(c.Why) + len(c.Operation) + len(c.EventID) + len(c.Was)
	}
	return n
}
