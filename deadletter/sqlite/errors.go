package sqlite

import (
	"context"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/troupe-go/troupe/deadletter"
)

// The errors of a store beside those of package deadletter. They come wrapped in
// an *Error that names the file and what to do. None of them leaves anything
// half-written, and a call may succeed once the cause is gone.
var (
	// ErrInUse: another process, or another Open in this one, writes the file.
	ErrInUse = errors.New("sqlite: the store is in use by another writer")
	// ErrReadOnly: the file, its directory or the Store cannot be written to.
	ErrReadOnly = errors.New("sqlite: the store is read-only")
	// ErrFull: there is no room, on the disk or up to the limit of the file.
	ErrFull = errors.New("sqlite: no room to write")
	// ErrCorrupt: the file is damaged, or has never been a database.
	ErrCorrupt = errors.New("sqlite: the file is damaged")
	// ErrForeign: the file is a database of something else.
	ErrForeign = errors.New("sqlite: the file is not a store of dead letters")
	// ErrNewer: a newer version of this package has written the file.
	ErrNewer = errors.New("sqlite: the store is of a newer version")
	// ErrMissing: the file has been deleted, or another one is in its place.
	ErrMissing = errors.New("sqlite: the file is not there any more")
	// ErrIO: the disk failed.
	ErrIO = errors.New("sqlite: the disk failed")
)

const corruptFix = "stop the program, move the file and those beside it away, and start with a new one; " +
	"`sqlite3 old.db .recover | sqlite3 new.db` saves what can be read, and an export can be imported"

// Error is a failure of the file.
type Error struct {
	// Path is the file.
	Path string
	// Fix is what a person can do about it. It may be empty.
	Fix string
	// Err is one of the errors of this package, if it could be told, with the
	// words of the engine.
	Err error
}

// Error names the failure, the file and the fix.
func (e *Error) Error() string {
	s := fmt.Sprintf("%v (%s)", e.Err, e.Path)
	if e.Fix != "" {
		s += ": " + e.Fix
	}
	return s
}

// Unwrap returns what happened.
func (e *Error) Unwrap() error { return e.Err }

// fault makes an *Error of what the engine says. Errors of contexts and of
// package deadletter stay as they are.
func fault(path string, err error) error {
	var known *Error
	var letter *deadletter.LetterError
	switch {
	case err == nil, errors.As(err, &known), errors.As(err, &letter),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, deadletter.ErrClosed), errors.Is(err, deadletter.ErrNotFound),
		errors.Is(err, deadletter.ErrInvalidQuery), errors.Is(err, errNotDone), errors.Is(err, deadletter.ErrAccount),
		errors.Is(err, deadletter.ErrInvalidOperation), errors.Is(err, deadletter.ErrOperationExists):
		return err
	}
	var from *sqlite.Error
	if !errors.As(err, &from) {
		return &Error{Path: path, Err: fmt.Errorf("sqlite: %w", err)}
	}
	wrap := func(as error, fix string) error {
		return &Error{Path: path, Fix: fix, Err: fmt.Errorf("%w: %w", as, err)}
	}
	switch from.Code() & 0xff {
	case sqlite3.SQLITE_FULL:
		return wrap(ErrFull, "make room on the disk; it goes on by itself")
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM:
		return wrap(ErrReadOnly, "give this process the right to write to the file, to those beside it with -wal and -shm added to its name, and to its directory")
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return wrap(ErrCorrupt, corruptFix)
	case sqlite3.SQLITE_CANTOPEN:
		return wrap(ErrMissing, "make its directory, or give this process the right to it")
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED:
		return wrap(ErrInUse, "another program holds a transaction open on the file; end it")
	case sqlite3.SQLITE_IOERR:
		return wrap(ErrIO, "look at the disk and the log of the system")
	}
	return wrap(errors.New("sqlite"), "")
}

// ofFile reports whether the failure is of the file rather than of what was asked
// or of the room.
func ofFile(err error) bool {
	var from *sqlite.Error
	if !errors.As(err, &from) {
		return false
	}
	switch from.Code() & 0xff {
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return true
	}
	return false
}
