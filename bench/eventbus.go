package bench

import evbus "github.com/asaskevich/EventBus"

// EventBus has two rows: asynchronous handlers, made serial by its transactional flag, and its default, which
// calls the handlers inside Publish.
var (
	eventBusAsync = Library{
		Name:     "EventBus",
		Module:   "github.com/asaskevich/EventBus",
		Handlers: Isolated,
		Bound:    "1 per subscriber",
		Ordered:  true,
		Scale:    0.5,
		Guarantees: "SubscribeAsync, transactional: a goroutine per delivery, and the publisher waits for the previous event of each subscriber, so " +
			"the queue is one deep and a slow subscriber stops the publisher. Handlers are called by reflection. Nothing is lost. A panic ends " +
			"the process; no retry, no dead letters, no accounting.",
		Open: func(_ int, subs []*Subscriber) (Bus, error) {
			return openEventBus(subs, func(b evbus.Bus, fn any) error { return b.SubscribeAsync(eventBusTopic, fn, true) })
		},
	}
	eventBusSync = Library{
		Name:     "EventBus-sync",
		Module:   "github.com/asaskevich/EventBus",
		Handlers: Synchronous,
		Bound:    "no queue",
		Ordered:  true,
		Scale:    0.5,
		Guarantees: "Subscribe: Publish calls all handlers by reflection under the lock of the bus. Latency is that of a call, and the publisher pays " +
			"for every handler; a handler that publishes or subscribes deadlocks. A panic reaches the publisher; no retry, " +
			"no dead letters, no accounting.",
		Open: func(_ int, subs []*Subscriber) (Bus, error) {
			return openEventBus(subs, func(b evbus.Bus, fn any) error { return b.Subscribe(eventBusTopic, fn) })
		},
	}
)

const eventBusTopic = "bench"

type eventBusBus struct{ bus evbus.Bus }

func openEventBus(subs []*Subscriber, subscribe func(evbus.Bus, any) error) (Bus, error) {
	b := eventBusBus{evbus.New()}
	for _, s := range subs {
		if err := subscribe(b.bus, func(ev Event) { s.Handle(ev) }); err != nil {
			return nil, err
		}
	}
	return b, nil
}

func (b eventBusBus) Publish(ev Event) error {
	b.bus.Publish(eventBusTopic, ev)
	return nil
}

func (b eventBusBus) Close() error {
	b.bus.WaitAsync()
	return nil
}
