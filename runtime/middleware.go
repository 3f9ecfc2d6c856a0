package runtime

import (
	"context"
	"errors"
	"fmt"
	goruntime "runtime"

	"github.com/sourcegraph/conc/panics"
	"github.com/troupe-go/troupe/supervisor"
)

// Next is a handler as middleware sees it: the rest of the chain, with the
// subscriber's own handler at its end. The event travels as any.
type Next = func(ctx context.Context, ev any) error

// Middleware puts something around a handler: it is called once for each
// subscription, while that is made, and returns what is called for each attempt
// of each event. It may answer without calling next, and may call it with a
// context made from the one it was given, and with another event of the same
// type. Package middleware has the usual ones.
//
// What next returns is a verdict of the handler: pass it on as it is, or wrapped,
// and let its panics through. State that is declared in the function around the
// Next belongs to the subscription and outlives restarts of its instance; what is
// declared outside of it is shared by all that the middleware is put around. A
// subscriber with several workers calls the Next from all of them at once.
//
// A middleware that cannot work says so by a panic with an error, while the
// subscription is made: that becomes the error of Subscribe.
//
// Price: a subscriber without middleware pays nothing. One that has some pays an
// allocation for an event that is not a pointer, to make it an any, and one more
// for SubscribeFactory with a timeout.
type Middleware = func(next Next) Next

// Chain puts the runtime's middleware, and inside it that of a subscriber, around
// next, the first of each outermost. It returns nil if there is none. It is how
// package topics subscribes; programs do not call it.
//
// Errors name the middleware by its index: it is nil, returned nil or panicked.
func (rt *Runtime) Chain(subscriber []Middleware, next Next) (Next, error) {
	if len(subscriber)+len(rt.cfg.Middleware) == 0 {
		return nil, nil
	}
	next, err := around("Middleware", subscriber, next)
	if err == nil {
		next, err = around("runtime.Config.Middleware", rt.cfg.Middleware, next)
	}
	return next, err
}

func around(field string, list []Middleware, next Next) (Next, error) {
	for i := len(list) - 1; i >= 0; i-- {
		var err error
		if next, err = apply(list[i], next); err != nil {
			return nil, fmt.Errorf("%s[%d]: %w", field, i, err)
		}
	}
	return next, nil
}

var errNilMiddleware = errors.New("must not be nil")

func apply(m Middleware, next Next) (made Next, err error) {
	if m == nil {
		return nil, errNilMiddleware
	}
	if r := panics.Try(func() { made = m(next) }); r != nil {
		err, refused := r.Value.(error)
		if _, bug := err.(goruntime.Error); refused && !bug {
			return nil, err
		}
		return nil, &supervisor.PanicError{Value: r.Value, Stack: string(r.Stack)}
	}
	if made == nil {
		return nil, errors.New("must not return a nil Next")
	}
	return made, nil
}
