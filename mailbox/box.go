package mailbox

import (
	"sync"
	"sync/atomic"
)

// Drops counts what an overflow policy has done.
type Drops struct {
	Oldest     uint64 // dropped to make room
	Newest     uint64 // dropped since they did not fit
	Superseded uint64 // replaced by a newer event of the same key
	Overflowed uint64 // handed to CursorConfig.Overflowed
	Accepted   uint64 // everything that reached the mailbox, the above included
}

// Lost returns the number of events that the mailbox has dropped.
func (d Drops) Lost() uint64 { return d.Oldest + d.Newest + d.Superseded }

func (d Drops) minus(e Drops) Drops {
	d.Oldest -= e.Oldest
	d.Newest -= e.Newest
	d.Superseded -= e.Superseded
	d.Overflowed -= e.Overflowed
	d.Accepted -= e.Accepted
	return d
}

// box is the store of a mailbox whose policy drops.
//
// The log keeps an event for as long as a cursor stands before it, so a cursor
// that may lag for ever must not stand there: the box takes over (absorbs)
// what the cursor's place in the log entitles it to, dropping by policy. The
// consumer absorbs before each event that it takes; since only the consumer
// makes room, the outcome is the same as if each publication had been decided
// on the spot, and publishers pay nothing. Once for each segment a publisher
// absorbs for those that lag, so that the log is not held by a stuck consumer.
type box[T any] struct {
	c   *Cursor[T]
	key func(T) string

	mu    sync.Mutex // guards what follows; nothing of ours is locked inside but the owner's ledger
	from  Reader[T]  // place in the log
	items []Item[T]  // ring
	head  int
	n     int
	first uint64 // number of the item at head, counted over the life of the box
	keys  map[string]uint64
	total Drops
	told  Drops
}

func newBox[T any](c *Cursor[T], key func(T) string, from Reader[T]) *box[T] {
	b := &box[T]{c: c, key: key, from: from}
	if c.overflow == Latest {
		if key == nil {
			c.capacity = 1
		}
		b.keys = make(map[string]uint64)
	}
	return b
}

// absorb takes over what has been published and tells what was dropped.
func (c *Cursor[T]) absorb() {
	b := c.box
	b.mu.Lock()
	b.absorb()
	news := b.total.minus(b.told)
	b.told = b.total
	b.mu.Unlock()
	b.tell(news)
}

func (b *box[T]) tell(news Drops) {
	if news.Lost()+news.Overflowed > 0 && b.c.dropped != nil {
		b.c.dropped(news)
	}
	b.c.letGo()
}

// absorb is called with mu held.
func (b *box[T]) absorb() {
	// The reader must read the log, not the box: walk it by hand.
	r := &b.from
	for {
		if !r.onward() {
			break
		}
		i := r.next()
		s := &r.seg.slots[i]
		state := atomic.LoadUint32(&s.state) // C1
		if state == slotEmpty || r.pos() >= b.c.end.Load() {
			break
		}
		if state == slotReady {
			b.put(Item[T]{Event: s.v, Seq: r.pos() + 1, PublishedAt: r.seg.publishedAt(uint64(i)), Meta: r.seg.metaAt(uint64(i))}) // C2
		}
		r.stand(r.seg, i+1)
	}
	b.c.publish(r.pos(), 0, false) // C3
}

func (b *box[T]) put(it Item[T]) {
	b.total.Accepted++
	if b.c.overflow == Latest {
		if b.key != nil {
			it.key = b.key(it.Event)
		}
		if at, ok := b.keys[it.key]; ok {
			p := b.at(int(at - b.first))
			b.discard(*p, Latest)
			*p = it
			b.total.Superseded++
			return
		}
	}
	if uint64(b.n) == b.c.capacity {
		switch b.c.overflow {
		case DropNewest:
			b.discard(it, DropNewest)
			b.total.Newest++
			return
		case DeadLetter:
			b.total.Overflowed++
			b.c.overflowed(it)
			return
		default:
			b.discard(b.shift(), DropOldest)
			b.total.Oldest++
		}
	}
	if b.n == len(b.items) {
		b.grow()
	}
	*b.at(b.n) = it
	b.n++
	if b.keys != nil {
		b.keys[it.key] = b.first + uint64(b.n) - 1
	}
}

func (b *box[T]) discard(it Item[T], by Overflow) {
	if b.c.discarded != nil {
		b.c.discarded(it, by)
	}
}

func (b *box[T]) at(k int) *Item[T] {
	k += b.head
	if k >= len(b.items) {
		k -= len(b.items)
	}
	return &b.items[k]
}

func (b *box[T]) grow() {
	bigger := make([]Item[T], min(max(8, 2*len(b.items)), int(b.c.capacity)))
	for k := range b.n {
		bigger[k] = *b.at(k)
	}
	b.items, b.head = bigger, 0
}

func (b *box[T]) shift() Item[T] {
	p := b.at(0)
	it := *p
	*p = Item[T]{}
	if b.keys != nil {
		delete(b.keys, it.key)
	}
	if b.head++; b.head == len(b.items) {
		b.head = 0
	}
	b.n--
	b.first++
	return it
}

// pop absorbs, then takes the first item.
func (b *box[T]) pop() (it Item[T], ok bool) {
	b.mu.Lock()
	b.absorb()
	if b.n > 0 {
		it, ok = b.shift(), true
	}
	news := b.total.minus(b.told)
	b.told = b.total
	b.mu.Unlock()
	b.tell(news)
	return it, ok
}

func (b *box[T]) len() int {
	b.c.absorb()
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.n
}

func (b *box[T]) ready() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.n > 0 {
		return true
	}
	return b.from.ready()
}

func (b *box[T]) drained() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.absorb()
	if b.n > 0 || b.from.pos() < b.c.end.Load() {
		return false
	}
	b.from.leave()
	return true
}
