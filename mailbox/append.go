package mailbox

import (
	"context"
	"sync/atomic"
)

// Append publishes v to every cursor, or to none.
//
// A nil error means accepted by every cursor attached at that moment; events
// of one goroutine keep their order. Append waits while a Block cursor is
// full, until there is room, ctx ends or the log closes; ctx bounds nothing
// else. Errors: [FullError], [ErrNoSubscriber], [ErrClosed], the cause of ctx
// with the names of the full mailboxes, or what the gatekeeper returned.
//
// Price: two atomic writes and no allocation while there is room
// (BenchmarkLog); every 512 events a segment is, of 0.4 KiB while slots are used
// again. A publisher that loses a race for a slot pauses for some 3 µs.
func (l *Log[T]) Append(ctx context.Context, v T) error {
	for {
		seg := l.tail.Load()
		i := seg.claim.Load()
		if i >= uint64(len(seg.slots)) || seg.base+i >= l.soft.Load() {
			return l.appendSlow(ctx, v, nil, nil, 0)
		}
		if !seg.claim.CompareAndSwap(i, i+1) { // P1
			backoff()
			continue
		}
		if seg.base+i >= l.soft.Load() { // P2
			return l.appendSlow(ctx, v, nil, seg, i)
		}
		s := &seg.slots[i]
		s.v = v // P3
		if i%markEvery == 0 {
			seg.mark(i)
		}
		atomic.StoreUint32(&s.state, slotReady) // P4
		if l.sleepers.Load() != nil {           // P5
			l.wakeSleepers(seg, i)
		}
		return nil
	}
}

// maxClaim is how many slots AppendBatch claims at a time: enough to make the claim
// cheap, and not so many that a producer stopped in between hides a lot.
const maxClaim = 64

// AppendBatch is Append for each of vs, in their order, and cheaper: slots are
// claimed for up to 64 of them at a time, which then follow each other without
// another producer's in between. It returns how many were accepted; err, if not
// nil, is about the one that follows them, and what comes after that one was not
// tried.
func (l *Log[T]) AppendBatch(ctx context.Context, vs []T) (n int, err error) {
	for n < len(vs) {
		if n == len(vs)-1 {
			if err := l.Append(ctx, vs[n]); err != nil {
				return n, err
			}
			return len(vs), nil
		}
		seg := l.tail.Load()
		i := seg.claim.Load()
		end := min(l.soft.Load(), seg.end())
		if seg.base+i >= end {
			if err := l.appendSlow(ctx, vs[n], nil, nil, 0); err != nil {
				return n, err
			}
			n++
			continue
		}
		some := vs[n:min(n+maxClaim, len(vs))]
		some = some[:min(uint64(len(some)), end-(seg.base+i))]
		if !seg.claim.CompareAndSwap(i, i+uint64(len(some))) { // P1
			backoff()
			continue
		}
		k, err := l.fill(ctx, some, seg, i)
		n += k
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// fill brings the slots that were claimed for vs, from i on, to their end.
func (l *Log[T]) fill(ctx context.Context, vs []T, seg *segment[T], i uint64) (n int, err error) {
	if seg.base+i+uint64(len(vs)) > l.soft.Load() { // P2
		for k, v := range vs {
			if err := l.settle(ctx, v, nil, seg, i+uint64(k)); err != nil {
				for k++; k < len(vs); k++ {
					l.bury(seg, i+uint64(k))
				}
				return n, err
			}
			n++
		}
		return n, nil
	}
	end := i + uint64(len(vs))
	if first := (i + markEvery - 1) / markEvery; first*markEvery < end {
		at := now()
		for k := first; k*markEvery < end; k++ {
			seg.marks[k].Store(at)
		}
	}
	// Nobody looks at a slot of these before having found the first one ready, for
	// a cursor begins and ends where claims do: so that one hands over all of them.
	slots := seg.slots[i:end]
	for k := range slots {
		slots[k].v = vs[k] // P3
		if k > 0 {
			slots[k].state = slotReady
		}
	}
	atomic.StoreUint32(&slots[0].state, slotReady) // P4
	if l.sleepers.Load() != nil {                  // P5
		l.wakeSleepers(seg, end-1)
	}
	return len(vs), nil
}

// AppendMeta is Append for an event with a Meta, at the price of a compare-and-swap
// and of a table for each segment. m must not be changed afterwards.
func (l *Log[T]) AppendMeta(ctx context.Context, v T, m *Meta) error {
	if m != nil && !l.clears.Load() {
		l.startClearing() // before the claim, or a sweep could pass over it
	}
	return l.appendSlow(ctx, v, m, nil, 0)
}

// appendSlow is Append when the log is not simply open with room to spare.
// seg and i are the slot that the caller has claimed, seg == nil if it has none.
func (l *Log[T]) appendSlow(ctx context.Context, v T, m *Meta, seg *segment[T], i uint64) error {
	if seg != nil {
		if i < seg.len() {
			return l.settle(ctx, v, m, seg, i)
		}
		l.extend(seg)
	}
	var w *waiter // made when it has to wait: small mailboxes always come this way
	defer func() { l.leave(w) }()
	for {
		seg := l.tail.Load()
		i := seg.claim.Load()
		if i >= seg.len() {
			l.extend(seg)
			continue
		}
		if pos := seg.base + i; !l.open.Load() || pos >= l.limit.Load() {
			ok, err := l.admit(ctx, pos, w)
			if err != nil {
				return err
			}
			if !ok {
				if w == nil {
					w = new(waiter)
				}
				if err := l.wait(ctx, pos, w); err != nil {
					return err
				}
				continue
			}
		}
		if seg.claim.CompareAndSwap(i, i+1) { // P1
			return l.settle(ctx, v, m, seg, i)
		}
	}
}

// admit decides whether position pos may be claimed. It returns false when the
// caller, whose waiter is w if it has waited before, should wait and look again.
func (l *Log[T]) admit(ctx context.Context, pos uint64, w *waiter) (bool, error) {
	if pos >= l.limit.Load() {
		l.relieve(pos)
	}
	l.mu.Lock()
	if err := l.refused(ctx); err != nil {
		l.mu.Unlock()
		return false, err
	}
	if pos >= l.limit.Load() {
		l.refresh()
	}
	if pos < l.limit.Load() && (l.hungry == 0 || w != nil && w.hungry) {
		l.mu.Unlock()
		return true, nil
	}
	err := l.rejected(pos)
	l.mu.Unlock()
	return false, err
}

// refused returns why no publication is taken now. The caller holds mu.
func (l *Log[T]) refused(ctx context.Context) error {
	switch {
	case l.mode == modeClosed,
		l.mode == modeDraining && (l.keeper == nil || !l.keeper.Admit(ctx)):
		return ErrClosed
	case len(l.cursors.all) == 0:
		return ErrNoSubscriber
	}
	return nil
}

// rejected returns an error if a Reject cursor has no room for position pos; it
// names the oldest one.
// The caller holds mu.
func (l *Log[T]) rejected(pos uint64) error {
	var full *Cursor[T]
	for _, c := range l.gating.all {
		if c.overflow == Reject && c.limit() <= pos && (full == nil || c.serial < full.serial) {
			full = c
		}
	}
	if full == nil {
		return nil
	}
	return &FullError{Mailbox: full.name, Capacity: int(full.capacity)}
}

// settle brings a claimed slot to its end: ready if the limit allows or comes
// to allow it, else a tombstone.
func (l *Log[T]) settle(ctx context.Context, v T, m *Meta, seg *segment[T], i uint64) error {
	pos := seg.base + i
	if pos >= l.limit.Load() { // P2
		if err := l.settleLate(ctx, pos); err != nil {
			l.bury(seg, i)
			return err
		}
	}
	s := &seg.slots[i]
	s.v = v // P3
	if m != nil {
		seg.setMeta(i, m)
	}
	if i%markEvery == 0 {
		seg.mark(i)
	}
	atomic.StoreUint32(&s.state, slotReady) // P4
	if l.sleepers.Load() != nil {           // P5
		l.wakeSleepers(seg, i)
	}
	return nil
}

// settleLate waits until the claimed position pos is below the limit.
func (l *Log[T]) settleLate(ctx context.Context, pos uint64) error {
	w := &waiter{claimed: true}
	l.mu.Lock()
	l.late++
	l.mu.Unlock()
	defer func() {
		l.leave(w)
		l.mu.Lock()
		l.late--
		l.mu.Unlock()
	}()
	for {
		l.relieve(pos)
		l.mu.Lock()
		l.refresh()
		if pos < l.limit.Load() {
			l.mu.Unlock()
			return nil
		}
		err := l.refused(ctx)
		if err == nil {
			err = l.rejected(pos)
		}
		l.mu.Unlock()
		if err != nil {
			return err
		}
		if err := l.wait(ctx, pos, w); err != nil {
			return err
		}
	}
}

// bury turns a claimed slot into a tombstone that readers step over.
func (l *Log[T]) bury(seg *segment[T], i uint64) {
	pos := seg.base + i
	l.mu.Lock()
	l.skipped.Add(1)
	if len(l.cursors.all) == 0 && pos >= l.rest.pos {
		l.tombs++
	}
	for _, cs := range [][]*Cursor[T]{l.cursors.all, l.leaving.all} {
		for _, c := range cs {
			if c.start <= pos && pos < c.end.Load() {
				c.tombs.Add(1)
			}
		}
	}
	l.mu.Unlock()
	seg.markRun(int(i)) // for the others of its run
	atomic.StoreUint32(&seg.slots[i].state, slotTomb)
	if l.sleepers.Load() != nil {
		l.wakeSleepers(seg, i)
	}
}
