package bench

import (
	"context"

	"github.com/troupe-go/troupe/topics"
)

// block is a payload; its first word is the ID of the event.
type block interface {
	[1]uint64 | [2]uint64 | [8]uint64 | [32]uint64 | [128]uint64 | [512]uint64
}

// payloads lists Troupe with events of each size in bytes, by value and by pointer to a value of its own.
var payloads = map[int]struct{ value, pointer Library }{
	8:    {byValue[[1]uint64](), byPointer[[1]uint64]()},
	16:   {byValue[[2]uint64](), byPointer[[2]uint64]()},
	64:   {byValue[[8]uint64](), byPointer[[8]uint64]()},
	256:  {byValue[[32]uint64](), byPointer[[32]uint64]()},
	1024: {byValue[[128]uint64](), byPointer[[128]uint64]()},
	4096: {byValue[[512]uint64](), byPointer[[512]uint64]()},
}

func byValue[B block]() Library {
	return Library{Name: "troupe by value", Open: func(_ int, subs []*Subscriber) (Bus, error) {
		p := new(payloadBus[B])
		bus, err := openTroupe(len(subs), func(b *troupeBus) (err error) {
			p.topic, err = attach(b, "bench.values", subs, retrying, func(s *Subscriber) topics.Handler[B] {
				return func(_ context.Context, v B) error {
					s.Handle(Event{ID: v[0]})
					return nil
				}
			})
			return err
		})
		p.troupeBus = bus
		return p, err
	}}
}

// payloadBus publishes values.
type payloadBus[B block] struct {
	*troupeBus
	topic *topics.Topic[B]
}

func (p *payloadBus[B]) Publish(ev Event) error {
	var v B
	v[0] = ev.ID
	return p.topic.Publish(context.Background(), v)
}

func byPointer[B block]() Library {
	return Library{Name: "troupe by pointer", Open: func(_ int, subs []*Subscriber) (Bus, error) {
		p := new(pointerBus[B])
		bus, err := openTroupe(len(subs), func(b *troupeBus) (err error) {
			p.topic, err = attach(b, "bench.pointers", subs, retrying, func(s *Subscriber) topics.Handler[*B] {
				return func(_ context.Context, v *B) error {
					s.Handle(Event{ID: (*v)[0]})
					return nil
				}
			})
			return err
		})
		p.troupeBus = bus
		return p, err
	}}
}

// pointerBus publishes pointers.
type pointerBus[B block] struct {
	*troupeBus
	topic *topics.Topic[*B]
}

func (p *pointerBus[B]) Publish(ev Event) error {
	v := new(B)
	(*v)[0] = ev.ID
	return p.topic.Publish(context.Background(), v)
}
