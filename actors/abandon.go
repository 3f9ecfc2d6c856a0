package actors

import (
	"sync/atomic"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

// giveUp abandons the call that l is in, if it is still in that of turn: a new
// loop, from the last checkpoint, settles its event and goes on behind it. It
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
			Notify(c.sys.obs.Hung, e)
		}
		return false
	}
	l.sig.Or(sigGone)
	c.box.gen.Add(1)
	sig := new(atomic.Uint32)
	c.sig.Store(sig)
	next := &loop[T]{c: c, r: c.saved.Clone(), sig: sig, stride: 1, last: c.since}
	if c.cur != nil {
		h := *c.cur // the handler may still ask for the facts of its own
		next.cur = &h
	}
	c.bulk.inherit(next)
	c.loop = next
	if !forced {
		// With a deadline the handler has its facts apart, and its goroutine
		// looks at nothing but its signal when it returns. Until then the
		// reader would hold whatever is published.
		l.r = mailbox.Reader[T]{}
	}
	c.settling = true // by next, which is ours until the takeover
	c.zombies++
	c.abandoned++
	c.stop = nil // the hook of an instance that is still at work
	cancel := c.cancel
	c.mu.Unlock()

	defer c.box.takeover()
	cancel(supervisor.ErrHung)
	next.fail(supervisor.Failure{Cause: supervisor.CauseHung, Err: supervisor.ErrHung}, forced)
	Notify(c.sys.obs.Hung, c.event())
	return true
}

// unhang abandons a handler that was waited for because there were too many
// zombies.
func (c *Cell[T]) unhang() {
	c.mu.Lock()
	l, turn, hung := c.loop, c.turn, c.condition == StateHung
	c.mu.Unlock()
	if hung { // still, and not in a call that began since
		c.giveUp(l, turn, false)
	}
}

// Abandon gives up the handler that runs, whatever it does, and the hook that
// is waited for; hooks that follow get the grace. Its event becomes a dead
// letter. It is what is left at the end of a shutdown, after Stop: the actor
// gets no new instance of its own accord. It reports whether a handler ran.
func (c *Cell[T]) Abandon() bool {
	c.mu.Lock()
	l, turn, giveUpHook := c.loop, c.turn, c.giveUpHook
	c.abandon = true
	c.mu.Unlock()
	if giveUpHook != nil {
		giveUpHook()
	}
	return c.giveUp(l, turn, true)
}
