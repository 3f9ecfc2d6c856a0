package actors

import (
	"sync/atomic"
	"time"
)

// doze is what an actor with a PassivateAfter keeps of its idleness. But for
// due it is the running goroutine's.
type doze struct {
	timer *time.Timer
	armed bool
	due   atomic.Bool
	last  time.Duration // when a handler returned last, on the clock of epoch
}

// dozes lets an instance go that has been idle for long enough, and makes one
// when there is something for it to do. It reports whether there is none and
// nothing to do: the mailbox then sleeps like that of an idle actor, so that no
// message can be missed.
func (c *Cell[T]) dozes() bool {
	l, d := c.loop, c.self.doze
	c.mu.Lock()
	passive, stashed, ending := c.condition == StatePassive, c.stashed > 0, c.ending
	c.mu.Unlock()
	if passive {
		switch {
		case c.paused.Load():
			return false
		case !c.ready():
			return true
		case c.drained():
			return false
		}
		c.start()
		if l.receive == nil {
			c.nudge() // it failed, which the tree has to answer
		}
		return false
	}
	if l.receive == nil || ending {
		return false
	}
	if !d.armed {
		d.last = time.Since(epoch)
		d.arm(c.nudge, c.cfg.Own.PassivateAfter)
		return false
	}
	if !d.due.Swap(false) {
		return false
	}
	d.armed = false
	if idle := time.Since(epoch) - d.last; idle < c.cfg.Own.PassivateAfter {
		d.arm(c.nudge, c.cfg.Own.PassivateAfter-idle)
		return false
	}
	if stashed || c.paused.Load() || c.ready() || c.head != nil || len(c.aside) > 0 || c.unburied != nil || c.self.busy() {
		d.arm(c.nudge, c.cfg.Own.PassivateAfter)
		return false
	}
	c.stopInstance()
	c.instances = 0 // the next one is no restart
	c.stop = nil
	c.mu.Lock()
	c.condition = StatePassive
	c.mu.Unlock()
	Notify(c.sys.obs.Passivated, c.event())
	return true
}

// arm has the cell look after d.
func (d *doze) arm(nudge func(), after time.Duration) {
	d.armed = true
	d.due.Store(false)
	if d.timer != nil {
		d.timer.Reset(after)
		return
	}
	d.timer = time.AfterFunc(after, func() {
		d.due.Store(true)
		nudge()
	})
}

// busy reports whether the instance has timers or children.
func (s *self) busy() bool {
	s.mu.Lock()
	l, children := s.life, len(s.children)
	s.mu.Unlock()
	if children > 0 || l == nil {
		return children > 0
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.timers) > 0
}
