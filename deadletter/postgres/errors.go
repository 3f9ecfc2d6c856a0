package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/troupe-go/troupe/deadletter"
)

// The errors of the database, beside those of package deadletter.
var (
	// ErrUnavailable is that the server cannot be reached, has ended the connection or
	// has no room for another: the same call may succeed later. A change may have been
	// made all the same, when the connection was lost at its end; Add and Record may be
	// repeated without harm.
	ErrUnavailable = errors.New("postgres: unavailable")
	// ErrUnauthorized is that the server does not let us: a wrong password, or a right
	// that the user does not have.
	ErrUnauthorized = errors.New("postgres: unauthorized")
	// ErrReadOnly is that the store, or the server, takes no changes.
	ErrReadOnly = errors.New("postgres: read only")
	// ErrFull is that the server has no room on its disk, or in its memory.
	ErrFull = errors.New("postgres: full")
	// ErrNotMade is that a schema that is to be read only is not there, or older.
	ErrNotMade = errors.New("postgres: the store is not made")
	// ErrNewer is that a newer version of this package has made the schema.
	ErrNewer = errors.New("postgres: the store is of a newer version")
)

// Error is what went wrong with the database, and what to do about it.
type Error struct {
	// Where is the server and the database, without the password.
	Where string
	// Fix is what can be done, if that is known.
	Fix string
	// Err wraps one of the errors above where it is of their kind.
	Err error
}

// Error names the database, the fault and the fix.
func (e *Error) Error() string {
	if e.Fix == "" {
		return fmt.Sprintf("postgres: %s: %v", e.Where, e.Err)
	}
	return fmt.Sprintf("postgres: %s: %v: %s", e.Where, e.Err, e.Fix)
}

// Unwrap returns what went wrong.
func (e *Error) Unwrap() error { return e.Err }

// fault makes an error of the database one of ours. Those of package deadletter, and
// the end of a context, stay as they are.
func (s *Store) fault(err error) error {
	if err == nil || ours(err) {
		return err
	}
	if s.closed.Load() {
		return deadletter.ErrClosed
	}
	fix, kind := kindOf(err)
	if kind != nil && !errors.Is(err, kind) {
		err = fmt.Errorf("%w: %w", kind, err)
	}
	return &Error{Where: s.where, Fix: fix, Err: err}
}

func ours(err error) bool {
	var e *Error
	var l *deadletter.LetterError
	var c *callersError
	if errors.As(err, &e) || errors.As(err, &l) || errors.As(err, &c) {
		return true
	}
	for _, known := range []error{
		deadletter.ErrNotFound, deadletter.ErrClosed, deadletter.ErrInvalidQuery, deadletter.ErrInvalidOperation,
		deadletter.ErrOperationExists, deadletter.ErrAccount, deadletter.ErrInvalidLetter,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	return false
}

// callersError is what a function of the caller has returned.
type callersError struct{ error }

func (e *callersError) Unwrap() error { return e.error }

func kindOf(err error) (fix string, kind error) {
	var pe *pgconn.PgError
	var ne net.Error
	switch {
	case errors.Is(err, ErrNewer):
		return "use the version of the program that made it, or a newer one", ErrNewer
	case errors.Is(err, ErrNotMade):
		return "open it once without ReadOnly, on the primary", ErrNotMade
	case errors.As(err, &pe):
		return kindOfCode(pe.Code)
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "", nil
	case errors.As(err, &ne), pgconn.Timeout(err), pgconn.SafeToRetry(err), errors.Is(err, net.ErrClosed), errors.Is(err, io.EOF),
		errors.Is(err, io.ErrUnexpectedEOF), strings.Contains(err.Error(), "conn closed"):
		return "see that the server runs and can be reached", ErrUnavailable
	}
	return "", nil
}

// kindOfCode reads an SQLSTATE. Source: appendix A of PostgreSQL's manual.
func kindOfCode(code string) (fix string, kind error) {
	switch {
	case strings.HasPrefix(code, "28"):
		return "see the user's password and pg_hba.conf", ErrUnauthorized
	case code == "42501":
		return "grant the user what it needs on the schema, or make the store as one who may", ErrUnauthorized
	case code == "3D000":
		return "make the database", ErrUnavailable
	case code == "25006":
		return "name the primary, or set Config.ReadOnly", ErrReadOnly
	case code == "53100", code == "53200", strings.HasPrefix(code, "54"):
		return "make room on the server", ErrFull
	case code == "53300":
		return "raise max_connections, or lower Config.Conns", ErrUnavailable
	case strings.HasPrefix(code, "08"), strings.HasPrefix(code, "57P"), code == "40001", code == "40P01":
		return "", ErrUnavailable
	}
	return "", nil
}

// again reports whether a transaction was undone for the sake of another.
func again(err error) bool {
	var pe *pgconn.PgError
	return errors.As(err, &pe) && (pe.Code == "40001" || pe.Code == "40P01")
}

func notFound(what string) error { return fmt.Errorf("%w: %q", deadletter.ErrNotFound, what) }

func noRows(err error) bool { return errors.Is(err, pgx.ErrNoRows) }
