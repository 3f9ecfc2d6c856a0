package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"github.com/kelindar/event"
)

var kelindar = Library{
	Name:     "kelindar",
	Module:   "github.com/kelindar/event",
	Handlers: Isolated,
	Bound:    "50,000 per subscriber",
	Ordered:  true,
	Guarantees: "A slice per subscriber under one mutex per event type, and a goroutine per subscriber. Publish wakes nobody: a ticker " +
		"wakes all subscribers every 500 µs, which is where its latency comes from. The publisher blocks at 50,000 queued events, so nothing " +
		"is lost while it is open; what is queued at Close is. A panic ends the process; no retry, no dead letters, no accounting.",
	Open: func(_ int, subs []*Subscriber) (Bus, error) {
		b := &kelindarBus{dispatcher: event.NewDispatcher(), goroutines: runtime.NumGoroutine()}
		for _, s := range subs {
			b.cancel = append(b.cancel, event.Subscribe(b.dispatcher, func(ev kelindarEvent) { s.Handle(Event(ev)) }))
		}
		return b, nil
	},
}

type kelindarEvent Event

func (kelindarEvent) Type() uint32 { return 1 }

type kelindarBus struct {
	dispatcher *event.Dispatcher
	cancel     []context.CancelFunc
	goroutines int // before it was opened
}

func (b *kelindarBus) Publish(ev Event) error {
	event.Publish(b.dispatcher, kelindarEvent(ev))
	return nil
}

// Close waits for the subscribers before it closes the dispatcher: they notice their end at a tick only, and
// a closed dispatcher ticks no more. What may stay is the ticker and the goroutine that calls Close.
func (b *kelindarBus) Close() error {
	for _, cancel := range b.cancel {
		cancel()
	}
	deadline := time.Now().Add(time.Second)
	for runtime.NumGoroutine() > b.goroutines+2 {
		if time.Now().After(deadline) {
			return fmt.Errorf("kelindar: subscribers do not end")
		}
		time.Sleep(200 * time.Microsecond)
	}
	return b.dispatcher.Close()
}
