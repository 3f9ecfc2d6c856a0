package actors

import (
	"context"
	goruntime "runtime"
	"slices"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

const (
	// quantum is how many events a batch may take before others get the
	// processor. It bounds how long a busy actor keeps a processor to itself
	// to about 11 µs of our own work, 9 to 16 ns an event.
	quantum = 1024
	// maxStride is how many events a fast handler gets between checkpoints. A
	// checkpoint costs 45 to 80 ns: at 64 events it was a tenth of a delivery to ten
	// subscribers. With 256, and mailbox.Reader.Sprint, a delivery to a hundred costs
	// a quarter less (bench, interleaved, p = 0.02); one to one the same.
	maxStride = 256
	// strides is how many fit into a mailbox at least, so that its room is given
	// back long before it is full.
	strides = 16
	// fast is the time per event below which checkpoints are spread out.
	fast = time.Microsecond
)

// loop is one goroutine's way through a cell's events. Everything in it belongs
// to the goroutine that runs the cell, but for sig.
type loop[T any] struct {
	c       *Cell[T]
	r       mailbox.Reader[T]
	sig     *atomic.Uint32
	receive func(context.Context, T) error
	all     func(context.Context, []T) error // receive for batches
	ctx     *deliveryCtx

	turn      uint64        // of the last flush
	done      uint64        // handled since the last checkpoint
	left      int           // events until the next one
	stride    int           // events between two
	last      time.Duration // when the last one was
	cur       *held[T]      // in hand, if it was held before
	part      *part[T]      // in hand, of a cell that handles batches; cur is its first
	lot       *lot[T]       // that part is of
	sprinting bool          // the account of what has been taken since from is to come
	from      uint64
	exited    bool // this goroutine was given up and has said so
}

// batch handles events until there are none, a signal asks for attention or
// the quantum is used up.
func (l *loop[T]) batch() {
	returned := false
	defer func() {
		if !returned {
			l.crashed(recover())
		}
	}()
	c := l.c
	// Whether the call could be given up by now makes a difference to what
	// follows it, beyond the account: claim before.
	careful := c.attentive || c.cfg.Timeout > 0 || l.r.Held()
	special := l.special()
	l.left = 1
	for n := quantum; n > 0; n-- {
		if !careful && !special {
			var err error
			if n, err = l.sprint(n); err != nil {
				if !l.failed(err) {
					break
				}
				special = l.special()
				l.left = 1
				continue
			}
		}
		if n <= 0 || l.sig.Load() != 0 || l.receive == nil {
			break
		}
		if special {
			h := l.nextHeld()
			if h != nil {
				if !l.attempt(h, true) {
					break
				}
				special = l.special()
				continue
			}
			if special = c.head != nil; special {
				break // not due: nothing may overtake it
			}
		}
		if !l.r.More() {
			break
		}
		ev := l.r.Take()
		if l.r.Injected() != nil {
			if !l.attempt(l.hold(), false) {
				break
			}
			special = l.special()
			continue
		}
		ticket := ticketOf(l.r.Ticket())
		if l.left--; l.left <= 0 || ticket != nil {
			l.checkpoint(true)
		}
		var err error
		if c.cfg.Timeout == 0 {
			err = l.receive(l.ctx, ev)
		} else {
			err = l.timed(ev)
		}
		if err != nil {
			if !l.failed(err) {
				break
			}
			special = l.special()
			l.left = 1
			continue
		}
		l.done++
		if careful || special || ticket != nil {
			l.claim()
			l.left = 1
			l.r.Release()
			c.outcome(ticket, Outcome{Kind: OutcomeDone, Attempts: 1})
			if c.attentive {
				c.handled(ev, l.r.Seq(), 1)
			}
		}
	}
	l.checkpoint(false)
	l.finishDraining()
	if err := c.keyFault.Swap(nil); err != nil {
		c.tellFault(*err)
	}
	returned = true
}

// sprint handles events that need nothing but the handler, up to the next
// checkpoint or an error, and returns what is left of n.
func (l *loop[T]) sprint(n int) (int, error) {
	for n > 0 && l.left > 1 && l.sig.Load() == 0 && l.r.Plain() {
		l.sprinting, l.from = true, l.r.Taken()
		err := l.r.Sprint(l.ctx, min(n, l.left-1), l.sig, l.receive)
		n -= l.sprinted()
		if err != nil {
			l.done-- // the one in hand
			return n, err
		}
	}
	return n, nil
}

// sprinted counts what a sprint has taken, the one in hand included.
func (l *loop[T]) sprinted() int {
	l.sprinting = false
	taken := l.r.Taken() - l.from
	l.done += taken
	l.left -= int(taken)
	return int(taken)
}

// special reports whether events may wait elsewhere than in the log.
func (l *loop[T]) special() bool {
	c := l.c
	if c.head != nil || len(c.aside) > 0 {
		return true
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.laneNext() >= 0
}

// nextHeld returns the next event that has left the log before and may be
// handled now.
func (l *loop[T]) nextHeld() *held[T] {
	c := l.c
	if h := c.head; h != nil {
		if h.due.After(time.Now()) {
			return nil
		}
		return h
	}
	if len(c.aside) > 0 {
		if h := c.aside.next(time.Now()); h != nil {
			return h
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	i := c.laneNext()
	if i < 0 {
		return nil
	}
	h := c.lane[i]
	if i == 0 {
		c.lane[0] = nil
		c.lane = c.lane[1:]
	} else {
		c.lane = slices.Delete(c.lane, i, i+1)
	}
	// From queued to waiting in one step, so that the account adds up at any
	// moment; attempt takes it from there.
	c.ledger.lane--
	c.retryWait++
	return h
}

// laneNext returns where in the lane the next event is that may be handled, -1 if
// there is none. Under [Ordered], redeliveries wait for the one before them that
// waits for its next attempt, as nothing else is set aside there; what the actor's
// own machinery brings does not. The caller is the loop and holds mu.
func (c *Cell[T]) laneNext() int {
	switch {
	case len(c.lane) == 0:
		return -1
	case c.cfg.Ordering != Ordered || len(c.aside) == 0:
		return 0
	}
	return slices.IndexFunc(c.lane, func(h *held[T]) bool { return h.redelivery == nil })
}

// attempt handles an event that is held, and was waiting or has just been taken. It
// reports whether the batch goes on.
func (l *loop[T]) attempt(h *held[T], waited bool) bool {
	c := l.c
	c.head = nil
	l.last, l.left = time.Since(epoch), 1
	l.flush(func() {
		if waited {
			c.retryWait--
		}
		c.busy = true
		c.cur = h
		if h.attempt > 0 {
			c.retries++
		}
	})
	l.cur = h
	var err error
	if c.cfg.Timeout == 0 {
		err = l.receive(l.ctx, h.ev)
	} else {
		err = l.timed(h.ev)
	}
	if err != nil {
		return l.failed(err)
	}
	if h.rehearses() {
		l.claim()
		l.rehearsed(h, "", nil)
		return true
	}
	l.done++
	if h.redelivery != nil {
		l.claim() // or the call is given up when its success is told
		h.redelivered("", nil)
	}
	l.close(func() {})
	h.hold.Release()
	l.succeeded(h, h.attempt+1)
	return true
}

// redelivered tells the end of a redelivery before the account shows it: who waits
// until there is nothing to do must find the letter's outcome on its way to the store.
// The caller has claimed the call.
func (h *held[T]) redelivered(dropped string, err error) {
	if h.redelivery != nil {
		h.redelivery.end(dropped, err)
		h.redelivery = nil
	}
}

// rehearsed ends a rehearsal, whose handler has returned.
func (l *loop[T]) rehearsed(h *held[T], dropped string, err error) {
	h.redelivered(dropped, err)
	l.close(func() { l.c.drop(ReasonRehearsal, 1) })
	h.hold.Release()
}

// succeeded tells who wants to know that h is done.
func (l *loop[T]) succeeded(h *held[T], attempt int) {
	l.c.outcome(h.ticket, Outcome{Kind: OutcomeDone, Attempts: attempt})
	if l.c.attentive {
		l.c.handled(h.ev, h.seq, attempt)
	}
}

// handled tells who wants to know that the handler has succeeded.
func (c *Cell[T]) handled(ev T, seq uint64, attempt int) {
	if c.settled != nil {
		c.settled(ev, nil)
	}
	if c.sys.obs.Handled != nil {
		e := c.event()
		e.Sequence, e.Attempt = seq, attempt
		Notify(c.sys.obs.Handled, e)
	}
}

// timed calls the handler with a deadline.
func (l *loop[T]) timed(ev T) error {
	c := l.c
	ctx, cancel := context.WithTimeoutCause(l.ctx.Context, c.cfg.Timeout, supervisor.ErrTimeout)
	defer cancel()
	d := l.facts()
	turn := l.turn
	guard := time.AfterFunc(c.cfg.Timeout+c.cfg.Grace, func() { c.giveUp(l, turn, false) })
	defer guard.Stop()
	err := l.receive(&deliveryCtx{Context: ctx, core: &c.core, facts: func() Delivery { return d }}, ev)
	if err != nil && context.Cause(ctx) == supervisor.ErrTimeout {
		return lateError{err}
	}
	return err
}

// facts describes the event in hand.
func (l *loop[T]) facts() Delivery {
	c := l.c
	if l.cur != nil {
		return c.factsOf(l.cur)
	}
	d := Delivery{Topic: c.cfg.Topic, Subscriber: c.cfg.Name, Attempt: 1, key: c.key}
	if topic := l.r.Topic(); topic != "" {
		d.Topic, d.key = topic, c.sys.topicKey(topic)
	}
	d.Sequence = l.r.Seq()
	var meta *mailbox.Meta
	if d.PublishedAt, meta = l.r.Facts(); meta != nil {
		d.Headers, d.id, d.ticket = meta.Headers, meta.ID, ticketOf(meta.Ticket())
	}
	return d
}

// factsOf describes an event that is held.
func (c *Cell[T]) factsOf(h *held[T]) Delivery {
	d := Delivery{Topic: c.cfg.Topic, Subscriber: c.cfg.Name, key: c.key}
	if h.topic != "" {
		d.Topic, d.key = h.topic, c.sys.topicKey(h.topic)
	}
	d.Sequence, d.PublishedAt, d.Headers, d.Attempt = h.seq, h.publishedAt, h.headers, h.attempt+1
	d.id, d.ticket = h.id, h.ticket
	if h.redelivery != nil {
		d.LetterID, d.Rehearsal = h.redelivery.LetterID, h.redelivery.Rehearsal
	}
	return d
}

// checkpoint writes down how far the loop has come. With inHand, Next has just
// returned an event that is about to be handled.
func (l *loop[T]) checkpoint(inHand bool) {
	// After a single event, as of an actor that is woken for each, it is early
	// enough to look at the clock when the next one comes.
	if inHand || l.done > 1 || l.stride > 1 {
		now := time.Since(epoch)
		if n := l.done; n > 0 {
			if now-l.last > time.Duration(n)*fast {
				l.stride = 1
			} else {
				l.stride = min(2*l.stride, maxStride, max(1, l.c.cfg.Capacity/strides))
			}
		}
		l.last = now
	}
	l.left = l.stride
	c := l.c
	l.flush(func() { c.busy = inHand })
}

// epoch makes time.Since the cheapest clock there is.
var epoch = time.Now()

// flush writes the loop's progress and what change does to the ledger as one
// step, and lets publishers and the sweeper know. A goroutine that has been
// given up ends here.
func (l *loop[T]) flush(change func()) {
	c := l.c
	c.mu.Lock()
	if l.sig.Load()&sigGone != 0 {
		c.mu.Unlock()
		l.exit()
	}
	c.ledger.done += l.done
	l.done = 0
	change()
	c.turn++
	l.turn = c.turn
	c.since = l.last
	c.settling = false
	if c.condition == StateHung {
		c.condition = ""
	}
	l.r.Publish(c.busy && c.cur == nil)
	c.saved = l.r
	c.mu.Unlock()
	l.r.Settle()
}

// exit ends a goroutine that has been given up, without a further step: its
// stack leads through state that belongs to another goroutine by now.
func (l *loop[T]) exit() {
	l.wentLate()
	goruntime.Goexit()
}

func (l *loop[T]) wentLate() {
	if !l.exited {
		l.exited = true
		l.c.zombieEnded(l.done)
	}
}

// claim follows the return of a handler: from here on it is too late to give
// the call up. If that has happened, the goroutine ends here.
func (l *loop[T]) claim() {
	c := l.c
	c.mu.Lock()
	gone := l.sig.Load()&sigGone != 0
	if !gone {
		c.settling = true
	}
	c.mu.Unlock()
	if gone {
		l.exit()
	}
}

// finishDraining stops a draining cell that has nothing left.
func (l *loop[T]) finishDraining() {
	c := l.c
	if c.drained() {
		c.rest.Store(uint32(DeadLetterRest)) // nothing is left; asks once
		c.sys.as.Root.Stop(c.pid)
	}
}
