package rabbitmq

// flight knows which deliveries of one channel are unsettled. Their tags count from 1.
// One acknowledgment may stand for all tags up to its own, which is what it finds.
//
//	base                 the lowest tag that is unsettled; all below are settled
//	settled[tag-base]    the tag is settled
//
// It is not safe for concurrent use.
type flight struct {
	base    uint64
	settled []bool
	open    int // tags in settled that are not
}

func newFlight() *flight { return &flight{base: 1} }

// add notes a delivery. Tags come in order.
func (f *flight) add(tag uint64) {
	for f.base+uint64(len(f.settled)) <= tag {
		f.settled = append(f.settled, false)
		f.open++
	}
}

// take notes that a tag is settled, and reports whether it was not.
func (f *flight) take(tag uint64) bool {
	if tag < f.base || tag-f.base >= uint64(len(f.settled)) || f.settled[tag-f.base] {
		return false
	}
	f.settled[tag-f.base] = true
	f.open--
	return true
}

// advance moves base past what is settled.
func (f *flight) advance() {
	n := 0
	for n < len(f.settled) && f.settled[n] {
		n++
	}
	f.base += uint64(n)
	if n == len(f.settled) {
		f.settled = f.settled[:0]
		return
	}
	// Moving the rest costs as much as it has, which is no more than a prefetch.
	f.settled = f.settled[:copy(f.settled, f.settled[n:])]
}

// acks splits tags, which are sorted and which take has just returned true for, into
// one that stands for all up to it, 0 if there is none, and those that need their own.
func (f *flight) acks(tags []uint64) (upTo uint64, single []uint64) {
	f.advance()
	n := 0
	for n < len(tags) && tags[n] < f.base {
		upTo = tags[n]
		n++
	}
	return upTo, tags[n:]
}
