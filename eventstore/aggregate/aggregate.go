package aggregate

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// Aggregates are all things of a category. Methods are safe for concurrent use.
type Aggregates[S, C, E any] struct {
	cfg   Config[S, C, E]
	rt    *runtime.Runtime
	store eventstore.Store
	topic *topics.Topic[command[C]]
	sub   *topics.Subscription
	cache *cache[S]
}

// Result is what a command has led to.
type Result[E any] struct {
	// Version is that of the stream after it.
	Version eventstore.Version
	// Position is that of the last of Events: a read model that has come so far has
	// seen them. It is Start if there are none.
	Position eventstore.Position
	// Events are what has happened.
	Events []E
	// Repeated is that the command had been appended before, which now was only found.
	Repeated bool
}

// subscriber is the name of the one subscriber of the commands.
const subscriber = "aggregate"

// Open starts the actors of a category on rt, as the subscriber aggregate of the topic
// commands.<Category>. A category is open once on a runtime. The store is not closed by
// it.
//
// Errors: everything that is wrong with the configuration, at once;
// runtime.ErrNameTaken; runtime.ErrClosed.
func Open[S, C, E any](rt *runtime.Runtime, store eventstore.Store, cfg Config[S, C, E]) (*Aggregates[S, C, E], error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("aggregate: %w", err)
	}
	a := &Aggregates[S, C, E]{cfg: cfg, rt: rt, store: store, cache: newCache[S](cfg.MaxLoaded, cfg.PassivateAfter)}
	var codec topics.Codec
	if cfg.Commands != nil {
		codec = &commandCodec[C]{cfg.Commands}
	}
	var err error
	if a.topic, err = topics.Open[command[C]](rt, "commands."+cfg.Category, topics.Config{Codec: codec}); err != nil {
		return nil, fmt.Errorf("aggregate %s: %w", cfg.Category, err)
	}
	cfg.Subscriber.Key = topics.KeyOf(func(c command[C]) string { return c.ID })
	if a.sub, err = a.topic.Subscribe(subscriber, a.handle, cfg.Subscriber); err != nil {
		return nil, fmt.Errorf("aggregate %s: %w", cfg.Category, err)
	}
	return a, nil
}

// Execute has the command decided and what happens appended, and returns that. A nil
// error means that it is in the store. ctx bounds acceptance and wait together; once it
// has ended the command goes on, and nobody hears of its answer.
//
// meta may have an ID for the command: one that comes again, say because a client has
// not got an answer, is not appended again. This costs reading the stream. Headers travel
// into the metadata of the events, beside the correlation and causation.
//
// Errors: what Decide has returned, as it is; eventstore.ErrInvalid; else those of
// topics.Request, in which *topics.OutcomeError says what became of the command: it may be a
// dead letter.
func (a *Aggregates[S, C, E]) Execute(ctx context.Context, id string, c C, meta ...topics.Meta) (Result[E], error) {
	stream := a.stream(id)
	if err := stream.Validate(); err != nil {
		return Result[E]{}, err
	}
	m := command[C]{ID: id, Command: c}
	if len(meta) > 0 && meta[0].ID != "" {
		if m.given = true; len(meta[0].ID) > maxCommandID {
			return Result[E]{}, fmt.Errorf("%w: command ID %.40q: must be at most %d bytes", eventstore.ErrInvalid, meta[0].ID, maxCommandID)
		}
	}
	done, err := topics.Request[answer[E]](ctx, a.topic, m, meta...)
	if err != nil {
		return Result[E]{}, fmt.Errorf("aggregate %s: %w", stream, err)
	}
	return done.Result, done.refused
}

// Load returns the state of one, read from the store by the caller, and the version that
// it is at. It waits for no command.
func (a *Aggregates[S, C, E]) Load(ctx context.Context, id string) (S, eventstore.Version, error) {
	e, err := a.load(ctx, id)
	if err != nil {
		return *new(S), 0, err
	}
	return e.state, e.version, nil
}

// Loaded returns how many states are kept.
func (a *Aggregates[S, C, E]) Loaded() int { return a.cache.len() }

// Subscription is that of the commands, for the account and to pause them.
func (a *Aggregates[S, C, E]) Subscription() *topics.Subscription { return a.sub }

// Close ends the actors when they have handled what waits. If ctx ends first it returns
// the cause, and they end in their own time.
func (a *Aggregates[S, C, E]) Close(ctx context.Context) error {
	err := a.sub.Unsubscribe(ctx, runtime.Drain)
	a.cache.clear()
	return err
}

func (a *Aggregates[S, C, E]) stream(id string) eventstore.Stream {
	return eventstore.Stream{Category: a.cfg.Category, ID: id}
}

// load makes the state of one of its snapshot and events.
func (a *Aggregates[S, C, E]) load(ctx context.Context, id string) (*entry[S], error) {
	stream := a.stream(id)
	e := &entry[S]{id: id, state: a.cfg.New(id)}
	if a.cfg.Snapshots.Every > 0 {
		snap, ok, err := a.store.LoadSnapshot(ctx, stream, a.cfg.Snapshots.Schema)
		if err != nil {
			return nil, fmt.Errorf("aggregate %s: snapshot: %w", stream, err)
		}
		if ok && snap.ContentType == a.cfg.Snapshots.Codec.ContentType() {
			var state S
			if err := a.cfg.Snapshots.Codec.Unmarshal(snap.Data, &state); err == nil {
				e.state, e.version, e.snapshot = state, snap.Version, snap.Version
			} else {
				// All of it is in the events, too.
				a.fault(fmt.Errorf("aggregate %s: snapshot at version %d: %w", stream, snap.Version, err))
			}
		}
	}
	if err := a.catchUp(ctx, e); err != nil {
		return nil, err
	}
	return e, nil
}

// catchUp reads what follows the version of e.
func (a *Aggregates[S, C, E]) catchUp(ctx context.Context, e *entry[S]) error {
	stream := a.stream(e.id)
	for rec, err := range a.store.Read(ctx, stream, e.version) {
		if err != nil {
			return fmt.Errorf("aggregate %s: %w", stream, err)
		}
		if rec.Version != e.version+1 {
			return fmt.Errorf("aggregate %s: version %d follows %d: the store has a gap", stream, rec.Version, e.version)
		}
		ev, err := a.cfg.Schema.Decode(rec.Event)
		if err != nil {
			return supervisor.Permanent(fmt.Errorf("aggregate %s: version %d: %w", stream, rec.Version, err))
		}
		e.state = a.cfg.Evolve(e.state, ev)
		e.version = rec.Version
	}
	return nil
}

// verdict says of errors of the store that no further attempt can change that.
func verdict(err error) error {
	if errors.Is(err, eventstore.ErrInvalid) || errors.Is(err, engine.ErrTooLarge) {
		return supervisor.Permanent(err)
	}
	return err
}
