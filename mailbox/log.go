// Package mailbox holds events between publishers and consumers: a lock-free
// log that many producers append to, with one cursor for each consumer.
//
// A topic owns one [Log]. Publishing writes the event once, in place, whatever
// the number of consumers; each consumer reads through its own [Cursor], which
// is bounded and has an [Overflow] policy. A log with a single cursor is a
// plain bounded multi-producer single-consumer mailbox.
//
// # Ownership
//
//	state == empty  the slot belongs to the producer that claimed its index
//	state == ready  the slot is immutable until every cursor has passed it
//	place(c)        slots below it are not cursor c's any more, but for the one in hand
//	below min place the slot belongs to the sweeper, which clears it
//
// # Ordering
//
//	P1 claim: i -> i+1         by compare-and-swap, where pos < soft: picks one owner; publishes nothing
//	P2 pos < soft              read again after P1: a cursor that joined before P1 has its say
//	P3 slot.v = v              plain write: the slot is ours
//	P4 state.Store(ready)      hands the slot to the readers
//	P5 sleepers.Load()         after P4: a mailbox that missed P4 is seen here
//	C1 state.Load() == ready   saw P4, so P3 happens before C2
//	C2 read slot.v
//	C3 place.Store(p)          after C2: hands slots below p to the sweeper and room to publishers
//	C4 waiting, full.Load()    after C3: a publisher that missed C3 is seen here
//	S1 sleepers push           the mailbox, still awake, says that it is about to sleep
//	S2 state.Load()            after S1: a publication that missed S1 is seen here
//	S3 parked.Load()           after the mailbox is marked idle: a publisher that took it off the
//	                           list before found it awake and left waking it to this
//	W1 waiting.Add(1)          the publisher says that it waits
//	W2 place.Load()            after W1: room that missed W1 is seen here
//	F1 full.Store(c)           a publisher, or who looks for it, appoints the cursor that has no room
//	F2 place(c).Load()         after F1: a move that missed F1 is seen here
//	D1 watch.Store(c)          the sweeper appoints the cursor that holds it back
//	D2 place(c).Load()         after D1: a move that missed D1 is seen here
//	Z1 slot.v = zero           after all places were read above it, so every C2 happens before Z1
//	Z2 used.Put(slots)         after all places were read at or above the segment's end, and after Z1:
//	                           its slots may be those of a new segment
//
// Go's atomics are sequentially consistent, so of each of the pairs P4/P5 with
// S1/S2, C3/C4 with W1/W2 and F1/F2, and C3 with D1/D2 at least one side sees the other.
// The folder model holds these protocols as Spin models with their mutants.
//
// # Limits
//
// A producer stopped between P1 and P4 hides what comes after it from all
// cursors until it goes on. Nothing is lost or reordered.
package mailbox

import (
	"context"
	"math"
	"reflect"
	"sync"
	"sync/atomic"
)

const noLimit = math.MaxUint64

type mode uint32

const (
	modeOpen     mode = iota
	modeDraining      // only publications that the gatekeeper admits
	modeClosed
)

// Gatekeeper is asked on the slow path of [Log.Append] only.
type Gatekeeper interface {
	// Admit reports whether a publication with this context may enter a log
	// that drains.
	Admit(ctx context.Context) bool
	// Wait is called before a publisher parks because mailboxes are full. full
	// returns the owners of those that are full when it is called. An error
	// refuses the publication.
	Wait(ctx context.Context, full func() []any) (Wait, error)
}

// Log is a queue that many goroutines append to and every cursor reads whole.
// All methods are safe for concurrent use.
type Log[T any] struct {
	keeper Gatekeeper
	clears atomic.Bool // passed slots must be cleared: T holds pointers, or an event came with a Meta

	_ [cacheLine]byte
	// Read by every Append, written when a segment or the limit is used up.
	tail  atomic.Pointer[segment[T]]
	soft  atomic.Uint64 // the limit while the log is simply open, else 0: to the slow path
	limit atomic.Uint64 // below it a claim is accepted
	_     [cacheLine - 24]byte
	// Written by mailboxes that go to sleep, read by every Append.
	sleepers atomic.Pointer[Cursor[T]]
	_        [cacheLine - 8]byte
	// Read by consumers when they publish their position.
	waiting atomic.Int32              // publishers parked
	full    atomic.Pointer[Cursor[T]] // one that has no room for the next publication
	watch   atomic.Pointer[Cursor[T]] // one that holds the sweeper back
	due     atomic.Uint64             // the place from which on it calls the sweeper
	_       [cacheLine - 32]byte

	skipped atomic.Uint64 // positions that never became an event

	open  atomic.Bool // a claim below the limit needs no further leave
	spare atomic.Pointer[segment[T]]
	used  sync.Pool // of *[maxSegment]slot[T], left by every cursor

	mu      sync.Mutex // guards what follows
	mode    mode
	serial  uint64 // of the youngest cursor
	late    int    // publishers that have claimed beyond the limit
	many    int    // parked commits, which may need several slots at once
	hungry  int    // parked publishers that were woken and overtaken: nobody passes them
	roomy   uint64 // room worth waking or yielding for
	cursors set[T] // attached
	leaving set[T] // detached, still reading up to their end
	waiters []*waiter
	gating  set[T]                       // attached ones that hold publishers back
	roomyTo int                          // the first of gating that may have no room for the next publication
	fed     atomic.Pointer[[]*Cursor[T]] // attached ones that feed an inbox; nil once it is no longer right
	rest    place[T]                     // where the last attached cursor left off: the next first one starts there and takes seg
	tombs   uint64                       // tombstones from rest on, while no cursor is attached

	sweepMu  sync.Mutex  // guards what follows; taken after mu if both
	swept    uint64      // slots below it are cleared
	sweepEnd uint64      // what nobody reads any more, while there is no cursor
	sweepSeg *segment[T] // where swept lies
	sweepAt  int         // cursors before it in reading are above swept
	reading  set[T]      // attached and leaving
}

// NewLog returns an empty log without cursors. keeper may be nil.
func NewLog[T any](keeper Gatekeeper) *Log[T] {
	l := &Log[T]{keeper: keeper}
	first := newSegment(0, make([]slot[T], firstSegment))
	l.tail.Store(first)
	l.rest = place[T]{seg: first}
	l.sweepSeg = first
	l.clears.Store(holdsPointers(reflect.TypeFor[T]()))
	l.setDue()
	l.cursors.kind, l.leaving.kind, l.gating.kind, l.reading.kind = attached, leaving, gating, reading
	return l
}

// Drain refuses, from now on, publications that the gatekeeper does not admit.
func (l *Log[T]) Drain() { l.setMode(modeDraining) }

// Close refuses all further publications and cursors and lets every publisher
// that waits return [ErrClosed]. Cursors may read what was accepted before.
func (l *Log[T]) Close() { l.setMode(modeClosed) }

func (l *Log[T]) setMode(m mode) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.mode >= m {
		return
	}
	l.mode = m
	l.refresh()
	l.wakeFirst(len(l.waiters))
}

// Head returns the position that the next event will get: the number of
// positions handed out so far.
func (l *Log[T]) Head() uint64 { return l.head().pos }

// place is a position and where it lies.
type place[T any] struct {
	seg *segment[T]
	i   int
	pos uint64
}

func (l *Log[T]) head() place[T] {
	seg := l.tail.Load()
	for {
		next := seg.next.Load()
		if next == nil {
			i := seg.claimed()
			return place[T]{seg, int(i), seg.base + i}
		}
		seg = next
	}
}

// Accepted returns how many events have entered the log. Publications under way
// count.
func (l *Log[T]) Accepted() uint64 {
	skipped := l.skipped.Load()
	return l.Head() - skipped
}

// Waiting returns how many publishers are parked because a mailbox is full.
func (l *Log[T]) Waiting() int { return int(l.waiting.Load()) }

// stop makes that nothing is accepted until the next setLimit: whoever claims
// after its two statements reads a limit of zero and comes to mu. It returns the
// limit that was. The caller holds mu.
func (l *Log[T]) stop() uint64 {
	limit := l.limit.Load()
	l.soft.Store(0)
	l.limit.Store(0)
	return limit
}

// refresh recomputes the limit from the cursors' positions and wakes publishers for
// the room that has come: whoever finds it first, since the cursor that has made
// it may come to see that it is not the full one any more. The caller holds mu.
func (l *Log[T]) refresh() {
	head := l.Head() // for both: if there was room beyond it, somebody is woken for it, though it may be gone
	if len(l.cursors.all) > 0 {
		l.setLimit(l.gate(head))
	} else {
		// Nobody would get a new event; what was claimed for a cursor that
		// leaves is still accepted.
		l.setLimit(l.rest.pos)
	}
	l.wakeForRoom(head)
}

// setLimit makes limit the first position that is not accepted. The caller holds
// mu.
func (l *Log[T]) setLimit(limit uint64) {
	open := l.mode == modeOpen && len(l.cursors.all) > 0 && l.hungry == 0
	soft := uint64(0)
	if open {
		soft = limit
	}
	l.limit.Store(limit)
	l.soft.Store(soft)
	l.open.Store(open)
}

// gate returns a limit that no gating cursor's is below. If there is no room for the
// next publication, at head, it may be lower than it could be, and a cursor that has none
// is appointed as the one that wakes those who wait. The caller holds mu.
//
// Like the sweeper's, the appointment keeps cursors from looking at each other
// whenever one of them moves: none but this one can make room.
func (l *Log[T]) gate(head uint64) uint64 {
	next := head
	if l.many > 0 {
		next += l.fewest() - 1
	}
	for {
		// Who has claimed a slot beyond the limit waits for the lowest cursor, and
		// needs to know exactly, and so does who needs several slots; all others are content with any that is full.
		for ; l.late+l.many == 0 && l.roomyTo < len(l.gating.all); l.roomyTo++ {
			if c := l.gating.all[l.roomyTo]; c.limit() <= next && l.appoint(c, next) {
				return l.limit.Load()
			}
		}
		l.roomyTo, l.roomy = 0, maxRoomy
		limit := uint64(noLimit)
		var lowest *Cursor[T]
		for _, c := range l.gating.all {
			if at := c.limit(); at < limit {
				limit, lowest = at, c
			}
			l.roomy = min(l.roomy, max(1, c.capacity/4))
		}
		if limit > next {
			l.full.Store(nil)
			return limit
		}
		if l.appoint(lowest, limit) {
			return limit
		}
	}
}

// appoint makes c the cursor that wakes those who wait for room, and reports whether
// its limit is still not above the one given. The caller holds mu.
func (l *Log[T]) appoint(c *Cursor[T], limit uint64) bool {
	l.full.Store(c)           // F1
	return c.limit() <= limit // F2
}

// extend links a segment behind seg and makes it the tail.
func (l *Log[T]) extend(seg *segment[T]) {
	next := seg.next.Load()
	linked := false
	if next == nil {
		size := min(2*len(seg.slots), maxSegment)
		fresh := l.spare.Swap(nil)
		if fresh == nil || len(fresh.slots) != size {
			fresh = newSegment(0, l.slots(size))
		}
		fresh.base = seg.base + seg.len()
		if linked = seg.next.CompareAndSwap(nil, fresh); linked {
			next = fresh
		} else {
			l.spare.Store(fresh) // never linked, so nobody else knows it
			next = seg.next.Load()
		}
	}
	l.tail.CompareAndSwap(seg, next)
	if linked {
		l.absorbFrom(seg)
	}
}

// absorbFrom makes inboxes take over what they lag behind, once for each segment
// that is full, so that a stuck one holds at most its capacity and two segments.
func (l *Log[T]) absorbFrom(seg *segment[T]) {
	for _, c := range l.feeds() {
		if c.absorbed.Load() < seg.base {
			c.feed.absorbFor()
		}
	}
}

// feeds returns the attached cursors that feed an inbox.
func (l *Log[T]) feeds() []*Cursor[T] {
	if known := l.fed.Load(); known != nil {
		return *known
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	var fed []*Cursor[T]
	for _, c := range l.cursors.all {
		if c.feed != nil {
			fed = append(fed, c)
		}
	}
	l.fed.Store(&fed)
	return fed
}

// relieve has the inboxes that have no room for position pos absorb, since what
// they do not want makes room. The caller has nothing locked.
func (l *Log[T]) relieve(pos uint64) {
	for _, c := range l.feeds() {
		if c.overflow.gates() && c.limit() <= pos {
			c.feed.relieve()
		}
	}
}

// slots returns size empty slots.
func (l *Log[T]) slots(size int) []slot[T] {
	if size == maxSegment {
		if used, ok := l.used.Get().(*[maxSegment]slot[T]); ok {
			clear(used[:])
			return used[:]
		}
	}
	return make([]slot[T], size)
}

// wakeSleepers wakes every mailbox that sleeps. Called after slot i of seg
// became ready.
func (l *Log[T]) wakeSleepers(seg *segment[T], i uint64) {
	seg.mark(i) // nobody is in a hurry: let the event have its exact time
	l.wakeAll(l.sleepers.Swap(nil))
}

// wakeAll wakes c and those behind it, all of them: a filter may end the goroutine.
func (l *Log[T]) wakeAll(c *Cursor[T]) {
	defer func() {
		if c != nil {
			l.wakeAll(c)
		}
	}()
	for c != nil {
		woken := c
		c = c.nextSleeper
		woken.nextSleeper = nil
		woken.parked.Store(false) // before wake: a mailbox that sleeps again from here on pushes itself again
		woken.wake()
	}
}

func holdsPointers(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64, reflect.Uintptr,
		reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		return false
	case reflect.Array:
		return t.Len() > 0 && holdsPointers(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if holdsPointers(t.Field(i).Type) {
				return true
			}
		}
		return false
	default:
		return true
	}
}
