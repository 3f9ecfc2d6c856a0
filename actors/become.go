package actors

import (
	"context"
	"errors"
	"fmt"
)

// Become makes receive handle the messages that follow the one in hand, in
// place of what has handled them so far. It belongs to the instance: a restart
// begins with the factory's Receive again.
//
// Call it from the handler itself, or Start, before it returns.
// Errors: [ErrNoActor]; [ErrTypeMismatch].
func Become[M any](ctx context.Context, receive func(context.Context, M) error) error {
	return become(ctx, receive, false)
}

// BecomeStacked is [Become], but [Unbecome] goes back to what has handled
// messages so far.
func BecomeStacked[M any](ctx context.Context, receive func(context.Context, M) error) error {
	return become(ctx, receive, true)
}

func become[M any](ctx context.Context, receive func(context.Context, M) error, stacked bool) error {
	if receive == nil {
		return errors.New("actors: become: receive must not be nil")
	}
	c, err := lifeOf(ctx)
	if err != nil {
		return fmt.Errorf("actors: become: %w", err)
	}
	in, ok := c.typed.(*instance[M])
	if !ok {
		_, err := refOf[M](c.life.self)
		return fmt.Errorf("actors: become: %w", err)
	}
	if n := len(in.become); n > 0 && !stacked {
		in.become[n-1] = receive
	} else {
		in.become = append(in.become, receive)
	}
	in.current = receive
	return nil
}

// Unbecome goes back to what handled messages before the last [BecomeStacked],
// or else to the factory's Receive. It reports whether there was anything to go
// back from.
func Unbecome(ctx context.Context) bool {
	c, err := lifeOf(ctx)
	if err != nil {
		return false
	}
	in, ok := c.typed.(interface{ unbecome() bool })
	return ok && in.unbecome()
}

func (in *instance[M]) unbecome() bool {
	n := len(in.become)
	if n == 0 {
		return false
	}
	in.become[n-1] = nil
	in.become = in.become[:n-1]
	in.current = in.base.Receive
	if n > 1 {
		in.current = in.become[n-2]
	}
	return true
}
