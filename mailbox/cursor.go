package mailbox

import "sync/atomic"

// CursorConfig describes one consumer of a [Log].
type CursorConfig[T any] struct {
	// Name says which mailbox is full in a [FullError].
	Name string
	// Capacity is how many events may wait, besides the one in hand. Exact:
	// never more. Required unless Overflow is Unbounded.
	Capacity int
	// Overflow is what happens when Capacity events wait. Zero is Block.
	Overflow Overflow
	// Key makes Latest keep the newest event of each key, and is the key of Keyed.
	// It is called with the mailbox locked: like Filter and Priority, it must
	// neither block nor panic nor use the mailbox.
	Key func(T) string
	// Keyed hands out the events of one key one after the other, each after the
	// [Hold] of the one before has been released, or its consumer has asked for
	// the next event.
	Keyed bool
	// Filter, if set, says which events the mailbox wants. The others cost it
	// neither room nor a wake-up.
	Filter func(T, *Meta) bool
	// Filtered, if set, sees each event that Filter does not want, with the
	// mailbox locked.
	Filtered func(Item[T])
	// Priority, if set, is the number of an event's lane, from 0 to Lanes-1 and
	// taken as the nearest of these: higher ones go first, but for one in 17
	// events that is of a lane that would starve.
	Priority func(T) int
	// Lanes is how many lanes there are.
	Lanes int
	// Shared says that several consumers take from the mailbox; see [Inbox.Reader].
	Shared bool
	// Wake is called by publishers when the mailbox sleeps and there is
	// something to read. It must not block. Of several consumers it wakes one that
	// is idle, if any is.
	Wake func()
	// WakeAll wakes all of several consumers.
	WakeAll func()
	// Owner is what the gatekeeper gets to see of a full mailbox.
	Owner any
	// Overflowed receives what does not fit under DeadLetter. It is called
	// with the mailbox locked: it must not block nor call the cursor.
	Overflowed func(Item[T])
	// Discarded, if set, sees each event that a policy drops, under the same
	// condition. by says which way: DropOldest, DropNewest, or Latest for one
	// that a newer one of its key has replaced.
	Discarded func(it Item[T], by Overflow)
	// Dropped is told how many events an overflow policy has dropped or handed
	// to Overflowed, or Filter did not want, with nothing locked: by the consumer, or by a publisher or
	// an onlooker, whose call may then come a little after [Cursor.Inspect]
	// shows it.
	Dropped func(Drops)
}

// Cursor is the place of one consumer in a log, with its capacity and policy.
//
// Methods are safe for concurrent use, except that Sleep belongs to the
// consumer of a cursor without an inbox. Reading is the [Reader]'s.
type Cursor[T any] struct {
	log      *Log[T]
	name     string
	capacity uint64
	overflow Overflow
	wake     func()
	owner    any

	start uint64        // first position that is this cursor's
	end   atomic.Uint64 // first position that is not, once detached
	tombs atomic.Uint64 // tombstones in [start, end), passed or not
	feed  feeder        // it feeds an inbox; nil if its consumer reads the log
	inbox *Inbox[T]     // that inbox, if Subscribe has made it

	places [kinds]int // in the log's sets, from 1; 0 is none
	serial uint64     // in order of subscription

	_ [cacheLine]byte // what follows is written by the consumer, read by publishers and the sweeper
	// place is twice the number of the first position that has not been taken,
	// plus one while the event before it is in hand and must stay in the log.
	place  atomic.Uint64
	passed atomic.Uint64 // tombstones in [start, place)
	// absorbed is the first position that is not in the inbox, of a feed.
	absorbed atomic.Uint64
	_        [cacheLine - 24]byte

	parked      atomic.Bool // is in, or was just taken from, the log's list of sleepers
	nextSleeper *Cursor[T]
}

// Subscribe attaches a cursor. Events whose publication began before belong to
// it wholly or not at all; every event published after Subscribe returned does.
//
// It returns [ErrClosed] when the log is closed.
func (l *Log[T]) Subscribe(cfg CursorConfig[T]) (*Cursor[T], *Reader[T], error) {
	if cfg.needsInbox() {
		in := NewInbox(cfg)
		c, err := attachFeed(in, l, "", func(v T) T { return v }, nil)
		if err != nil {
			return nil, nil, err
		}
		c.inbox = in
		return c, in.Reader(), nil
	}
	c := &Cursor[T]{
		log: l, name: cfg.Name, capacity: uint64(cfg.Capacity), overflow: cfg.Overflow, wake: cfg.Wake, owner: cfg.Owner,
	}
	var r *Reader[T]
	if err := l.attach(c, nil, func(from *Reader[T]) { r = from }); err != nil {
		return nil, nil, err
	}
	return c, r, nil
}

// attach makes c a cursor of the log, from the next event on or, if from is not nil,
// from a place that another cursor keeps. It calls began with a reader at c's start
// before c gets its first event.
func (l *Log[T]) attach(c *Cursor[T], from *place[T], began func(*Reader[T])) error {
	c.end.Store(noLimit)
	l.mu.Lock()
	if l.mode == modeClosed {
		l.mu.Unlock()
		return ErrClosed
	}
	limit := l.stop()
	at := l.head()
	if from != nil {
		at = *from
	} else if len(l.cursors.all) == 0 {
		// What was claimed while nobody was there may come to be accepted now,
		// and then it is the newcomer's.
		at = l.rest
		l.rest.seg = nil // it would hold every segment from there on
		c.tombs.Store(l.tombs)
		l.tombs = 0
		limit = noLimit
	}
	at.seg.markRun(at.i)
	c.start = at.pos
	c.place.Store(2 * c.start)
	c.absorbed.Store(c.start)
	began(&Reader[T]{c: c, seg: at.seg, at: at.i})
	if c.feed != nil {
		l.fed.Store(nil)
	}
	if c.overflow.gates() {
		limit = min(limit, c.limit())
		l.gating.add(c)
	}
	l.serial++
	c.serial = l.serial
	l.cursors.add(c)
	l.sweepMu.Lock()
	l.reading.add(c)
	l.sweepMu.Unlock()
	l.setLimit(limit)
	l.mu.Unlock()
	l.sweep()
	return nil
}

// Detach ends the cursor's part in publications: it gates none from then on.
// What was accepted before may still be read, and what was under way and found
// no room now does; Reader.Next returns nothing from the first position after
// that. Detach is idempotent.
func (c *Cursor[T]) Detach() {
	l := c.log
	l.mu.Lock()
	if !l.cursors.has(c) {
		l.mu.Unlock()
		return
	}
	limit := l.stop()
	end := l.head()
	c.end.Store(end.pos)
	l.cursors.remove(c)
	l.leaving.add(c)
	if c.overflow.gates() {
		// Another one takes its place, of which it is not known whether it has room.
		l.roomyTo = min(l.roomyTo, l.gating.remove(c))
	}
	if c.feed != nil {
		l.fed.Store(nil)
	}
	if len(l.cursors.all) == 0 {
		l.rest = end
		l.sweepMu.Lock()
		l.sweepEnd = end.pos
		l.sweepMu.Unlock()
	}
	if len(l.cursors.all) > 0 {
		l.setLimit(limit)
	}
	if len(l.cursors.all) == 0 || len(l.waiters) > 0 || l.full.Load() == c {
		l.refresh()
	}
	l.mu.Unlock()
}

// Close ends the cursor, which has been detached and read to its end; see
// [Reader.Drained]. No Reader may be used any more.
func (c *Cursor[T]) Close() {
	l := c.log
	l.mu.Lock()
	if l.leaving.has(c) {
		l.leaving.remove(c)
		l.sweepMu.Lock()
		l.sweepAt = min(l.sweepAt, l.reading.remove(c))
		l.sweepMu.Unlock()
	}
	l.mu.Unlock()
	l.sweep()
}

// Inbox returns the inbox that the cursor feeds, nil if its consumer reads the log.
func (c *Cursor[T]) Inbox() *Inbox[T] { return c.inbox }

// Capacity returns how many events may wait; 0 means without bound.
func (c *Cursor[T]) Capacity() int {
	if c.overflow == Unbounded {
		return 0
	}
	return int(c.capacity)
}

// Overflow returns the cursor's policy.
func (c *Cursor[T]) Overflow() Overflow { return c.overflow }

// Len returns how many events wait. It counts what its consumer has taken since
// it last published its position (see [Reader.Publish]), and publications that
// are under way.
func (c *Cursor[T]) Len() int {
	if c.inbox != nil {
		return c.inbox.Len()
	}
	return c.lenFrom(c.taken(), c.passed.Load())
}

// LenFrom is Len as seen from r, a copy of the consumer's reader.
func (c *Cursor[T]) LenFrom(r *Reader[T]) int {
	if c.inbox != nil {
		return c.inbox.Len()
	}
	return c.lenFrom(r.pos(), r.tombs)
}

func (c *Cursor[T]) lenFrom(pos, tombs uint64) int {
	head := min(c.log.Head(), c.end.Load())
	return max(0, int(head-pos)-int(c.tombs.Load()-tombs))
}

// Inspect is [Inbox.Inspect] for a cursor that feeds one. Another one has done
// nothing and is not held up.
func (c *Cursor[T]) Inspect(f func(Drops)) {
	if c.inbox == nil {
		f(Drops{})
		return
	}
	c.inbox.Inspect(f)
}

// Sleep puts the mailbox on the list of those that the next publication wakes.
// After it the consumer looks at [Reader.Ready], then marks itself idle, then
// looks at [Cursor.Sleeps]: a publisher that calls Wake before the mark is set
// finds a mailbox that is awake, and leaves it to the consumer to notice.
func (c *Cursor[T]) Sleep() {
	if c.parked.Swap(true) {
		return // a publisher has us in hand and will wake us
	}
	l := c.log
	for {
		head := l.sleepers.Load()
		c.nextSleeper = head
		if l.sleepers.CompareAndSwap(head, c) { // S1
			return
		}
	}
}

// Sleeps reports whether the mailbox is still on the list of Sleep.
func (c *Cursor[T]) Sleeps() bool { return c.parked.Load() } // S3

// taken returns the first position that has not been taken.
func (c *Cursor[T]) taken() uint64 { return c.place.Load() / 2 }

// limit returns the first position that there is no room for.
func (c *Cursor[T]) limit() uint64 { return c.taken() + c.capacity }

// kept returns the first position whose event must stay.
func (c *Cursor[T]) kept() uint64 {
	if c.feed != nil {
		return c.absorbed.Load()
	}
	p := c.place.Load()
	return p/2 - p%2
}

// publish makes the reader's place known, and how many tombstones lie before it.
func (c *Cursor[T]) publish(pos, tombs uint64, inHand bool) {
	p := 2 * pos
	if inHand {
		p++
	}
	if p != c.place.Load() { // only the consumer writes it
		c.place.Store(p) // C3
	}
	if tombs != c.passed.Load() {
		c.passed.Store(tombs)
	}
}

// published tells those who wait for the position to move.
func (c *Cursor[T]) published() {
	l := c.log
	if l.waiting.Load() > 0 && l.full.Load() == c { // C4
		l.release()
	}
	c.letGo()
}

// letGo calls the sweeper if this is the cursor that it waits for.
func (c *Cursor[T]) letGo() {
	if l := c.log; l.watch.Load() == c && c.kept() >= l.due.Load() {
		l.sweep()
	}
}
