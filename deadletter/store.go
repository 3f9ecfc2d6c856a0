package deadletter

import (
	"context"
	"errors"
	"fmt"
)

// The errors of stores. Anything else a store returns means that it could not
// do its work now and may be asked again.
var (
	// ErrNotFound is returned for a letter, group or operation that the store
	// does not hold.
	ErrNotFound = errors.New("deadletter: not found")
	// ErrClosed is returned by every method of a store that has been closed.
	ErrClosed = errors.New("deadletter: store is closed")
	// ErrTooLarge is returned, inside a *LetterError, for a letter that the
	// store could not hold even if it were the only one.
	ErrTooLarge = errors.New("deadletter: letter is too large")
)

// Store keeps dead letters. Implementations are safe for concurrent use and
// pass the conformance suite of package deadlettertest.
//
// Letters go in and come out as copies: neither side ever sees the other's
// later writes. Every method returns ctx's error, and has done nothing, if ctx
// has ended when it is called; one that returns nil has done its work even if
// ctx ended meanwhile.
type Store interface {
	// Add stores the letters: all of them, or none and an error. A letter
	// whose ID is already there, or came earlier in the same call, is left
	// out without an error and changes nothing, so repeating an Add whose
	// answer was lost is safe. If one letter is at fault, and not the store,
	// the error is a *LetterError.
	Add(ctx context.Context, letters []Letter) error

	// Get returns the letter, or ErrNotFound.
	Get(ctx context.Context, id string) (Letter, error)

	// List returns one page of the letters that q selects, or
	// ErrInvalidQuery. The order is descending by the bytes of the ID, which
	// for the IDs of [NewID] is newest first. Reading page after page gives
	// each letter that is there throughout, and matches throughout, exactly
	// once, whatever is added or deleted meanwhile. What q.Where says relative
	// to the present, such as age:>1h, is as of q.Now, or of the call if that is
	// zero.
	List(ctx context.Context, q Query) (Page, error)

	// Update calls fn once with a copy of the letter and stores what fn makes
	// of it, as one step: no other change of that letter comes between. It
	// returns ErrNotFound without calling fn, or if the letter is deleted
	// before fn returns. If fn returns an error, Update returns an error that
	// wraps it; if fn panics, so does Update; and if the letter is no longer
	// valid or has another ID, the error is a *LetterError. In these cases
	// nothing has changed.
	//
	// fn must be quick, must not call the store, and must not keep the
	// pointer.
	Update(ctx context.Context, id string, fn func(*Letter) error) error

	// Delete removes the letters for good, in any state, and returns how many of
	// them were there. What can be undone is [Letter.Delete].
	Delete(ctx context.Context, ids ...string) (int, error)
}

// Checker is a Store that says beforehand what Add would refuse. Memory and the
// store of package sqlite do; others may.
type Checker interface {
	// Check returns nil or what Err of the *LetterError would be.
	Check(l Letter) error
}

// LetterError says which letter of an Add or Update the store refuses, and
// wraps ErrInvalidLetter or ErrTooLarge. Nothing has been stored. The same
// letter will be refused again, the others of the batch may be fine.
type LetterError struct {
	// Index is the letter's place in the batch, 0 for Update.
	Index int
	// ID is the letter's ID, which may be empty.
	ID string
	// Err is what is wrong with it.
	Err error
}

// Error names the fault and the letter.
func (e *LetterError) Error() string {
	return fmt.Sprintf("%v (letter %q at %d)", e.Err, e.ID, e.Index)
}

// Unwrap returns what is wrong with the letter.
func (e *LetterError) Unwrap() error { return e.Err }
