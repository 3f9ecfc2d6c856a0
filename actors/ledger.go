package actors

import (
	"maps"
	"sync"
)

// Counts is the account of one actor. At every moment
//
//	Deliveries = Done + DeadLettered + Σ Dropped + Filtered + Queued + InFlight + RetryWait + Parked
//
// While events flow, Done and InFlight lag behind by at most one checkpoint: 64
// events of a handler that takes less than a microsecond, else none.
type Counts struct {
	Deliveries   uint64 `json:"deliveries"`
	Done         uint64 `json:"done"`
	DeadLettered uint64 `json:"dead_lettered"`
	// DeadLetteredBy is DeadLettered by reason.
	DeadLetteredBy map[string]uint64 `json:"dead_lettered_by,omitempty"`
	Dropped        map[string]uint64 `json:"dropped"`
	Filtered       uint64            `json:"filtered"` // not wanted by the subscription's filter
	Queued         uint64            `json:"queued"`
	InFlight       uint64            `json:"in_flight"`
	RetryWait      uint64            `json:"retry_wait"`
	Parked         uint64            `json:"parked"` // on their way into the dead-letter store

	Redelivered uint64 `json:"redelivered"` // deliveries that are dead letters given back
	Own         uint64 `json:"own"`         // deliveries of the actor's own timers and watches
	Stashed     uint64 `json:"stashed"`     // of RetryWait: set aside by the handler
	Failures    uint64 `json:"failures"`    // failed attempts
	Retries     uint64 `json:"retries"`
	Restarts    uint64 `json:"restarts"`
	Pauses      uint64 `json:"pauses"`
	Abandoned   uint64 `json:"abandoned"` // handlers that were given up
	Late        uint64 `json:"late"`      // events that abandoned handlers finished after all
	Zombies     int    `json:"zombies"`   // abandoned handlers that still run
}

// TotalDropped returns the sum over all reasons.
func (c Counts) TotalDropped() uint64 {
	var n uint64
	for _, k := range c.Dropped {
		n += k
	}
	return n
}

// Balance returns Deliveries minus everything they are accounted for by. It is
// zero.
func (c Counts) Balance() int64 {
	return int64(c.Deliveries - c.Done - c.DeadLettered - c.TotalDropped() - c.Filtered - c.Queued - c.InFlight - c.RetryWait - c.Parked)
}

// Add adds the counts of d to c.
func (c *Counts) Add(d Counts) {
	c.Deliveries += d.Deliveries
	c.Done += d.Done
	c.DeadLettered += d.DeadLettered
	if c.DeadLetteredBy == nil && len(d.DeadLetteredBy) > 0 {
		c.DeadLetteredBy = map[string]uint64{}
	}
	for k, n := range d.DeadLetteredBy {
		c.DeadLetteredBy[k] += n
	}
	if c.Dropped == nil {
		c.Dropped = map[string]uint64{}
	}
	for k, n := range d.Dropped {
		c.Dropped[k] += n
	}
	c.Filtered += d.Filtered
	c.Queued += d.Queued
	c.InFlight += d.InFlight
	c.RetryWait += d.RetryWait
	c.Parked += d.Parked
	c.Redelivered += d.Redelivered
	c.Own += d.Own
	c.Stashed += d.Stashed
	c.Failures += d.Failures
	c.Retries += d.Retries
	c.Restarts += d.Restarts
	c.Pauses += d.Pauses
	c.Abandoned += d.Abandoned
	c.Late += d.Late
	c.Zombies += d.Zombies
}

// ledger is what a cell has written down so far. Each count is written when it
// happens, by whoever does it, so that the balance of Counts is a check and not
// a definition.
type ledger struct {
	mu      sync.Mutex
	changed func() // called, unlocked, after something has ended

	done, deadLettered uint64
	dropped            map[string]uint64
	deadLetteredBy     map[string]uint64 // by reason
	busy               bool              // an event is in hand
	company            uint64            // in hand with it: the rest of a batch
	retryWait          uint64
	parked             uint64
	lane               uint64 // of Cell.lane: what waits there
	redelivered, own   uint64
	stashed            uint64 // of retryWait
	failures, retries  uint64
	restarts, pauses   uint64
	abandoned, late    uint64
	zombies            int
	untold             uint64 // drops that the observer does not know of yet
}

func (l *ledger) drop(reason string, n uint64) {
	if l.dropped == nil {
		l.dropped = map[string]uint64{}
	}
	l.dropped[reason] += n
}

// store counts a dead letter. The caller holds mu.
func (l *ledger) store(reason string) {
	if l.deadLetteredBy == nil {
		l.deadLetteredBy = map[string]uint64{}
	}
	l.deadLettered++
	l.deadLetteredBy[reason]++
}

// counts returns all but Deliveries and Queued. The caller holds mu.
func (l *ledger) counts() Counts {
	c := Counts{
		Done: l.done, DeadLettered: l.deadLettered, DeadLetteredBy: maps.Clone(l.deadLetteredBy), Dropped: maps.Clone(l.dropped),
		RetryWait: l.retryWait, Parked: l.parked, Redelivered: l.redelivered, Own: l.own, Stashed: l.stashed,
		Failures: l.failures, Retries: l.retries, Restarts: l.restarts, Pauses: l.pauses,
		Abandoned: l.abandoned, Late: l.late, Zombies: l.zombies,
	}
	if l.busy {
		c.InFlight = 1 + l.company
	}
	if c.Dropped == nil {
		c.Dropped = map[string]uint64{}
	}
	return c
}
