package runtime

import (
	"fmt"
	"time"
)

// Scheduled is the account of the events that a topic was told to publish later.
// At every moment
//
//	Taken = Published + Canceled + Refused + Left + Discarded + Pending + Due
//
// and after Shutdown the last two are zero. Refused and Left are dead letters and
// go on in [Publications].Undelivered.
type Scheduled struct {
	Taken     uint64 `json:"taken"`
	Published uint64 `json:"published"`
	Canceled  uint64 `json:"canceled"`
	Refused   uint64 `json:"refused"`   // by the topic, when they were due
	Left      uint64 `json:"left"`      // at shutdown
	Discarded uint64 `json:"discarded"` // at shutdown, by configuration
	Pending   uint64 `json:"pending"`   // not due yet
	Due       uint64 `json:"due"`       // being published, or on their way to the dead letters
}

// Balance returns Taken minus everything it is accounted for by. It is zero.
func (s Scheduled) Balance() int64 {
	return int64(s.Taken - s.Published - s.Canceled - s.Refused - s.Left - s.Discarded - s.Pending - s.Due)
}

// Recurring is the account of a recurring publication. At every moment
//
//	Ticks = Published + Skipped + Failed + Refused, and one more while Running is not zero
type Recurring struct {
	Name      string        `json:"name"`
	Next      time.Time     `json:"next"`
	Ticks     uint64        `json:"ticks"` // that were produced for
	Published uint64        `json:"published"`
	Skipped   uint64        `json:"skipped"` // the producer had nothing to publish
	Failed    uint64        `json:"failed"`  // the producer did not return an event
	Refused   uint64        `json:"refused"` // the topic did not take it
	Missed    uint64        `json:"missed"`  // ticks that were not produced for
	Running   time.Duration `json:"running_ns"`
}

// scheduling names what a topic publishes, or has to give up, at this moment.
func scheduling(t TopicSnapshot) (busy []string) {
	if n := t.Scheduled.Due; n > 0 {
		busy = append(busy, fmt.Sprintf("%s, scheduled: %d due", t.Name, n))
	}
	for _, r := range t.Recurring {
		if r.Running > 0 {
			busy = append(busy, fmt.Sprintf("%s, every %s: runs", t.Name, r.Name))
		}
	}
	return busy
}

// unscheduled reports whether nothing is published by a schedule at this moment.
func unscheduled(s Snapshot) bool {
	for _, t := range s.Topics {
		if len(scheduling(t)) > 0 {
			return false
		}
	}
	return true
}

// buried reports whether no event that was scheduled is on its way to the dead
// letters. A producer that does not return has nothing to do with that.
func buried(s Snapshot) bool {
	for _, t := range s.Topics {
		if t.Scheduled.Due > 0 {
			return false
		}
	}
	return true
}
