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

// Settle implements [engine.Subscription], in one statement.
func (s *Subscription) Settle(ctx context.Context, settled []engine.Settlement) (late int, err error) {
	op := s.op("settle")
	var a arrays
	asked := make([]int64, 0, len(settled))
	again := 0 // of those whose settlement failed before
	s.mu.Lock()
	for _, x := range settled {
		h, ok := x.Delivery.Message.(handle)
		if !ok {
			s.mu.Unlock()
			return 0, fmt.Errorf("postgres: %s: a delivery of another engine", op)
		}
		mine := s.held[h.pos]
		if mine == nil || mine.attempt != h.attempt {
			continue // settled already, or delivered again since
		}
		if mine.unsure {
			again++
		}
		asked = append(asked, h.pos)
		a.add(h, x)
	}
	s.mu.Unlock()
	if len(asked) == 0 {
		return 0, nil
	}
	a.sort()
	var had, free int
	for try := 0; ; try++ {
		err = s.topic.e.pool.QueryRow(ctx, s.settle, s.group, s.id, a.done, a.doneTry, a.back, a.backTry, a.delay).Scan(&had, &free)
		if err == nil || try == 3 || ctx.Err() != nil || !retryable(err) {
			break
		}
		again = len(asked) // any of it may have been done
	}
	s.mu.Lock()
	for _, pos := range asked {
		if err == nil {
			delete(s.held, pos)
		} else if h := s.held[pos]; h != nil {
			h.unsure = true
		}
	}
	s.mu.Unlock()
	if err != nil {
		return 0, fault(ctx, op, err)
	}
	if free > 0 {
		s.topic.e.published(s.topic.id)
	}
	s.wake() // Fetch may have room now
	return max(0, len(asked)-had-again), nil
}

// arrays are the parameters of settle.
type arrays struct {
	done    []int64
	doneTry []int32
	back    []int64
	backTry []int32
	delay   []int64 // microseconds

	all []settlement
}

type settlement struct {
	handle
	back  bool
	delay time.Duration
}

func (a *arrays) add(h handle, x engine.Settlement) {
	a.all = append(a.all, settlement{h, x.Verdict == engine.Nack, x.Delay})
}

// sort makes all consumers take rows in the same order, so that none waits for one
// that waits for it.
func (a *arrays) sort() {
	slices.SortFunc(a.all, func(x, y settlement) int { return cmp.Compare(x.pos, y.pos) })
	a.done, a.back = make([]int64, 0, len(a.all)), []int64{}
	a.doneTry, a.backTry, a.delay = make([]int32, 0, len(a.all)), []int32{}, []int64{}
	for i, x := range a.all {
		switch {
		case i > 0 && x.pos == a.all[i-1].pos: // named twice
		case x.back:
			a.back, a.backTry, a.delay = append(a.back, x.pos), append(a.backTry, x.attempt), append(a.delay, max(0, x.delay.Microseconds()))
		default:
			a.done, a.doneTry = append(a.done, x.pos), append(a.doneTry, x.attempt)
		}
	}
}

// Extend implements [engine.Subscription]. A lease that is over is not begun anew if
// somebody has taken note of that.
func (s *Subscription) Extend(ctx context.Context, deliveries []*engine.Delivery) error {
	var a arrays
	for _, d := range deliveries {
		if h, ok := d.Message.(handle); ok {
			a.add(h, engine.Settlement{})
		}
	}
	if len(a.all) == 0 {
		return nil
	}
	a.sort()
	var n int
	err := s.topic.e.pool.QueryRow(ctx, s.topic.e.sql("SELECT {s}.extend($1, $2, $3, $4, $5)"), s.group, s.id, a.done, a.doneTry, s.cfg.Lease).Scan(&n)
	return fault(ctx, s.op("extend"), err)
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
		WHERE grp = $1 AND pos = $2 AND holder = $3 AND attempts = $4 RETURNING marks - 1`), s.group, h.pos, s.id, h.attempt).Scan(&before)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("%w: %s", errNotHeld, s.op("mark"))
	}
	return before, fault(ctx, s.op("mark"), err)
}
