package topics

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
)

// PublishThrough publishes on a topic on an engine by a way of the caller's: as in a
// transaction of a database, as engine/postgres/outbox does. Everything is as in
// [Topic.Publish], the codec, the key, IDs and headers, what stands around publications,
// but that store is given the records, in order, and the engine's topic.
// It stores all or none, and its error is that of the publication. metas is nil, or has
// one for each event; with it, PublishThrough inherits as [Topic.PublishWith] does.
//
// What is refused is counted and told to observers as ever. What store has taken is
// not: whether it is published the end of the transaction tells, and nobody tells the
// topic. Subscribers count what they get.
//
// Errors: the topic is in memory; metas of another length; an event that cannot be
// encoded; engine.ErrTooLarge; runtime.ErrClosed; that of store.
func (t *Topic[T]) PublishThrough(ctx context.Context, evs []T, metas []Meta,
	store func(ctx context.Context, to engine.Topic, records []engine.Record) error) error {
	switch {
	case t.out == nil:
		return fmt.Errorf("topics: publish %s: it is in memory, and only what an engine keeps can be stored in another way: set Config.Engine", t.name)
	case metas != nil && len(metas) != len(evs):
		return fmt.Errorf("topics: publish %s: %d metas for %d events", t.name, len(metas), len(evs))
	case len(evs) == 0:
		return nil
	}
	s := &staging[T]{t: t}
	for i, ev := range evs {
		var m *mailbox.Meta
		if metas != nil {
			m = &metas[i]
		}
		s.add(ev, m)
	}
	err := s.around(ctx, func(ctx context.Context) error {
		records, err := s.records(ctx)
		if err != nil {
			return err
		}
		return store(ctx, t.out.topic, records)
	})
	if err == nil {
		return nil
	}
	if errors.Is(err, mailbox.ErrClosed) {
		err = runtime.ErrClosed
	}
	s.rejected(err)
	return fmt.Errorf("topics: publish %s: %w", t.name, err)
}

// records encodes what is staged for the topic's engine.
func (s *staging[T]) records(ctx context.Context) ([]engine.Record, error) {
	if !s.t.out.open(actors.InHandler(ctx)) {
		return nil, mailbox.ErrClosed
	}
	records, metas := make([]engine.Record, len(s.events)), s.carried(ctx)
	for i, ev := range s.events {
		m := &Meta{}
		if metas != nil && metas[i] != nil {
			m = metas[i]
		}
		var err error
		if records[i], err = s.t.out.record(ev, m); err != nil {
			return nil, err
		}
	}
	return records, nil
}
