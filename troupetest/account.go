package troupetest

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
)

// CheckAccount fails the test for everything in the snapshot that does not add
// up. For every subscriber, every topic and the total
//
//	Attempted  = Accepted + Σ Rejected
//	Deliveries = Done + DeadLettered + Σ Dropped + Queued + InFlight + RetryWait + Parked
//	Scheduled.Taken = Published + Canceled + Refused + Left + Discarded + Pending + Due
//
// and each sum is that of its parts, that of dead letters by reason included. Once the runtime is closed, nothing may be
// without an outcome any more.
func CheckAccount(t testing.TB, snap runtime.Snapshot) {
	t.Helper()
	for _, fault := range accountFaults(snap) {
		t.Errorf("troupetest: account of %s: %s", snap.Name, fault)
	}
}

func accountFaults(snap runtime.Snapshot) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	closed := snap.State == runtime.StateClosed
	check := func(who string, c actors.Counts) {
		if b := c.Balance(); b != 0 {
			fault("%s: deliveries exceed their outcomes by %d: %s", who, b, render(c))
		}
		if c.Done+c.DeadLettered+c.TotalDropped()+c.Filtered > c.Deliveries {
			fault("%s: more outcomes than deliveries: %s", who, render(c))
		}
		if n := sumOf(c.DeadLetteredBy); n != c.DeadLettered {
			fault("%s: %d dead letters, but by reason %d: %v", who, c.DeadLettered, n, c.DeadLetteredBy)
		}
		if closed && c.Queued+c.InFlight+c.RetryWait+c.Parked > 0 {
			fault("%s: without an outcome after shutdown: %s", who, render(c))
		}
	}
	same := func(who string, got, parts actors.Counts) {
		if render(got) != render(parts) {
			fault("%s: is not the sum of its parts:\n  have %s\n  want %s", who, render(got), render(parts))
		}
	}
	var total actors.Counts
	for _, t := range snap.Topics {
		p := t.Publications
		if sum := p.Accepted + sumOf(p.Rejected); p.Attempted != sum {
			fault("%s: attempted %d, but accepted %d and rejected %v make %d", t.Name, p.Attempted, p.Accepted, p.Rejected, sum)
		}
		// Until the end, an unrouted event may be in one of the two accounts only.
		var unhandled uint64
		if p.Engine != nil {
			unhandled = p.Engine.Unhandled
		}
		if s := p.Scheduled; closed && p.Undelivered.Deliveries > p.Unrouted+s.Refused+s.Left+unhandled || p.Unrouted > p.Accepted {
			fault("%s: accepted %d, unrouted %d, scheduled and refused %d or left %d, from the engine and unhandled %d, undelivered %d",
				t.Name, p.Accepted, p.Unrouted, s.Refused, s.Left, unhandled, p.Undelivered.Deliveries)
		}
		if b := p.Scheduled.Balance(); b != 0 || closed && p.Scheduled.Pending+p.Scheduled.Due > 0 {
			fault("%s: scheduled events exceed their outcomes by %d: %+v", t.Name, b, p.Scheduled)
		}
		var sum actors.Counts
		for _, s := range t.Subscribers {
			check(s.Topic+"/"+s.Name, s.Counts)
			sum.Add(s.Counts)
		}
		check(t.Name+", former subscribers", t.Former)
		check(t.Name+", without subscribers", p.Undelivered)
		sum.Add(t.Former)
		sum.Add(p.Undelivered)
		same(t.Name, t.Total, sum)
		total.Add(sum)
	}
	check("total", snap.Total)
	same("total", snap.Total, total)
	if closed && snap.Letters.Waiting > 0 {
		fault("dead-letter store: %d letters wait after shutdown", snap.Letters.Waiting)
	}
	return faults
}

func sumOf(m map[string]uint64) (n uint64) {
	for _, k := range m {
		n += k
	}
	return n
}

// render writes an account so that equal ones look equal.
func render(c actors.Counts) string {
	s := fmt.Sprintf("deliveries %d = done %d + dead-lettered %d", c.Deliveries, c.Done, c.DeadLettered)
	for _, reason := range slices.Sorted(maps.Keys(c.Dropped)) {
		if n := c.Dropped[reason]; n > 0 {
			s += fmt.Sprintf(" + dropped(%s) %d", reason, n)
		}
	}
	if c.Filtered > 0 {
		s += fmt.Sprintf(" + filtered %d", c.Filtered)
	}
	return s + fmt.Sprintf(" + queued %d + in hand %d + retry wait %d + parked %d", c.Queued, c.InFlight, c.RetryWait, c.Parked)
}
