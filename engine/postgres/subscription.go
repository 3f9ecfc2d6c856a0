package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-go/troupe/engine"
)

const (
	// How soon a consumer looks again for what an open transaction holds back, the
	// first time and at most.
	fencePause    = 2 * time.Millisecond
	maxFencePause = 100 * time.Millisecond

	// So long is a query waited for whose caller has given up. It takes a few
	// milliseconds where the server does its work.
	fetchGrace = time.Second

	// No more is fetched at once, so that a transaction is short.
	maxFetch = 1000
)

// Subscription is one consumer of a group. It is an [engine.Marker].
type Subscription struct {
	topic *Topic
	cfg   engine.SubscribeConfig
	group int32
	id    int64 // the holder of what it has

	fetch, settle string // SQL

	woken   chan struct{} // has room for one
	looking chan struct{} // has room for the Fetch that asks, or for Close
	done    chan struct{}
	shut    sync.Once

	// Fetch has these for itself.
	swept  time.Time
	unsure bool // a fetch has ended in an error, and may have taken what never came

	mu   sync.Mutex
	held map[int64]*held // by handle.n
}

// held is a record that this consumer has.
type held struct {
	delivery *engine.Delivery
	attempt  int32
	unsure   bool // a settlement has ended in an error
}

var (
	_ engine.Subscription = (*Subscription)(nil)
	_ engine.Marker       = (*Subscription)(nil)
)

// handle is Delivery.Message.
type handle struct {
	n       int64 // of what the group has taken
	attempt int32
}

// wake has Fetch look.
func (s *Subscription) wake() {
	select {
	case s.woken <- struct{}{}:
	default:
	}
}

func (s *Subscription) stop() { s.shut.Do(func() { close(s.done) }) }

func (s *Subscription) op(what string) string {
	return what + " " + s.cfg.Group + " of " + s.topic.name
}

// Fetch implements [engine.Subscription]. Records that wait for their time, and those
// of consumers that are gone, come first.
func (s *Subscription) Fetch(ctx context.Context, n int) ([]*engine.Delivery, error) {
	if n < 1 {
		return nil, fmt.Errorf("postgres: %s: max %d: must be at least 1", s.op("fetch"), n)
	}
	pause := fencePause
	for {
		select {
		case <-s.done:
			return nil, closed(s.op("fetch"))
		default:
		}
		if err := context.Cause(ctx); err != nil {
			return nil, err
		}
		wait := s.topic.e.cfg.Poll
		if room := s.room(n); room > 0 {
			got, idle, err := s.look(ctx, room)
			select {
			case <-s.done:
				return nil, closed(s.op("fetch")) // what came goes back
			default:
			}
			if err != nil {
				if cause := context.Cause(ctx); cause != nil {
					return nil, cause
				}
				return nil, Fault(ctx, s.op("fetch"), err)
			}
			if len(got) > 0 {
				return got, nil
			}
			if idle.behind {
				wait = min(wait, pause)
				pause = min(2*pause, maxFencePause)
			} else {
				pause = fencePause
			}
			if idle.due >= 0 {
				wait = min(wait, max(idle.due, time.Millisecond))
			}
			wait = min(wait, s.sweepGap())
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-s.done:
		case <-s.woken:
		case <-t.C:
		}
		t.Stop()
	}
}

// room returns how many records may be fetched.
func (s *Subscription) room(n int) int {
	n = min(n, maxFetch)
	if s.cfg.MaxInFlight == 0 {
		return n
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return min(n, s.cfg.MaxInFlight-len(s.held))
}

// sweepGap is how often a consumer looks for leases that are over.
func (s *Subscription) sweepGap() time.Duration {
	return min(max(s.cfg.Lease/4, 20*time.Millisecond), 5*time.Second)
}

var errDone = errors.New("closed")

// idle is what there was instead of records.
type idle struct {
	behind bool          // there is something above the horizon
	due    time.Duration // until something is due, negative if nothing is
}

func (s *Subscription) look(ctx context.Context, n int) (got []*engine.Delivery, nothing idle, err error) {
	// Close gives back what has been taken, so nothing may be taken after.
	select {
	case s.looking <- struct{}{}:
		defer func() { <-s.looking }()
	case <-s.done:
		return nil, idle{}, errDone
	}
	select {
	case <-s.done:
		return nil, idle{}, errDone
	default:
	}
	if s.unsure {
		if err := s.takeBack(ctx, s.known(), false); err != nil {
			return nil, idle{}, err
		}
		s.unsure = false
	}
	sweep := time.Since(s.swept) >= s.sweepGap()
	// Until the rows are here, nobody knows whether they were taken. A query that is
	// given up may be at work in the server after Close has given back what there was.
	ctx, cancel := lasting(ctx, fetchGrace)
	defer cancel()
	s.unsure = true
	rows, err := s.topic.e.pool.Query(ctx, s.fetch, s.group, s.id, n, s.cfg.Lease, sweep)
	if err != nil {
		return nil, idle{}, err
	}
	defer rows.Close()
	for rows.Next() {
		row, err := scan(rows)
		if err != nil {
			return nil, idle{}, err
		}
		if row.n < 0 {
			nothing = idle{behind: row.attempt > 0, due: time.Duration(row.at) * time.Millisecond}
			continue
		}
		got = append(got, row.delivery())
	}
	if err := rows.Err(); err != nil {
		return nil, idle{}, err
	}
	s.unsure = false
	if sweep {
		s.swept = time.Now()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, d := range got {
		h := d.Message.(handle)
		s.held[h.n] = &held{delivery: d, attempt: h.attempt}
	}
	return got, nothing, nil
}

// lasting returns a context that ends so long after ctx does.
func lasting(ctx context.Context, grace time.Duration) (context.Context, context.CancelFunc) {
	longer, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		sleep(longer, grace)
		cancel()
	})
	return longer, func() {
		stop()
		cancel()
	}
}

// known returns where the records are that it has.
func (s *Subscription) known() []int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	known := make([]int64, 0, len(s.held))
	for n := range s.held {
		known = append(known, n)
	}
	return known
}

// takeBack gives back what this consumer has in the database, but for what is known.
// seen is false for what has never reached anybody.
func (s *Subscription) takeBack(ctx context.Context, known []int64, seen bool) error {
	var n int
	err := s.topic.e.pool.QueryRow(ctx, s.topic.e.sql("SELECT {s}.give_back($1, $2, $3, $4)"), s.group, s.id, known, seen).Scan(&n)
	if err == nil && n > 0 {
		s.topic.e.published(s.topic.id)
	}
	return err
}

// Close implements [engine.Subscription].
func (s *Subscription) Close(ctx context.Context) error {
	s.stop()
	s.topic.e.leave(s.topic.id, s)
	if s.topic.e.life.Err() != nil {
		return nil // the leases run out
	}
	select {
	case s.looking <- struct{}{}:
		defer func() { <-s.looking }()
	case <-ctx.Done():
		return Fault(ctx, s.op("close"), ctx.Err())
	}
	err := s.takeBack(ctx, []int64{}, true)
	if err == nil {
		s.mu.Lock()
		clear(s.held)
		s.mu.Unlock()
	}
	var known *Error
	if err = Fault(ctx, s.op("close"), err); errors.As(err, &known) && known.Kind == engine.ErrNoTopic {
		return nil // it was dropped
	}
	return err
}
