package topics

import (
	"context"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/troupe-go/troupe/runtime"
)

// wallCheck is how long at most a time of the wall clock is waited for before the
// clock is looked at again: it may have been set, or the machine have slept.
const wallCheck = 10 * time.Second

// epoch makes time.Since the cheapest clock there is.
var epoch = time.Now()

// How far a topic is in its life, as later sees it.
const (
	laterOpen     = iota
	laterDraining // what is taken from handlers is left at once
	laterClosed
)

// later keeps what a topic has to publish later: two heaps, because times of the
// wall clock and of the monotonic one cannot be compared, and one timer for both.
// While nothing is due there is no goroutine; then there is one that publishes, in
// order, and waits if the topic makes it wait. What the topic refuses, and what is
// left at shutdown, is brought to the dead letters by another, so that a store
// that fails holds up no timer.
type later[T any] struct {
	t *Topic[T]

	mu     sync.Mutex
	heaps  [2]heap[T] // monotonic, wall
	timer  *time.Timer
	serial uint64
	state  uint8
	firing bool         // a goroutine publishes
	hand   *pending[T]  // by it
	at     int64        // when that was due
	left   []leaving[T] // to the dead letters
	burial bool         // a goroutine brings them there
	untold uint64       // discarded, and the observer does not know

	counts  runtime.Scheduled // but Pending and Due
	leaving uint64            // in left, or being buried
	every   map[string]*Recurring
}

// The heaps of later.
const (
	monotonic = iota
	wall
)

// pending is one event to be published later. What Cancel needs to find it is in
// here, so that a handle costs no allocation of its own.
type pending[T any] struct {
	of     *later[T]
	serial uint64
	place  int32 // in its heap, -1 for none
	clock  uint8
	meta   *Meta
	ev     T
}

// leaving is one that the topic has not taken.
type leaving[T any] struct {
	p   *pending[T]
	due time.Time
	err error
}

// now returns what the clocks show.
func now() [2]int64 { return [2]int64{int64(time.Since(epoch)), time.Now().UnixNano()} }

// add takes p, due at at on its clock. The caller has seen to it that the state is open.
func (l *later[T]) add(p *pending[T], at int64) {
	l.serial++
	p.of, p.serial = l, l.serial
	if h := &l.heaps[p.clock]; h.push(at, p) {
		l.arm()
	}
}

// arm sets the timer for what is due first. The caller holds mu.
func (l *later[T]) arm() {
	wait := int64(math.MaxInt64)
	clocks := now()
	if h := l.heaps[monotonic]; len(h) > 0 {
		wait = h[0].at - clocks[monotonic]
	}
	if h := l.heaps[wall]; len(h) > 0 {
		wait = min(wait, h[0].at-clocks[wall], int64(wallCheck))
	}
	switch {
	case wait == math.MaxInt64: // an alarm that has been set rings in vain, once
	case l.timer == nil:
		l.timer = time.AfterFunc(time.Duration(wait), l.fire)
	default:
		l.timer.Reset(time.Duration(wait))
	}
}

// fire publishes what is due.
func (l *later[T]) fire() {
	l.mu.Lock()
	if l.firing || l.state != laterOpen {
		l.mu.Unlock()
		return
	}
	l.firing = true
	l.mu.Unlock()
	defer l.fired()
	clocks := now()
	for l.next(&clocks) {
		l.settle(l.t.publishDue(context.Background(), l.hand.ev, l.hand.meta))
	}
}

// fired ends the work of fire, also when an observer has ended its goroutine.
func (l *later[T]) fired() {
	if l.hand != nil {
		l.settle(errObserverGoexit)
	}
	l.mu.Lock()
	l.firing = false
	if l.state == laterOpen {
		l.arm()
	}
	l.mu.Unlock()
	l.t.rt.Actors().Poke()
}

// next takes what is due first in hand.
func (l *later[T]) next(clocks *[2]int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.state != laterOpen {
		return false
	}
	for range 2 {
		first, most := -1, int64(-1)
		for c, h := range l.heaps {
			if len(h) == 0 {
				continue
			}
			over := clocks[c] - h[0].at
			if over > most || over == most && first >= 0 && h[0].p.serial < l.heaps[first][0].p.serial {
				first, most = c, over
			}
		}
		if first >= 0 && most >= 0 {
			l.at = l.heaps[first][0].at
			l.hand = l.heaps[first].remove(0)
			return true
		}
		*clocks = now() // time has passed since
	}
	return false
}

// settle ends the time in hand of an event that was published, or refused.
func (l *later[T]) settle(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.hand
	l.hand = nil
	if err == nil {
		l.counts.Published++
		p.clear()
		return
	}
	l.leaving++
	l.leave(leaving[T]{p, l.due(p.clock, l.at), err})
}

// due returns the time that at on that clock stands for.
func (l *later[T]) due(clock uint8, at int64) time.Time {
	if clock == wall {
		return time.Unix(0, at)
	}
	return epoch.Add(time.Duration(at))
}

// cancel takes p back.
func (p *pending[T]) cancel() bool {
	l := p.of
	l.mu.Lock()
	defer l.mu.Unlock()
	if p.place < 0 {
		return false
	}
	l.heaps[p.clock].remove(int(p.place))
	l.counts.Canceled++
	p.clear()
	return true
}

// clear lets go of the event: the handle may be kept for long.
func (p *pending[T]) clear() {
	p.ev, p.meta = *new(T), nil
}

// drain ends everything that is not due. What is being published is refused by the
// log, and comes here by itself.
func (l *later[T]) drain() {
	l.mu.Lock()
	if l.state != laterOpen {
		l.mu.Unlock()
		return
	}
	l.state = laterDraining
	if l.timer != nil {
		l.timer.Stop()
	}
	var list []leaving[T]
	for c, h := range l.heaps {
		list = slices.Grow(list, len(h))
		for _, s := range h {
			s.p.place = -1
			list = append(list, leaving[T]{s.p, l.due(uint8(c), s.at), runtime.ErrClosed})
		}
		l.heaps[c] = nil
	}
	l.leaving += uint64(len(list))
	every := l.recurring()
	l.mu.Unlock()

	for _, r := range every {
		r.end(runtime.ErrClosed)
	}
	slices.SortFunc(list, func(a, b leaving[T]) int { return a.due.Compare(b.due) })
	l.mu.Lock()
	l.leave(list...)
	l.mu.Unlock()
}

// close takes nothing any more, from handlers neither.
func (l *later[T]) close() {
	l.drain()
	l.mu.Lock()
	l.state = laterClosed
	l.mu.Unlock()
}

func (l *later[T]) open() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state == laterOpen
}

// account returns the counts.
func (l *later[T]) account(p *runtime.Publications) {
	l.mu.Lock()
	p.Scheduled = l.counts
	p.Scheduled.Due = l.leaving
	if l.hand != nil {
		p.Scheduled.Due++
	}
	clocks := now()
	for c, h := range l.heaps {
		due := uint64(h.due(0, clocks[c]))
		p.Scheduled.Due += due
		p.Scheduled.Pending += uint64(len(h)) - due
	}
	every := l.recurring()
	l.mu.Unlock()
	for _, r := range every {
		p.Recurring = append(p.Recurring, r.account())
	}
}
