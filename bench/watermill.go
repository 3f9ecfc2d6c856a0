package bench

import (
	"context"
	"encoding/binary"
	"sync"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/ThreeDotsLabs/watermill/pubsub/gochannel"
)

var watermillGoChannel = Library{
	Name:     "watermill",
	Module:   "github.com/ThreeDotsLabs/watermill",
	Handlers: Isolated,
	Bound:    "none",
	Scale:    0.25, // each delivery in flight is a goroutine: more would need gigabytes
	Guarantees: "The gochannel Pub/Sub with an output buffer of 1024, without its router. Payloads are bytes, each message is copied per subscriber " +
		"and acknowledged. Publish starts a goroutine per message and subscriber, so it never blocks, nothing bounds what is in flight, and order is not kept. " +
		"A Nack redelivers at once and for ever; pending messages are discarded at Close. A panic ends the process unless the router's recoverer is added.",
	Open: func(_ int, subs []*Subscriber) (Bus, error) {
		b := &watermillBus{pubsub: gochannel.NewGoChannel(gochannel.Config{OutputChannelBuffer: 1024}, nil)}
		for _, s := range subs {
			messages, err := b.pubsub.Subscribe(context.Background(), watermillTopic)
			if err != nil {
				return nil, err
			}
			b.handlers.Go(func() {
				for m := range messages {
					s.Handle(Event{
						ID: binary.LittleEndian.Uint64(m.Payload),
						At: int64(binary.LittleEndian.Uint64(m.Payload[8:])),
					})
					m.Ack()
				}
			})
		}
		return b, nil
	},
}

const watermillTopic = "bench"

type watermillBus struct {
	pubsub   *gochannel.GoChannel
	handlers sync.WaitGroup
}

// Publish leaves the UUID empty, which the library allows; a random one would cost more than the rest.
func (b *watermillBus) Publish(ev Event) error {
	payload := binary.LittleEndian.AppendUint64(make([]byte, 0, 16), ev.ID)
	payload = binary.LittleEndian.AppendUint64(payload, uint64(ev.At))
	return b.pubsub.Publish(watermillTopic, message.NewMessage("", payload))
}

func (b *watermillBus) Close() error {
	err := b.pubsub.Close()
	b.handlers.Wait()
	return err
}
