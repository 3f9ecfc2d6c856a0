package engine

import "errors"

// What an engine's errors are, beside what its client has said, which they wrap. An
// engine names itself, the topic and what to do about it.
var (
	// ErrUnavailable is that the server cannot be reached or does not do its work
	// now. It passes: the same call may succeed later.
	ErrUnavailable = errors.New("engine: unavailable")
	// ErrUnauthorized is that the server does not let us.
	ErrUnauthorized = errors.New("engine: unauthorized")
	// ErrMismatch is that what is there has another configuration.
	ErrMismatch = errors.New("engine: another configuration")
	// ErrNoTopic is that the topic is not there.
	ErrNoTopic = errors.New("engine: no such topic")
	// ErrTooLarge is that a record is larger than the engine takes.
	ErrTooLarge = errors.New("engine: record too large")
	// ErrFull is that the engine has no room.
	ErrFull = errors.New("engine: full")
	// ErrUnsupported is that the engine, or the server's version, cannot do it.
	ErrUnsupported = errors.New("engine: not supported")
	// ErrInUse is that another process has what only one may have, as a folder.
	ErrInUse = errors.New("engine: in use")
	// ErrClosed is that the engine or the subscription was closed.
	ErrClosed = errors.New("engine: closed")
)

// Temporary reports whether the same call may succeed later without anybody doing
// anything about it here.
func Temporary(err error) bool {
	return errors.Is(err, ErrUnavailable) || errors.Is(err, ErrFull)
}
