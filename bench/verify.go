package bench

import (
	"fmt"
	"sync/atomic"
)

// Verify runs events through l and reports the first event that a subscriber missed, got twice or, if l claims
// order, got before an older one of the same producer. It also notices handlers that run concurrently with
// themselves, which the counters of the scenarios could not bear.
func Verify(l Library, producers, subscribers, events int) error {
	faults := make([]error, subscribers)
	observe := func(sub int) func(Event) {
		seen, last := make([]bool, events), make([]uint64, producers)
		var inside atomic.Bool
		return func(ev Event) {
			if !inside.CompareAndSwap(false, true) {
				panic(l.Name + ": handler runs concurrently with itself")
			}
			defer inside.Store(false)
			producer := ev.ID % uint64(producers)
			var fault error
			switch {
			case ev.ID >= uint64(events):
				fault = fmt.Errorf("subscriber %d: event %d was never published", sub, ev.ID)
			case seen[ev.ID]:
				fault = fmt.Errorf("subscriber %d: event %d delivered again", sub, ev.ID)
			case l.Ordered && ev.ID < last[producer]:
				fault = fmt.Errorf("subscriber %d: event %d after event %d", sub, ev.ID, last[producer])
			default:
				seen[ev.ID], last[producer] = true, ev.ID
			}
			if fault != nil && faults[sub] == nil {
				faults[sub] = fault
			}
		}
	}
	c := Cell{Scenario: Throughput, Producers: producers, Subscribers: subscribers, Events: events}
	_, err := withBus(l, c, observe, func(r *run) error {
		if _, err := r.phase(producers, events, r.flood()); err != nil {
			return err
		}
		for _, fault := range faults {
			if fault != nil {
				return fault
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("%s %v: %w", l.Name, c, err)
	}
	return nil
}
