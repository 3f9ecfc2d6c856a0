package runtime

import (
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/actors"
)

// FaultKind says what a [Fault] is about.
type FaultKind string

// The kinds of faults.
const (
	// FaultState is a runtime that drains or is closed.
	FaultState FaultKind = "state"
	// FaultFull is a full mailbox that holds publishers back.
	FaultFull FaultKind = "full"
	// FaultStore is a dead-letter store that fails.
	FaultStore FaultKind = "store"
	// FaultEngine is a topic's engine that does not do its work.
	FaultEngine FaultKind = "engine"
	// FaultSubscriber is a subscriber that is escalated, cooling down or hung, or a
	// consumer group without members whose events wait.
	FaultSubscriber FaultKind = "subscriber"
)

// Fault is something that needs a person, or time.
type Fault struct {
	Kind       FaultKind `json:"kind"`
	Topic      string    `json:"topic,omitempty"`
	Subscriber string    `json:"subscriber,omitempty"`
	Message    string    `json:"message"` // with the names
}

// Error returns the message.
func (f Fault) Error() string { return f.Message }

// Faults returns what is wrong, nil if nothing is.
func (s Snapshot) Faults() []Fault {
	var faults []Fault
	fault := func(kind FaultKind, topic, subscriber, format string, args ...any) {
		faults = append(faults, Fault{kind, topic, subscriber, fmt.Sprintf(format, args...)})
	}
	if s.State != StateRunning {
		fault(FaultState, "", "", "runtime %s: %s", s.Name, s.State)
	}
	for _, t := range s.Topics {
		if e := t.Engine; e != nil {
			if e.Failing != "" {
				fault(FaultEngine, t.Name, "", "%s: %s takes no events since %s, %d publishers wait: %s",
					t.Name, e.Name, e.Since.Format(time.RFC3339), t.Waiting, e.Failing)
			}
			for _, g := range e.Groups {
				if g.Failing != "" {
					fault(FaultEngine, t.Name, g.Name, "%s/%s: %s failing since %s: %s", t.Name, g.Name, e.Name, g.Since.Format(time.RFC3339), g.Failing)
				}
			}
		}
		for _, sub := range t.Subscribers {
			switch sub.State {
			case actors.StateEscalated, actors.StateCooldown, actors.StateHung:
				fault(FaultSubscriber, sub.Topic, sub.Name, "%s/%s: %s", sub.Topic, sub.Name, sub.State)
			case actors.StateVacant:
				if n := sub.Counts.Queued; n > 0 {
					fault(FaultSubscriber, sub.Topic, sub.Name, "%s/%s: %d events wait and the group has no member", sub.Topic, sub.Name, n)
				}
			}
			if t.Waiting > 0 && sub.Counts.Queued >= uint64(sub.Capacity) && sub.Capacity > 0 {
				fault(FaultFull, sub.Topic, sub.Name, "%s/%s: full, holds back publishers (%d wait), %s",
					sub.Topic, sub.Name, t.Waiting, sub.State)
			}
		}
	}
	if s.Letters.Failing != "" {
		fault(FaultStore, "", "", "dead-letter store: failing since %s, %d letters wait: %s",
			s.Letters.Since.Format(time.RFC3339), s.Letters.Waiting, s.Letters.Failing)
	}
	return faults
}

// Health returns nil, or everything that needs a person: subscribers that are
// escalated, cooling down or hung, full mailboxes that hold publishers back, engines
// that fail, and a dead-letter store that fails. It suits a health check; see
// [Snapshot.Faults] for the parts, and package telemetry for HTTP handlers.
func (rt *Runtime) Health() error {
	var errs []error
	for _, f := range rt.Snapshot().Faults() {
		errs = append(errs, f)
	}
	return errors.Join(errs...)
}
