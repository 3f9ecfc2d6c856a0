package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
)

// Append is that of eventstore.Log. The price is a publication, and a question more for a
// stream that has not been worked with. Of several events, each must fit into a message,
// and all count against the server's limit of batches in progress.
//
// An answer that has not come after half of Config.Timeout is not waited for: Append looks
// at the stream, and returns what it finds done or publishes again, until ctx ends. The
// events are stored once, under eventstore.Any, too: whatever is published names the event
// that it follows, so that of two copies the server takes one.
func (s *Store) Append(ctx context.Context, stream eventstore.Stream, expected eventstore.Version, events ...eventstore.Event) (eventstore.Appended, error) {
	ready, err := eventstore.Prepare(stream, expected, events)
	if err != nil {
		return eventstore.Appended{}, err
	}
	ctx, done, err := s.enter(ctx)
	if err != nil {
		return eventstore.Appended{}, err
	}
	defer done()
	at, known := s.heads.get(stream)
	var doubt *head // the events may have been stored after it
	for {
		if !known || expected != eventstore.Any && at.version != expected {
			if at, _, err = s.ask(ctx, stream); err != nil {
				return eventstore.Appended{}, err
			}
		}
		if expected != eventstore.Any && at.version != expected {
			return s.repeated(ctx, stream, expected, at, ready)
		}
		if doubt != nil && at.seq != doubt.seq {
			if done, err := s.repeated(ctx, stream, doubt.version, at, ready); !errors.Is(err, eventstore.ErrConflict) {
				return done, err
			}
			doubt = nil // nothing can be stored after that one any more
		}
		what := fmt.Sprintf("append to %s", stream)
		if why := s.server.spent(); why != nil {
			return eventstore.Appended{}, s.fault(ctx, what, why)
		}
		step, cancel := context.WithTimeout(ctx, s.cfg.Timeout/2)
		last, err := s.publish(step, stream, at, ready)
		unanswered := err != nil && step.Err() != nil
		cancel()
		if unanswered {
			if why := s.server.gaveUp(); why != nil { // the events may be stored all the same
				return eventstore.Appended{}, fmt.Errorf("eventstore/nats: %s: %w", what, why)
			}
			unanswered = ctx.Err() == nil
		}
		switch {
		case err == nil:
			s.heads.set(stream, last)
			return eventstore.Appended{Version: last.version, Position: position(last.seq)}, nil
		case unanswered:
			if doubt == nil {
				from := at
				doubt = &from
			}
		case !conflicts(err):
			return eventstore.Appended{}, s.fault(ctx, what, err)
		}
		known = false // somebody was faster, or what we knew was old
	}
}

// repeated looks whether the events that follow expected are these, since the answer to
// an Append was lost. Else it is a conflict.
func (s *Store) repeated(ctx context.Context, stream eventstore.Stream, expected eventstore.Version, at head, events []eventstore.Event) (eventstore.Appended, error) {
	conflict := &eventstore.ConflictError{Stream: stream, Expected: expected, Actual: at.version}
	if at.version < expected+eventstore.Version(len(events)) {
		return eventstore.Appended{}, conflict
	}
	var done eventstore.Appended
	i := 0
	for ev, err := range s.Read(ctx, stream, expected) {
		if err != nil {
			return eventstore.Appended{}, err
		}
		if ev.ID != events[i].ID {
			return eventstore.Appended{}, conflict
		}
		done = eventstore.Appended{Version: ev.Version, Position: ev.Position}
		if i++; i == len(events) {
			return done, nil
		}
	}
	return eventstore.Appended{}, conflict
}

// publish publishes events after the one that is the last of the stream.
func (s *Store) publish(ctx context.Context, stream eventstore.Stream, after head, events []eventstore.Event) (head, error) {
	last := head{version: after.version + eventstore.Version(len(events))}
	if len(events) == 1 {
		ack, err := s.js.PublishMsg(ctx, s.seal(stream, last.version, events[0]), jetstream.WithExpectLastSequencePerSubject(after.seq))
		if err != nil {
			return head{}, err
		}
		last.seq = ack.Sequence
		return last, nil
	}
	select {
	case s.batches <- struct{}{}:
		defer func() { <-s.batches }()
	case <-ctx.Done():
		return head{}, ctx.Err()
	}
	batch := nuid.Next()
	conn := s.js.Conn()
	for i, ev := range events {
		m := s.seal(stream, after.version+eventstore.Version(i+1), ev)
		m.Header.Set("Nats-Batch-Id", batch)
		m.Header.Set("Nats-Batch-Sequence", strconv.Itoa(i+1))
		if i == 0 {
			m.Header.Set(jetstream.ExpectedLastSubjSeqHeader, strconv.FormatUint(after.seq, 10))
		}
		if i < len(events)-1 {
			if err := conn.PublishMsg(m); err != nil {
				return head{}, err
			}
			continue
		}
		m.Header.Set("Nats-Batch-Commit", "1")
		reply, err := conn.RequestMsgWithContext(ctx, m)
		if err != nil {
			return head{}, err
		}
		last.seq, err = acknowledged(reply, batch, len(events))
		if err != nil {
			return head{}, err
		}
	}
	return last, nil
}

// acknowledged returns the sequence of the last message of a batch.
func acknowledged(reply *natsgo.Msg, batch string, n int) (uint64, error) {
	var ack struct {
		Error *jetstream.APIError `json:"error"`
		Seq   uint64              `json:"seq"`
		Batch string              `json:"batch"`
		Count int                 `json:"count"`
	}
	if err := json.Unmarshal(reply.Data, &ack); err != nil {
		return 0, err
	}
	if ack.Error != nil {
		return 0, ack.Error
	}
	if ack.Batch != batch || ack.Count != n {
		return 0, fmt.Errorf("the server has acknowledged %d events of batch %q, not %d of %q: it does not know atomic batches: %w", ack.Count, ack.Batch, n, batch, engine.ErrUnsupported)
	}
	return ack.Seq, nil
}
