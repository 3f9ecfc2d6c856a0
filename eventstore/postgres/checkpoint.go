package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/eventstore"
)

// LoadSnapshot is that of [eventstore.Snapshots].
func (s *Store) LoadSnapshot(ctx context.Context, stream eventstore.Stream, schema int) (snap eventstore.Snapshot, ok bool, err error) {
	if err := stream.Validate(); err != nil {
		return snap, false, err
	}
	if err := s.enter(ctx, "load snapshot"); err != nil {
		return snap, false, err
	}
	found := eventstore.Snapshot{Stream: stream, Schema: schema}
	var version int64
	err = s.pool.QueryRow(ctx, s.sql("SELECT version, time, content_type, data FROM {s}.snapshots WHERE category = $1 AND stream = $2 AND schema = $3"),
		stream.Category, stream.ID, schema).Scan(&version, &found.Time, &found.ContentType, &found.Data)
	if errors.Is(err, pgx.ErrNoRows) {
		return snap, false, nil
	}
	if err != nil {
		return snap, false, s.failed(ctx, "load snapshot", err)
	}
	found.Version, found.Time = eventstore.Version(version), found.Time.UTC()
	return found, true, nil
}

// SaveSnapshot is that of [eventstore.Snapshots].
func (s *Store) SaveSnapshot(ctx context.Context, snap eventstore.Snapshot) error {
	snap, err := snap.Prepare()
	if err != nil {
		return err
	}
	if err := s.enter(ctx, "save snapshot"); err != nil {
		return err
	}
	if len(snap.Data) > s.cfg.MaxBytes {
		return tooLarge("save snapshot", len(snap.Data), s.cfg.MaxBytes)
	}
	if snap.Data == nil {
		snap.Data = []byte{}
	}
	_, err = s.pool.Exec(ctx, s.sql(`INSERT INTO {s}.snapshots AS o (category, stream, schema, version, time, content_type, data)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (category, stream, schema) DO UPDATE
		SET version = $4, time = $5, content_type = $6, data = $7 WHERE o.version < $4`),
		snap.Stream.Category, snap.Stream.ID, snap.Schema, int64(snap.Version), snap.Time, snap.ContentType, snap.Data)
	return s.failed(ctx, "save snapshot", err)
}

// LoadCheckpoint is that of [eventstore.Checkpoints].
func (s *Store) LoadCheckpoint(ctx context.Context, name string) (eventstore.Position, error) {
	if err := eventstore.CheckName(name); err != nil {
		return eventstore.Start, err
	}
	if err := s.enter(ctx, "load checkpoint"); err != nil {
		return eventstore.Start, err
	}
	at, err := s.at(ctx, s.pool, name, "")
	return at, s.failed(ctx, "load checkpoint", err)
}

func (s *Store) at(ctx context.Context, q interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}, name, lock string) (at eventstore.Position, err error) {
	err = q.QueryRow(ctx, s.sql("SELECT position FROM {s}.checkpoints WHERE name = $1 "+lock), name).Scan(&at)
	if errors.Is(err, pgx.ErrNoRows) {
		return eventstore.Start, nil
	}
	return at, err
}

// SaveCheckpoint is that of [eventstore.Checkpoints].
func (s *Store) SaveCheckpoint(ctx context.Context, name string, from, to eventstore.Position) error {
	return s.move(ctx, "save checkpoint", name, from, to, func(at eventstore.Position) bool { return at == from || at == to }, nil)
}

// Transact is that of [eventstore.Transactor]: the checkpoint and what apply writes are
// one transaction of the database. Keep it short: while it is open, followers wait for
// what is appended after its first write. While another process is at the same
// checkpoint, it waits for that one's end.
func (s *Store) Transact(ctx context.Context, name string, from, to eventstore.Position, apply func(ctx context.Context, tx pgx.Tx) error) error {
	return s.move(ctx, "transact", name, from, to, func(at eventstore.Position) bool { return at == from }, apply)
}

// theirs is an error of a caller's function, which comes back as it was.
type theirs struct{ error }

func (s *Store) move(ctx context.Context, op, name string, from, to eventstore.Position,
	may func(at eventstore.Position) bool, apply func(ctx context.Context, tx pgx.Tx) error) error {
	if err := eventstore.CheckName(name); err != nil {
		return err
	}
	if err := s.enter(ctx, op); err != nil {
		return err
	}
	err := pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		// A row to be locked is there from the first time on.
		if _, err := tx.Exec(ctx, s.sql("INSERT INTO {s}.checkpoints (name, position) VALUES ($1, '') ON CONFLICT (name) DO NOTHING"), name); err != nil {
			return err
		}
		at, err := s.at(ctx, tx, name, "FOR UPDATE")
		if err != nil {
			return err
		}
		if !may(at) {
			return theirs{&eventstore.CheckpointError{Name: name, Expected: from, Actual: at}}
		}
		if apply != nil {
			if err := apply(ctx, tx); err != nil {
				return theirs{err}
			}
		}
		_, err = tx.Exec(ctx, s.sql("UPDATE {s}.checkpoints SET position = $2, moved = now() WHERE name = $1"), name, string(to))
		return err
	})
	var known theirs
	if errors.As(err, &known) {
		return known.error
	}
	return s.failed(ctx, op, err)
}
