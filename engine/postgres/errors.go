package postgres

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/troupe-go/troupe/engine"
)

// Error is a failure of the database: what was done, what kind of failure it is, and
// what a person can do about it.
type Error struct {
	// Op is what was done, with the topic: "publish orders.placed".
	Op string
	// Kind is one of the errors of package engine.
	Kind error
	// Fix is what to do about it. It may be empty.
	Fix string
	// Err is what pgx has said.
	Err error
}

// Error names the operation, the failure and the fix.
func (e *Error) Error() string {
	s := fmt.Sprintf("postgres: %s: %v: %v", e.Op, e.Kind, e.Err)
	if e.Fix != "" {
		s += ": " + e.Fix
	}
	return s
}

// Unwrap returns the kind and what pgx has said.
func (e *Error) Unwrap() []error { return []error{e.Kind, e.Err} }

// Conditions that functions of ours raise.
const (
	codeNoGroup = "TRG01"
	codeNoTopic = "TRG02"
)

// Fault makes an *Error of what pgx says, nil of nil; op is what was done. The cause of ctx, if it has ended, comes
// together with ErrUnavailable, for nobody knows what the server did. It is for our other stores on PostgreSQL, too.
func Fault(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	var known *Error
	if errors.As(err, &known) {
		return err
	}
	if cause := context.Cause(ctx); cause != nil {
		return &Error{Op: op, Kind: engine.ErrUnavailable, Err: cause}
	}
	fix, kind := kindOf(err)
	return &Error{Op: op, Kind: kind, Fix: fix, Err: err}
}

var errUnknown = errors.New("the server refuses")

func kindOf(err error) (fix string, kind error) {
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		return "see that the server runs and can be reached; it goes on by itself", engine.ErrUnavailable
	}
	switch said.Code {
	case "28000", "28P01":
		return "correct user and password of the URL, or pg_hba.conf", engine.ErrUnauthorized
	case "42501":
		return "give the role its rights: CREATE on the database for the first Open, then those on the schema", engine.ErrUnauthorized
	case "3D000":
		return "create the database: createdb NAME", engine.ErrNoTopic
	case "3F000", "42P01", "42883", "42703":
		return "the schema was dropped or changed; close the engine and open it again", engine.ErrNoTopic
	case codeNoGroup:
		return "the group was dropped; subscribe again to make a new one", engine.ErrNoTopic
	case codeNoTopic:
		return "open the topic first", engine.ErrNoTopic
	case "25006":
		return "the server is read-only: lead the URL to the primary, as with target_session_attrs=read-write, or end its maintenance", engine.ErrUnavailable
	case "53100":
		return "make room on the disk of the server; it goes on by itself", engine.ErrFull
	case "53200":
		return "the server is out of memory; give it some", engine.ErrFull
	case "53300":
		return "too many connections: lower pool_max_conns or raise max_connections", engine.ErrUnavailable
	case "54000", "22001":
		return "keep IDs and keys short, and bodies elsewhere", engine.ErrTooLarge
	case "57014":
		return "the server ended the statement; look at statement_timeout", engine.ErrUnavailable
	case "40001", "40P01", "55P03":
		return "others were in the way; it may be tried again", engine.ErrUnavailable
	}
	switch said.Code[:2] {
	case "08", "57", "53", "58":
		return "see the log of the server; it goes on by itself when that is repaired", engine.ErrUnavailable
	}
	return "see the log of the server", errUnknown
}

// retryable reports whether a statement that changes the same when it is done twice
// may be tried again at once: it was in the way of another, or its connection was
// dead before it was used.
func retryable(err error) bool {
	var said *pgconn.PgError
	if errors.As(err, &said) {
		switch said.Code {
		case "40001", "40P01", "57P01", "57P02":
			return true
		}
		return false
	}
	var dial *pgconn.ConnectError
	if errors.As(err, &dial) {
		return false // the server is not there: told at once
	}
	var op *net.OpError
	return pgconn.SafeToRetry(err) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) || errors.As(err, &op)
}
