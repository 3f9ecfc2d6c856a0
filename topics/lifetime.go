package topics

import (
	"context"
	"errors"
	"sync"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/supervisor"
)

// leaver is what ends a subscription from within.
type leaver interface {
	Stop(rest actors.Rest, reason string)
	Interrupt(cause error)
	AfterDone(f func())
	Done() <-chan struct{}
}

// rest is what becomes of the events that wait when a subscription ends by itself.
func (c SubscriberConfig) rest() actors.Rest {
	if c.DeadLetterRest {
		return actors.DeadLetterRest
	}
	return actors.Discard
}

// errTaken is returned for an event that comes after the last one that was to be
// handled. The subscriber is being stopped, and the event goes the way of the rest.
var errTaken = errors.New("topics: subscription has handled what it was to handle")

// taking ends a subscription after so many events.
type taking struct {
	rest  actors.Rest
	ready chan struct{} // closed when cell is set: events may come before

	mu   sync.Mutex
	left uint64
	cell leaver
}

// take makes cell end the subscription after cfg.Take events. Whoever subscribes
// calls joined with the subscriber.
func take[T any](cell *actors.CellConfig[T], cfg SubscriberConfig) (joined func(leaver)) {
	if cfg.Take == 0 {
		return func(leaver) {}
	}
	k := &taking{rest: cfg.rest(), ready: make(chan struct{}), left: cfg.Take}
	wrap := func(receive Handler[T]) Handler[T] {
		return func(ctx context.Context, ev T) error { return k.handle(func() error { return receive(ctx, ev) }) }
	}
	if cell.Receive != nil {
		cell.Receive = wrap(cell.Receive)
	}
	if factory := cell.Factory; factory != nil {
		cell.Factory = func() Behavior[T] {
			b := factory()
			if b.Receive != nil {
				b.Receive = wrap(b.Receive)
			}
			return b
		}
	}
	return func(cell leaver) {
		k.cell = cell
		close(k.ready)
	}
}

func (k *taking) handle(receive func() error) error {
	<-k.ready
	k.mu.Lock()
	over := k.left == 0
	k.mu.Unlock()
	if over {
		return errTaken
	}
	err := receive()
	if err != nil && !errors.Is(err, supervisor.ErrFinished) {
		return err
	}
	k.mu.Lock()
	if k.left > 0 { // an abandoned call that succeeds after all may be one too many
		k.left--
	}
	over = k.left == 0
	k.mu.Unlock()
	if over {
		k.cell.Stop(k.rest, supervisor.ReasonUnsubscribed)
	}
	return err
}
