package topics

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync/atomic"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// Next is a handler as middleware sees it; see runtime.Next.
type Next = runtime.Next

// Middleware puts something around a handler; see runtime.Middleware and package
// middleware.
type Middleware = runtime.Middleware

// aroundHandler returns handle with the middleware of the runtime and of a
// subscriber around it; handle itself if there is none.
func aroundHandler[E any](rt *runtime.Runtime, list []Middleware, handle func(context.Context, E) error) (func(context.Context, E) error, error) {
	next, err := rt.Chain(list, innermost(handle))
	if err != nil || next == nil {
		return handle, err
	}
	return func(ctx context.Context, ev E) error { return next(ctx, ev) }, nil
}

// aroundFactory is aroundHandler for instances. They share one chain, so that a
// restart resets neither a circuit breaker nor what duplicates are known by; the
// instance that a call is for travels in its context.
func aroundFactory[E any](rt *runtime.Runtime, list []Middleware, factory func() Behavior[E]) (func() Behavior[E], error) {
	next, err := rt.Chain(list, innermost(func(ctx context.Context, ev E) error {
		i, ok := ctx.(*instance[E])
		if !ok {
			i, ok = ctx.Value(instanceKey{}).(*instance[E])
		}
		if !ok {
			return supervisor.Permanent(errForeignContext)
		}
		return i.receive(ctx, ev)
	}))
	if err != nil || next == nil {
		return factory, err
	}
	return func() Behavior[E] {
		b := factory()
		if receive := b.Receive; receive != nil {
			// Without a timeout all calls of an instance have the same context.
			var last atomic.Pointer[instance[E]]
			b.Receive = func(ctx context.Context, ev E) error {
				i := last.Load()
				if i == nil || i.Context != ctx {
					i = &instance[E]{ctx, receive}
					last.Store(i)
				}
				return next(i, ev)
			}
		}
		return b
	}, nil
}

var errForeignContext = errors.New("topics: middleware passed on a context that was not made from its own")

// innermost ends a chain: it gives the event its type back.
func innermost[E any](handle func(context.Context, E) error) Next {
	return func(ctx context.Context, v any) error {
		ev, ok := v.(E)
		if !ok && (v != nil || reflect.TypeFor[E]().Kind() != reflect.Interface) {
			return supervisor.Permanent(fmt.Errorf("%w: middleware passed on %T, the event is %v", ErrTypeMismatch, v, reflect.TypeFor[E]()))
		}
		return handle(ctx, ev)
	}
}

type instanceKey struct{}

// instance is the context of a call with the handler that it is for.
type instance[E any] struct {
	context.Context
	receive func(context.Context, E) error
}

func (i *instance[E]) Value(key any) any {
	if _, ok := key.(instanceKey); ok {
		return i
	}
	return i.Context.Value(key)
}

// around puts the middleware of the runtime and of a subscriber around what cell
// runs.
func around[E any](rt *runtime.Runtime, list []Middleware, cell *actors.CellConfig[E]) (err error) {
	switch {
	case cell.Factory != nil:
		cell.Factory, err = aroundFactory(rt, list, cell.Factory)
	case cell.BatchFactory != nil:
		cell.BatchFactory, err = aroundFactory(rt, list, cell.BatchFactory)
	case cell.ReceiveBatch != nil:
		cell.ReceiveBatch, err = aroundHandler(rt, list, cell.ReceiveBatch)
	default:
		cell.Receive, err = aroundHandler(rt, list, cell.Receive)
	}
	return err
}
