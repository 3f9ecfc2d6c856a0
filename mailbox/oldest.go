package mailbox

import "time"

// Oldest returns the sequence number of the event that is next and when it was
// published, as seen from r, a copy of the consumer's reader; the zero time if none
// waits, or its publication is under way. The time is as exact as that of
// [Reader.Facts], and becomes later when a sleeper is woken for an event of the
// same run: the first answer for an event is the best.
//
// Anybody may ask: it looks at no slot, for those may be in use elsewhere by now,
// but at times, which are not used again.
func (r *Reader[T]) Oldest() (seq uint64, publishedAt time.Time) {
	if r.in != nil {
		return r.in.Oldest()
	}
	if r.c.LenFrom(r) == 0 {
		return 0, time.Time{}
	}
	seg, i := r.seg, r.next()
	if i >= len(seg.slots) {
		if seg, i = seg.next.Load(), 0; seg == nil {
			return 0, time.Time{}
		}
	}
	if len(seg.marks) == 0 || seg.marks[i/markEvery].Load() == 0 {
		return 0, time.Time{} // the time before would be that of another run, perhaps of long ago
	}
	return r.pos() + 1, seg.publishedAt(uint64(i))
}

// Oldest returns the sequence number of the event that has waited longest and when
// it was published; the zero time if none waits.
func (in *Inbox[E]) Oldest() (seq uint64, publishedAt time.Time) {
	in.Inspect(func(Drops) {
		if n := in.turns.age.head; n != nil {
			seq, publishedAt = n.Seq, n.PublishedAt
		}
	})
	return seq, publishedAt
}
