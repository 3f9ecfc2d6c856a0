package actors

import (
	"context"
	"time"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

// Instrument stands around publications and handler calls, where an [Observer] is
// told afterwards: for traces, which change contexts, and for latencies. Both
// functions are optional, and are called when a topic is opened and a subscriber
// added; what is not set, or returns nil, costs nothing.
type Instrument struct {
	// Publishing returns what stands around the publications on a topic, and
	// around what is told to the actor of that name.
	Publishing func(topic string) Publishing
	// Handling returns what stands around the calls of a subscriber's handler.
	Handling func(topic, subscriber string) Handling
}

// Publishing stands around publications. Methods are called by publishers,
// several at a time; they must not block. A panic in one is swallowed.
type Publishing interface {
	// Begin is called before n events are published together. It returns the
	// context to publish with, which it derives from ctx, and the headers that
	// are to travel with each of them: those given, which it may change, or new
	// ones. Headers cost the publication a few allocations, and a batch with
	// headers is published one by one.
	Begin(ctx context.Context, n int, headers map[string]string) (context.Context, map[string]string)
	// End is given the context of Begin, how many events have been accepted, and
	// the error about the one that was not.
	End(ctx context.Context, accepted int, err error)
}

// Handling stands around the calls of a handler, one for each attempt. Methods are
// called by the goroutine of the handler; a panic in one is swallowed.
type Handling interface {
	// Begin returns the context for the handler, which it derives from ctx. The
	// facts of the delivery are in it, see [DeliveryFrom].
	Begin(ctx context.Context) context.Context
	// End is given the context of Begin and how the call ended: what the handler
	// returned, a *supervisor.PanicError or supervisor.ErrGoexit. The delivery
	// must not be asked for any more. An abandoned call ends when its handler
	// returns.
	End(ctx context.Context, took time.Duration, err error)
}

// Publishing returns what stands around publications on topic, nil if nothing.
func (s *System) Publishing(topic string) (p Publishing) {
	if s.instrument.Publishing != nil {
		survive(func() { p = s.instrument.Publishing(topic) })
	}
	return p
}

// instrument puts around cfg's handler what is to stand there.
func (cfg *CellConfig[T]) instrument(in Instrument) {
	var h Handling
	if in.Handling != nil {
		survive(func() { h = in.Handling(cfg.Topic, cfg.Name) })
	}
	if h == nil {
		return
	}
	if cfg.Receive != nil {
		cfg.Receive = instrumented(h, cfg.Receive)
	}
	if cfg.ReceiveBatch != nil {
		cfg.ReceiveBatch = instrumented(h, cfg.ReceiveBatch)
	}
	cfg.Factory, cfg.BatchFactory = instrumentedFactory(h, cfg.Factory), instrumentedFactory(h, cfg.BatchFactory)
}

func instrumentedFactory[M any](h Handling, factory func() Behavior[M]) func() Behavior[M] {
	if factory == nil {
		return nil
	}
	return func() Behavior[M] {
		b := factory()
		if b.Receive != nil {
			b.Receive = instrumented(h, b.Receive)
		}
		return b
	}
}

// instrumented returns receive with h around it. Of what receive panics with, it
// lets through value and stack (see trimmed, which has to know the frame).
//
//go:noinline
func instrumented[M any](h Handling, receive func(context.Context, M) error) func(context.Context, M) error {
	return func(ctx context.Context, m M) (err error) {
		inner := beginHandling(ctx, h)
		began := time.Since(epoch)
		err = supervisor.ErrGoexit // unless what follows returns or panics
		defer func() {
			value := recover()
			if value != nil {
				err = &supervisor.PanicError{Value: value, Stack: trimmed(callers())}
			}
			took := time.Since(epoch) - began
			survive(func() { h.End(inner, took, err) })
			if value != nil {
				panic(value)
			}
		}()
		return receive(inner, m)
	}
}

func beginHandling(ctx context.Context, h Handling) (inner context.Context) {
	inner = ctx
	survive(func() { inner = h.Begin(ctx) })
	return inner
}

// survive is panics.Try without its allocations.
func survive(f func()) {
	defer func() { _ = recover() }()
	f()
}

// Around publishes n events between the two calls of p. publish is given the
// context and the headers of Begin and returns how many were accepted.
func Around(ctx context.Context, p Publishing, n int, headers map[string]string,
	publish func(context.Context, map[string]string) (int, error),
) (accepted int, err error) {
	inner := ctx
	survive(func() { inner, headers = p.Begin(ctx, n, headers) })
	defer func() { survive(func() { p.End(inner, accepted, err) }) }()
	return publish(inner, headers)
}

// append puts e into the log, with what stands around that.
func (r *Ref[M]) append(ctx context.Context, e envelope[M]) error {
	if r.around == nil {
		return r.log.Append(ctx, e)
	}
	_, err := Around(ctx, r.around, 1, nil, func(ctx context.Context, headers map[string]string) (int, error) {
		var err error
		if len(headers) > 0 {
			err = r.log.AppendMeta(ctx, e, &mailbox.Meta{Headers: headers})
		} else {
			err = r.log.Append(ctx, e)
		}
		if err != nil {
			return 0, err
		}
		return 1, nil
	})
	return err
}
