package mailbox

// set is a set of cursors, in no order: with many of them, one that comes or goes
// must not cost a look at the others. It is under a lock of the log, and so is
// what a cursor knows of its place in it.
type set[T any] struct {
	kind int
	all  []*Cursor[T]
}

// The sets of a log.
const (
	attached = iota
	leaving
	gating
	reading
	kinds
)

func (s *set[T]) has(c *Cursor[T]) bool { return c.places[s.kind] > 0 }

func (s *set[T]) add(c *Cursor[T]) {
	s.all = append(s.all, c)
	c.places[s.kind] = len(s.all)
}

// remove takes c out and returns the index at which another one stands now.
func (s *set[T]) remove(c *Cursor[T]) int {
	i, last := c.places[s.kind]-1, len(s.all)-1
	c.places[s.kind] = 0
	if i < last {
		s.all[i] = s.all[last]
		s.all[i].places[s.kind] = i + 1
	}
	s.all[last] = nil
	s.all = s.all[:last]
	return i
}
