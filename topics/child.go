package topics

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
)

// ErrNoActor is returned by [Lookup] where no actor of that name runs, and by
// what only an actor can do to itself, outside of one.
var ErrNoActor = actors.ErrNoActor

// place is where an actor is in the runtime's account.
type place struct {
	rt    *runtime.Runtime
	topic interface {
		runtime.Topic
		adopt(kin)
	}
	root string // the name of the topic
	path string // below it, with dots; "" is the root itself
}

// SpawnChild starts an actor as a child of the one that ctx belongs to. To the
// account, dead letters and operators it is a subscriber of its parent's topic:
// the child "db" of the actor "orders" is orders/db, and a child "pool" of that
// one orders/db.pool. When it has stopped its account goes into that topic's
// Former, so short-lived children leave nothing behind.
//
// Children have a group of their own, with the strategy SpawnConfig.Children of
// the parent; what it escalates is a failure of the parent, which restarts it. They stop, the last one first, before the
// Stop hook of the parent runs: when it stops, with their messages going the way
// of the parent's, and when it is restarted, with their messages dead-lettered,
// unless SpawnConfig.KeepChildren is set.
//
// Call it from Receive or Start. Errors: those of [Spawn]; [ErrNoActor];
// actors.ErrStopped if the instance that ctx belongs to is gone.
func SpawnChild[M any](ctx context.Context, name string, factory func() Behavior[M], cfg ...SpawnConfig) (*actors.Ref[M], error) {
	ref, err := spawnChild(ctx, name, factory, optional(cfg))
	if err != nil {
		return nil, fmt.Errorf("topics: spawn child %q: %w", name, err)
	}
	return ref, nil
}

func spawnChild[M any](ctx context.Context, name string, factory func() Behavior[M], cfg SpawnConfig) (*actors.Ref[M], error) {
	p, ok := actors.HostOf(ctx).(*place)
	if !ok {
		return nil, ErrNoActor
	}
	if cfg.Group != nil {
		return nil, errors.New("Group: must be nil, a child is of its parent's group")
	}
	full := name
	if p.path != "" && name != "" {
		full = p.path + "." + name
	}
	factory, err := aroundActor(p.rt, cfg, factory)
	if err != nil {
		return nil, err
	}
	c := cfg.actor("", "", &place{p.rt, p.topic, p.root, full})
	if full == p.root {
		return nil, fmt.Errorf("%w: %s is the name of the actor at the top", runtime.ErrNameTaken, full)
	}
	var ref *actors.Ref[M]
	_, err = p.rt.AttachChild(p.topic, full, func() (runtime.Subscriber, error) {
		var err error
		ref, err = actors.SpawnChild(ctx, name, factory, c)
		if err != nil {
			return nil, err
		}
		p.topic.adopt(ref)
		return told[M]{ref.Cell(), full, ref}, nil
	})
	return ref, err
}

// Lookup returns the actor of that name that is told messages of type M: one of
// [Spawn], or by its path a child, such as orders/db.pool, or the member of a
// pool, such as resizers/3. Its price is a lock.
//
// Errors: [ErrNoActor] if there is none or it has stopped; [ErrTypeMismatch] if
// it is told another type, or the name is that of a topic or pool.
func Lookup[M any](rt *runtime.Runtime, name string) (*actors.Ref[M], error) {
	topic, path, below := strings.Cut(name, "/")
	if !below {
		path = topic
	}
	t, err := rt.Topic(topic)
	if err != nil {
		return nil, fmt.Errorf("topics: lookup %q: %w", name, ErrNoActor)
	}
	what := "a topic"
	if d, ok := t.(interface{ isPool() bool }); ok {
		what = ""
		if d.isPool() && !below {
			what = "a pool"
		}
	}
	if what != "" {
		return nil, fmt.Errorf("topics: lookup %q: %w: it is %s", name, ErrTypeMismatch, what)
	}
	sub, err := rt.Subscription(topic, path)
	if err != nil {
		return nil, fmt.Errorf("topics: lookup %q: %w", name, ErrNoActor)
	}
	a, ok := sub.Subscriber().(interface{ actor() any })
	if !ok {
		return nil, fmt.Errorf("topics: lookup %q: %w: it is a subscriber", name, ErrTypeMismatch)
	}
	ref, ok := a.actor().(*actors.Ref[M])
	if !ok {
		return nil, fmt.Errorf("topics: lookup %q: %w: it is a %T, not a %T", name, ErrTypeMismatch, a.actor(), ref)
	}
	return ref, nil
}

func (d *direct[M]) isPool() bool { return d.pool }

func (t told[M]) actor() any { return t.ref }
