package bench

import (
	"runtime"
	"sync"

	"github.com/smarty/go-disruptor"
)

// The size of its README's example; with its default of 1024 it sleeps most of the time.
const disruptorSlots = 1 << 16

// The disruptor has two rows, because its default way to wait does not suit Go's scheduler: once the ring is
// full, or with several producers, everybody sleeps. The yielding row replaces every wait by a Gosched: that is
// the floor, at the price of processors that are never idle.
var (
	disruptorDefault = Library{
		Name:            "go-disruptor",
		Module:          "github.com/smarty/go-disruptor",
		Handlers:        Isolated,
		Bound:           "65,536 shared",
		Ordered:         true,
		IdleSubscribers: 100, // a thousand that poll keep two cores busy for half a minute
		Guarantees: "One ring of 65,536 slots that all subscribers read, a goroutine per subscriber; with several producers its shared sequencer " +
			"(WriterCount). The set of subscribers is fixed when it is made, one slow subscriber stops all once the ring is full, idle subscribers " +
			"poll with sleeps, and a handled event stays reachable until its slot is reused. Nothing is lost. " +
			"A panic ends the process; no retry, no dead letters, no accounting.",
		Open: func(producers int, subs []*Subscriber) (Bus, error) { return openDisruptor(producers, subs, nil) },
	}
	disruptorYield = Library{
		Name:            "go-disruptor-yield",
		Module:          "github.com/smarty/go-disruptor",
		Handlers:        Isolated,
		Bound:           "65,536 shared",
		Ordered:         true,
		IdleSubscribers: 100,
		Guarantees: "The same with a wait strategy that only yields: the practical floor of the throughput cells. " +
			"It keeps every processor busy for ever, also while no event is published.",
		Open: func(producers int, subs []*Subscriber) (Bus, error) {
			return openDisruptor(producers, subs, yield{})
		},
	}
)

// openDisruptor takes the library's default wait strategy for nil.
func openDisruptor(producers int, subs []*Subscriber, wait disruptor.WaitStrategy) (Bus, error) {
	b := &disruptorBus{ring: new([disruptorSlots]Event)}
	handlers := make([]disruptor.Handler, len(subs))
	for i, s := range subs {
		handlers[i] = disruptorHandler{b.ring, s}
	}
	capacity := disruptor.Options.BufferCapacity(disruptorSlots)
	writers := disruptor.Options.WriterCount(uint8(producers))
	group := disruptor.Options.NewHandlerGroup(handlers...)
	var err error
	if wait == nil {
		b.disruptor, err = disruptor.New(capacity, writers, group)
	} else {
		b.disruptor, err = disruptor.New(capacity, writers, group, disruptor.Options.WaitStrategy(wait))
	}
	if err != nil {
		return nil, err
	}
	b.listening.Go(b.disruptor.Listen)
	return b, nil
}

type disruptorBus struct {
	disruptor disruptor.Disruptor
	ring      *[disruptorSlots]Event
	listening sync.WaitGroup
}

func (b *disruptorBus) Publish(ev Event) error {
	seq := b.disruptor.Reserve(1)
	b.ring[seq&(disruptorSlots-1)] = ev
	b.disruptor.Commit(seq, seq)
	return nil
}

func (b *disruptorBus) Close() error {
	err := b.disruptor.Close()
	b.listening.Wait()
	return err
}

type disruptorHandler struct {
	ring *[disruptorSlots]Event
	sub  *Subscriber
}

func (h disruptorHandler) Handle(lower, upper int64) {
	for seq := lower; seq <= upper; seq++ {
		h.sub.Handle(h.ring[seq&(disruptorSlots-1)])
	}
}

type yield struct{}

func (yield) Gate(int64)    { runtime.Gosched() }
func (yield) Idle(int64)    { runtime.Gosched() }
func (yield) Reserve(int64) { runtime.Gosched() }
