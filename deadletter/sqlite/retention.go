package sqlite

import (
	"context"
	"math"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// sweepStep is how many letters one transaction of retention removes, so that
// changes of others wait no longer than some tens of milliseconds.
const sweepStep = 500

// fills remembers which topics have been reported as filling.
type fills map[string]bool

// sweepAll gives up what retention does not keep, and room that is free.
// Changes of others come in between.
func (s *Store) sweepAll() (more bool) {
	s.background(func(t *tx) (err error) {
		more, err = s.sweep(t)
		return err
	})
	if !more && s.writer.c != nil {
		s.shrink()
	}
	return more
}

// sweep does one step: it reports whether there is more.
func (s *Store) sweep(t *tx) (more bool, err error) {
	now := t.now
	removed, err := t.purge(now)
	if err != nil || removed == sweepStep {
		return true, err
	}
	if age := s.cfg.Retention.MaxAge; age > 0 {
		n, err := t.expire(now.Add(-age))
		if err != nil || n == sweepStep {
			return true, err
		}
	}
	if !s.cfg.Retention.bounded() {
		return false, nil
	}
	if err := t.flush(); err != nil {
		return false, err
	}
	var over, all []Fill
	err = topics(context.Background(), t.c, func(topic string, n, bytes int64) {
		f := Fill{Topic: topic, Count: n, Bytes: bytes, Bounds: s.cfg.Retention.of(topic)}
		f.Fraction = f.Bounds.fraction(n, bytes)
		all = append(all, f)
		if f.Fraction > 1 {
			over = append(over, f)
		}
	})
	if err != nil {
		t.broken = err
		return false, err
	}
	t.after = append(t.after, func() { s.report(all) })
	for _, f := range over {
		n, err := t.drop(f)
		if err != nil || n > 0 {
			return n > 0, err
		}
	}
	return false, nil
}

// report tells of topics that are filling.
func (s *Store) report(all []Fill) {
	if s.full == nil {
		s.full = fills{}
	}
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

// purge removes deleted letters whose time has come.
func (t *tx) purge(now time.Time) (int, error) {
	n, err := t.removeAll("deleted", "l.purge_at <= ? ORDER BY l.purge_at", now.UnixNano())
	if err != nil {
		return n, err
	}
	next, err := t.number("SELECT coalesce(min(purge_at), ?) FROM letter_rows WHERE purge_at IS NOT NULL", int64(math.MaxInt64))
	t.after = append(t.after, func() { t.s.due.Store(next) })
	return n, err
}

// expire removes letters that failed last before that time.
func (t *tx) expire(before time.Time) (int, error) {
	removed := 0
	for _, state := range givenUp {
		n, err := t.removeAll("expired", "l.state = ? AND l.last_failed_at < ? ORDER BY l.last_failed_at", string(state), nanos(before))
		removed += n
		if err != nil || removed >= sweepStep {
			return sweepStep, err
		}
	}
	return removed, nil
}

// givenUp are the states whose letters may go, first those with which nothing is
// left to do.
var givenUp = []deadletter.State{deadletter.StateDeleted, deadletter.StateResolved, deadletter.StateArchived, deadletter.StateOpen}

// drop removes the letters that have to go first of a topic that has too many.
func (t *tx) drop(f Fill) (int, error) {
	count, bytes := f.Count, f.Bytes
	removed := 0
	for _, state := range givenUp {
		rows, err := t.some("+l.state = ? AND l.class IN (SELECT class FROM classes WHERE topic = ?) ORDER BY l.id", string(state), f.Topic)
		if err != nil {
			return removed, err
		}
		for i := range rows {
			if f.Bounds.fraction(count, bytes) <= 1 {
				return removed, nil
			}
			count, bytes = count-1, bytes-rows[i].bytes
			if err := t.giveUp(&rows[i], "dropped"); err != nil {
				return removed, err
			}
			removed++
		}
		if removed >= sweepStep {
			return removed, nil
		}
	}
	return removed, nil
}

// removeAll removes the first letters that a condition selects.
func (t *tx) removeAll(counter, where string, args ...any) (int, error) {
	rows, err := t.some(where, args...)
	for i := range rows {
		if err == nil {
			err = t.giveUp(&rows[i], counter)
		}
	}
	return len(rows), err
}

func (t *tx) some(where string, args ...any) (rows []row, err error) {
	err = t.query(selectLetter+"WHERE "+where+" LIMIT ?", append(args, sweepStep), func(v []any) error {
		r, err := scan(v)
		rows = append(rows, r)
		return err
	})
	return rows, err
}

// giveUp removes a letter. One that was deleted stays counted as that.
func (t *tx) giveUp(r *row, counter string) error {
	if r.letter.State == deadletter.StateDeleted {
		counter = "deleted"
	}
	t.counts[counter]++
	return t.remove(r)
}

const (
	// shrinkFrom is how many free pages a file may keep, and shrinkStep how many
	// one sweep gives back.
	shrinkFrom = 4096
	shrinkStep = 4096
)

// shrink gives free pages back to the disk, if they are many. It takes effect
// when the engine moves its log into the file.
func (s *Store) shrink() {
	c := s.writer.c
	free, err := c.number(context.Background(), "PRAGMA freelist_count")
	if err != nil || free < shrinkFrom {
		return
	}
	pages, err := c.number(context.Background(), "PRAGMA page_count")
	if err == nil && free > pages/8 {
		_ = c.query(context.Background(), "PRAGMA incremental_vacuum(4096)", nil, func([]any) error { return nil })
	}
}

// purged makes sure that a read sees no letter whose PurgeAt has come.
func (s *Store) purged(ctx context.Context) error {
	if s.readOnly || s.due.Load() > time.Now().UnixNano() {
		return nil
	}
	return s.do(ctx, sweepStep, func(_ *job, t *tx) error {
		for {
			n, err := t.purge(time.Now())
			if err != nil || n < sweepStep {
				return err
			}
		}
	})
}
