package topics

// heap is a 4-ary heap of what is due first, and of what came first among those
// that are due at the same time. Times are kept beside the pointers, so that a
// comparison looks at one cache line; four children lie in one.
type heap[T any] []slot[T]

type slot[T any] struct {
	at int64
	p  *pending[T]
}

func (s slot[T]) before(o slot[T]) bool {
	return s.at < o.at || s.at == o.at && s.p.serial < o.p.serial
}

// push adds p and reports whether it is the first now.
func (h *heap[T]) push(at int64, p *pending[T]) bool {
	*h = append(*h, slot[T]{at, p})
	return h.up(len(*h)-1) == 0
}

// remove takes out the one at place i.
func (h *heap[T]) remove(i int) *pending[T] {
	old := *h
	p := old[i].p
	p.place = -1
	last := len(old) - 1
	moved := old[last]
	old[last] = slot[T]{}
	*h = old[:last]
	if i < last {
		(*h)[i] = moved
		if h.up(i) == i {
			h.down(i)
		}
	}
	if cap(*h) > minHeap && len(*h) < cap(*h)/4 {
		*h = append(make(heap[T], 0, cap(*h)/2), *h...)
	}
	return p
}

// minHeap is the size below which a heap that has become empty keeps its memory.
const minHeap = 1024

func (h heap[T]) up(i int) int {
	s := h[i]
	for i > 0 {
		parent := (i - 1) / 4
		if !s.before(h[parent]) {
			break
		}
		h[i] = h[parent]
		h[i].p.place = int32(i)
		i = parent
	}
	h[i] = s
	s.p.place = int32(i)
	return i
}

func (h heap[T]) down(i int) {
	s := h[i]
	for {
		first := 4*i + 1
		if first >= len(h) {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, len(h)); c++ {
			if h[c].before(h[least]) {
				least = c
			}
		}
		if !h[least].before(s) {
			break
		}
		h[i] = h[least]
		h[i].p.place = int32(i)
		i = least
	}
	h[i] = s
	s.p.place = int32(i)
}

// due counts those from place i down that are due at now. It looks at no others
// but their children.
func (h heap[T]) due(i int, now int64) int {
	if i >= len(h) || h[i].at > now {
		return 0
	}
	n := 1
	for c := 4*i + 1; c <= 4*i+4; c++ {
		n += h.due(c, now)
	}
	return n
}
