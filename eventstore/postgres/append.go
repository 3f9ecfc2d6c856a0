package postgres

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/postgres"
	"github.com/troupe-go/troupe/eventstore"
)

// Append is that of [eventstore.Log], in one round trip. When it returns nil the events
// are on the disk of the server, as far as its synchronous_commit goes. It is not for a
// transaction of the caller's: one that has its id already when it appends could put a
// version of a stream before the one that it follows.
func (s *Store) Append(ctx context.Context, stream eventstore.Stream, expected eventstore.Version, events ...eventstore.Event) (eventstore.Appended, error) {
	op := fmt.Sprintf("append to %v", stream)
	ready, err := eventstore.Prepare(stream, expected, events)
	if err != nil {
		return eventstore.Appended{}, err
	}
	if err := s.enter(ctx, op); err != nil {
		return eventstore.Appended{}, err
	}
	args, err := s.args(op, stream, expected, ready)
	if err != nil {
		return eventstore.Appended{}, err
	}
	for {
		var ok bool
		var version, at, pos *int64
		err := s.pool.QueryRow(ctx, s.sql("SELECT ok, version, at, pos FROM {s}.append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)"), args...).
			Scan(&ok, &version, &at, &pos)
		switch {
		case err != nil && passing(err) && ctx.Err() == nil:
			continue // somebody was quicker: now it is seen
		case err != nil:
			return eventstore.Appended{}, s.failed(ctx, op, err)
		case !ok:
			return eventstore.Appended{}, &eventstore.ConflictError{Stream: stream, Expected: expected, Actual: eventstore.Version(*version)}
		}
		s.wake()
		s.bell.Ring("")
		return eventstore.Appended{Version: eventstore.Version(*version), Position: place{*at, *pos}.position()}, nil
	}
}

func (s *Store) args(op string, stream eventstore.Stream, expected eventstore.Version, events []eventstore.Event) ([]any, error) {
	n := len(events)
	ids, types, schemas, contents := make([]string, n), make([]string, n), make([]int, n), make([]string, n)
	times, metas, bodies := make([]time.Time, n), make([][]byte, n), make([][]byte, n)
	size := 0
	for i, ev := range events {
		ids[i], types[i], schemas[i], contents[i], times[i], bodies[i] = ev.ID, ev.Type, ev.SchemaVersion, ev.ContentType, ev.Time, ev.Data
		if ev.Data == nil {
			bodies[i] = []byte{}
		}
		if len(ev.Metadata) > 0 {
			doc, err := json.Marshal(ev.Metadata)
			if err != nil {
				return nil, fmt.Errorf("postgres: %s: %w", op, err)
			}
			metas[i] = doc
		}
		size += len(ev.Data) + len(metas[i])
	}
	if size > s.cfg.MaxBytes {
		return nil, tooLarge(op, size, s.cfg.MaxBytes)
	}
	return []any{stream.Category, stream.ID, int64(expected), ids, types, schemas, contents, times, metas, bodies}, nil
}

func tooLarge(op string, size, limit int) error {
	return &postgres.Error{Op: op, Kind: engine.ErrTooLarge, Err: fmt.Errorf("%d bytes, the limit is %d", size, limit), Fix: "raise Config.MaxBytes"}
}

const (
	columns = "e.at, e.pos, e.version, e.time, e.schema_version, e.category, e.stream, e.id, e.type, e.content_type, e.metadata, e.data"
	page    = 500
)

// Read is that of [eventstore.Log]. It reads 500 events at a time.
func (s *Store) Read(ctx context.Context, stream eventstore.Stream, after eventstore.Version) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		op := fmt.Sprintf("read %v", stream)
		err := stream.Validate()
		if err == nil {
			err = s.enter(ctx, op)
		}
		after := max(after, 0)
		for err == nil {
			var list []eventstore.Recorded
			rows, _ := s.pool.Query(ctx, s.sql("SELECT "+columns+` FROM {s}.events e
				WHERE e.category = $1 AND e.stream = $2 AND e.version > $3 ORDER BY e.version LIMIT $4`), stream.Category, stream.ID, int64(after), page)
			if list, err = pgx.CollectRows(rows, scan); err != nil {
				err = s.failed(ctx, op, err)
				break
			}
			for _, r := range list {
				if err := context.Cause(ctx); err != nil {
					yield(eventstore.Recorded{}, fmt.Errorf("postgres: %s: %w", op, err))
					return
				}
				if !yield(r, nil) {
					return
				}
				after = r.Version
			}
			if len(list) < page {
				return
			}
		}
		yield(eventstore.Recorded{}, err)
	}
}

func scan(row pgx.CollectableRow) (r eventstore.Recorded, err error) {
	var p place
	var version int64
	var meta []byte
	err = row.Scan(&p.at, &p.pos, &version, &r.Time, &r.SchemaVersion, &r.Stream.Category, &r.Stream.ID, &r.ID, &r.Type, &r.ContentType, &meta, &r.Data)
	if err == nil && meta != nil {
		err = json.Unmarshal(meta, &r.Metadata)
	}
	r.Time = r.Time.UTC()
	r.Version, r.Position = eventstore.Version(version), p.position()
	return r, err
}
