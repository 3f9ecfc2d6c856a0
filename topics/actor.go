package topics

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"sync"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
)

// Spawn starts an actor of the program's own, which is told messages directly
// instead of by a topic; see actors.Ref and actors.Ask. It has the supervision,
// account, dead letters and place in Shutdown of a subscriber. To all of these
// it is a topic with one subscriber, both of its name.
//
// Errors: those of [Topic.SubscribeFactory]; runtime.ErrNameTaken also by a
// topic of that name.
func Spawn[M any](rt *runtime.Runtime, name string, factory func() Behavior[M], cfg ...SubscriberConfig) (*actors.Ref[M], error) {
	ref, err := spawn(rt, name, factory, optional(cfg))
	if err != nil {
		return nil, fmt.Errorf("topics: spawn %q: %w", name, err)
	}
	return ref, nil
}

func spawn[M any](rt *runtime.Runtime, name string, factory func() Behavior[M], cfg SubscriberConfig) (*actors.Ref[M], error) {
	if cfg.Key.of != nil || cfg.Workers > 1 || cfg.Filter.kind != filterAll || cfg.Priority.of != nil || cfg.Batch != (BatchConfig{}) {
		return nil, errors.New("Key, Workers, Filter, Priority, Batch: are for topics")
	}
	t, err := rt.Register(name, reflect.TypeFor[M](), func() runtime.Topic {
		return &direct[M]{name: name, refused: map[string]uint64{}}
	})
	if err != nil {
		return nil, err
	}
	d, ok := t.(*direct[M])
	if !ok {
		return nil, fmt.Errorf("%w: by a topic", runtime.ErrNameTaken)
	}
	var ref *actors.Ref[M]
	_, err = rt.Attach(d, name, func() (runtime.Subscriber, error) {
		var err error
		ref, err = actors.Spawn(rt.Actors(), name, factory, cfg.actor(name, name))
		if err != nil {
			return nil, err
		}
		d.follow(ref)
		return told[M]{ref.Cell(), ref}, nil
	})
	return ref, err
}

// direct is what the runtime sees as the topic of an actor that is told directly.
type direct[M any] struct {
	name string

	mu      sync.Mutex
	ref     *actors.Ref[M]
	taken   uint64 // by actors of this name before
	refused map[string]uint64
}

// follow makes ref the actor of this name. One that was it before has stopped.
func (d *direct[M]) follow(ref *actors.Ref[M]) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.ref != nil {
		taken, refused, _ := d.ref.Sent()
		d.taken += taken
		for reason, n := range refused {
			d.refused[reason] += n
		}
	}
	d.ref = ref
}

func (d *direct[M]) actor() *actors.Ref[M] {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ref
}

func (d *direct[M]) Name() string       { return d.name }
func (d *direct[M]) Type() reflect.Type { return reflect.TypeFor[M]() }

func (d *direct[M]) Drain() {
	if ref := d.actor(); ref != nil {
		ref.Drain()
	}
}

func (d *direct[M]) Close() {
	if ref := d.actor(); ref != nil {
		ref.Close()
	}
}

func (d *direct[M]) Counts() runtime.Publications {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := runtime.Publications{Accepted: d.taken, Rejected: map[string]uint64{}}
	count := func(refused map[string]uint64) {
		for reason, n := range refused {
			p.Rejected[reason] += n
			p.Attempted += n
		}
	}
	count(d.refused)
	if d.ref != nil {
		taken, refused, waiting := d.ref.Sent()
		p.Accepted += taken
		p.Waiting = waiting
		count(refused)
	}
	p.Attempted += p.Accepted
	return p
}

func (d *direct[M]) Encode(event any) ([]byte, string, error) {
	payload, err := jsonCodec{}.Marshal(event)
	return payload, jsonCodec{}.ContentType(), err
}

func (d *direct[M]) Decode(payload []byte, contentType string) (any, error) {
	return decode[M](jsonCodec{}, payload, contentType)
}

func (d *direct[M]) Republish(ctx context.Context, payload []byte, contentType string, _ map[string]string) error {
	m, err := decode[M](jsonCodec{}, payload, contentType)
	if err != nil {
		return err
	}
	return d.actor().Tell(ctx, m)
}

// told is what the runtime sees of such an actor.
type told[M any] struct {
	runtime.Cell
	ref *actors.Ref[M]
}

func (t told[M]) Redeliver(l runtime.Redelivered, r *actors.Redelivery) error {
	m, err := decode[M](jsonCodec{}, l.Payload, l.ContentType)
	if err != nil {
		return err
	}
	return t.ref.Redeliver(m, l.Sequence, l.PublishedAt, l.Headers, r)
}
