package topics

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// SpawnConfig describes an actor of the program's own. The zero value works.
type SpawnConfig struct {
	// SubscriberConfig is what it has in common with a subscriber. Its Key is
	// for topics.
	SubscriberConfig
	// MaxStash is how many messages actors.Stash may set aside. Zero is 1024.
	MaxStash int
	// PassivateAfter lets the instance go when no message has come for so long;
	// the next one makes a new instance. One that has timers, children or
	// stashed messages is not idle. Zero is never. See actors.OwnConfig.
	PassivateAfter time.Duration
	// Children says which other children restart when one does; see [SpawnChild].
	Children supervisor.Strategy
	// KeepChildren lets children live through a restart of the actor.
	KeepChildren bool
}

// check returns an error for what is for topics only.
func (c SpawnConfig) check() error {
	if c.Key.of != nil || c.Workers > 1 || c.Filter.kind != filterAll || c.Priority.of != nil || c.Take > 0 || c.Batch != (BatchConfig{}) {
		return errors.New("Key, Workers, Filter, Priority, Take, Batch: are for topics")
	}
	return nil
}

func (c SpawnConfig) actor(topic, name string, p *place) actors.Config {
	cfg := c.SubscriberConfig.actor(topic, name)
	cfg.Own = &actors.OwnConfig{
		MaxStash: c.MaxStash, PassivateAfter: c.PassivateAfter, Children: c.Children, KeepChildren: c.KeepChildren, Host: p,
	}
	return cfg
}

// Spawn starts an actor of the program's own, which is told messages directly
// instead of by a topic; see actors.Ref and actors.Ask. It has the supervision,
// account, dead letters and place in Shutdown of a subscriber. To all of these
// it is a topic with one subscriber, both of its name.
//
// From its handler and hooks it can spawn children ([SpawnChild]), watch others
// (actors.Watch), set timers (actors.After, actors.Every), change its behavior
// (actors.Become) and set messages aside (actors.Stash).
//
// Errors: those of [Topic.SubscribeFactory]; runtime.ErrNameTaken also by a
// topic of that name.
func Spawn[M any](rt *runtime.Runtime, name string, factory func() Behavior[M], cfg ...SpawnConfig) (*actors.Ref[M], error) {
	ref, err := spawn(rt, name, factory, optional(cfg))
	if err != nil {
		return nil, fmt.Errorf("topics: spawn %q: %w", name, err)
	}
	return ref, nil
}

func spawn[M any](rt *runtime.Runtime, name string, factory func() Behavior[M], cfg SpawnConfig) (*actors.Ref[M], error) {
	factory, err := aroundActor(rt, cfg, factory)
	if err != nil {
		return nil, err
	}
	d, err := register[M](rt, name, false)
	if err != nil {
		return nil, err
	}
	c := cfg.actor(name, name, &place{rt, d, name, ""})
	var ref *actors.Ref[M]
	_, err = rt.Attach(d, name, func() (runtime.Subscriber, error) {
		var err error
		ref, err = actors.Spawn(rt.Actors(), name, factory, c)
		if err != nil {
			return nil, err
		}
		d.follow(ref)
		return told[M]{ref.Cell(), name, ref}, nil
	})
	return ref, err
}

// aroundActor checks cfg and puts middleware around what a factory makes.
func aroundActor[M any](rt *runtime.Runtime, cfg SpawnConfig, factory func() Behavior[M]) (func() Behavior[M], error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if factory == nil { // actors.Spawn says so
		return nil, nil
	}
	return aroundFactory(rt, cfg.Middleware, factory)
}

// register returns what the runtime sees as the topic of an actor or pool.
func register[M any](rt *runtime.Runtime, name string, pool bool) (*direct[M], error) {
	t, err := rt.Register(name, reflect.TypeFor[M](), func() (runtime.Topic, error) {
		return &direct[M]{name: name, pool: pool, refused: map[string]uint64{}}, nil
	})
	if err != nil {
		return nil, err
	}
	d, ok := t.(*direct[M])
	switch {
	case !ok:
		return nil, fmt.Errorf("%w: by a topic", runtime.ErrNameTaken)
	case d.pool && !pool:
		return nil, fmt.Errorf("%w: by a pool", runtime.ErrNameTaken)
	case !d.pool && pool:
		return nil, fmt.Errorf("%w: by an actor", runtime.ErrNameTaken)
	}
	return d, nil
}

// direct is what the runtime sees as the topic of an actor that is told directly,
// or of a pool. Their children and members are subscribers of it, too.
type direct[M any] struct {
	name string
	pool bool

	mu      sync.Mutex
	ref     *actors.Ref[M] // nil in a pool
	kin     []kin
	foldAt  int    // how many kin make it worth to look for those that have stopped
	taken   uint64 // by those that have stopped
	refused map[string]uint64
	closing func(kin) // what a shutdown has done to all and does to those that come late
}

// kin is an actor, whatever it is told.
type kin interface {
	Sent() (taken uint64, refused map[string]uint64, waiting int)
	Drain()
	Close()
	Done() <-chan struct{}
}

// Flush does nothing: what actors are told is in memory.
func (d *direct[M]) Flush(context.Context) {}

// Durable is false.
func (d *direct[M]) Durable() bool { return false }

// follow makes ref the actor of this name. One that was it before has stopped.
func (d *direct[M]) follow(ref *actors.Ref[M]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ref != nil {
		d.fold(d.ref)
	}
	d.ref = ref
	if d.closing != nil {
		d.closing(ref)
	}
}

// adopt adds a child, or a member of a pool.
func (d *direct[M]) adopt(k kin) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.kin) >= d.foldAt {
		d.foldKin()
		d.foldAt = 2*len(d.kin) + 16
	}
	d.kin = append(d.kin, k)
	if d.closing != nil {
		d.closing(k)
	}
}

// foldKin keeps of those that have stopped what they were told. The caller
// holds mu.
func (d *direct[M]) foldKin() {
	d.kin = slices.DeleteFunc(d.kin, func(k kin) bool {
		select {
		case <-k.Done():
			d.fold(k)
			return true
		default:
			return false
		}
	})
}

func (d *direct[M]) fold(k kin) {
	taken, refused, _ := k.Sent()
	d.taken += taken
	for reason, n := range refused {
		d.refused[reason] += n
	}
}

func (d *direct[M]) actor() *actors.Ref[M] {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ref
}

func (d *direct[M]) Name() string       { return d.name }
func (d *direct[M]) Type() reflect.Type { return reflect.TypeFor[M]() }

func (d *direct[M]) Drain() { d.all(kin.Drain) }
func (d *direct[M]) Close() { d.all(kin.Close) }

func (d *direct[M]) all(do func(kin)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closing = do
	if d.ref != nil {
		do(d.ref)
	}
	for _, k := range d.kin {
		do(k)
	}
}

func (d *direct[M]) Counts() runtime.Publications {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.foldKin()
	p := runtime.Publications{Accepted: d.taken, Rejected: map[string]uint64{}}
	count := func(refused map[string]uint64) {
		for reason, n := range refused {
			p.Rejected[reason] += n
			p.Attempted += n
		}
	}
	count(d.refused)
	add := func(k kin) {
		taken, refused, waiting := k.Sent()
		p.Accepted += taken
		p.Waiting += waiting
		count(refused)
	}
	if d.ref != nil {
		add(d.ref)
	}
	for _, k := range d.kin {
		add(k)
	}
	p.Attempted += p.Accepted
	return p
}

func (d *direct[M]) Encode(event any) ([]byte, string, error) {
	payload, err := jsonCodec{}.Marshal(event)
	return payload, jsonCodec{}.ContentType(), err
}

// Version is 1: messages are between parts of one program.
func (d *direct[M]) Version() int { return 1 }

// Payload is all of it.
func (d *direct[M]) Payload() runtime.PayloadPolicy { return runtime.PayloadPolicy{} }

func (d *direct[M]) Decode(l runtime.Redelivered) (any, error) {
	return decode[M](d.name, Config{}.withDefaults(), l)
}

func (d *direct[M]) Republish(ctx context.Context, l runtime.Redelivered) error {
	m, err := decode[M](d.name, Config{}.withDefaults(), l)
	if err != nil {
		return err
	}
	ref := d.actor()
	if ref == nil {
		return fmt.Errorf("%w: %s", ErrNoActor, d.name)
	}
	return ref.Tell(ctx, m)
}

// told is what the runtime sees of such an actor.
type told[M any] struct {
	runtime.Cell
	name string
	ref  *actors.Ref[M]
}

func (t told[M]) Redeliver(l runtime.Redelivered, r *actors.Redelivery) error {
	m, err := decode[M](t.name, Config{}.withDefaults(), l)
	if err != nil {
		return err
	}
	return t.ref.Redeliver(m, l.Sequence, l.PublishedAt, l.Headers, r)
}
