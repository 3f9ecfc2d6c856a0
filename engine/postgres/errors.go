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
	kind, fix := kindOf(err)
	return &Error{Op: op, Kind: kind, Fix: fix, Err: err}
}

var errUnknown = errors.New("the server refuses")

func kindOf(err error) (kind error, fix string) {
	var said *pgconn.PgError
	if !errors.As(err, &said) {
		return engine.ErrUnavailable, "see that the server runs and can be reached; it goes on by itself"
	}
	switch said.Code {
	case "28000", "28P01":
		return engine.ErrUnauthorized, "correct user and password of the URL, or pg_hba.conf"
	case "42501":
		return engine.ErrUnauthorized, "give the role its rights: CREATE on the database for the first Open, then those on the schema"
	case "3D000":
		return engine.ErrNoTopic, "create the database: createdb NAME"
	case "3F000", "42P01", "42883", "42703":
		return engine.ErrNoTopic, "the schema was dropped or changed; close the engine and open it again"
	case codeNoGroup:
		return engine.ErrNoTopic, "the group was dropped; subscribe again to make a new one"
	case codeNoTopic:
		return engine.ErrNoTopic, "open the topic first"
	case "25006":
		return engine.ErrUnavailable, "the server is read-only: lead the URL to the primary, as with target_session_attrs=read-write, or end its maintenance"
	case "53100":
		return engine.ErrFull, "make room on the disk of the server; it goes on by itself"
	case "53200":
		return engine.ErrFull, "the server is out of memory; give it some"
	case "53300":
		return engine.ErrUnavailable, "too many connections: lower pool_max_conns or raise max_connections"
	case "54000", "22001":
		return engine.ErrTooLarge, "keep IDs and keys short, and bodies elsewhere"
	case "57014":
		return engine.ErrUnavailable, "the server ended the statement; look at statement_timeout"
	case "40001", "40P01", "55P03":
		return engine.ErrUnavailable, "others were in the way; it may be tried again"
	}
	switch said.Code[:2] {
	case "08", "57", "53", "58":
		return engine.ErrUnavailable, "see the log of the server; it goes on by itself when that is repaired"
	}
	return errUnknown, "see the log of the server"
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
