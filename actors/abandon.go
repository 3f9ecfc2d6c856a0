package actors

import (
	"sync/atomic"

	"github.com/troupe-go/troupe/supervisor"
)

// giveUp abandons the call that l is in, if it is still in that of turn: its event becomes a
// dead letter and a new loop goes on behind it, from the last checkpoint. It
// reports whether the handler was abandoned.
//
// The old goroutine keeps running; it is a zombie until its handler returns,
// and then ends without a trace but for a count. With a timeout configured
// every event has a checkpoint, so exactly the event in hand is given up. Else
// (forced, at shutdown only) what the handler has done since the last
// checkpoint is in doubt and counts as not handled.
func (c *Cell[T]) giveUp(l *loop[T], turn uint64, forced bool) bool {
	c.mu.Lock()
	if c.loop != l || c.turn != turn || !c.busy || c.settling {
		c.mu.Unlock()
		return false
	}
	if !forced && c.zombies >= c.cfg.MaxZombies {
		c.condition = StateHung
		c.mu.Unlock()
		if c.sys.obs.Hung != nil {
			e := c.event()
			e.Reason = ReasonZombieLimit
			Tell(c.sys.obs.Hung, e)
		}
		return false
	}
	l.sig.Or(sigGone)
	sig := new(atomic.Uint32)
	c.sig.Store(sig)
	next := &loop[T]{c: c, r: c.saved, sig: sig, stride: 1}
	c.loop = next
	h := c.cur
	if h == nil {
		h = next.hold()
	}
	c.cur = nil
	c.busy = false
	c.zombies++
	c.abandoned++
	c.failures++
	c.parked++
	c.condition = ""
	c.stop = nil // the hook of an instance that is still at work
	cancel := c.cancel
	c.mu.Unlock()

	if cancel != nil {
		cancel(supervisor.ErrHung)
	}
	h.attempt++
	f := supervisor.Failure{Cause: supervisor.CauseHung, Err: supervisor.ErrHung, Attempt: h.attempt}
	started := epoch.Add(l.last)
	h.record(Attempt{Number: h.attempt, Started: started, Duration: c.cfg.Timeout + c.cfg.Grace, Cause: f.Cause, Err: f.Err})
	d := c.cfg.Policy.Decision(f, 0)
	c.bury(c.dead(h, supervisor.ReasonHung))
	c.settleOnly(h, f.Err)
	c.handlerFailed(h.seq, f, d)
	if c.sys.obs.Hung != nil {
		e := c.event()
		e.Sequence, e.Attempt = h.seq, h.attempt
		Tell(c.sys.obs.Hung, e)
	}
	if forced {
		c.box.takeover()
		return true
	}
	c.report(&fault{Failure: f, directive: d.Directive, who: &c.core})
	c.box.takeover()
	return true
}

// Abandon gives up the handler that runs, whatever it does, and every hook that
// is waited for. It is what is left at the end of a shutdown.
func (c *Cell[T]) Abandon() bool {
	c.mu.Lock()
	l, turn, gaveUp := c.loop, c.turn, c.gaveUpHooks
	c.mu.Unlock()
	if gaveUp != nil {
		gaveUp()
	}
	return c.giveUp(l, turn, true)
}
