package actors

import (
	"context"
	"time"

	"github.com/troupe-go/troupe/supervisor"
)

// start makes an instance.
func (c *Cell[T]) start() {
	ctx, cancel := context.WithCancelCause(c.sys.ctx)
	c.mu.Lock()
	c.cancel = cancel
	c.condition = StateStarting
	c.pending = nil // what the instance before has reported, this one answers
	c.mu.Unlock()

	var b Behavior[T]
	var err error
	if c.static != nil {
		b = *c.static
	} else {
		err = c.hook(func() error {
			b = c.factory()
			if b.Receive == nil {
				return supervisor.Permanent(errNoReceive)
			}
			if b.Start != nil {
				return b.Start(&deliveryCtx{Context: ctx, core: &c.core})
			}
			return nil
		})
	}
	if err != nil {
		restarting := context.Cause(ctx) == errRestarting
		cancel(err)
		f := supervisor.Failure{Cause: supervisor.CauseStart, Err: err}
		if !restarting { // else it was told to stop, and the next start is on its way
			d := c.decide(f, c.cfg.Policy)
			c.report(&fault{Failure: f, directive: d.Directive, delay: d.Delay, who: &c.core})
			c.tellFault(d.Fault)
		}
		c.tellFault(err)
		return
	}
	c.instances++
	c.stop = b.Stop
	l := c.loop
	l.receive, l.all = b.Receive, b.all
	l.ctx = &deliveryCtx{Context: ctx, core: &c.core, facts: l.facts}
	if c.bulk != nil {
		l.ctx.all = l.allFacts
	}
	c.node.started(time.Now())
	c.mu.Lock()
	c.condition = ""
	if c.instances > 1 {
		c.restarts++
	}
	c.mu.Unlock()
	if c.sys.obs.Started != nil {
		Notify(c.sys.obs.Started, c.event())
	}
}

// stopInstance lets the instance go: Restarting, or Stopping.
func (c *Cell[T]) stopInstance() {
	stop := c.stop
	c.stop = nil
	if l := c.loop; l.receive != nil {
		l.receive = nil
		if stop != nil {
			ctx := &deliveryCtx{Context: context.WithoutCancel(l.ctx.Context), core: &c.core}
			c.tellFault(c.hook(func() error { return stop(ctx) }))
		}
	}
	if c.cancel != nil {
		c.cancel(errRestarting)
	}
}

// zombieEnded follows an abandoned call that has returned after all, having
// finished n events since it was abandoned.
func (c *core) zombieEnded(n uint64) {
	c.mu.Lock()
	c.zombies--
	c.late += n
	if c.freed != nil {
		close(c.freed)
		c.freed = nil
	}
	hung := c.condition == StateHung
	c.mu.Unlock()
	if hung {
		c.box.w.unhang() // there were too many zombies before
	}
	Notify(c.sys.obs.Late, c.event())
}

// tellFault reports code of the user's that failed beside the handler.
func (c *core) tellFault(err error) {
	if err != nil && c.sys.obs.Fault != nil {
		e := c.event()
		e.Err = err
		Notify(c.sys.obs.Fault, e)
	}
}

// report hands a failure to the tree.
func (c *core) report(f *fault) {
	c.mu.Lock()
	c.pending = f
	if f.directive == supervisor.DirectiveRestart {
		c.condition = StateRestarting
	}
	c.mu.Unlock()
}
