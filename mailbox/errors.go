package mailbox

import "errors"

var (
	// ErrClosed is returned by Append and Subscribe once the log is closed.
	ErrClosed = errors.New("mailbox: closed")
	// ErrFull matches every [FullError].
	ErrFull = errors.New("mailbox: full")
	// ErrNoSubscriber is returned by Append when no cursor would receive the
	// event. The event is not in the log.
	ErrNoSubscriber = errors.New("mailbox: no subscriber")
)

// FullError says which mailbox refused an event. It matches [ErrFull].
type FullError struct {
	Mailbox  string
	Capacity int
}

func (e *FullError) Error() string { return "mailbox: full: " + e.Mailbox }

// Is reports whether target is ErrFull.
func (e *FullError) Is(target error) bool { return target == ErrFull }
