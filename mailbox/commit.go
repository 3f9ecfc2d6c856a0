package mailbox

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
)

// TooManyError is returned for a commit of more events than a mailbox may ever hold.
type TooManyError struct {
	Mailbox          string
	Capacity, Events int
}

// Error names the mailbox.
func (e *TooManyError) Error() string {
	return fmt.Sprintf("mailbox: %s has a capacity of %d, less than the %d events of a commit", e.Mailbox, e.Capacity, e.Events)
}

// Commits puts commits into one order.
type Commits struct{ mu sync.Mutex }

// Part is what a commit publishes in one log; see [Staged].
type Part interface {
	room(ctx context.Context) (ok bool, err error)
	reserve(ctx context.Context) (full bool, err error)
	wait(ctx context.Context) error
	fill()
	bury()
	leave()
}

// Commit publishes all parts, each in another log, or none. The events of a part
// follow each other without another producer's in between. Of two commits, one comes
// before the other in every log that they share.
//
// Like Append, Commit waits for room, and holds nothing meanwhile; the errors are
// those of Append, and [TooManyError]. at is the part that an error is about.
//
// Price: a lock and an allocation or two for each log, and nobody else reads on in
// these logs between the first claim and the last.
func (cs *Commits) Commit(ctx context.Context, parts []Part) (at int, err error) {
	defer func() {
		for _, p := range parts {
			p.leave()
		}
	}()
	for {
		at, full, err := cs.reserve(ctx, parts)
		switch {
		case err != nil:
			return at, err
		case !full:
			for _, p := range parts {
				p.fill()
			}
			return 0, nil
		}
		if err := parts[at].wait(ctx); err != nil {
			return at, err
		}
	}
}

// reserve claims slots for all parts, or for none. It looks at all before it claims
// any, because what is given up takes room until the consumers have stepped over it:
// commits that give up what others then lack would keep each other from their end.
func (cs *Commits) reserve(ctx context.Context, parts []Part) (at int, full bool, err error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for at, p := range parts {
		if ok, err := p.room(ctx); !ok || err != nil {
			return at, err == nil, err
		}
	}
	for at, p := range parts {
		if full, err = p.reserve(ctx); full || err != nil {
			for _, p := range parts[:at] {
				p.bury()
			}
			return at, full, err
		}
	}
	return 0, false, nil
}

// Staged returns the part of a commit that publishes vs in log. metas is nil, or has
// one for each, which may be nil and must not be changed afterwards.
func Staged[T any](log *Log[T], vs []T, metas []*Meta) Part {
	return &staged[T]{log: log, vs: vs, metas: metas}
}

type staged[T any] struct {
	log   *Log[T]
	vs    []T
	metas []*Meta
	w     waiter
	runs  []run[T] // claimed: in one segment, or in two that follow each other
}

type run[T any] struct {
	seg  *segment[T]
	i, n uint64
}

// room reports whether there is room for all at once.
func (s *staged[T]) room(ctx context.Context) (bool, error) {
	s.w.pos = s.log.Head()
	return s.admit(ctx, s.w.pos+uint64(len(s.vs))-1)
}

// reserve claims slots if there is room for all at once.
func (s *staged[T]) reserve(ctx context.Context) (full bool, err error) {
	l := s.log
	if s.metas != nil && !l.clears.Load() {
		l.startClearing()
	}
	n := uint64(len(s.vs))
	for {
		seg := l.tail.Load()
		i := seg.claim.Load()
		if i >= seg.len() {
			l.extend(seg)
			continue
		}
		s.w.pos = seg.base + i
		ok, err := s.admit(ctx, seg.base+i+n-1)
		if !ok || err != nil {
			return err == nil, err
		}
		here := min(n, seg.len()-i)
		var next *segment[T]
		if here < n {
			// It goes on in a segment that is ours from its first slot, if nobody
			// links another one when this one is full.
			size := uint64(maxSegment)
			for size < n-here {
				size *= 2
			}
			next = newSegment(seg.end(), make([]slot[T], size))
			next.claim.Store(n - here)
		}
		if !seg.claim.CompareAndSwap(i, i+here) { // P1
			continue
		}
		s.runs = append(s.runs[:0], run[T]{seg, i, here})
		if next != nil {
			if !seg.next.CompareAndSwap(nil, next) {
				s.bury()
				continue
			}
			s.runs = append(s.runs, run[T]{next, 0, n - here})
			l.tail.CompareAndSwap(seg, next)
		}
		if seg.base+i+n > l.limit.Load() { // P2: a cursor has joined or left since
			s.bury()
			continue
		}
		return false, nil
	}
}

// admit decides whether positions up to last may be claimed now.
func (s *staged[T]) admit(ctx context.Context, last uint64) (bool, error) {
	l := s.log
	if last < l.soft.Load() {
		return true, nil
	}
	l.relieve(last)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.refused(ctx); err != nil {
		return false, err
	}
	l.refresh()
	if last < l.limit.Load() && (l.hungry == 0 || s.w.hungry) {
		return true, nil
	}
	for _, c := range l.gating.all {
		if c.capacity < uint64(len(s.vs)) {
			return false, &TooManyError{c.name, int(c.capacity), len(s.vs)}
		}
	}
	return false, l.rejected(last)
}

func (s *staged[T]) wait(ctx context.Context) error {
	s.w.need = uint64(len(s.vs))
	return s.log.wait(ctx, s.w.pos, &s.w)
}

func (s *staged[T]) leave() { s.log.leave(&s.w) }

// fill brings the slots to their end: the first one last, since nobody looks at the
// others before it.
func (s *staged[T]) fill() {
	l, k := s.log, 0
	for _, r := range s.runs {
		at := now()
		for i := r.i; i < r.i+r.n; i++ {
			r.seg.slots[i].v = s.vs[k] // P3
			if s.metas != nil && s.metas[k] != nil {
				r.seg.setMeta(i, s.metas[k])
			}
			if i%markEvery == 0 {
				r.seg.marks[i/markEvery].Store(at)
			}
			k++
		}
	}
	for j := len(s.runs) - 1; j >= 0; j-- {
		r := s.runs[j]
		for i := r.i + r.n; i > r.i; i-- {
			atomic.StoreUint32(&r.seg.slots[i-1].state, slotReady) // P4
		}
	}
	if l.sleepers.Load() != nil { // P5
		r := s.runs[len(s.runs)-1]
		l.wakeSleepers(r.seg, r.i+r.n-1)
	}
	if len(s.runs) > 1 {
		l.absorbFrom(s.runs[0].seg)
	}
}

// bury gives the slots up.
func (s *staged[T]) bury() {
	for _, r := range s.runs {
		for i := r.i; i < r.i+r.n; i++ {
			s.log.bury(r.seg, i)
		}
	}
	s.runs = s.runs[:0]
}
