package eventstore

import (
	"errors"
	"fmt"
)

var (
	// ErrConflict is in a *ConflictError and a *CheckpointError.
	ErrConflict = errors.New("eventstore: conflict")
	// ErrInvalid is that the arguments of a call can not be right.
	ErrInvalid = errors.New("eventstore: invalid")
	// ErrUnknownType is returned for an event whose type the schema does not have.
	ErrUnknownType = errors.New("eventstore: unknown type")
	// ErrUnknownVersion is returned for an event that a newer program has written than
	// this one.
	ErrUnknownVersion = errors.New("eventstore: unknown version")
)

// ConflictError says that somebody has appended to a stream in the meantime. Read what
// follows Expected, decide again and append again.
type ConflictError struct {
	Stream           Stream
	Expected, Actual Version
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("eventstore: conflict: %s is at version %d, not %d", e.Stream, e.Actual, e.Expected)
}

// Is makes it an [ErrConflict].
func (e *ConflictError) Is(target error) bool { return target == ErrConflict }

// CheckpointError says that somebody else has moved a checkpoint: the projection runs
// twice.
type CheckpointError struct {
	Name             string
	Expected, Actual Position
}

func (e *CheckpointError) Error() string {
	return fmt.Sprintf("eventstore: conflict: the checkpoint of %s is at %q, not %q: another process runs the projection, too", e.Name, e.Actual, e.Expected)
}

// Is makes it an [ErrConflict].
func (e *CheckpointError) Is(target error) bool { return target == ErrConflict }
