package mailbox

// turns are the events that wait in an [Inbox], in the order in which they will be
// handed out: the one of the most urgent lane that is at its front. Of the events
// of one key only the first is in a lane, and none while the one before it is in
// somebody's hand. Everything is O(1), but for a look at each lane.
//
// Events of a key that have had their turn go to the back of their lane, so that
// a key with many events does not hold up the others.
type turns[E any] struct {
	lanes  []list[E] // the last is the most urgent
	passed []int     // how often the head of a lane was passed over
	front  list[E]   // injected ones
	age    list[E]   // all that wait, the oldest first
	keys   map[string]*keyTurn[E]
	latest map[string]*node[E] // the one that waits, by key
	free   list[E]
	spare  int // how many are in free, up to
	spares int // the most that can wait, so that none is made but once
	made   int // at a time, last

	ready    int // events in lanes and front
	n        int // events that wait
	injected int // beyond these
}

// maxPassed is how often the head of a lane may be passed over for more urgent
// ones. With 16 a flood of urgent events leaves one in 17 to the others.
const maxPassed = 16

// maxMade bounds how many nodes are made at a time.
const maxMade = 64

// node is one event that waits. It is in the list of age and in one of turn.
type node[E any] struct {
	Item[E]
	feed  feeder // nil for an injected one
	name  string // key
	key   *keyTurn[E]
	lane  int
	in    *list[E] // of turn
	links [2]struct{ prev, next *node[E] }
}

// keyTurn exists while an event of the key is in a lane or in somebody's hand.
type keyTurn[E any] struct {
	name    string
	queue   list[E] // behind it
	holders int     // of several that are in one hand, besides one
}

// list is a list of nodes, linked by one of their two links.
type list[E any] struct {
	by         int
	head, tail *node[E]
}

const (
	byTurn = iota
	byAge
)

func (l *list[E]) push(n *node[E]) {
	n.links[l.by].prev, n.links[l.by].next = l.tail, nil
	if l.tail == nil {
		l.head = n
	} else {
		l.tail.links[l.by].next = n
	}
	l.tail = n
}

func (l *list[E]) pushFront(n *node[E]) {
	n.links[l.by].prev, n.links[l.by].next = nil, l.head
	if l.head == nil {
		l.tail = n
	} else {
		l.head.links[l.by].prev = n
	}
	l.head = n
}

func (l *list[E]) remove(n *node[E]) {
	at := &n.links[l.by]
	if at.prev == nil {
		l.head = at.next
	} else {
		at.prev.links[l.by].next = at.next
	}
	if at.next == nil {
		l.tail = at.prev
	} else {
		at.next.links[l.by].prev = at.prev
	}
	at.prev, at.next = nil, nil
}

func newTurns[E any](lanes, spares int, keyed, latest bool) turns[E] {
	t := turns[E]{spares: spares, lanes: make([]list[E], lanes), passed: make([]int, lanes), age: list[E]{by: byAge}}
	if keyed {
		t.keys = map[string]*keyTurn[E]{}
	}
	if latest {
		t.latest = map[string]*node[E]{}
	}
	return t
}

func (t *turns[E]) len() int { return t.n + t.injected }

// add puts an event behind the others.
func (t *turns[E]) add(f feeder, it Item[E], key string, lane int) {
	n := t.node(it, key)
	n.feed, n.lane = f, lane
	t.age.push(n)
	t.n++
	if t.latest != nil {
		t.latest[key] = n
	}
	t.line(n)
}

// inject puts an event before the others.
func (t *turns[E]) inject(it Item[E], key string) {
	n := t.node(it, key)
	t.age.pushFront(n)
	t.injected++
	t.line(n)
}

func (t *turns[E]) node(it Item[E], key string) *node[E] {
	if t.free.head == nil {
		// More of them each time, so that a backlog that grows costs few allocations.
		t.made = min(max(1, 2*t.made), maxMade)
		nodes := make([]node[E], t.made)
		for i := range nodes {
			t.free.push(&nodes[i])
		}
		t.spare += t.made
	}
	n := t.free.head
	t.free.remove(n)
	t.spare--
	n.Item, n.name = it, key
	return n
}

// line puts n where its turn comes: into its lane, or behind those of its key.
func (t *turns[E]) line(n *node[E]) {
	if t.keys != nil {
		k := t.keys[n.name]
		if k != nil {
			n.key, n.in = k, &k.queue
			k.queue.push(n)
			return
		}
		k = &keyTurn[E]{name: n.name}
		t.keys[n.name], n.key = k, k
	}
	t.enter(n)
}

// enter puts n into its lane.
func (t *turns[E]) enter(n *node[E]) {
	n.in = &t.lanes[n.lane]
	if n.feed == nil {
		n.in = &t.front
	}
	n.in.push(n)
	t.ready++
}

// next returns the event to hand out, nil if there is none whose turn it is. With
// rest, keys are not regarded.
func (t *turns[E]) next(rest bool) *node[E] {
	switch {
	case rest:
		return t.age.head
	case t.front.head != nil:
		return t.front.head
	case len(t.lanes) == 1:
		return t.lanes[0].head
	}
	var next *node[E]
	at := 0
	for i := len(t.lanes) - 1; i >= 0; i-- {
		n := t.lanes[i].head
		switch {
		case n == nil:
		case next == nil:
			next, at = n, i
		default:
			if t.passed[i]++; t.passed[i] > maxPassed && t.passed[i] > t.passed[at] {
				next, at = n, i
			}
		}
	}
	t.passed[at] = 0
	return next
}

// take takes n out, which next has returned, and returns its key, which is busy
// until it is released. With rest it is not.
func (t *turns[E]) take(n *node[E], rest bool) (Item[E], *keyTurn[E]) {
	it, key := n.Item, n.key
	if rest {
		t.remove(n)
		return it, nil
	}
	t.ready--
	t.forget(n)
	return it, key
}

// remove takes n out, wherever it is.
func (t *turns[E]) remove(n *node[E]) {
	key, waits := n.key, n.key != nil && n.in == &n.key.queue
	if !waits {
		t.ready--
	}
	t.forget(n)
	if !waits {
		t.release(key)
	}
}

// forget takes n out of its lists.
func (t *turns[E]) forget(n *node[E]) {
	n.in.remove(n)
	t.age.remove(n)
	if n.feed == nil {
		t.injected--
	} else {
		t.n--
	}
	if t.latest != nil && t.latest[n.name] == n {
		delete(t.latest, n.name)
	}
	*n = node[E]{}
	if t.spare < t.spares {
		t.spare++
		t.free.push(n)
	}
}

// release lets the next event of a key enter its lane.
func (t *turns[E]) release(k *keyTurn[E]) {
	if k == nil {
		return
	}
	if k.holders > 0 {
		k.holders--
		return
	}
	n := k.queue.head
	if n == nil {
		delete(t.keys, k.name)
		return
	}
	k.queue.remove(n)
	t.enter(n)
}

// oldest returns the event that has waited longest, of those that were not
// injected.
func (t *turns[E]) oldest() *node[E] {
	n := t.age.head
	for n.feed == nil {
		n = n.links[byAge].next
	}
	return n
}
