package runtime

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupe-go/troupe/actors"
)

// Idle waits until every event that has been published has its outcome: nothing
// is queued, in hand, waiting for its next attempt or on its way into the
// dead-letter store, and no subscriber is starting, at one and the same moment. Publications of handlers count,
// so a pipeline has flushed when Idle returns nil. Scheduled events count from
// when they are due, recurring ones while they are produced and published.
//
// If ctx ends first, the error names what is still busy and wraps the cause. A
// subscriber that is paused with events in its mailbox is busy.
func (rt *Runtime) Idle(ctx context.Context) error {
	busy, err := rt.settle(ctx, func(Snapshot) bool { return false })
	if err != nil {
		return fmt.Errorf("runtime: idle: %w: %s", err, strings.Join(busy, ", "))
	}
	return nil
}

// settle waits until nothing is busy, or enough says that it need not wait for
// what is.
func (rt *Runtime) settle(ctx context.Context, enough func(Snapshot) bool) (busy []string, err error) {
	changed, release := rt.sys.Changed()
	defer release()
	for {
		began, news := time.Now(), changed()
		snap := rt.Snapshot()
		busy = busyNow(snap)
		if len(busy) == 0 || enough(snap) {
			// The parts of a snapshot are of different moments: an event may
			// have moved from what was read last to what was read first.
			// Counts that only grow and are equal in two readings have not
			// moved in between, so that all of it was true at once.
			again := rt.Snapshot()
			busy = busyNow(again)
			if (len(busy) == 0 || enough(again)) && moved(snap) == moved(again) {
				return busy, nil
			}
			if ctx.Err() != nil {
				return append(busy, "events keep coming"), context.Cause(ctx)
			}
			continue
		}
		took := time.Since(began)
		select {
		case <-news:
			time.Sleep(took) // looking at many subscribers takes half a processor at most
		case <-ctx.Done():
			// The last news may be old: nobody tells of an event that is taken up.
			if now := busyNow(rt.Snapshot()); len(now) > 0 {
				busy = now
			}
			return busy, context.Cause(ctx)
		}
	}
}

// moved sums what changes whenever an event does something.
func moved(s Snapshot) uint64 {
	c := s.Total
	n := c.Deliveries + c.Done + c.DeadLettered + c.TotalDropped() + c.Failures + c.Retries
	for _, t := range s.Topics {
		n += t.Accepted + t.Scheduled.Taken - t.Scheduled.Pending - t.Scheduled.Due
	}
	return n
}

// busyNow names what keeps a runtime from being idle.
func busyNow(s Snapshot) []string {
	var busy []string
	for _, t := range s.Topics {
		for _, sub := range t.Subscribers {
			what := doing(sub.Counts)
			if what == "" && (sub.State == actors.StateStarting || sub.State == actors.StateRestarting) {
				what = "no instance yet"
			}
			if what != "" {
				busy = append(busy, fmt.Sprintf("%s/%s (%s): %s", sub.Topic, sub.Name, sub.State, what))
			}
		}
		if what := doing(t.Former); what != "" {
			busy = append(busy, fmt.Sprintf("%s, of former subscribers: %s", t.Name, what))
		}
		if what := doing(t.Undelivered); what != "" {
			busy = append(busy, fmt.Sprintf("%s, without subscribers: %s", t.Name, what))
		}
		busy = append(busy, scheduling(t)...)
	}
	if s.Letters.Waiting > 0 {
		busy = append(busy, fmt.Sprintf("dead-letter store: %d to write", s.Letters.Waiting))
	}
	return busy
}

func doing(c actors.Counts) string {
	var parts []string
	for _, p := range []struct {
		n    uint64
		what string
	}{{c.Queued, "queued"}, {c.InFlight, "in hand"}, {c.RetryWait, "waiting for a retry"}, {c.Parked, "waiting for the dead-letter store"}} {
		if p.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.n, p.what))
		}
	}
	return strings.Join(parts, ", ")
}

// onlyStashed reports whether all that a subscriber has are messages that it has
// set aside until another one comes.
func onlyStashed(c actors.Counts) bool {
	return c.Stashed > 0 && c.RetryWait == c.Stashed && c.Queued+c.InFlight+c.Parked == 0
}

// inert reports whether all that is busy are subscribers that only a person can
// move: paused by an operator, escalated, or a group that nobody has joined; or that
// wait for a message that nobody is left to send.
func inert(s Snapshot) bool {
	if s.Letters.Waiting > 0 || !unscheduled(s) {
		return false
	}
	for _, t := range s.Topics {
		if t.Waiting > 0 || doing(t.Former) != "" || doing(t.Undelivered) != "" {
			return false
		}
		if slices.ContainsFunc(t.Subscribers, func(sub SubscriberSnapshot) bool {
			stuck := sub.State == actors.StatePaused || sub.State == actors.StateEscalated || sub.State == actors.StateVacant
			return doing(sub.Counts) != "" && (!stuck || sub.Counts.InFlight > 0) && !onlyStashed(sub.Counts)
		}) {
			return false
		}
	}
	return true
}
