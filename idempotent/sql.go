package idempotent

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// SQL is a [Store] in a table of a PostgreSQL or SQLite database, by database/sql. The
// zero value works. It is safe for concurrent use.
//
// On PostgreSQL a second transaction that marks the same event waits for the first. On
// SQLite there is one writer at a time: begin with a transaction that is to write
// (_txlock=immediate), else the second one may fail with SQLITE_BUSY and is tried again.
type SQL struct {
	// Table is its name, which is not quoted. Empty is troupe_handled.
	Table string
}

func (s SQL) table() string {
	if s.Table == "" {
		return "troupe_handled"
	}
	return s.Table
}

// Create makes the table if it is not there. It is what a migration of the user's may
// do as well.
func (s SQL) Create(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS `+s.table()+` (
	subscriber text NOT NULL,
	event text NOT NULL,
	at bigint NOT NULL, -- microseconds since 1970
	PRIMARY KEY (subscriber, event)
)`)
	if err != nil {
		return fmt.Errorf("idempotent: create %s: %w", s.table(), err)
	}
	return nil
}

// Mark is that of [Store].
func (s SQL) Mark(ctx context.Context, tx *sql.Tx, subscriber, event string) (fresh bool, err error) {
	result, err := tx.ExecContext(ctx,
		`INSERT INTO `+s.table()+` (subscriber, event, at) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
		subscriber, event, time.Now().UnixMicro())
	if err != nil {
		return false, err
	}
	n, err := result.RowsAffected()
	return n == 1, err
}

// Forget deletes the notes about events that were handled before a time, and returns how
// many. An event that comes again after that has its effect again: keep notes for longer
// than anything is redelivered or redriven.
func (s SQL) Forget(ctx context.Context, db *sql.DB, before time.Time) (int64, error) {
	result, err := db.ExecContext(ctx, `DELETE FROM `+s.table()+` WHERE at < $1`, before.UnixMicro())
	if err != nil {
		return 0, fmt.Errorf("idempotent: forget: %w", err)
	}
	return result.RowsAffected()
}

// SQLTx is an [InTx] of database/sql.
func SQLTx(db *sql.DB, opts *sql.TxOptions) InTx[*sql.Tx] {
	return func(ctx context.Context, apply func(context.Context, *sql.Tx) error) (err error) {
		tx, err := db.BeginTx(ctx, opts)
		if err != nil {
			return fmt.Errorf("idempotent: begin: %w", err)
		}
		committed := false
		defer func() {
			// After a panic, too.
			if !committed {
				if undo := tx.Rollback(); undo != nil && !errors.Is(undo, sql.ErrTxDone) {
					err = errors.Join(err, fmt.Errorf("idempotent: roll back: %w", undo))
				}
			}
		}()
		if err := apply(ctx, tx); err != nil {
			return err
		}
		committed = true
		if err := tx.Commit(); err != nil {
			return fmt.Errorf("idempotent: commit: %w", err)
		}
		return nil
	}
}
