package actors

import (
	"context"
	"errors"
	"fmt"

	"github.com/sourcegraph/conc/panics"
	"github.com/troupe-go/troupe/supervisor"
)

// Behavior is one instance of an actor: what it does with a message, and what
// it does when it comes and goes. Only Receive is required.
type Behavior[M any] struct {
	// Receive handles one message at a time. See package supervisor for what
	// its error, or a panic, leads to.
	Receive func(ctx context.Context, m M) error
	// Start runs before the first message of this instance. If it fails, the
	// instance is given up and a new one is made after a backoff.
	Start func(ctx context.Context) error
	// Stop runs after the last message of this instance, also before a
	// restart, but not for an instance whose Start failed or whose handler
	// hangs. Its error is reported to [Observer].Fault and has no effect.
	Stop func(ctx context.Context) error
}

// errNoReceive is the start failure of a factory that made nothing.
var errNoReceive = errors.New("actors: factory: Behavior.Receive must not be nil")

// hook calls f, which is the user's, on a goroutine of its own, so that
// neither panic nor Goexit nor a call that never returns can hurt the caller.
// It returns when f does or ctx ends; then f is left behind and done is called
// when it returns after all.
func hook(ctx context.Context, f func() error, done func()) error {
	result := make(chan error, 1)
	go func() {
		err := error(supervisor.ErrGoexit)
		defer func() { result <- err }()
		var e error
		if r := panics.Try(func() { e = f() }); r != nil {
			e = &supervisor.PanicError{Value: r.Value, Stack: trimmed(r.Callers)}
		}
		err = e
	}()
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		go func() {
			<-result
			done()
		}()
		return fmt.Errorf("%w: %w", supervisor.ErrHung, context.Cause(ctx))
	}
}
