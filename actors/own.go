package actors

import "time"

// own marks a message that the actor's own machinery has brought.
type own[M any] struct {
	m     M
	build func() M // instead of m, called when it is needed first
	built bool
	taken func() // called, once, when it is taken out of the mailbox
}

// message returns the message, on the goroutine of whoever has it in hand.
func (o *own[M]) message() M {
	if taken := o.taken; taken != nil {
		o.taken = nil
		taken()
	}
	if !o.built && o.build != nil {
		o.m = o.build()
	}
	o.built = true
	return o.m
}

// bring puts a message of the actor's own machinery into its mailbox, in front
// of what waits there. It does not block and is not held to the capacity: there
// is at most one message of each timer and watch. It reports whether the actor
// still takes messages.
func (r *Ref[M]) bring(o *own[M]) bool {
	c := r.cell
	h := &held[envelope[M]]{ev: envelope[M]{m: o.m, own: o}, publishedAt: time.Now()}
	c.mu.Lock()
	if c.ending {
		c.mu.Unlock()
		return false
	}
	c.lane = append(c.lane, h)
	c.ledger.lane++
	c.ledger.own++
	c.mu.Unlock()
	c.nudge()
	return true
}

// revoke drops a message that bring has put into the mailbox, unless it has been
// taken.
func (r *Ref[M]) revoke(o *own[M]) {
	c := r.cell
	c.mu.Lock()
	found := false
	for i, h := range c.lane {
		if found = h.ev.own == o; found {
			c.lane = append(c.lane[:i:i], c.lane[i+1:]...)
			c.ledger.lane--
			c.drop(ReasonCanceled, 1)
			break
		}
	}
	c.mu.Unlock()
	if !found {
		return
	}
	c.sys.poke()
	if c.sys.obs.Dropped != nil {
		e := c.event()
		e.Reason, e.Count = ReasonCanceled, 1
		Notify(c.sys.obs.Dropped, e)
	}
}
