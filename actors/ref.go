package actors

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"github.com/sourcegraph/conc/panics"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
)

// ErrDropped is what Ask returns when the overflow policy has dropped the message.
var ErrDropped = errors.New("actors: dropped by the overflow policy")

// ErrNoReply is what Ask returns when the actor has handled the message without
// replying.
var ErrNoReply = errors.New("actors: no reply")

// Ref is how an actor of the user's own is told messages of type M. It is safe
// for concurrent use, and stays valid through restarts.
type Ref[M any] struct {
	cell   *Cell[envelope[M]]
	log    *mailbox.Log[envelope[M]]
	guard  *Guard
	around Publishing // nil if nothing is

	mu      sync.Mutex
	refused map[string]uint64
}

// envelope is a message with the ask that waits for its outcome, if one does.
type envelope[M any] struct {
	m   M
	ask *asking
	own *own[M]
}

// payload is what a dead letter shows of it.
func (e envelope[M]) payload() any {
	if e.own == nil {
		return e.m
	}
	m := any(e.m)
	panics.Try(func() { m = e.own.message() })
	return m
}

// Spawn starts an actor under supervision. make makes its first instance and,
// after each failure that calls for a restart, a fresh one.
//
// Errors: what is wrong with cfg, all at once; [ErrNameTaken]; [ErrStopped].
func Spawn[M any](sys *System, name string, factory func() Behavior[M], cfg Config) (*Ref[M], error) {
	ref, err := spawn(sys, name, factory, cfg, nil)
	if err != nil {
		return nil, fmt.Errorf("actors: spawn %q: %w", name, err)
	}
	return ref, nil
}

func spawn[M any](sys *System, name string, factory func() Behavior[M], cfg Config, parent *self) (*Ref[M], error) {
	cfg.Name = name
	if cfg.Own == nil {
		cfg.Own = new(OwnConfig)
	}
	if factory == nil {
		return nil, errors.New("factory: must not be nil")
	}
	ref := &Ref[M]{log: mailbox.NewLog[envelope[M]](sys.guard), guard: sys.guard, around: sys.Publishing(name)}
	_, err := SpawnCell(sys, ref.log, CellConfig[envelope[M]]{
		Config:  cfg,
		Factory: func() Behavior[envelope[M]] { return ref.instance(factory) },
		Settled: func(e envelope[M], err error) { e.ask.settled(err) },
		Payload: func(e envelope[M]) any { return e.payload() },
		own:     true,
		made: func(c *Cell[envelope[M]]) {
			ref.cell = c // before its hooks ask for it
			c.self = &self{core: &c.core, ref: ref, parent: parent}
			if c.cfg.Own.PassivateAfter > 0 {
				c.self.doze = &doze{}
			}
		},
	})
	if err != nil {
		return nil, err
	}
	return ref, nil
}

// Name returns the name of the actor, behind that of its topic if it has one of
// another name.
func (r *Ref[M]) Name() string { return r.cell.name() }

// Done is closed when the actor has stopped and each of its messages has its
// outcome or is with the dead letters.
func (r *Ref[M]) Done() <-chan struct{} { return r.cell.Done() }

// Refusal returns the reason under which a publication or message is counted
// that was refused with err.
func Refusal(err error) string {
	switch {
	case errors.Is(err, mailbox.ErrClosed):
		return "closed"
	case errors.Is(err, mailbox.ErrFull):
		return "full"
	case errors.Is(err, mailbox.ErrNoSubscriber):
		return supervisor.ReasonUnrouted
	case errors.Is(err, ErrWouldDeadlock):
		return "would_deadlock"
	}
	if many := new(mailbox.TooManyError); errors.As(err, &many) {
		return "too_many"
	}
	return "canceled"
}

// Tell puts m into the actor's mailbox. A nil error means that it will be
// handled or end as a dead letter or counted drop.
//
// Tell waits while a Block mailbox is full, until there is room, ctx ends or
// the actor stops. Errors: mailbox.ErrFull, [ErrStopped], [ErrWouldDeadlock],
// the cause of ctx.
func (r *Ref[M]) Tell(ctx context.Context, m M) error {
	return r.send(ctx, envelope[M]{m: m})
}

func (r *Ref[M]) send(ctx context.Context, e envelope[M]) error {
	err := r.append(ctx, e)
	if err == nil {
		return nil
	}
	r.mu.Lock()
	if r.refused == nil {
		r.refused = map[string]uint64{}
	}
	r.refused[Refusal(err)]++
	r.mu.Unlock()
	if errors.Is(err, mailbox.ErrNoSubscriber) || errors.Is(err, mailbox.ErrClosed) {
		return ErrStopped
	}
	return err
}

// Sent returns how many messages the mailbox has taken, how many it has
// refused, by reason, and how many senders wait for room.
func (r *Ref[M]) Sent() (taken uint64, refused map[string]uint64, waiting int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.log.Accepted(), maps.Clone(r.refused), r.log.Waiting()
}

// Drain refuses, from now on, messages that do not come from a handler, and
// Close all; no timer of the actor's fires any more. Neither stops the actor.
func (r *Ref[M]) Drain() {
	r.cell.self.quiet.Store(true)
	r.log.Drain()
}

// Close refuses all further messages; see [Ref.Drain].
func (r *Ref[M]) Close() {
	r.cell.self.quiet.Store(true)
	r.log.Close()
}

// Redeliver gives a dead letter's message back; see [Cell.Redeliver].
func (r *Ref[M]) Redeliver(m M, seq uint64, publishedAt time.Time, headers map[string]string, d *Redelivery) error {
	return r.cell.Redeliver(envelope[M]{m: m}, seq, publishedAt, headers, d)
}

// Cell returns the actor's account and controls.
func (r *Ref[M]) Cell() *Cell[envelope[M]] { return r.cell }

// Stop ends the actor; see [Rest] for what becomes of the messages that wait.
// It returns when no handler runs any more, or when ctx ends; at once, if it is
// called from a handler of the actor or of a child of it, for the actor stops
// after that.
//
// Errors: the cause of ctx; [ErrWouldDeadlock] for the handler of another actor
// that this one waits for. The actor stops all the same.
func (r *Ref[M]) Stop(ctx context.Context, rest Rest) error {
	r.cell.Stop(rest, supervisor.ReasonStopped)
	if r.cell.self.above(callerOf(ctx)) {
		return nil
	}
	leave, err := r.guard.asks(ctx, &r.cell.core)
	if err != nil {
		return err
	}
	defer leave()
	select {
	case <-r.cell.Done():
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// asking is one Ask that waits.
type asking struct {
	once  sync.Once
	done  chan struct{}
	err   error
	leave func() // ends the wait as the guard sees it
}

// end is called once, before whoever answers can wait for the one who asked.
func (a *asking) end() {
	a.leave()
	close(a.done)
}

// settled ends the wait of an ask that has not been replied to.
func (a *asking) settled(err error) {
	if a == nil {
		return
	}
	a.once.Do(func() {
		if a.err = err; err == nil {
			a.err = ErrNoReply
		}
		a.end()
	})
}

// Ask tells the actor the message that build makes and waits for the reply. The
// message carries the function that replies; only its first call counts, and a
// call that comes when nobody waits any more does nothing.
//
// Besides those of Tell, errors are: why the actor did not handle the message,
// once it has given up on it; [ErrDropped]; [ErrNoReply]; the cause of ctx.
func Ask[M, R any](ctx context.Context, ref *Ref[M], build func(reply func(R)) M) (R, error) {
	var answer, none R
	if ref.cell.Handles(ctx) {
		return none, fmt.Errorf("%w: %s asks itself", ErrWouldDeadlock, ref.cell.name())
	}
	leave, err := ref.guard.asks(ctx, &ref.cell.core)
	if err != nil {
		return none, err
	}
	defer leave()
	a := &asking{done: make(chan struct{}), leave: leave}
	m := build(func(r R) {
		a.once.Do(func() {
			answer = r
			a.end()
		})
	})
	if err := ref.send(ctx, envelope[M]{m: m, ask: a}); err != nil {
		return none, err
	}
	select {
	case <-a.done:
		if a.err != nil {
			return none, a.err
		}
		return answer, nil
	case <-ctx.Done():
		return none, context.Cause(ctx)
	}
}
