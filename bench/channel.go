package bench

import "sync"

// channel is what one writes without any library: a buffered channel and a goroutine per subscriber.
var channel = Library{
	Name:     Baseline,
	Handlers: Isolated,
	Bound:    "1024 per subscriber",
	Ordered:  true,
	Guarantees: "One buffered channel of 1024 and one goroutine per subscriber. Bounded, the publisher blocks while any " +
		"subscriber is full, nothing is lost, order per producer. A panic ends the process; no retry, no dead letters, no accounting.",
	Open: func(_ int, subs []*Subscriber) (Bus, error) {
		b := &channelBus{chans: make([]chan Event, len(subs))}
		for i, s := range subs {
			c := make(chan Event, 1024)
			b.chans[i] = c
			b.handlers.Go(func() {
				for ev := range c {
					s.Handle(ev)
				}
			})
		}
		return b, nil
	},
}

type channelBus struct {
	chans    []chan Event
	handlers sync.WaitGroup
}

func (b *channelBus) Publish(ev Event) error {
	for _, c := range b.chans {
		c <- ev
	}
	return nil
}

func (b *channelBus) Close() error {
	for _, c := range b.chans {
		close(c)
	}
	b.handlers.Wait()
	return nil
}
