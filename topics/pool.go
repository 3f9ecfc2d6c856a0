package topics

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// maxPool bounds the members of a pool: each is an actor with a mailbox.
const maxPool = 10_000

// Pool is a number of actors of one factory that are told messages as one; see
// actors.Router for Tell and actors.AskRouter. It is safe for concurrent use.
type Pool[M any] struct {
	*actors.Router[M]
	rt      *runtime.Runtime
	d       *direct[M]
	factory func() Behavior[M]
	cfg     SpawnConfig

	mu      sync.Mutex
	serial  int
	members []*actors.Ref[M]
	stopped bool
}

// SpawnPool starts n actors of one factory, of which routing says which one gets
// a message: actors.RoundRobin, LeastBusy, ConsistentHash or Broadcast. To the account, dead letters and
// operators they are the subscribers 1, 2, … of a topic of the pool's name, and
// siblings in SpawnConfig.Group. A member that has stopped, by Stop or by its
// supervisor, is passed over; Resize replaces it.
//
// Use it for actors with state, or whose load should be spread by key or by how
// busy they are. Errors: those of [Spawn]; n. After an error none runs.
func SpawnPool[M any](rt *runtime.Runtime, name string, n int, routing actors.Routing[M], factory func() Behavior[M], cfg ...SpawnConfig) (*Pool[M], error) {
	p, err := spawnPool(rt, name, routing, factory, optional(cfg))
	if err == nil {
		err = p.Resize(context.Background(), n)
		if err != nil {
			_ = p.Stop(context.Background(), runtime.Discard)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("topics: spawn pool %q: %w", name, err)
	}
	return p, nil
}

func spawnPool[M any](rt *runtime.Runtime, name string, routing actors.Routing[M], factory func() Behavior[M], cfg SpawnConfig) (*Pool[M], error) {
	if factory == nil {
		return nil, errors.New("factory: must not be nil")
	}
	router, err := actors.NewRouter(routing)
	if err != nil {
		return nil, err
	}
	if _, err := aroundActor(rt, cfg, factory); err != nil {
		return nil, err // before anything is registered; each member gets a chain of its own
	}
	d, err := register[M](rt, name, true)
	if err != nil {
		return nil, err
	}
	return &Pool[M]{Router: router, rt: rt, d: d, factory: factory, cfg: cfg}, nil
}

// Resize makes the pool one of n running members. New ones get numbers that
// none had before; of too many, the last ones leave, and drain what they have:
// Resize waits for that until ctx ends, and then they drain in their own time.
//
// Errors: n; those of [Spawn]; the cause of ctx; actors.ErrStopped after Stop.
func (p *Pool[M]) Resize(ctx context.Context, n int) error {
	if n < 1 || n > maxPool {
		return fmt.Errorf("pool size %d: must be between 1 and %d", n, maxPool)
	}
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return actors.ErrStopped
	}
	p.members = p.Refs()
	var err error
	for len(p.members) < n && err == nil {
		var ref *actors.Ref[M]
		if ref, err = p.spawn(); err == nil {
			p.members = append(p.members, ref)
			p.Add(ref)
		}
	}
	var leave []*actors.Ref[M]
	if len(p.members) > n {
		leave, p.members = p.members[n:], p.members[:n:n]
	}
	for _, ref := range leave {
		p.Remove(ref) // before it stops, so that nothing is told to it any more
	}
	p.mu.Unlock()
	if err != nil {
		return err
	}
	return stopAll(ctx, leave, runtime.Drain)
}

func (p *Pool[M]) spawn() (ref *actors.Ref[M], err error) {
	p.serial++
	name := strconv.Itoa(p.serial)
	c := p.cfg.actor(p.d.name, name, &place{p.rt, p.d, p.d.name, name})
	factory, err := aroundActor(p.rt, p.cfg, p.factory)
	if err != nil {
		return nil, err
	}
	_, err = p.rt.Attach(p.d, name, func() (runtime.Subscriber, error) {
		ref, err = actors.Spawn(p.rt.Actors(), name, factory, c)
		if err != nil {
			return nil, err
		}
		p.d.adopt(ref)
		return told[M]{ref.Cell(), name, ref}, nil
	})
	return ref, err
}

// Stop ends all members; see actors.Ref.Stop. The name is free for another pool
// then.
func (p *Pool[M]) Stop(ctx context.Context, rest actors.Rest) error {
	p.mu.Lock()
	p.stopped = true
	members := p.Refs()
	p.mu.Unlock()
	return stopAll(ctx, members, rest)
}

func stopAll[M any](ctx context.Context, refs []*actors.Ref[M], rest actors.Rest) error {
	for _, ref := range refs {
		ref.Cell().Stop(rest, supervisor.ReasonStopped)
	}
	var faults []error
	for _, ref := range refs {
		if err := ref.Stop(ctx, rest); err != nil {
			faults = append(faults, fmt.Errorf("%s: %w", ref.Name(), err))
		}
	}
	return errors.Join(faults...)
}
