package projection

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/troupe-go/troupe/eventstore"
)

// SQL is an eventstore.Transactor in a table of a PostgreSQL or SQLite database, by
// database/sql: for a read model in another database than the events, or where these are
// on JetStream. It is safe for concurrent use.
type SQL struct {
	DB *sql.DB
	// Table is its name, which is not quoted. Empty is troupe_checkpoints.
	Table string
}

var _ eventstore.Transactor[*sql.Tx] = SQL{}

func (s SQL) table() string {
	if s.Table == "" {
		return "troupe_checkpoints"
	}
	return s.Table
}

// Create makes the table if it is not there.
func (s SQL) Create(ctx context.Context) error {
	_, err := s.DB.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS `+s.table()+` (name text PRIMARY KEY, position text NOT NULL)`)
	if err != nil {
		return fmt.Errorf("projection: create %s: %w", s.table(), err)
	}
	return nil
}

// LoadCheckpoint is that of eventstore.Transactor.
func (s SQL) LoadCheckpoint(ctx context.Context, name string) (eventstore.Position, error) {
	return s.load(s.DB.QueryRowContext(ctx, `SELECT position FROM `+s.table()+` WHERE name = $1`, name))
}

func (s SQL) load(row *sql.Row) (eventstore.Position, error) {
	var at string
	err := row.Scan(&at)
	if errors.Is(err, sql.ErrNoRows) {
		return eventstore.Start, nil
	}
	return eventstore.Position(at), err
}

// Transact is that of eventstore.Transactor.
func (s SQL) Transact(ctx context.Context, name string, from, to eventstore.Position, apply func(ctx context.Context, tx *sql.Tx) error) (err error) {
	tx, err := s.DB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	done := false
	defer func() {
		// After a panic, too.
		if !done {
			if undo := tx.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) {
				err = errors.Join(err, undo)
			}
		}
	}()
	// The row is locked first, so that apply is called only by the one who has it.
	if _, err := tx.ExecContext(ctx, `INSERT INTO `+s.table()+` (name, position) VALUES ($1, $2) ON CONFLICT DO NOTHING`, name, string(eventstore.Start)); err != nil {
		return err
	}
	moved, err := tx.ExecContext(ctx, `UPDATE `+s.table()+` SET position = $1 WHERE name = $2 AND position = $3`, string(to), name, string(from))
	if err != nil {
		return err
	}
	if n, err := moved.RowsAffected(); err != nil || n == 0 {
		if err != nil {
			return err
		}
		at, err := s.load(tx.QueryRowContext(ctx, `SELECT position FROM `+s.table()+` WHERE name = $1`, name))
		if err != nil {
			return err
		}
		return &eventstore.CheckpointError{Name: name, Expected: from, Actual: at}
	}
	if apply != nil {
		if err := apply(ctx, tx); err != nil {
			return err
		}
	}
	done = true
	return tx.Commit()
}
