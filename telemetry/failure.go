package telemetry

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/mailbox"
)

// The verdicts of handlers, as attributes show them.
const (
	verdictPermanent  = "permanent"
	verdictSkip       = "skip"
	verdictRetryAfter = "retry_after"
	verdictFinished   = "finished"
)

// The kinds of failed calls, as histograms show them. There are no others.
const (
	kindError  = "error"
	kindPanic  = "panic"
	kindGoexit = "goexit"
)

// failure is what a span says about a failed call.
type failure struct {
	typ, message, stack, verdict string
}

// describe walks the chain of err, whose methods are the user's and may panic.
func describe(err error) (f failure) {
	f.typ, f.message = fmt.Sprintf("%T", err), message(err)
	defer func() { _ = recover() }() // what is known by then is enough
	var p *supervisor.PanicError
	switch {
	case err == supervisor.ErrGoexit:
		f.typ = kindGoexit
	case errors.As(err, &p) && err == error(p):
		f.typ, f.stack = kindPanic, p.Stack
	case supervisor.IsPermanent(err):
		f.verdict = verdictPermanent
	case supervisor.IsSkip(err):
		f.verdict = verdictSkip
	case errors.Is(err, supervisor.ErrFinished):
		f.verdict = verdictFinished
	default:
		if _, ok := supervisor.RetryDelay(err); ok {
			f.verdict = verdictRetryAfter
		}
	}
	if inner := errors.Unwrap(err); f.typ == verdictType && inner != nil {
		f.typ = fmt.Sprintf("%T", inner)
	}
	return f
}

// verdictType is that of the mark of supervisor.Permanent and its like, which is
// not what went wrong.
var verdictType = fmt.Sprintf("%T", supervisor.Permanent(supervisor.ErrHung))

// message returns what err says, if it can say it.
func message(err error) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprintf("%T, whose Error method panics", err)
		}
	}()
	return err.Error()
}

// kindOf returns one of the kinds of failed calls, the empty string for a call
// that has done what it meant to.
func kindOf(err error) (kind string) {
	if err == nil {
		return ""
	}
	switch err.(type) {
	case *supervisor.PanicError:
		return kindPanic
	}
	if err == supervisor.ErrGoexit {
		return kindGoexit
	}
	kind = kindError
	defer func() { _ = recover() }()
	if supervisor.IsSkip(err) || errors.Is(err, supervisor.ErrFinished) {
		kind = ""
	}
	return kind
}

// refusal returns why a publication was refused, in few words of our own.
func refusal(err error) (reason string) {
	reason = semconv.ErrorTypeOther.Value.AsString()
	defer func() { _ = recover() }() // the cause of a context may be the user's
	switch {
	case errors.Is(err, runtime.ErrClosed), errors.Is(err, actors.ErrStopped):
		return "closed"
	case errors.Is(err, mailbox.ErrFull), errors.Is(err, mailbox.ErrNoSubscriber), errors.Is(err, mailbox.ErrClosed),
		errors.Is(err, actors.ErrWouldDeadlock), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return actors.Refusal(err)
	}
	return reason
}
