package aggregate

import (
	"container/list"
	"sync"
	"time"

	"github.com/troupe-go/troupe/eventstore"
)

// entry is a state that is loaded.
type entry[S any] struct {
	id       string
	state    S
	version  eventstore.Version
	snapshot eventstore.Version // of the newest that is known
	since    time.Time          // when it was put back
}

// cache keeps states that nobody works with, the one that was put back last in front.
type cache[S any] struct {
	max   int
	after time.Duration

	mu     sync.Mutex
	closed bool
	byID   map[string]*list.Element
	order  *list.List
	timer  *time.Timer // runs while there are entries
}

func newCache[S any](max int, after time.Duration) *cache[S] {
	return &cache[S]{max: max, after: after, byID: map[string]*list.Element{}, order: list.New()}
}

// take returns the entry, which is the caller's alone until he puts it back, nil if
// there is none.
func (c *cache[S]) take(id string) *entry[S] {
	c.mu.Lock()
	defer c.mu.Unlock()
	at := c.byID[id]
	if at == nil {
		return nil
	}
	return c.remove(at)
}

func (c *cache[S]) remove(at *list.Element) *entry[S] {
	e := c.order.Remove(at).(*entry[S])
	delete(c.byID, e.id)
	return e
}

func (c *cache[S]) put(e *entry[S]) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return
	}
	if at := c.byID[e.id]; at != nil {
		// A handler that had been abandoned has come back, or we are that one.
		if at.Value.(*entry[S]).version > e.version {
			return
		}
		c.remove(at)
	}
	e.since = time.Now()
	c.byID[e.id] = c.order.PushFront(e)
	for c.order.Len() > c.max {
		c.remove(c.order.Back())
	}
	if c.timer == nil {
		c.timer = time.AfterFunc(c.after, c.passivate)
	}
}

// passivate forgets what has waited for too long.
func (c *cache[S]) passivate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timer = nil
	for at := c.order.Back(); at != nil && !c.closed; at = c.order.Back() {
		if left := c.after - time.Since(at.Value.(*entry[S]).since); left > 0 {
			c.timer = time.AfterFunc(left, c.passivate)
			return
		}
		c.remove(at)
	}
}

func (c *cache[S]) len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.order.Len()
}

// clear forgets all, for good.
func (c *cache[S]) clear() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
	c.order.Init()
	clear(c.byID)
}
