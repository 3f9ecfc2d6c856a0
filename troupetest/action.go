package troupetest

import (
	"context"
	goruntime "runtime"
)

// Action is what a call of a [Handler] does. The zero value succeeds.
type Action struct {
	do func(ctx context.Context, released <-chan struct{}) error
}

func (a Action) run(ctx context.Context, released <-chan struct{}) error {
	if a.do == nil {
		return nil
	}
	return a.do(ctx, released)
}

// Fail returns err, which may be a verdict of package supervisor.
func Fail(err error) Action {
	return Action{func(context.Context, <-chan struct{}) error { return err }}
}

// Panic panics with value.
func Panic(value any) Action {
	return Action{func(context.Context, <-chan struct{}) error { panic(value) }}
}

// Goexit ends the goroutine.
func Goexit() Action {
	return Action{func(context.Context, <-chan struct{}) error {
		goruntime.Goexit()
		return nil
	}}
}

// Hang hangs, deaf to its context, until [Handler.Release]. It then does what
// follows, or succeeds.
func Hang(then ...Action) Action {
	return Action{func(ctx context.Context, released <-chan struct{}) error {
		<-released
		return follow(ctx, released, then)
	}}
}

// Wait waits until its context ends, and returns the cause; or until
// [Handler.Release], and then does what follows, or succeeds.
func Wait(then ...Action) Action {
	return Action{func(ctx context.Context, released <-chan struct{}) error {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-released:
			return follow(ctx, released, then)
		}
	}}
}

func follow(ctx context.Context, released <-chan struct{}, then []Action) error {
	for _, a := range then {
		if err := a.run(ctx, released); err != nil {
			return err
		}
	}
	return nil
}
