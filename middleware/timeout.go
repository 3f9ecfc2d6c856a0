package middleware

import (
	"context"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// Timeout ends the context of what is inside of it after d. A handler that then
// returns an error has failed with cause timeout, an error that matches
// supervisor.ErrTimeout and what it returned; nil is done, however late.
//
// It only asks. A handler that is deaf to its context keeps the subscriber waiting;
// topics.SubscriberConfig.Timeout abandons it. That one also counts the time that
// middleware takes, such as the wait of [Throttle]. Use it as the outer limit and
// Timeout for the work itself.
//
// d must be positive. Price: a context and a timer for each call.
func Timeout(d time.Duration) runtime.Middleware {
	if d <= 0 {
		return refuse("Timeout", fmt.Errorf("%v: must be positive", d))
	}
	return func(next runtime.Next) runtime.Next {
		passed := &timeoutError{after: d} // one for each chain tells nested ones apart
		return func(ctx context.Context, ev any) error {
			ctx, cancel := context.WithTimeoutCause(ctx, d, passed)
			defer cancel()
			err := next(ctx, ev)
			if err == nil || context.Cause(ctx) != error(passed) {
				return err
			}
			if _, said := err.(*timeoutError); said {
				return err // the cause itself, or what a Timeout inside has made of it
			}
			return &timeoutError{after: d, err: err}
		}
	}
}

// timeoutError is the cause of a context that [Timeout] has ended, and with err the
// failure of a handler that was late.
type timeoutError struct {
	after time.Duration
	err   error
}

func (e *timeoutError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("middleware: timeout of %v", e.after)
	}
	return fmt.Sprintf("middleware: timeout of %v: %v", e.after, e.err)
}

func (e *timeoutError) Unwrap() []error {
	if e.err == nil {
		return []error{supervisor.ErrTimeout}
	}
	return []error{supervisor.ErrTimeout, e.err}
}
