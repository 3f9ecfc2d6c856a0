package ops

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

const (
	// minWindow and maxWindow bound how many letters of a redrive may be without an
	// outcome at a time, which is about half a second's work: it is what a process that
	// dies leaves in doubt, and what a failure rate that is too high may cost beyond the
	// step's judgment.
	minWindow = 32
	maxWindow = 512
	// batch is how many items are marked, or written, with one call of the ledger.
	batch = 256
	// minPause and maxPause bound the wait between two looks for room in a mailbox;
	// it doubles.
	minPause = time.Millisecond
	maxPause = 50 * time.Millisecond
	// storePause is the wait after a call of the ledger that failed, at most; it
	// begins with maxPause and doubles.
	storePause = 5 * time.Second
	// writeTimeout bounds one call of the ledger.
	writeTimeout = 15 * time.Second
	// lookPeriod is how often a member of a fleet reads the course, which others change.
	lookPeriod = time.Second
	// newsPeriod is the least time between two events of an operation that runs.
	newsPeriod = 250 * time.Millisecond
)

// runner takes an operation to its end. One goroutine does it; others change its
// course, and tell it outcomes.
type runner struct {
	d      *Desk
	op     deadletter.Operation // what never changes of it
	plan   plan                 // the same
	ends   []int                // of steps
	wake   chan struct{}        // has room for one
	course sync.Mutex           // one change of the course at a time, in the ledger and here

	mu        sync.Mutex
	state     deadletter.OperationState
	since     int                     // plan.Since as it is
	limit     float64                 // plan.Rate as it is
	limiter   *rate.Limiter           // nil for none
	unsure    bool                    // a change of the course may or may not have been done
	interrupt context.CancelFunc      // of the batch that is being sent
	inFlight  map[int]deadletter.Item // by position: issued and without an outcome
	ended     []deadletter.Item       // to be written
	pace      pace

	// The goroutine's.
	cursor  int // positions up to it have been looked at
	pending int // items
	tally   tally
	pause   time.Duration // before the next look for room
	trouble time.Duration // before the next call of a ledger that fails
	quiet   bool          // the runtime takes nothing any more
	lost    bool          // another member of the fleet does it now
	member  time.Time     // since when this one attends, as of the last look
	looked  time.Time     // when the course was last read
	news    time.Time     // of the last event
}

// start has an operation go on that is in the ledger.
func (d *Desk) start(op deadletter.Operation) error {
	p, err := decodePlan(op)
	if err != nil {
		return err
	}
	r := &runner{
		d: d, op: op, plan: p, wake: make(chan struct{}, 1), state: op.State, since: p.Since,
		inFlight: map[int]deadletter.Item{}, cursor: -1, pending: op.Items[deadletter.ItemPending], tally: tally{step: -1},
	}
	r.ends = []int{op.Total}
	if p.Redrive != nil {
		r.ends = p.Redrive.ends(op.Total)
	}
	r.setLimit(p.Rate)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed // a later desk goes on with it
	}
	d.runners[op.ID] = r
	d.work.Go(func() {
		r.run(d.life)
		d.mu.Lock()
		delete(d.runners, op.ID)
		d.mu.Unlock()
	})
	return nil
}

func (r *runner) nudge() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// run is the goroutine.
func (r *runner) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		over := r.step(ctx)
		if over {
			return
		}
		wait := r.next()
		if wait == 0 && ctx.Err() == nil {
			continue
		}
		if wait < 0 {
			wait = time.Hour // until something happens
			if r.d.rt.Member() != "" {
				wait = lookPeriod // others may change the course
			}
		}
		timer.Reset(wait)
		select {
		case <-timer.C:
		case <-r.wake:
		case <-ctx.Done():
			r.last()
			return
		}
	}
}

// last writes what is known when the desk ends.
func (r *runner) last() {
	if r.lost {
		return
	}
	for range 3 {
		if r.write() == nil && !r.unwritten() {
			return
		}
	}
	r.d.log.Warn("outcomes are not written, the next desk finds them in the letters", zap.String("operation", r.op.ID))
}

func (r *runner) unwritten() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.ended) > 0
}

// step does what there is to do, and reports whether the operation has come to its end.
func (r *runner) step(ctx context.Context) (over bool) {
	err := r.look()
	if r.lost {
		r.d.log.Warn("operation is another member's now", zap.String("operation", r.op.ID))
		return true
	}
	if err == nil {
		err = r.write()
	}
	if err == nil {
		err = r.judge()
	}
	state, flying := r.stand()
	if err == nil && state == deadletter.OperationRunning && !r.quiet && ctx.Err() == nil {
		err = r.advance(ctx)
		state, flying = r.stand()
	}
	if err != nil && ctx.Err() == nil {
		if r.trouble == 0 {
			r.d.log.Error("operation waits", zap.String("operation", r.op.ID), zap.Error(err))
		}
		r.trouble = min(max(2*r.trouble, maxPause), storePause)
		return false
	}
	r.trouble = 0
	return state.Ended() && flying == 0
}

// stand returns the state, and how many items have no outcome in the ledger that are
// not pending.
func (r *runner) stand() (state deadletter.OperationState, flying int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state, len(r.inFlight) + len(r.ended)
}

// next returns how long to wait before the next step: 0 not at all, below 0 until
// something happens.
func (r *runner) next() time.Duration {
	if r.trouble > 0 {
		return r.trouble
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case len(r.ended) > 0:
		return 0
	case r.state != deadletter.OperationRunning || r.quiet:
		return -1
	case r.pause > 0:
		return r.pause
	case r.pending == 0:
		if len(r.inFlight) == 0 {
			return 0 // to be judged
		}
		return -1
	case r.cursor+1 >= r.ends[max(0, r.tally.step)] || len(r.inFlight) >= r.window():
		return -1
	case r.limiter != nil:
		if missing := 1 - r.limiter.Tokens(); missing > 0 {
			return max(time.Millisecond, time.Duration(missing/r.limit*float64(time.Second)))
		}
	}
	return 0
}

// finish notes the end of an item, from whatever goroutine.
func (r *runner) finish(it deadletter.Item, state deadletter.ItemState, why string) {
	it.State, it.Error = state, why
	if state != deadletter.ItemPending {
		it.EndedAt = time.Now()
	} else {
		it.IssuedAt = time.Time{}
	}
	r.mu.Lock()
	delete(r.inFlight, it.Position)
	r.ended = append(r.ended, it)
	r.mu.Unlock()
	r.nudge()
}

// write brings what has ended into the ledger, and counts it.
func (r *runner) write() error {
	for {
		r.mu.Lock()
		some := slices.Clone(r.ended[:min(batch, len(r.ended))])
		r.mu.Unlock()
		if len(some) == 0 {
			return nil
		}
		ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
		err := r.d.ledger.UpdateItems(ctx, r.op.ID, some)
		cancel()
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.ended = slices.Delete(r.ended, 0, len(some))
		for _, it := range some {
			if it.State != deadletter.ItemPending {
				r.pace.add(time.Now())
			}
		}
		r.mu.Unlock()
		for _, it := range some {
			if it.State == deadletter.ItemPending {
				r.pending++
				r.cursor = min(r.cursor, it.Position-1)
				continue
			}
			r.tally.count(it, r.ends)
		}
	}
}
