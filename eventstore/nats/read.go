package nats

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-go/troupe/eventstore"
)

// few is how many events are read one by one; for more, a consumer is worth its price.
const few = 16

// Read is that of eventstore.Log. It asks the leader for the end of the stream first.
func (s *Store) Read(ctx context.Context, stream eventstore.Stream, after eventstore.Version) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		if err := s.read(ctx, stream, max(after, 0), yield); err != nil {
			yield(eventstore.Recorded{}, err)
		}
	}
}

// errLeft is that the loop was left.
var errLeft = errors.New("left")

func (s *Store) read(ctx context.Context, stream eventstore.Stream, after eventstore.Version, yield func(eventstore.Recorded, error) bool) error {
	if err := stream.Validate(); err != nil {
		return err
	}
	// The loop may take what time it wants; each question to the server is bounded.
	ctx, done, err := s.alive(ctx)
	if err != nil {
		return err
	}
	defer done()
	from := uint64(1)
	if at, ok := s.heads.get(stream); ok && at.version <= after {
		from = at.seq + 1
	}
	step, cancel := s.bounded(ctx)
	defer cancel()
	end, last, err := s.ask(step, stream)
	if err != nil || end.version <= after {
		return err
	}
	give := func(r eventstore.Recorded) error {
		if r.Version <= after {
			return nil
		}
		if r.Version != after+1 {
			return fmt.Errorf("eventstore/nats: %s: version %d follows %d: events are missing in the stream %s", stream, r.Version, after, s.cfg.Name)
		}
		after = r.Version
		if !yield(r, nil) {
			return errLeft
		}
		return nil
	}
	switch left := end.version - after; {
	case left == 1:
		var r eventstore.Recorded
		if r, err = s.unseal(last.Subject, last.Sequence, last.Header, last.Data); err == nil {
			err = give(r)
		}
	case left <= few && from > 1 || end.version <= few:
		err = s.readFew(ctx, stream, from, end.seq, give)
	default:
		err = s.readMany(ctx, stream, from, end.seq, give)
	}
	if err == errLeft {
		return nil
	}
	return err
}

// readFew asks for one event after the other.
func (s *Store) readFew(ctx context.Context, stream eventstore.Stream, from, to uint64, give func(eventstore.Recorded) error) error {
	for seq := from; seq <= to; {
		step, cancel := s.bounded(ctx)
		m, err := s.stream.GetMsg(step, seq, jetstream.WithGetMsgSubject(s.subject(stream)))
		cancel()
		if err != nil {
			return s.fault(ctx, "read "+stream.String(), err)
		}
		r, err := s.unseal(m.Subject, m.Sequence, m.Header, m.Data)
		if err != nil {
			return err
		}
		if err := give(r); err != nil {
			return err
		}
		seq = m.Sequence + 1
	}
	return nil
}

// readMany reads by a consumer.
func (s *Store) readMany(ctx context.Context, stream eventstore.Stream, from, to uint64, give func(eventstore.Recorded) error) error {
	step, cancel := s.bounded(ctx)
	defer cancel()
	c, err := s.consume(step, from, s.subject(stream))
	if err != nil {
		return s.fault(ctx, "read "+stream.String(), err)
	}
	defer c.end()
	for {
		step, cancel := s.bounded(ctx)
		m, err := c.next(step)
		cancel()
		if err != nil {
			return s.fault(ctx, "read "+stream.String(), err)
		}
		r, err := s.unseal(m.subject, m.seq, m.header, m.data)
		if err != nil {
			return err
		}
		if err := give(r); err != nil {
			return err
		}
		if m.seq >= to {
			return nil
		}
	}
}
