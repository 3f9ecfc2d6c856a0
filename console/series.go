package console

import (
	"context"
	"sync"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/console/internal/wire"
)

// series is how the runtime did in the last hour.
type series struct {
	every time.Duration
	mu    sync.Mutex
	ring  []wire.Point // in order of time from next on
	next  int
	last  actors.Counts
	when  time.Time
}

const seriesTime, seriesPoints = time.Hour, 720

func (s *series) init(every time.Duration) {
	s.every = every
	s.ring = make([]wire.Point, max(seriesPoints, int(seriesTime/every)))
}

// sample takes the figures until ctx ends.
func (c *Console) sample(ctx context.Context) {
	c.series.add(time.Now(), c.rt.Snapshot().Total)
	tick := time.NewTicker(c.cfg.Sample)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			c.series.add(time.Now(), c.rt.Snapshot().Total)
		case <-ctx.Done():
			return
		}
	}
}

func (s *series) add(now time.Time, n actors.Counts) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.when.IsZero() {
		s.last, s.when = n, now
		return
	}
	took := now.Sub(s.when).Seconds()
	if took <= 0 {
		return
	}
	rate := func(now, was uint64) float64 {
		if now < was { // counts of a subscriber that has just ended are on their way to its topic
			return 0
		}
		return float64(now-was) / took
	}
	s.ring[s.next] = wire.Point{
		At: now, Done: rate(n.Done, s.last.Done), Failures: rate(n.Failures, s.last.Failures),
		Dead: rate(n.DeadLettered, s.last.DeadLettered), Depth: depth(n),
	}
	s.next = (s.next + 1) % len(s.ring)
	s.last, s.when = n, now
}

func (s *series) points() []wire.Point {
	s.mu.Lock()
	defer s.mu.Unlock()
	points := []wire.Point{}
	for i := range s.ring {
		if p := s.ring[(s.next+i)%len(s.ring)]; !p.At.IsZero() {
			points = append(points, p)
		}
	}
	return points
}

func (c *call) seriesOf() error {
	return c.answer(wire.Series{Every: c.series.every, Points: c.series.points()})
}
