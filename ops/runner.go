package ops

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"go.uber.org/zap"
	"golang.org/x/time/rate"
)

const (
	// window is how many letters of a redrive may be without an outcome at a time:
	// what a failure rate that is too high may cost beyond the step's judgment.
	window = 512
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
	news    time.Time     // of the last event
}

// tally counts the outcomes of a step, from position from on.
type tally struct {
	step, from   int
	done, failed int
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

// setLimit is called by start, or with mu held.
func (r *runner) setLimit(perSecond float64) {
	r.limit = perSecond
	if perSecond == 0 {
		r.limiter = nil
		return
	}
	// A twentieth of a second at a time, so that a batch is worth its write.
	burst := max(1, int(math.Ceil(perSecond/20)))
	if r.limiter == nil {
		r.limiter = rate.NewLimiter(rate.Limit(perSecond), burst)
		return
	}
	r.limiter.SetLimit(rate.Limit(perSecond))
	r.limiter.SetBurst(burst)
}

// change changes the course, in the ledger first.
func (r *runner) change(ctx context.Context, fn func(*deadletter.Operation, *plan) error) (deadletter.Operation, error) {
	r.course.Lock()
	defer r.course.Unlock()
	var p plan
	var op deadletter.Operation
	err := r.d.ledger.UpdateOperation(ctx, r.op.ID, func(now *deadletter.Operation) (err error) {
		op = now.Clone()
		if p, err = decodePlan(op); err != nil {
			return err
		}
		if err := fn(now, &p); err != nil {
			return err
		}
		now.Plan = p.encode()
		op = now.Clone()
		return nil
	})
	if err != nil {
		if !errors.Is(err, ErrConflict) && !errors.Is(err, ErrInvalid) {
			r.mu.Lock()
			r.unsure = true // it may have been done
			r.mu.Unlock()
			r.nudge()
		}
		return deadletter.Operation{}, err
	}
	r.follow(op, p)
	r.d.ring.add(Event{Kind: EventOperation, Object: op.ID, Text: progress(op.State, op.Items, op.Total)})
	r.nudge()
	return op, nil
}

// follow takes the course from what the ledger has.
func (r *runner) follow(op deadletter.Operation, p plan) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.unsure = false
	r.state, r.since = op.State, p.Since
	if p.Rate != r.limit {
		r.setLimit(p.Rate)
	}
	if r.state != deadletter.OperationRunning && r.interrupt != nil {
		r.interrupt()
	}
}

// look reads the course from the ledger, if a change of it may or may not have been done.
func (r *runner) look() error {
	r.course.Lock()
	defer r.course.Unlock()
	r.mu.Lock()
	unsure := r.unsure
	r.mu.Unlock()
	if !unsure {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	op, err := r.d.ledger.Operation(ctx, r.op.ID)
	if err != nil {
		return err
	}
	p, err := decodePlan(op)
	if err == nil {
		r.follow(op, p)
	}
	return err
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
	case r.cursor+1 >= r.ends[max(0, r.tally.step)] || len(r.inFlight) >= window:
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

// count counts an outcome of the step.
func (t *tally) count(it deadletter.Item, ends []int) {
	if t.step < 0 || it.Position < t.from || it.Position >= ends[t.step] {
		return
	}
	switch it.State {
	case deadletter.ItemDone:
		t.done++
	case deadletter.ItemFailed:
		t.failed++
	}
}

// judge looks at the outcomes of the step: too many have failed, it is complete, or all
// is done.
func (r *runner) judge() error {
	state, flying := r.stand()
	if state != deadletter.OperationRunning {
		r.tally.step = -1 // counted again when it goes on
		return nil
	}
	if r.tally.step < 0 {
		if err := r.recount(); err != nil {
			return err
		}
	}
	t := &r.tally
	for {
		complete := flying == 0 && (r.pending == 0 || r.cursor+1 >= r.ends[t.step])
		if text := r.tooMany(complete); text != "" && r.pending > 0 {
			return r.stop(text)
		}
		if !complete {
			r.tell(false)
			return nil
		}
		if r.pending == 0 {
			return r.done()
		}
		if t.step == len(r.ends)-1 { // some have gone back to pending
			r.cursor = -1
			return nil
		}
		*t = tally{step: t.step + 1, from: r.ends[t.step]}
	}
}

// tooMany says that too many of the step have failed, if so.
func (r *runner) tooMany(complete bool) string {
	if r.plan.Redrive == nil {
		return ""
	}
	limit, t := r.plan.Redrive.maxFailures(), r.tally
	all := t.done + t.failed
	if limit < 0 || t.failed == 0 || !complete && all < judgedFrom || float64(t.failed)*100 <= limit*float64(all) {
		return ""
	}
	return fmt.Sprintf("%d of %d in step %d of %d failed, more than %v %%", t.failed, all, t.step+1, len(r.ends), limit)
}

// recount finds out how the current step stands.
func (r *runner) recount() error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	first := r.op.Total - 1
	page, err := r.d.ledger.Items(ctx, deadletter.ItemQuery{Operation: r.op.ID, After: -1, Limit: 1,
		States: []deadletter.ItemState{deadletter.ItemPending, deadletter.ItemIssued}})
	if err != nil {
		return err
	}
	if len(page.Items) > 0 {
		first = page.Items[0].Position
	}
	t := tally{step: stepOf(r.ends, first)}
	if t.step > 0 {
		t.from = r.ends[t.step-1]
	}
	r.mu.Lock()
	t.from = max(t.from, r.since)
	r.mu.Unlock()
	if r.plan.Redrive != nil && r.plan.Redrive.maxFailures() >= 0 {
		q := deadletter.ItemQuery{Operation: r.op.ID, After: t.from - 1, Limit: deadletter.MaxLimit,
			States: []deadletter.ItemState{deadletter.ItemDone, deadletter.ItemFailed}}
		for more := true; more; more = q.After >= 0 && q.After < r.ends[t.step] {
			page, err := r.d.ledger.Items(ctx, q)
			if err != nil {
				return err
			}
			for _, it := range page.Items {
				t.count(it, r.ends)
			}
			q.After = page.Next
		}
	}
	r.tally, r.cursor = t, -1
	return nil
}

// stop stops the operation by itself.
func (r *runner) stop(why string) error {
	err := r.turn(func(op *deadletter.Operation) { op.State, op.Stopped = deadletter.OperationStopped, why })
	if err != nil || r.d.alerts == nil {
		return err
	}
	r.d.alerts.stopped(r.op, why)
	return nil
}

// done ends the operation.
func (r *runner) done() error {
	return r.turn(func(op *deadletter.Operation) { op.State, op.EndedAt = deadletter.OperationDone, time.Now() })
}

// turn changes the course unless somebody else has.
func (r *runner) turn(to func(*deadletter.Operation)) error {
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	_, err := r.change(ctx, func(op *deadletter.Operation, _ *plan) error {
		if op.State != deadletter.OperationRunning {
			return errAsItWas
		}
		to(op)
		return nil
	})
	if errors.Is(err, errAsItWas) {
		return nil
	}
	if err == nil {
		r.tell(true)
	}
	return err
}

// tell says how it stands, not too often.
func (r *runner) tell(now bool) {
	if !now && time.Since(r.news) < newsPeriod {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), writeTimeout)
	defer cancel()
	op, err := r.d.ledger.Operation(ctx, r.op.ID)
	if err != nil {
		return // an event less
	}
	r.news = time.Now()
	r.d.ring.add(Event{Kind: EventOperation, Object: op.ID, Text: progress(op.State, op.Items, op.Total)})
}

// progress says how an operation stands.
func progress(state deadletter.OperationState, items map[deadletter.ItemState]int, total int) string {
	text := fmt.Sprintf("%s: %d of %d done", state, items[deadletter.ItemDone], total)
	for _, s := range []deadletter.ItemState{deadletter.ItemFailed, deadletter.ItemLeft, deadletter.ItemInDoubt} {
		if n := items[s]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, s)
		}
	}
	return text
}
