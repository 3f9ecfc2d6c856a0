package telemetry

import (
	"maps"
	"sync"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
)

// other is the name of what has no series of its own. No topic, subscriber or
// reason of ours has it.
const other = "(other)"

// maxReasons bounds the reasons of outcomes: a decider may make up any.
const maxReasons = 64

// outcome is how a delivery has ended.
type outcome struct{ what, reason string }

// counters are what only grows.
type counters struct {
	done, failures, retries, redelivered, restarts, pauses, abandoned, late uint64
	outcomes                                                                map[outcome]uint64 // without done
}

func (c *counters) each(d counters, f func(*uint64, uint64)) {
	f(&c.done, d.done)
	f(&c.failures, d.failures)
	f(&c.retries, d.retries)
	f(&c.redelivered, d.redelivered)
	f(&c.restarts, d.restarts)
	f(&c.pauses, d.pauses)
	f(&c.abandoned, d.abandoned)
	f(&c.late, d.late)
	if c.outcomes == nil {
		c.outcomes = map[outcome]uint64{}
	}
	for k, n := range d.outcomes {
		m := c.outcomes[k]
		f(&m, n)
		c.outcomes[k] = m
	}
}

func (c *counters) add(d counters) { c.each(d, func(a *uint64, b uint64) { *a += b }) }

func (c *counters) subtract(d counters) {
	c.each(d, func(a *uint64, b uint64) { *a -= min(*a, b) })
}

// precedes reports whether a subscriber that has counted c may have come to d.
func (c counters) precedes(d counters) bool {
	ok := true
	d.each(c, func(d *uint64, c uint64) { ok = ok && c <= *d })
	return ok
}

// gauges are what is so at a moment.
type gauges struct {
	queued, inFlight, retryWait, parked uint64
	zombies                             int
	capacity                            int
	oldest, busy                        time.Duration
	state                               actors.State // "" for several subscribers
}

// row is one series: a subscriber, or the rest of a topic.
type row struct {
	topic, subscriber string
	counters          counters
	gauges            *gauges // nil if the subscriber has stopped
}

// series decides who has series, and keeps what their counters show from ever
// going back.
//
// The counters of a topic's "(other)" are those of the topic without what its
// subscribers with series show: the sum over all is that of the account by
// construction. They only grow, because what a subscriber shows grows by no more
// than what it adds to the topic: it starts at nothing, its past counts once
// only, and one that had no series when it came gets none while it is there.
type series struct {
	max int

	mu      sync.Mutex
	round   uint64
	topics  map[string]bool // those with series
	shown   map[[2]string]*shown
	hidden  map[[2]string]bool // present without a series
	reasons map[string]bool
	sent    map[string]uint64 // by topic, the most that was seen
}

// shown is a subscriber with a series.
type shown struct {
	seen  uint64   // the last round in which it was there
	base  counters // of subscribers of the name that have stopped
	last  counters
	value counters // base and last
}

func newSeries(limit int) *series {
	return &series{max: limit, topics: map[string]bool{}, shown: map[[2]string]*shown{},
		reasons: map[string]bool{}, sent: map[string]uint64{}}
}

// rows returns the series of subscribers as of snap.
func (s *series) rows(snap runtime.Snapshot) []row {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.round++
	s.admit(snap)
	var rows []row
	rest := map[string]*row{}
	var order []string
	for _, t := range snap.Topics {
		label := s.topicLabel(t.Name)
		r := rest[label]
		if r == nil {
			r = &row{topic: label, subscriber: other, gauges: &gauges{}}
			rest[label] = r
			order = append(order, label)
		}
		r.counters.add(s.counters(t.Total))
		r.gauges.add(gaugesOf(t.Total))
		for _, sub := range t.Subscribers {
			g := gaugesOf(sub.Counts)
			g.capacity, g.oldest, g.busy, g.state = sub.Capacity, sub.Oldest, sub.Busy, sub.State
			sh := s.shown[[2]string{sub.Topic, sub.Name}]
			if sh == nil {
				r.gauges.capacity += g.capacity
				r.gauges.oldest, r.gauges.busy = max(r.gauges.oldest, g.oldest), max(r.gauges.busy, g.busy)
				continue
			}
			sh.observe(s.counters(sub.Counts))
			r.gauges.subtract(g)
			rows = append(rows, row{sub.Topic, sub.Name, sh.value, &g})
		}
	}
	for key, sh := range s.shown {
		rest[key[0]].counters.subtract(sh.value)
		if sh.seen < s.round {
			rows = append(rows, row{topic: key[0], subscriber: key[1], counters: sh.value})
		}
	}
	for _, label := range order {
		if r := rest[label]; !r.empty() {
			rows = append(rows, *r)
		}
	}
	return rows
}

// admit gives series to the subscribers that are new, as far as there are any.
func (s *series) admit(snap runtime.Snapshot) {
	hidden := map[[2]string]bool{}
	var fresh [][2]string
	for _, t := range snap.Topics {
		if len(s.topics) < s.max {
			s.topics[t.Name] = true
		}
		for _, sub := range t.Subscribers {
			key := [2]string{sub.Topic, sub.Name}
			switch sh := s.shown[key]; {
			case sh != nil:
				sh.seen = s.round
			case s.hidden[key] || !s.topics[t.Name]:
				hidden[key] = true
			default:
				fresh = append(fresh, key)
			}
		}
	}
	for _, key := range fresh {
		if len(s.shown) >= s.max && !s.evict() {
			hidden[key] = true
			continue
		}
		s.shown[key] = &shown{seen: s.round}
	}
	s.hidden = hidden
}

// evict takes the series of the subscriber that has stopped first, if any has.
func (s *series) evict() bool {
	var oldest [2]string
	at := s.round
	for key, sh := range s.shown {
		if sh.seen < at {
			oldest, at = key, sh.seen
		}
	}
	delete(s.shown, oldest)
	return at < s.round
}

// observe takes the counts of the subscriber that is there now, which may be
// another one of the name.
func (sh *shown) observe(now counters) {
	if !sh.last.precedes(now) {
		sh.base.add(sh.last)
	}
	sh.last = now
	sh.value = counters{}
	sh.value.add(sh.base)
	sh.value.add(now)
}

func (s *series) topicLabel(topic string) string {
	if s.topics[topic] {
		return topic
	}
	return other
}

func (s *series) counters(c actors.Counts) counters {
	n := counters{
		done: c.Done, failures: c.Failures, retries: c.Retries, redelivered: c.Redelivered, restarts: c.Restarts,
		pauses: c.Pauses, abandoned: c.Abandoned, late: c.Late, outcomes: map[outcome]uint64{},
	}
	for reason, k := range c.Dropped {
		n.outcomes[outcome{"dropped", s.reason(reason)}] += k
	}
	for reason, k := range c.DeadLetteredBy {
		n.outcomes[outcome{"dead_lettered", s.reason(reason)}] += k
	}
	n.outcomes[outcome{what: "filtered"}] = c.Filtered
	maps.DeleteFunc(n.outcomes, func(_ outcome, k uint64) bool { return k == 0 })
	return n
}

func (s *series) reason(reason string) string {
	if !s.reasons[reason] {
		if len(s.reasons) >= maxReasons {
			return other
		}
		s.reasons[reason] = true
	}
	return reason
}

func gaugesOf(c actors.Counts) gauges {
	return gauges{queued: c.Queued, inFlight: c.InFlight, retryWait: c.RetryWait, parked: c.Parked, zombies: c.Zombies}
}

func (g *gauges) add(h gauges) {
	g.queued += h.queued
	g.inFlight += h.inFlight
	g.retryWait += h.retryWait
	g.parked += h.parked
	g.zombies += h.zombies
}

func (g *gauges) subtract(h gauges) {
	g.queued -= min(g.queued, h.queued)
	g.inFlight -= min(g.inFlight, h.inFlight)
	g.retryWait -= min(g.retryWait, h.retryWait)
	g.parked -= min(g.parked, h.parked)
	g.zombies -= min(g.zombies, h.zombies)
}

func (r *row) empty() bool {
	var none counters
	return *r.gauges == (gauges{}) && r.counters.precedes(none)
}

// publications returns the account of publications by the names that topics are
// shown under.
func (s *series) publications(snap runtime.Snapshot) map[string]*runtime.Publications {
	s.mu.Lock()
	defer s.mu.Unlock()
	sums := map[string]*runtime.Publications{}
	for _, t := range snap.Topics {
		if len(s.topics) < s.max {
			s.topics[t.Name] = true
		}
		label := s.topicLabel(t.Name)
		p := sums[label]
		if p == nil {
			p = &runtime.Publications{Rejected: map[string]uint64{}}
			sums[label] = p
		}
		p.Accepted += t.Accepted
		p.Unrouted += t.Unrouted
		p.Waiting += t.Waiting
		for reason, n := range t.Rejected {
			p.Rejected[reason] += n
		}
	}
	for label, p := range sums {
		// A publication that is under way counts as accepted until it is given up.
		p.Accepted = max(p.Accepted, s.sent[label])
		s.sent[label] = p.Accepted
	}
	return sums
}
