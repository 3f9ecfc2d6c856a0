package actors

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/sourcegraph/conc/panics"
	"github.com/troupe-go/troupe/supervisor"
)

// Behavior is one instance of an actor: what it does with a message, and what
// it does when it comes and goes. Only Receive is required.
type Behavior[M any] struct {
	// Receive handles one message at a time. See package supervisor for what
	// its error, or a panic, leads to.
	Receive func(ctx context.Context, m M) error
	// Start runs before the first message of this instance. If it fails, the
	// instance is given up and a new one is made after a backoff.
	Start func(ctx context.Context) error
	// Stop runs after the last message of this instance, also before a
	// restart, but not for an instance whose Start failed or whose handler
	// hangs. Its error is reported to [Observer].Fault and has no effect.
	Stop func(ctx context.Context) error

	all func(ctx context.Context, batch []M) error // of an actor that handles batches
}

// errNoReceive is the start failure of a factory that made nothing.
var errNoReceive = errors.New("actors: factory: Behavior.Receive must not be nil")

// hook calls f, which is the user's, on a goroutine of its own, so that neither
// panic nor Goexit nor a call that never returns can hurt the actor. One that
// takes longer than a handler may, or that Abandon gives up, is left behind as
// a zombie; like a handler's, its place must be free for that.
func (c *core) hook(f func() error) error {
	forced, giveUp := context.WithCancel(context.Background())
	defer giveUp()
	c.mu.Lock()
	c.giveUpHook = giveUp
	limit := c.cfg.Timeout + c.cfg.Grace
	if c.abandon {
		limit = c.cfg.Grace
	} else if c.cfg.Timeout == 0 {
		limit = 0
	}
	c.mu.Unlock()
	var late <-chan time.Time
	if limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		late = timer.C
	}
	result := make(chan error, 1)
	go func() {
		err := error(supervisor.ErrGoexit)
		defer func() { result <- err }()
		var e error
		if r := panics.Try(func() { e = f() }); r != nil {
			e = &supervisor.PanicError{Value: r.Value, Stack: trimmed(r.Callers)}
		}
		err = e
	}()
	var freed chan struct{}
	for {
		select {
		case err := <-result:
			return err
		case <-late:
		case <-freed:
		case <-forced.Done():
		}
		e := c.event()
		c.mu.Lock()
		if forced.Err() == nil && c.zombies >= c.cfg.MaxZombies {
			c.condition = StateHung
			freed = make(chan struct{})
			c.freed = freed
			e.Reason = ReasonZombieLimit
		} else {
			c.zombies++
			c.abandoned++
			c.condition = StateStarting
		}
		c.mu.Unlock()
		Notify(c.sys.obs.Hung, e)
		if e.Reason == "" {
			go func() {
				<-result
				c.zombieEnded(0)
			}()
			return fmt.Errorf("%w: hook", supervisor.ErrHung)
		}
	}
}
