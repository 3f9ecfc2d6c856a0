package topics

import (
	"errors"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// The errors of Troupe in one place, for errors.Is. They hold through any
// wrapping; those that carry data have a type of their own, for errors.As. What
// supervision does about each when a handler returns it, wrapped or not:
//
//	error                 errors.As                what becomes of the event
//	ErrPermanent                                   dead letter at once
//	ErrSkip                                        dropped, counted
//	(retry after)         *RetryAfterError         retried after its delay
//	ErrTimeout                                     retried; the cause is timeout if the deadline was the subscriber's
//	(panic)               *PanicError              retried; a panic that was not recovered restarts the instance, too
//	ErrFull               *FullError               retried: there may be room by then
//	ErrClosed                                      dead letter at once, reason shutdown
//	ErrWouldDeadlock                               retried: returning is what breaks the circle
//	ErrNoSubscriber                                retried: there may be one by then
//	ErrTypeMismatch                                dead letter at once: a topic keeps its type
//	ErrNoRoom                                      retried: the store may be back by then
//
// A handler overrules any of them by wrapping it in another verdict, for the
// outermost counts, and of joined errors the first: see supervisor.Permanent. A
// SubscriberConfig.Decide has the last word.
var (
	// ErrPermanent is in what supervisor.Permanent returns, and may be returned
	// as it is.
	ErrPermanent = supervisor.ErrPermanent
	// ErrSkip is in what supervisor.Skip returns, and may be returned as it is.
	ErrSkip = supervisor.ErrSkip
	// ErrTimeout is the cause of a handler's context whose deadline has passed,
	// and in the failure that follows. It wraps context.DeadlineExceeded.
	ErrTimeout = supervisor.ErrTimeout
	// ErrFull matches the *mailbox.FullError that names the subscriber whose
	// policy is to reject.
	ErrFull = mailbox.ErrFull
	// ErrClosed is returned once the shutdown of the runtime has begun.
	ErrClosed = runtime.ErrClosed
	// ErrWouldDeadlock is returned to a handler that would wait for itself.
	ErrWouldDeadlock = actors.ErrWouldDeadlock
	// ErrNoSubscriber is returned under RejectUnrouted.
	ErrNoSubscriber = mailbox.ErrNoSubscriber
	// ErrTypeMismatch is returned for a topic that is open with another type.
	ErrTypeMismatch = runtime.ErrTypeMismatch
	// ErrNoRoom is returned under DeadLetterUnrouted when too many letters of
	// the topic wait for the dead-letter store.
	ErrNoRoom = errors.New("topics: dead-letter store takes no more")
)

// The errors that carry data, to be used by pointer with errors.As.
type (
	// PanicError is a recovered panic: its value and stack.
	PanicError = supervisor.PanicError
	// FullError names the mailbox that has refused an event, and its capacity.
	FullError = mailbox.FullError
	// RetryAfterError is what supervisor.RetryAfter returns: its delay.
	RetryAfterError = supervisor.RetryAfterError
)
