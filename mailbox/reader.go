package mailbox

import (
	"sync/atomic"
	"time"
)

// Reader walks a cursor's events. It belongs to one goroutine at a time.
//
// A Reader is a small value: a copy taken by the owner is a checkpoint from
// which another goroutine may go on, if the owner has stopped for good.
type Reader[T any] struct {
	c     *Cursor[T] // whose log is read, or
	in    *Inbox[T]  // what is read instead
	seg   *segment[T]
	run   []slot[T] // found ready: slots of seg from at on, or the last event from the inbox
	at    int
	k     int    // how many of run have been taken
	plain int    // how many of run have no ticket: all, or none of one
	tombs uint64 // tombstones stepped over
	boxed uint64 // events taken from the inbox
	rest  bool   // takes what is left, whatever the keys
	quit  bool   // takes nothing more, unless it takes what is left
	item  *boxed[T]
}

// boxed is the event that was taken from an inbox last.
type boxed[T any] struct {
	Item[T]
	key *keyTurn[T] // busy with it
	run [1]slot[T]  // its event, as [Reader.Next] wants it
}

// lookahead is how many slots at most are found ready at a time.
const lookahead = 64

// next returns the index in seg of the next slot.
func (r *Reader[T]) next() int { return r.at + r.k }

// pos returns the position of the next slot.
func (r *Reader[T]) pos() uint64 { return r.seg.base + uint64(r.next()) }

// stand makes the reader stand before slot i of seg.
func (r *Reader[T]) stand(seg *segment[T], i int) {
	r.seg, r.at, r.run, r.k, r.plain = seg, i, nil, 0, 0
}

// Item is an event that has been moved out of the log.
type Item[T any] struct {
	Event       T
	Topic       string // of the [Feed]
	Seq         uint64
	PublishedAt time.Time
	Meta        *Meta
	Injected    any // what came with it by [Inbox.Inject]
}

// Clone returns a checkpoint that shares nothing with r, whose owner may still ask
// for the facts of the event in hand.
func (r *Reader[T]) Clone() Reader[T] {
	c := *r
	if c.in != nil {
		c.item = &boxed[T]{Item: r.item.Item, key: r.item.key, run: r.item.run}
		if r.run != nil {
			c.run = c.item.run[:]
		}
	}
	return c
}

// Next takes the next event, false if there is none now. It does not block.
// The event stays in the log until Publish has made the position known.
func (r *Reader[T]) Next() (v T, ok bool) {
	if !r.More() {
		return v, false
	}
	return r.Take(), true
}

// More reports whether there is an event to take now.
func (r *Reader[T]) More() bool { return r.k < len(r.run) || r.find() }

// Take is Next after More has said that there is an event. The two are small enough
// to be inlined, which Next is not.
func (r *Reader[T]) Take() T {
	r.k++
	return r.run[r.k-1].v // C2
}

// find looks for ready slots, or takes an event out of the inbox.
func (r *Reader[T]) find() bool {
	if r.in != nil {
		return !r.left() && r.in.pop(r)
	}
	for r.onward() {
		i := r.next()
		ahead := r.seg.slots[i:]
		ahead = ahead[:min(len(ahead), lookahead)]
		n, state := 0, slotReady
		for n < len(ahead) {
			if state = atomic.LoadUint32(&ahead[n].state); state != slotReady { // C1
				break
			}
			n++
		}
		// After C1: what was ready before is below an end that is set later.
		left := r.c.end.Load() - r.pos()
		switch {
		case left == 0 || n == 0 && state == slotEmpty:
			return false
		case n > 0:
			r.stand(r.seg, i)
			r.run = ahead[:min(uint64(n), left)]
			r.plain = len(r.run)
			if r.seg.asked.Load() { // after C1, and so after the Meta of what was found
				r.part()
			}
			return true
		}
		r.stand(r.seg, i+1)
		r.tombs++
	}
	return false
}

// onward makes the reader stand before a slot, false if it is not linked yet.
func (r *Reader[T]) onward() bool {
	if r.next() < len(r.seg.slots) {
		return true
	}
	next := r.seg.next.Load()
	if next == nil {
		return false
	}
	r.stand(next, 0)
	return true
}

// Ready reports whether Next has something to do.
func (r *Reader[T]) Ready() bool {
	if r.in != nil {
		return !r.left() && r.in.ready()
	}
	return r.ready()
}

func (r *Reader[T]) ready() bool {
	seg, i := r.seg, r.next()
	if i == len(seg.slots) {
		if seg = seg.next.Load(); seg == nil {
			return false
		}
		i = 0
	}
	return atomic.LoadUint32(&seg.slots[i].state) != slotEmpty && r.pos() < r.c.end.Load() // S2
}

// Drained reports whether a detached cursor has been read to its end: no
// publication that it is part of is still under way. A reader that has let go of
// the last event holds nothing of the log from then on.
func (r *Reader[T]) Drained() bool {
	if r.in != nil {
		return r.left() || r.in.drained()
	}
	if r.pos() < r.c.end.Load() {
		return false
	}
	if r.c.place.Load() == 2*r.pos() {
		r.leave()
	}
	return true
}

// leave makes r stand at the end of a log of its own. Its owner may be kept for
// long, and a segment holds all that come after it.
func (r *Reader[T]) leave() {
	if len(r.seg.slots) > 0 {
		r.stand(&segment[T]{base: r.pos()}, 0)
	}
}

// Publish makes known what Next has returned so far: room for publishers, and
// memory that may be let go. With inHand the last event is still being worked
// on: it does not count as waiting, but stays in the log for Last and Facts.
//
// Publish costs an atomic write, so consumers call it once for a number of
// events; it neither blocks nor calls anybody. Settle must follow.
func (r *Reader[T]) Publish(inHand bool) {
	if r.in != nil {
		if !inHand {
			*r.item = boxed[T]{key: r.item.key}
		}
		return
	}
	r.c.publish(r.pos(), r.tombs, inHand)
}

// Settle wakes publishers and clears memory after a Publish. It takes locks of
// the log, so the caller holds none.
func (r *Reader[T]) Settle() {
	if r.in == nil {
		r.c.published()
	}
}

// Taken returns how many events this reader and those it was copied from have
// taken from the log.
func (r *Reader[T]) Taken() uint64 {
	if r.in != nil {
		return r.boxed
	}
	return r.pos() - r.c.start - r.tombs
}

// Seq returns the sequence number, from 1, of the event that Next returned last.
// Like Last and Facts it may be asked until the next call of Next.
func (r *Reader[T]) Seq() uint64 {
	if r.in != nil {
		return r.item.Seq
	}
	return r.pos()
}

// Last returns the event that Next returned last. It must not have been let go
// by Publish(false).
func (r *Reader[T]) Last() T {
	if r.in != nil {
		return r.item.Event
	}
	return r.run[r.k-1].v
}

// Facts returns what else is known of the event that Next returned last, under
// the same condition as Last.
func (r *Reader[T]) Facts() (publishedAt time.Time, m *Meta) {
	if r.in != nil {
		return r.item.PublishedAt, r.item.Meta
	}
	i := uint64(r.next() - 1)
	return r.seg.publishedAt(i), r.seg.metaAt(i)
}

// Held reports whether the reader is an inbox's, where an event has left its place
// when it is taken.
func (r *Reader[T]) Held() bool { return r.in != nil }

// Topic returns the topic of the event that Next returned last, if it came by a
// [Feed].
func (r *Reader[T]) Topic() string {
	if r.in == nil {
		return ""
	}
	return r.item.Topic
}

// Injected returns what came by [Inbox.Inject] with the event that Next returned
// last.
func (r *Reader[T]) Injected() any {
	if r.in == nil {
		return nil
	}
	return r.item.Injected
}

// Hold takes over the right of the event that Next returned last to be the only one
// of its key.
func (r *Reader[T]) Hold() Hold[T] {
	if r.in == nil {
		return Hold[T]{}
	}
	h := Hold[T]{in: r.in, key: r.item.key}
	r.item.key = nil
	return h
}

// Release gives that right back, if nobody has taken it over: the event is done.
func (r *Reader[T]) Release() {
	if r.in != nil && r.item.key != nil {
		h := r.Hold()
		h.Release()
	}
}

// Rest makes Next return what is left in an inbox in the order of its age, whatever
// the keys, and without a right: nobody handles it any more.
func (r *Reader[T]) Rest() { r.rest = true }

// Quit makes an inbox's reader take nothing more: what waits is for the others.
// The caller has somebody else woken by [Inbox.Rouse], since this consumer may have
// been, and keeps it from being woken again. Rest ends it.
func (r *Reader[T]) Quit() { r.quit = true }

func (r *Reader[T]) left() bool { return r.quit && !r.rest }
