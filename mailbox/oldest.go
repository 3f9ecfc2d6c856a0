package mailbox

import "time"

// Oldest returns when the event was published that is next, as seen from r, a copy
// of the consumer's reader; the zero time if none waits, or its publication is
// under way. Anybody may ask: it looks at no slot, for those may be in use
// elsewhere by now, but at times, which are not used again.
func (r *Reader[T]) Oldest() time.Time {
	if b := r.c.box; b != nil {
		b.c.absorb()
		b.mu.Lock()
		defer b.mu.Unlock()
		if b.n == 0 {
			return time.Time{}
		}
		return b.at(0).PublishedAt
	}
	if r.c.LenFrom(r) == 0 {
		return time.Time{}
	}
	seg, i := r.seg, r.next()
	if i >= len(seg.slots) {
		if seg, i = seg.next.Load(), 0; seg == nil {
			return time.Time{}
		}
	}
	if len(seg.marks) == 0 || seg.marks[i/markEvery].Load() == 0 {
		return time.Time{} // the time before would be that of another run, perhaps of long ago
	}
	return seg.publishedAt(uint64(i))
}
