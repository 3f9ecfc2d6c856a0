package postgres

import (
	"context"
	"time"
)

// As many records are deleted in one transaction: while it is open, it holds back what
// is published meanwhile, as any that writes does.
const cleanBatch = 1000

// clean deletes what nobody needs any more, in one process of all at a time.
func (e *Engine) clean() {
	for e.life.Err() == nil {
		sleep(e.life, e.cfg.Sweep)
		if e.life.Err() != nil {
			return
		}
		if err := e.Clean(e.life); err != nil && e.life.Err() == nil {
			e.cfg.OnError(err)
		}
	}
}

// Clean deletes the records that are kept no longer, as the engine does every
// Config.Sweep. It does nothing while another process does it.
func (e *Engine) Clean(ctx context.Context) error {
	c, err := e.pool.Acquire(ctx)
	if err != nil {
		return Fault(ctx, "clean", err)
	}
	defer c.Release()
	rows, err := c.Query(ctx, e.sql("SELECT id FROM {s}.topics"))
	if err != nil {
		return Fault(ctx, "clean", err)
	}
	var topics []int32
	for rows.Next() {
		var id int32
		if err := rows.Scan(&id); err != nil {
			rows.Close()
			return Fault(ctx, "clean", err)
		}
		topics = append(topics, id)
	}
	if err := rows.Err(); err != nil {
		return Fault(ctx, "clean", err)
	}
	for _, topic := range topics {
		for {
			ctx, cancel := context.WithTimeout(ctx, time.Minute)
			var n int
			err := c.QueryRow(ctx, e.sql(`SELECT CASE WHEN pg_try_advisory_xact_lock(hashtextextended('troupe clean {s}', 0))
				THEN {s}.clean($1, $2) ELSE 0 END`), topic, cleanBatch).Scan(&n)
			cancel()
			if err != nil {
				return Fault(ctx, "clean", err)
			}
			if n == 0 {
				break
			}
		}
	}
	return nil
}
