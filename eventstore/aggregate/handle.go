package aggregate

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// handle is the subscriber of the commands. The key keeps two commands for one ID from
// being handled at the same time, so the state is this call's alone: it is taken out of
// the cache, and put back only when all has gone well.
func (a *Aggregates[S, C, E]) handle(ctx context.Context, m command[C]) error {
	d, ok := topics.DeliveryFrom(ctx)
	if !ok {
		return actors.ErrNotInHandler
	}
	id := d.ID()
	if d.Attempt > 1 || d.LetterID != "" || m.given {
		found, err := a.find(ctx, m.ID, id)
		if err != nil {
			return err
		}
		if found != nil {
			return topics.Reply(ctx, answer[E]{Result: *found})
		}
	}
	e := a.cache.take(m.ID)
	if e == nil {
		var err error
		if e, err = a.load(ctx, m.ID); err != nil {
			return verdict(err)
		}
	}
	for conflicts := 0; ; conflicts++ {
		done, err := a.decide(ctx, e, m, d, id)
		if err == nil {
			a.snapshot(ctx, e)
			a.cache.put(e)
			return topics.Reply(ctx, done)
		}
		if !errors.Is(err, eventstore.ErrConflict) || conflicts >= a.cfg.Conflicts {
			return err
		}
		if err := a.catchUp(ctx, e); err != nil {
			return verdict(err)
		}
	}
}

// decide has the command decided once and what happens appended.
func (a *Aggregates[S, C, E]) decide(ctx context.Context, e *entry[S], m command[C], d topics.Delivery, id string) (answer[E], error) {
	happens, err := a.cfg.Decide(ctx, e.state, m.Command)
	if err != nil {
		if _, later := errors.AsType[*supervisor.RetryAfterError](err); later || engine.Temporary(err) {
			return answer[E]{}, err
		}
		if d.LetterID != "" {
			// Nobody waits for the answer but who has sent the letter back.
			return answer[E]{}, supervisor.Permanent(err)
		}
		return answer[E]{refused: err}, nil
	}
	done := answer[E]{Result: Result[E]{Version: e.version, Events: happens}}
	if len(happens) == 0 || d.Rehearsal {
		return done, nil
	}
	events, err := a.encode(happens, d, id)
	if err != nil {
		return done, supervisor.Permanent(err)
	}
	stream := a.stream(m.ID)
	appended, err := a.store.Append(ctx, stream, e.version, events...)
	if err != nil {
		return done, verdict(fmt.Errorf("aggregate %s: %w", stream, err))
	}
	for _, ev := range happens {
		e.state = a.cfg.Evolve(e.state, ev)
	}
	e.version = appended.Version
	done.Version, done.Position = appended.Version, appended.Position
	return done, nil
}

// encode makes events of what happens, by the command with that ID.
func (a *Aggregates[S, C, E]) encode(happens []E, d topics.Delivery, id string) ([]eventstore.Event, error) {
	events := make([]eventstore.Event, len(happens))
	for i, ev := range happens {
		encoded, err := a.cfg.Schema.Encode(ev)
		if err != nil {
			return nil, err
		}
		encoded.ID = fmt.Sprintf("%s-%d", id, i)
		encoded.Metadata = maps.Clone(d.Headers)
		if encoded.Metadata == nil {
			encoded.Metadata = map[string]string{}
		}
		encoded.Metadata[topics.HeaderCorrelation] = d.CorrelationID()
		encoded.Metadata[topics.HeaderCausation] = id
		events[i] = encoded
	}
	return events, nil
}

// find looks for what the command has led to, nil if it has led to nothing yet.
func (a *Aggregates[S, C, E]) find(ctx context.Context, of, id string) (*Result[E], error) {
	stream := a.stream(of)
	var found *Result[E]
	for rec, err := range a.store.Read(ctx, stream, 0) {
		if err != nil {
			return nil, fmt.Errorf("aggregate %s: %w", stream, err)
		}
		if rec.Metadata[topics.HeaderCausation] != id {
			if found != nil {
				break // an Append is in one piece
			}
			continue
		}
		ev, err := a.cfg.Schema.Decode(rec.Event)
		if err != nil {
			return nil, supervisor.Permanent(fmt.Errorf("aggregate %s: version %d: %w", stream, rec.Version, err))
		}
		if found == nil {
			found = &Result[E]{Repeated: true}
		}
		found.Version, found.Position = rec.Version, rec.Position
		found.Events = append(found.Events, ev)
	}
	return found, nil
}

// snapshot saves the state if it is time. What keeps it from that is told to the
// observer only, since the state is in the events as well.
func (a *Aggregates[S, C, E]) snapshot(ctx context.Context, e *entry[S]) {
	every := eventstore.Version(a.cfg.Snapshots.Every)
	if every == 0 || e.version-e.snapshot < every {
		return
	}
	data, err := a.cfg.Snapshots.Codec.Marshal(e.state)
	if err == nil {
		err = a.store.SaveSnapshot(ctx, eventstore.Snapshot{
			Stream: a.stream(e.id), Version: e.version, Schema: a.cfg.Snapshots.Schema,
			ContentType: a.cfg.Snapshots.Codec.ContentType(), Data: data,
		})
	}
	if err != nil {
		a.fault(fmt.Errorf("aggregate %s: snapshot at version %d: %w", a.stream(e.id), e.version, err))
	}
	e.snapshot = e.version // else each command would try again
}

func (a *Aggregates[S, C, E]) fault(err error) {
	actors.Notify(a.rt.Observer().Fault, actors.Event{Topic: a.topic.Name(), Subscriber: subscriber, Err: err})
}
