package actors

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/supervisor"
)

// The errors of what an actor does with itself.
var (
	// ErrNoActor is returned for a context that is not one of a handler or hook
	// of an actor made by [Spawn].
	ErrNoActor = errors.New("actors: not in an actor")
	// ErrTypeMismatch is returned where an actor or topic is of another type. That
	// never changes, so to a handler it is a permanent failure.
	ErrTypeMismatch error = supervisor.Permanent(errors.New("actors: another type"))
	// errOver is the ErrStopped of an instance whose time is over.
	errOver = fmt.Errorf("%w: this instance of the actor is gone", ErrStopped)
)

// ReasonCanceled is the reason of drops of what a timer or watch had brought
// and its actor does not want any more.
const ReasonCanceled = "canceled"

// OwnConfig describes what an actor made by [Spawn] does beside handling
// messages. The zero value works. A topic's subscriber makes no use of it.
type OwnConfig struct {
	// MaxStash is how many messages [Stash] may set aside. Zero is 1024.
	MaxStash int
	// PassivateAfter lets the instance go when no message has come for so long:
	// its Stop hook runs and its memory is free. The mailbox, the name and what
	// refers to it stay; the next message makes a new instance. One that has
	// timers, children or stashed messages is not idle. Zero is never.
	PassivateAfter time.Duration
	// Children says which other children restart when one does; see [SpawnChild].
	// What one of them escalates is a failure of the actor's.
	Children supervisor.Strategy
	// KeepChildren lets children live through a restart of the actor, whose next
	// instance finds them with [Child]. Otherwise they are stopped with the
	// instance, as in OTP and Akka.
	KeepChildren bool
	// Host is for whoever spawns actors on behalf of others; see [HostOf].
	Host any
}

// DefaultMaxStash is the default of OwnConfig.MaxStash.
const DefaultMaxStash = 1024

func (c OwnConfig) withDefaults() OwnConfig {
	if c.MaxStash == 0 {
		c.MaxStash = DefaultMaxStash
	}
	return c
}

func (c *OwnConfig) validate() error {
	if c == nil {
		return nil
	}
	var faults []error
	if c.MaxStash < 0 {
		faults = append(faults, fmt.Errorf("MaxStash %d: must not be negative", c.MaxStash))
	}
	if c.PassivateAfter < 0 {
		faults = append(faults, fmt.Errorf("PassivateAfter %v: must not be negative", c.PassivateAfter))
	}
	if c.Children > supervisor.RestForOne {
		faults = append(faults, fmt.Errorf("Children %v: is not a strategy", c.Children))
	}
	return errors.Join(faults...)
}

// self is what an actor made by Spawn has beside its cell, and what lives
// through its restarts. Its mu is never held while another self's or a log's
// is taken; ledgers come after it.
type self struct {
	core  *core
	ref   any         // *Ref[M]
	quiet atomic.Bool // a shutdown has begun: no timer fires

	doze     *doze // with a PassivateAfter, else nil
	watchers watchers

	// Guarded by the ledger's mu.
	childRest Rest  // once ending: what becomes of the messages of its children
	lastErr   error // why the supervisor stopped it

	mu       sync.Mutex
	over     bool // there will be no further instance
	life     *life
	watching map[*self]*watch
	parent   *self
	left     bool   // the parent, whose mu guards it
	group    *Group // of the children
	children []*self
	hurt     bool // a child has escalated
}

// life is one instance of an actor as its own code sees it.
//
// A handler that was abandoned keeps the life that it had, which is over by
// then: it can do nothing to the instance that follows.
type life struct {
	self *self

	mu     sync.Mutex
	over   bool
	timers map[string]*timer

	// The running goroutine's.
	handling bool
	stashing bool // the message in hand
}

// lifeCtx is the context of a handler or hook of an actor made by Spawn.
type lifeCtx struct {
	context.Context
	life  *life
	typed any // *instance[M]
}

type lifeKey struct{}

func (c *lifeCtx) Value(key any) any {
	if _, ok := key.(lifeKey); ok {
		return c
	}
	return c.Context.Value(key)
}

func lifeOf(ctx context.Context) (*lifeCtx, error) {
	if c, ok := ctx.Value(lifeKey{}).(*lifeCtx); ok {
		return c, nil
	}
	return nil, ErrNoActor
}

// Self returns the actor whose handler or hook ctx belongs to.
//
// Errors: [ErrNoActor]; [ErrTypeMismatch].
func Self[M any](ctx context.Context) (*Ref[M], error) {
	c, err := lifeOf(ctx)
	if err != nil {
		return nil, err
	}
	return refOf[M](c.life.self)
}

func refOf[M any](s *self) (*Ref[M], error) {
	ref, ok := s.ref.(*Ref[M])
	if !ok {
		return nil, fmt.Errorf("%w: %s is a %T, not a %T", ErrTypeMismatch, s.core.name(), s.ref, ref)
	}
	return ref, nil
}

// HostOf returns OwnConfig.Host of the actor whose handler or hook ctx belongs
// to, or nil.
func HostOf(ctx context.Context) any {
	if c, err := lifeOf(ctx); err == nil {
		return c.life.self.core.cfg.Own.Host
	}
	return nil
}

// instance is a life together with the behavior of the user's.
type instance[M any] struct {
	life
	ref     *Ref[M]
	base    Behavior[M]
	current func(context.Context, M) error
	become  []func(context.Context, M) error

	from context.Context // ctx was made from it
	ctx  *lifeCtx
}

// instance makes the next instance. It runs in the hook that starts it.
func (r *Ref[M]) instance(factory func() Behavior[M]) Behavior[envelope[M]] {
	s := r.cell.self
	in := &instance[M]{ref: r}
	in.self = s
	s.mu.Lock()
	before := s.life
	s.life = &in.life
	s.mu.Unlock()
	if before != nil {
		before.end() // it is over already, unless its handler hung
	}
	r.cell.unstash()
	in.base = factory()
	in.current = in.base.Receive
	b := Behavior[envelope[M]]{Start: in.start, Stop: in.stop}
	if in.base.Receive != nil {
		b.Receive = in.receive
	}
	return b
}

// in returns ctx as the user gets to see it.
func (in *instance[M]) in(ctx context.Context) context.Context {
	if ctx != in.from {
		in.from, in.ctx = ctx, &lifeCtx{ctx, &in.life, in}
	}
	return in.ctx
}

func (in *instance[M]) start(ctx context.Context) error {
	started := false
	defer func() {
		if !started {
			in.end()
		}
	}()
	if in.base.Start != nil {
		if err := in.base.Start(&lifeCtx{ctx, &in.life, in}); err != nil {
			return err
		}
	}
	started = true
	in.self.revive()
	return nil
}

func (in *instance[M]) stop(ctx context.Context) error {
	in.end()
	if in.base.Stop == nil {
		return nil
	}
	return in.base.Stop(&lifeCtx{ctx, &in.life, in})
}

func (in *instance[M]) receive(ctx context.Context, e envelope[M]) error {
	m := e.m
	if e.own != nil {
		m = e.own.message()
	}
	in.handling, in.stashing = true, false
	err := in.current(in.in(ctx), m)
	in.handling = false
	if d := in.self.doze; d != nil {
		d.last = time.Since(epoch)
	}
	if in.stashing && err == nil {
		return errStash
	}
	return err
}

// end ends what belongs to the instance: its timers, and its children unless
// they are kept. It waits for those to stop.
func (l *life) end() {
	if l.stopTimers() && !(l.self.core.cfg.Own.KeepChildren && !l.self.core.isEnding()) {
		l.self.stopChildren()
	}
}

// end follows the last instance, with a handler that hangs perhaps.
func (s *self) end() {
	if s == nil {
		return
	}
	s.mu.Lock()
	s.over = true
	l, watching := s.life, s.watching
	s.watching = nil
	s.mu.Unlock()
	if l != nil {
		l.stopTimers()
	}
	for whom, w := range watching {
		whom.unwatch(s, w)
		w.revoke()
	}
	if s.doze != nil && s.doze.timer != nil {
		s.doze.timer.Stop()
	}
}

func (c *core) isEnding() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ending
}
