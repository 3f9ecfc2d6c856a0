package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/engine"
)

// Settle implements [engine.Subscription], in one round trip and one transaction.
func (s *Subscription) Settle(ctx context.Context, settled []engine.Settlement) (late int, err error) {
	op := s.op("settle")
	asked := make([]settlement, 0, len(settled))
	again := 0 // of those whose settlement failed before
	s.mu.Lock()
	for _, x := range settled {
		h, ok := x.Delivery.Message.(handle)
		if !ok {
			s.mu.Unlock()
			return 0, fmt.Errorf("postgres: %s: a delivery of another engine", op)
		}
		mine := s.held[h.n]
		if mine == nil || mine.attempt != h.attempt {
			continue // settled already, or delivered again since
		}
		if mine.unsure {
			again++
		}
		asked = append(asked, settlement{h, x.Verdict == engine.Nack, x.Delay})
	}
	s.mu.Unlock()
	if len(asked) == 0 {
		return 0, nil
	}
	asked = inOrder(asked)
	var had, free int
	for try := 0; ; try++ {
		had, free, err = s.send(ctx, asked)
		if err == nil || try == 3 || ctx.Err() != nil || !retryable(err) {
			break
		}
		again = len(asked) // any of it may have been done
	}
	s.mu.Lock()
	for _, x := range asked {
		if err == nil {
			delete(s.held, x.n)
		} else if h := s.held[x.n]; h != nil {
			h.unsure = true
		}
	}
	s.mu.Unlock()
	if err != nil {
		return 0, Fault(ctx, op, err)
	}
	if free > 0 {
		s.topic.e.published(s.topic.id)
	}
	s.wake() // Fetch may have room now
	return max(0, len(asked)-had-again), nil
}

// settlement is what settle is told of a record.
type settlement struct {
	handle
	back  bool
	delay time.Duration
}

// inOrder puts them by attempt, since a statement is about one, and then as all
// consumers take rows, so that none waits for one that waits for it. Of a record that
// is named twice the first counts.
func inOrder(list []settlement) []settlement {
	slices.SortStableFunc(list, func(x, y settlement) int {
		return cmp.Or(cmp.Compare(x.attempt, y.attempt), cmp.Compare(x.n, y.n))
	})
	return slices.CompactFunc(list, func(x, y settlement) bool { return x.handle == y.handle })
}

// byAttempt calls fn with each run of the same attempt.
func byAttempt(list []settlement, fn func(attempt int32, run []settlement)) {
	for len(list) > 0 {
		n := 1
		for n < len(list) && list[n].attempt == list[0].attempt {
			n++
		}
		fn(list[0].attempt, list[:n])
		list = list[n:]
	}
}

func (s *Subscription) send(ctx context.Context, list []settlement) (had, free int, err error) {
	var b pgx.Batch
	byAttempt(list, func(attempt int32, run []settlement) {
		done, back, delay := make([]int64, 0, len(run)), []int64{}, []int64{}
		for _, x := range run {
			if x.back {
				back, delay = append(back, x.n), append(delay, max(0, x.delay.Microseconds()))
			} else {
				done = append(done, x.n)
			}
		}
		b.Queue(s.settle, s.group, s.id, attempt, done, back, delay).QueryRow(func(row pgx.Row) error {
			var h, f int
			if err := row.Scan(&h, &f); err != nil {
				return err
			}
			had, free = had+h, free+f
			return nil
		})
	})
	return had, free, s.topic.e.pool.SendBatch(ctx, &b).Close()
}

// Extend implements [engine.Subscription]. A lease that is over is not begun anew if
// somebody has taken note of that.
func (s *Subscription) Extend(ctx context.Context, deliveries []*engine.Delivery) error {
	list := make([]settlement, 0, len(deliveries))
	for _, d := range deliveries {
		if h, ok := d.Message.(handle); ok {
			list = append(list, settlement{handle: h})
		}
	}
	if len(list) == 0 {
		return nil
	}
	var b pgx.Batch
	byAttempt(inOrder(list), func(attempt int32, run []settlement) {
		held := make([]int64, len(run))
		for i, x := range run {
			held[i] = x.n
		}
		b.Queue(s.topic.e.sql("SELECT {s}.extend($1, $2, $3, $4, $5)"), s.group, s.id, attempt, held, s.cfg.Lease)
	})
	return Fault(ctx, s.op("extend"), s.topic.e.pool.SendBatch(ctx, &b).Close())
}

var errNotHeld = errors.New("postgres: the record belongs to another consumer by now")

// Mark implements [engine.Marker]. A record that this consumer has no more is an
// error that is not temporary: it must not be handled here.
func (s *Subscription) Mark(ctx context.Context, d *engine.Delivery) (before int, err error) {
	h, ok := d.Message.(handle)
	if !ok {
		return 0, fmt.Errorf("postgres: %s: a delivery of another engine", s.op("mark"))
	}
	err = s.topic.e.pool.QueryRow(ctx, s.topic.e.sql(`UPDATE {s}.deliveries SET marks = least(marks + 1, 32767)
		WHERE grp = $1 AND n = $2 AND holder = $3 AND attempts = $4 RETURNING marks - 1`), s.group, h.n, s.id, h.attempt).Scan(&before)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("%w: %s", errNotHeld, s.op("mark"))
	}
	return before, Fault(ctx, s.op("mark"), err)
}
