package mailbox

import "time"

// Reader walks a cursor's events. It belongs to one goroutine at a time.
//
// A Reader is a small value: a copy taken by the owner is a checkpoint from
// which another goroutine may go on, if the owner has stopped for good.
type Reader[T any] struct {
	c     *Cursor[T]
	seg   *segment[T]
	i     int    // the next slot of seg
	pos   uint64 // its position
	tombs uint64 // tombstones stepped over
	boxed uint64 // events taken from the box
	item  Item[T]
}

// Item is an event that has been moved out of the log.
type Item[T any] struct {
	Event       T
	Seq         uint64
	PublishedAt time.Time
	Meta        *Meta

	key string // under Latest, asked for once: the function is the user's
}

// Next takes the next event, false if there is none now. It does not block.
// The event stays in the log until Publish has made the position known.
func (r *Reader[T]) Next() (v T, ok bool) {
	if r.c.box != nil {
		if r.item, ok = r.c.box.pop(); !ok {
			return v, false
		}
		r.boxed++
		return r.item.Event, true
	}
	for {
		if r.i == len(r.seg.slots) && !r.nextSegment() {
			return v, false
		}
		s := &r.seg.slots[r.i]
		state := s.state.Load() // C1
		if state == slotEmpty || r.pos >= r.c.end.Load() {
			return v, false
		}
		r.i++
		r.pos++
		if state == slotReady {
			return s.v, true // C2
		}
		r.tombs++
	}
}

func (r *Reader[T]) nextSegment() bool {
	next := r.seg.next.Load()
	if next == nil {
		return false
	}
	r.seg, r.i = next, 0
	return true
}

// Ready reports whether Next has something to do.
func (r *Reader[T]) Ready() bool {
	if r.c.box != nil {
		return r.c.box.ready()
	}
	seg, i := r.seg, r.i
	if i == len(seg.slots) {
		if seg = seg.next.Load(); seg == nil {
			return false
		}
		i = 0
	}
	return seg.slots[i].state.Load() != slotEmpty && r.pos < r.c.end.Load() // S2
}

// Drained reports whether a detached cursor has been read to its end: no
// publication that it is part of is still under way. A reader that has let go of
// the last event holds nothing of the log from then on.
func (r *Reader[T]) Drained() bool {
	if r.c.box != nil {
		return r.c.box.drained()
	}
	if r.pos < r.c.end.Load() {
		return false
	}
	if r.c.place.Load() == 2*r.pos {
		r.leave()
	}
	return true
}

// leave makes r stand at the end of a log of its own. Its owner may be kept for
// long, and a segment holds all that come after it.
func (r *Reader[T]) leave() {
	if len(r.seg.slots) > 0 {
		r.seg, r.i = new(segment[T]), 0
	}
}

// Publish makes known what Next has returned so far: room for publishers, and
// memory that may be let go. With inHand the last event is still being worked
// on: it does not count as waiting, but stays in the log for Last and Facts.
//
// Publish costs an atomic write, so consumers call it once for a number of
// events; it neither blocks nor calls anybody. Settle must follow.
func (r *Reader[T]) Publish(inHand bool) {
	if r.c.box != nil {
		if !inHand {
			r.item = Item[T]{}
		}
		return
	}
	r.c.publish(r.pos, r.tombs, inHand)
}

// Settle wakes publishers and clears memory after a Publish. It takes locks of
// the log, so the caller holds none.
func (r *Reader[T]) Settle() {
	if r.c.box == nil {
		r.c.published()
	}
}

// Taken returns how many events this reader and those it was copied from have
// taken from the log.
func (r *Reader[T]) Taken() uint64 {
	if r.c.box != nil {
		return r.boxed
	}
	return r.pos - r.c.start - r.tombs
}

// Seq returns the sequence number, from 1, of the event that Next returned last.
// Like Last and Facts it may be asked until the next call of Next.
func (r *Reader[T]) Seq() uint64 {
	if r.c.box != nil {
		return r.item.Seq
	}
	return r.pos
}

// Last returns the event that Next returned last. It must not have been let go
// by Publish(false).
func (r *Reader[T]) Last() T {
	if r.c.box != nil {
		return r.item.Event
	}
	return r.seg.slots[r.i-1].v // Next leaves i behind the slot it returned
}

// Facts returns what else is known of the event that Next returned last, under
// the same condition as Last.
func (r *Reader[T]) Facts() (publishedAt time.Time, m *Meta) {
	if r.c.box != nil {
		return r.item.PublishedAt, r.item.Meta
	}
	i := uint64(r.i - 1)
	return r.seg.publishedAt(i), r.seg.metaAt(i)
}
