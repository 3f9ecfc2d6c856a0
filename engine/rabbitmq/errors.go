package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/troupe-go/troupe/engine"
)

// told is what the server or the network said, as the kind that the port knows, with
// what there is to do about it.
func told(err error) error {
	if err == nil || kindOf(err) != nil {
		return err
	}
	var e *amqp.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("%w: %w", engine.ErrUnavailable, err)
	}
	kind, hint := engine.ErrUnavailable, ""
	switch e.Code {
	case amqp.AccessRefused:
		kind, hint = engine.ErrUnauthorized, "see the user's password and its permissions on the virtual host"
	case amqp.NotAllowed:
		kind, hint = engine.ErrUnauthorized, "see that the virtual host is there and that the user may enter it"
	case amqp.NotFound:
		kind = engine.ErrNoTopic
	case amqp.ResourceLocked:
		kind = engine.ErrInUse
	case amqp.ContentTooLarge:
		kind = engine.ErrTooLarge
	case amqp.NotImplemented:
		kind = engine.ErrUnsupported
	case amqp.ResourceError:
		kind = engine.ErrFull
	case amqp.PreconditionFailed:
		switch {
		case strings.Contains(e.Reason, "inequivalent arg"):
			kind, hint = engine.ErrMismatch, "give it the configuration it was made with, or delete it on the server"
		case serverLimit(err) > 0:
			kind = engine.ErrTooLarge
		case strings.Contains(e.Reason, "timed out"):
			hint = "a record was unsettled for longer than the server's consumer_timeout"
		case strings.Contains(e.Reason, "invalid arg"):
			kind = engine.ErrUnsupported
		}
	}
	if hint != "" {
		return fmt.Errorf("%w: %w: %s", kind, e, hint)
	}
	return fmt.Errorf("%w: %w", kind, e)
}

// kinds are those of which an error of ours is one at most.
var kinds = []error{
	engine.ErrUnavailable, engine.ErrUnauthorized, engine.ErrMismatch, engine.ErrNoTopic, engine.ErrTooLarge,
	engine.ErrFull, engine.ErrUnsupported, engine.ErrInUse, engine.ErrClosed,
}

func kindOf(err error) error {
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}

// serverLimit is the max_message_size that the server names when it refuses a record,
// else 0. Source: rabbit_channel:check_msg_size.
func serverLimit(err error) int {
	var e *amqp.Error
	if !errors.As(err, &e) || e.Code != amqp.PreconditionFailed {
		return 0
	}
	_, after, ok := strings.Cut(e.Reason, "larger than configured max size ")
	if !ok {
		_, after, ok = strings.Cut(e.Reason, "larger than the max size ")
	}
	if !ok {
		return 0
	}
	digits := strings.TrimSpace(after)
	if i := strings.IndexFunc(digits, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		digits = digits[:i]
	}
	n, _ := strconv.Atoi(digits)
	return n
}

// ended is that ctx has ended before what was asked for.
func ended(ctx context.Context, what string) error {
	if cause := context.Cause(ctx); kindOf(cause) != nil {
		return fmt.Errorf("%s: %w", what, cause)
	}
	return fmt.Errorf("%s: %w: %w", what, engine.ErrUnavailable, context.Cause(ctx))
}

// await calls f, which the client lets nobody interrupt, and returns when it does or
// when ctx ends. f goes on then, until the connection ends it.
func await(ctx context.Context, what string, f func() error) error {
	if ctx.Err() != nil {
		return ended(ctx, what)
	}
	done := make(chan error, 1)
	go func() { done <- f() }()
	select {
	case err := <-done:
		if err != nil {
			return fmt.Errorf("%s: %w", what, told(err))
		}
		return nil
	case <-ctx.Done():
		return ended(ctx, what)
	}
}
