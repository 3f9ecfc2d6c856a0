package actors

import (
	goruntime "runtime"
	"time"

	"github.com/troupe-go/troupe/supervisor"
)

// stopped follows the last call of user code. What is left is settled by a
// goroutine that the system owns, because it may have to wait for the sink.
func (c *Cell[T]) stopped() {
	if c.timer != nil {
		c.timer.Stop()
	}
	c.detach()
	c.unstash()
	c.ends()
	c.mu.Lock()
	c.condition = StateStopped
	c.mu.Unlock()
	c.self.end()
	c.sys.owned.Go(c.settleRest)
}

// ends notes an end that is the supervisor's doing.
func (c *core) ends() {
	c.mu.Lock()
	alone := !c.ending
	if alone {
		c.ending = true
		c.stopReason = supervisor.ReasonStopped
		if c.self != nil {
			c.self.childRest = DeadLetterRest
		}
		c.rest.Store(uint32(DeadLetterRest))
	}
	c.mu.Unlock()
	switch {
	case !alone || c.pool == nil:
	case c.guest:
		c.detach() // the others go on
	default:
		// Before what is left is settled: a dead letter that is given back later
		// would find nobody.
		c.pool.Stop(DeadLetterRest, supervisor.ReasonStopped)
	}
}

// settleRest gives every event that is left its outcome.
func (c *Cell[T]) settleRest() {
	c.self.endChildren()
	c.mu.Lock()
	reason := c.stopReason
	discard := Rest(c.rest.Load()) == Discard
	lane := c.lane
	c.lane = nil
	c.mu.Unlock()

	var left, returned uint64
	end := func(h *held[T], leave func()) {
		defer h.hold.Release()
		reason := reason
		switch {
		case h.ticket.kept():
			returned++
			reason = ReasonReturned
		case !h.rehearses():
			left++
		}
		if discard || h.rehearses() || h.ticket.kept() {
			h.redelivered(reason, ErrStopped)
			c.mu.Lock()
			leave()
			c.drop(reason, 1)
			c.mu.Unlock()
			c.settle(h, reason, ErrStopped)
			return
		}
		c.mu.Lock()
		leave()
		c.parked++
		c.mu.Unlock()
		c.gaveUp(h, reason, ErrStopped) // before waiting for room
		c.sys.buryWaiting(c.dead(h, reason, ErrStopped))
	}
	if c.unburied != nil {
		c.sys.buryWaiting(c.unburied)
		c.unburied = nil
	}
	if c.head != nil {
		end(c.head, func() { c.retryWait-- })
		c.head = nil
	}
	c.bulk.end(c.sys.buryWaiting, func(h *held[T]) { end(h, func() { c.retryWait-- }) })
	for _, h := range c.aside {
		end(h, func() { c.retryWait-- })
	}
	c.aside = nil
	for _, h := range lane {
		end(h, func() { c.ledger.lane-- })
	}
	l := c.loop
	if c.guest && c.leaving.Load() {
		l.r.Quit()
	} else {
		l.r.Rest()
	}
	var looked int
	for {
		if _, ok := l.r.Next(); ok {
			looked = 0
			h := l.hold()
			end(h, func() {
				l.r.Publish(false)
				c.saved = l.r
			})
			l.r.Settle()
			continue
		}
		if l.r.Drained() {
			break
		}
		// A publication that was accepted is between its claim and its end: there
		// at once, unless it waits for room in another mailbox.
		if looked++; looked < 100 {
			goruntime.Gosched()
		} else {
			time.Sleep(min(time.Duration(looked-99)*time.Millisecond, 50*time.Millisecond))
		}
	}
	c.mu.Lock()
	c.saved = l.r // steps over tombstones count, too
	c.mu.Unlock()
	c.source.Close()
	c.self.leave()
	close(c.finished)
	c.afterDone()
	c.self.tellWatchers()
	c.sys.poke()
	tellDropped := func(reason string, n uint64) {
		if n > 0 && c.sys.obs.Dropped != nil {
			e := c.event()
			e.Reason, e.Count = reason, n
			Notify(c.sys.obs.Dropped, e)
		}
	}
	if discard {
		tellDropped(reason, left)
	}
	tellDropped(ReasonReturned, returned)
	if c.sys.obs.Stopped != nil {
		e := c.event()
		e.Reason, e.Count = reason, left
		Notify(c.sys.obs.Stopped, e)
	}
}

// buryWaiting waits for room in the sink, until the system may wait no longer.
func (s *System) buryWaiting(d *Dead) {
	for {
		room := make(chan struct{}, 1)
		if s.sink.Bury(d, func() {
			select {
			case room <- struct{}{}:
			default:
			}
		}) {
			return
		}
		select {
		case <-room:
		case <-s.hard.Done():
			d.Lost(ReasonDeadLettersUnavailable)
			return
		}
	}
}

// State says what the actor is doing.
func (c *core) State() State {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.condition == StateStopped || c.condition == StateEscalated || c.condition == StateCooldown ||
		c.condition == StateHung || c.condition == StateBackoff || c.condition == StateRestarting:
		return c.condition
	case c.paused.Load():
		return StatePaused
	case c.condition == StatePassive && !c.ending:
		return StatePassive
	case c.busy:
		return StateRunning
	case c.condition == StateStarting:
		return StateStarting
	case c.full:
		return StateLettersFull
	case c.ending:
		return StateDraining
	case c.ledger.retryWait > 0 && c.box.state.Load() == boxDormant:
		return StateRetryWait
	case c.box.state.Load() == boxIdle:
		return StateIdle
	}
	return StateRunning
}

// Name returns the topic and the name of the actor.
func (c *core) Name() (topic, name string) { return c.cfg.Topic, c.cfg.Name }

// Since returns for how long the event in hand has been there, or a little
// less; zero if none is.
func (c *Cell[T]) Since() time.Duration {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.busy {
		return 0
	}
	return time.Since(epoch) - c.since
}
