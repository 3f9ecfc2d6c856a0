package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/deadletter"
)

// sweepStep is how many letters one transaction of retention removes.
const sweepStep = 500

// sweepLock is the advisory lock of who sweeps: the others have nothing to do.
const sweepLock = 0x74726f7570655357 // "troupeSW"

// sweeper looks at retention from time to time, until the store is closed.
func (s *Store) sweeper(ctx context.Context) {
	timer := time.NewTimer(s.cfg.Sweep)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		more, err := s.sweep(ctx)
		if err != nil && ctx.Err() == nil && s.cfg.OnError != nil {
			s.cfg.OnError(err)
		}
		pause := s.cfg.Sweep
		if more && err == nil {
			pause = 0
		}
		timer.Reset(pause)
	}
}

// sweep does one step of what there is to do, and reports whether there is more.
func (s *Store) sweep(ctx context.Context) (more bool, err error) {
	var all []Fill
	err = s.write(ctx, false, func(t *tx) error {
		more, all = false, nil
		var mine bool
		// Per schema: the name's hash is the second half of the lock.
		if err := t.QueryRow(ctx, "SELECT pg_try_advisory_xact_lock($1 # hashtextextended($2, 0))", int64(sweepLock), s.cfg.Schema).Scan(&mine); err != nil {
			return err
		}
		if !mine {
			return nil
		}
		now := time.Now()
		n, err := t.purge(now)
		if err != nil || n == sweepStep {
			more = true
			return err
		}
		if age := s.cfg.Retention.MaxAge; age > 0 {
			for _, state := range givenUp {
				n, err := t.giveUp("expired", "state = $1 AND last_failed_at < $2 ORDER BY last_failed_at", sweepStep, string(state), nanos(now.Add(-age)))
				if err != nil || n == sweepStep {
					more = true
					return err
				}
			}
		}
		if !s.cfg.Retention.bounded() {
			return nil
		}
		var over []Fill
		err = topics(ctx, t, func(topic string, n, bytes int64) {
			f := Fill{Topic: topic, Count: n, Bytes: bytes, Bounds: s.cfg.Retention.of(topic)}
			f.Fraction = f.Bounds.fraction(n, bytes)
			all = append(all, f)
			if f.Fraction > 1 {
				over = append(over, f)
			}
		})
		if err != nil || len(over) == 0 {
			return err
		}
		removed, err := t.drop(over[0])
		more = removed > 0
		return err
	})
	if err == nil {
		s.report(all)
	}
	return more, err
}

// report tells of topics that are filling. It is called by the sweeper alone.
func (s *Store) report(all []Fill) {
	for _, f := range all {
		filling := f.Fraction > WarnAt
		if filling && !s.full[f.Topic] && s.cfg.Retention.OnFill != nil {
			s.cfg.Retention.OnFill(f)
		}
		if filling {
			s.full[f.Topic] = true
		} else {
			delete(s.full, f.Topic)
		}
	}
}

// givenUp are the states whose letters may go, first those with which nothing is
// left to do.
var givenUp = []deadletter.State{deadletter.StateDeleted, deadletter.StateResolved, deadletter.StateArchived, deadletter.StateOpen}

// giveUp removes the first letters that a condition selects, and counts them. One that
// was deleted stays counted as that.
func (t *tx) giveUp(counter, where string, limit int, args ...any) (int, error) {
	// What somebody changes now is left for the next time. As an array the IDs are
	// looked for once: a join may look again, skip its own, and remove more than limit.
	rows, err := t.Query(t.ctx, fmt.Sprintf(`DELETE FROM letter_rows WHERE id = ANY (ARRAY (
		SELECT id FROM letter_rows WHERE %s LIMIT %d FOR UPDATE SKIP LOCKED)) RETURNING state`, where, limit), args...)
	if err != nil {
		return 0, err
	}
	var state string
	n := 0
	_, err = pgx.ForEachRow(rows, []any{&state}, func() error {
		n++
		if deadletter.State(state) == deadletter.StateDeleted {
			t.counts["deleted"]++
		} else {
			t.counts[counter]++
		}
		return nil
	})
	return n, err
}

// purge removes deleted letters whose time has come.
func (t *tx) purge(now time.Time) (int, error) {
	return t.giveUp("deleted", "purge_at <= $1 ORDER BY purge_at", sweepStep, nanos(now))
}

// drop removes the letters that have to go first of a topic that has too many.
func (t *tx) drop(f Fill) (removed int, err error) {
	for _, state := range givenUp {
		rows, err := t.Query(t.ctx, "SELECT bytes FROM letter_rows WHERE topic = $1 AND state = $2 ORDER BY id LIMIT $3", raw(f.Topic), string(state), sweepStep)
		if err != nil {
			return removed, err
		}
		sizes, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return removed, err
		}
		n := 0
		for n < len(sizes) && f.Bounds.fraction(f.Count, f.Bytes) > 1 {
			f.Count, f.Bytes = f.Count-1, f.Bytes-sizes[n]
			n++
		}
		if n == 0 {
			continue
		}
		gone, err := t.giveUp("dropped", "topic = $1 AND state = $2 ORDER BY id", n, raw(f.Topic), string(state))
		if removed += gone; err != nil || removed >= sweepStep {
			return removed, err
		}
	}
	return removed, nil
}

// knowDue looks when the first of the letters has to go that others have deleted.
func (s *Store) knowDue(ctx context.Context) error {
	var first int64
	err := s.pool.QueryRow(ctx, "SELECT coalesce(min(purge_at), 0) FROM letter_rows WHERE purge_at IS NOT NULL").Scan(&first)
	s.due.Store(first)
	return err
}

// purged makes sure that a read sees no letter whose PurgeAt has come, of those that
// this node has deleted or has seen when it began; the others' are gone with a sweep.
func (s *Store) purged(ctx context.Context) error {
	due := s.due.Load()
	if s.cfg.ReadOnly || due == 0 || due > time.Now().UnixNano() {
		return nil
	}
	for {
		n, next := 0, (*int64)(nil)
		err := s.write(ctx, false, func(t *tx) (err error) {
			if n, err = t.purge(time.Now()); err != nil {
				return err
			}
			return t.QueryRow(ctx, "SELECT min(purge_at) FROM letter_rows WHERE purge_at IS NOT NULL").Scan(&next)
		})
		if err != nil {
			return err
		}
		if n < sweepStep {
			if next == nil {
				next = new(int64)
			}
			s.due.CompareAndSwap(due, *next)
			return nil
		}
	}
}
