package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/engine"
)

// PublishTx stores the records in a transaction of the caller's, which must be of the
// database of the engine: they are there if it commits, together with whatever else
// it has written, and never were if it does not. Nobody is handed any before that, and
// none is skipped, whatever else commits first.
//
// An ID that another open transaction has stored makes it wait for that one's end. An
// error leaves the transaction as an error of its own statements does: to be rolled
// back. The order is that of the calls.
//
// Price: while the transaction is open, what younger ones publish waits, so keep it
// short; see [Engine.Fence]. Waking consumers at its commit takes a lock that all
// commits which do so share; with Config.Listen ListenNone they look by themselves.
//
// Errors: those of Publish, of the record that is at fault.
func (t *Topic) PublishTx(ctx context.Context, tx pgx.Tx, records ...engine.Record) error {
	op := "publish " + t.name + " in a transaction"
	if t.e.life.Err() != nil {
		return closed(op)
	}
	if len(records) == 0 {
		return nil
	}
	for _, err := range t.check(op, records) {
		if !errors.Is(err, errOther) {
			return err
		}
	}
	statements, err := t.statements([][]engine.Record{records})
	if err != nil {
		return fmt.Errorf("postgres: %s: %w", op, err)
	}
	var b pgx.Batch
	for _, args := range statements {
		b.Queue(t.e.insert, args...)
	}
	if t.e.cfg.Listen != ListenNone {
		b.Queue("SELECT pg_notify($1, $2::text)", t.e.channel(), fmt.Sprint(t.id))
	}
	if err := tx.SendBatch(ctx, &b).Close(); err != nil {
		if errors.Is(err, pgx.ErrTxClosed) {
			return fmt.Errorf("postgres: %s: %w", op, err)
		}
		return Fault(ctx, op, err)
	}
	return nil
}
