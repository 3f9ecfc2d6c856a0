package bench

import (
	"errors"

	"github.com/gookit/event"
)

// gookit has two rows. As it is meant to be used, one consumer calls all listeners in turn, so a slow one
// holds up the others. The isolated row gives each subscriber a manager of its own, which is what a user has
// to build to get what the other libraries of the table promise.
//
// Both have one consumer: with the default of three a listener runs concurrently with itself and out of order.
var (
	gookit = Library{
		Name:     "gookit",
		Module:   "github.com/gookit/event",
		Handlers: InTurn,
		Bound:    "1024 shared",
		Ordered:  true,
		Scale:    0.5,
		Guarantees: "FireAsync: one channel of 1024 and one consumer goroutine for all listeners, so a slow listener delays the others and an error " +
			"of one keeps the event from the rest. The publisher blocks while the channel is full. A panic is recovered but ends the consumer: " +
			"after it nothing is handled any more. No retry, no dead letters, no accounting.",
		Open: func(_ int, subs []*Subscriber) (Bus, error) {
			return gookitBus{newGookitManager(subs...)}, nil
		},
	}
	gookitIsolated = Library{
		Name:       "gookit-isolated",
		Module:     "github.com/gookit/event",
		Handlers:   Isolated,
		Bound:      "1024 per subscriber",
		Ordered:    true,
		Scale:      0.5,
		Guarantees: "One manager of the library per subscriber, so that handlers do not wait for each other; Publish fires on each. Otherwise as above.",
		Open: func(_ int, subs []*Subscriber) (Bus, error) {
			var b gookitBus
			for _, s := range subs {
				b = append(b, newGookitManager(s))
			}
			return b, nil
		},
	}
)

const gookitName = "bench"

type gookitBus []*event.Manager

// gookitEvent carries the payload in a field: the map that the library offers for it would be slower still.
type gookitEvent struct {
	event.BasicEvent
	payload Event
}

func newGookitManager(subs ...*Subscriber) *event.Manager {
	m := event.NewManager("", event.WithConsumerNum(1), event.WithChannelSize(1024))
	for _, s := range subs {
		m.On(gookitName, event.ListenerFunc(func(e event.Event) error {
			s.Handle(e.(*gookitEvent).payload)
			return nil
		}))
	}
	return m
}

// Publish makes one event for each manager, because a consumer writes into it.
func (b gookitBus) Publish(ev Event) error {
	for _, m := range b {
		e := &gookitEvent{payload: ev}
		e.SetName(gookitName)
		m.FireAsync(e)
	}
	return nil
}

func (b gookitBus) Close() error {
	var errs []error
	for _, m := range b {
		errs = append(errs, m.CloseWait())
	}
	return errors.Join(errs...)
}
