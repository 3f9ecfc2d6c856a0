package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// PublishBatch publishes evs in their order.
func (b *troupeBus) PublishBatch(evs []Event) error {
	n, err := b.topic.PublishBatch(context.Background(), evs)
	if err == nil && n != len(evs) {
		err = fmt.Errorf("troupe: %d of %d events accepted", n, len(evs))
	}
	return err
}

// Pause and Resume keep the subscribers from taking events.
func (b *troupeBus) Pause() {
	for _, sub := range b.subs {
		sub.Pause()
	}
}

// Resume lets the subscribers take events again.
func (b *troupeBus) Resume() {
	for _, sub := range b.subs {
		sub.Resume()
	}
}

// burst is how many events every mailbox takes at once, with some to spare: close to its limit a publisher takes
// another path.
const burst = 3072

// publishing measures what the publishers spend while no subscriber is at work: they fill mailboxes of paused
// subscribers, which then empty them.
func (r *run) publishing() (Result, error) {
	bus, ok := r.bus.(interface {
		Pause()
		Resume()
	})
	if !ok {
		return nil, errors.New("the library has no pauses")
	}
	flood, producers := r.flood(), int64(r.cell.Producers)
	var spent, publishing atomic.Int64
	timed := func(first, end, step uint64) error {
		start := clock()
		err := flood(first, end, step)
		spent.Add(clock() - start)
		if publishing.Add(-1) == 0 {
			bus.Resume()
		}
		return err
	}
	const warmUp = 10
	n := 0
	for start, i := time.Now(), 0; i <= warmUp || time.Since(start) < r.cell.Span; i++ {
		if i == warmUp {
			spent.Store(0)
			n = 0
		}
		bus.Pause()
		publishing.Store(producers)
		if _, err := r.phase(r.cell.Producers, burst, timed); err != nil {
			return nil, err
		}
		n += burst
	}
	return Result{Events: float64(n), NsPerEvent: float64(spent.Load()) / float64(n)}, nil
}

// batches publishes singly and then in batches of size, so that both meet the same machine.
func batches(c Cell, size int) (Result, error) {
	singly, err := Run(troupe, c)
	if err != nil {
		return nil, err
	}
	c.Batch = size
	res, err := Run(troupe, c)
	if err != nil {
		return nil, err
	}
	perEvent := func(res Result) float64 {
		if c.Scenario == Publishing {
			return res[NsPerEvent]
		}
		return res[NsPerDelivery] * float64(c.Subscribers)
	}
	return Result{
		Events:       res[Events],
		NsPerEvent:   perEvent(res),
		SingleNs:     perEvent(singly),
		BatchSpeedup: perEvent(singly) / perEvent(res),
	}, nil
}
