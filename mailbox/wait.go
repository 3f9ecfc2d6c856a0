package mailbox

import (
	"cmp"
	"context"
	"fmt"
	goruntime "runtime"
	"slices"
	"strings"
	"time"
)

const (
	// yields is how often a publisher gives way to the consumers before it
	// parks. A parked publisher costs two context switches for every stride of
	// its slowest consumer; a yield lets the consumer take a whole batch.
	yields = 64
	// maxRoomy is the room that ends the yielding early.
	maxRoomy = 256
	// stillEvery is how often a parked publisher looks at why it waits.
	stillEvery = time.Second
)

// Wait follows one publisher that waits for room.
type Wait interface {
	// Still is called every second; an error ends the wait.
	Still(waited time.Duration) error
	// Done is called when the publisher goes on, for whatever reason.
	Done()
}

// waiter is one publication that found no room. Fields are its publisher's,
// but for hungry and pos, which mu guards.
type waiter struct {
	ready   chan struct{} // nil until it parks for the first time
	yielded bool
	woken   bool
	hungry  bool   // was woken and overtaken: goes first and nobody passes
	claimed bool   // owns the slot at pos
	need    uint64 // slots at once, of a commit; 0 is one, of others
	pos     uint64
	follow  Wait
	since   time.Time
}

// wait returns nil when it is worth looking for room for position pos again.
func (l *Log[T]) wait(ctx context.Context, pos uint64, w *waiter) error {
	l.mu.Lock()
	w.pos = pos // other publishers' gatekeepers may be looking at it
	l.mu.Unlock()
	if ctx.Err() != nil {
		return l.ended(ctx, w)
	}
	if !w.yielded {
		w.yielded = true
		if l.yield(pos) {
			return nil
		}
	}
	if err := l.follow(ctx, w); err != nil {
		return err
	}

	l.mu.Lock()
	if l.refused(ctx) != nil { // who was not in the list yet was not woken for it
		l.mu.Unlock()
		return nil
	}
	at := len(l.waiters)
	if w.need > 0 {
		// It is never hungry: others must not wait for a commit that waits
		// elsewhere, perhaps for another commit that waits here.
		l.many++
	} else if w.woken && !w.hungry {
		w.hungry = true
		l.hungry++
	}
	if w.hungry {
		at = 0
	}
	l.waiters = slices.Insert(l.waiters, at, w)
	l.waiting.Add(1) // W1
	l.refresh()      // W2
	l.mu.Unlock()
	// An inbox that is full no more says so to those that wait by now; and one that is
	// not full yet may be when what a filter does not want is all that is in the way.
	l.relieve(noLimit)

	tick := time.NewTicker(stillEvery)
	defer tick.Stop()
	for {
		select {
		case <-w.ready:
			w.woken = true
			return nil
		case <-ctx.Done():
			return l.ended(ctx, w)
		case <-tick.C:
			if w.follow != nil {
				if err := w.follow.Still(time.Since(w.since)); err != nil {
					return err
				}
			}
		}
	}
}

// yield lets consumers run and reports whether room has come of it.
func (l *Log[T]) yield(pos uint64) bool {
	room := false
	for range yields {
		goruntime.Gosched()
		if c := l.full.Load(); c != nil && c.limit() <= pos || !l.mu.TryLock() {
			continue
		}
		l.refresh()
		limit := l.limit.Load()
		room = pos < limit
		enough := l.mode == modeClosed || room && limit-pos >= l.roomy
		l.mu.Unlock()
		if enough {
			return true
		}
	}
	return room
}

// follow tells the gatekeeper, once, that this publisher is about to park.
func (l *Log[T]) follow(ctx context.Context, w *waiter) error {
	if w.ready != nil {
		return nil
	}
	if l.keeper != nil {
		follow, err := l.keeper.Wait(ctx, func() []any { return l.fullOwners(w) })
		if err != nil {
			return err
		}
		w.follow = follow
	}
	w.ready = make(chan struct{}, 1)
	w.since = time.Now()
	return nil
}

// ended returns the cause of ctx, with the names of the mailboxes that it ended at.
func (l *Log[T]) ended(ctx context.Context, w *waiter) error {
	var names []string
	for _, c := range l.fullFor(w) {
		names = append(names, c.name)
	}
	if len(names) == 0 {
		return context.Cause(ctx)
	}
	return fmt.Errorf("mailbox: waiting for room in %s: %w", strings.Join(names, ", "), context.Cause(ctx))
}

// fullOwners returns the owners of the mailboxes that keep w waiting.
func (l *Log[T]) fullOwners(w *waiter) []any {
	var owners []any
	for _, c := range l.fullFor(w) {
		owners = append(owners, c.owner)
	}
	return owners
}

// fullFor returns the cursors that keep w waiting at this moment, the oldest
// first.
func (l *Log[T]) fullFor(w *waiter) []*Cursor[T] {
	l.mu.Lock()
	defer l.mu.Unlock()
	pos := w.pos
	if !w.claimed {
		pos = max(pos, l.Head()) // others may have gone before it
	}
	if w.need > 0 {
		pos += w.need - 1
	}
	var full []*Cursor[T]
	for _, c := range l.gating.all {
		if c.limit() <= pos {
			full = append(full, c)
		}
	}
	slices.SortFunc(full, func(a, b *Cursor[T]) int { return cmp.Compare(a.serial, b.serial) })
	return full
}

// leave ends what a publication held while it waited.
func (l *Log[T]) leave(w *waiter) {
	if w == nil || w.ready == nil {
		return
	}
	if w.follow != nil {
		w.follow.Done()
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.hungry {
		l.hungry--
	}
	if k := slices.Index(l.waiters, w); k >= 0 {
		l.waiters = slices.Delete(l.waiters, k, k+1)
		l.gone(w)
	}
	l.refresh() // a wake-up that this one did not use is the next one's
}

// release wakes publishers for the room that cursors have made.
func (l *Log[T]) release() {
	l.mu.Lock()
	l.refresh()
	l.mu.Unlock()
}

// wakeForRoom wakes as many waiters as there is room for from head on, all if the
// log takes no more events. Only refresh calls it, with mu held.
func (l *Log[T]) wakeForRoom(head uint64) {
	if len(l.waiters) == 0 {
		return
	}
	if l.mode == modeClosed || len(l.cursors.all) == 0 {
		l.wakeFirst(len(l.waiters))
		return
	}
	n, limit := 0, l.limit.Load()
	for n < len(l.waiters) && l.waiters[n].need == 0 && head < limit {
		n++
		head++
	}
	l.wakeFirst(n)
	if l.many > 0 {
		// Those behind one that needs more than there is do not wait for it.
		l.waiters = slices.DeleteFunc(l.waiters, func(w *waiter) bool {
			need := max(1, w.need)
			if head+need > limit {
				return false
			}
			head += need
			l.woken(w)
			return true
		})
	}
	// Who has claimed a slot is not served by room behind the head.
	l.waiters = slices.DeleteFunc(l.waiters, func(w *waiter) bool {
		if !w.claimed || w.pos >= limit {
			return false
		}
		l.woken(w)
		return true
	})
}

// woken tells a waiter that is taken out of the list. The caller holds mu.
func (l *Log[T]) woken(w *waiter) {
	l.gone(w)
	w.ready <- struct{}{} // has room: a waiter is in the list only while its channel is empty
}

// gone notes that a waiter is not in the list any more. The caller holds mu.
func (l *Log[T]) gone(w *waiter) {
	l.waiting.Add(-1)
	if w.need > 0 {
		l.many--
	}
}

// fewest returns the least of what parked publishers need that belong to commits.
// The caller holds mu.
func (l *Log[T]) fewest() uint64 {
	fewest := uint64(noLimit)
	for _, w := range l.waiters {
		if w.need > 0 {
			fewest = min(fewest, w.need)
		}
	}
	return fewest
}

// wakeFirst wakes the n waiters in front. The caller holds mu.
func (l *Log[T]) wakeFirst(n int) {
	for _, w := range l.waiters[:n] {
		l.woken(w)
	}
	l.waiters = slices.Delete(l.waiters, 0, n)
}
