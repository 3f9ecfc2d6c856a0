package ops_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

var seeds = flag.Int("seeds", 60, "random courses of an operation to try")

// TestWhateverHappensEachLetterIsSentOnceOrInDoubt runs redrives through random pauses,
// resumptions, cancellations, rates, failures of handlers and of the store, deaths of
// the process and orderly restarts, and looks at what is left.
func TestWhateverHappensEachLetterIsSentOnceOrInDoubt(t *testing.T) {
	for seed := range *seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { course(t, uint64(seed)) })
		})
	}
}

// life is what outlives processes in a course.
type life struct {
	mu    sync.Mutex
	calls map[int]int // by event: handler calls of processes that lived
	done  map[int]int // those that returned nil
}

func course(t *testing.T, seed uint64) {
	rnd := rand.New(rand.NewPCG(seed, 5))
	const letters = 60
	ledger := memory(t)
	lf := &life{calls: map[int]int{}, done: map[int]int{}}
	deaths := 0
	var w *world
	var m *mortal
	cfg := topics.SubscriberConfig{Retry: once, Capacity: 1 + rnd.IntN(20)}
	if rnd.IntN(3) == 0 {
		cfg.Workers = 3
	}
	var handler func(*mortal) func(context.Context, order) error
	begin := func() {
		m = &mortal{Ledger: ledger, rnd: rand.New(rand.NewPCG(seed, uint64(deaths)))}
		w = newShop(t, m, cfg)
		if handler != nil {
			w.does(handler(m))
		}
		w.open(ops.Config{})
	}
	begin()
	w.fail(letters)
	handler = func(m *mortal) func(context.Context, order) error {
		choice := rand.New(rand.NewPCG(seed, 9))
		var mu sync.Mutex
		return func(ctx context.Context, o order) error {
			mu.Lock()
			n, slow := choice.IntN(10), choice.IntN(3)
			mu.Unlock()
			m.mu.Lock()
			alive := !m.dead
			m.mu.Unlock()
			if !alive {
				return supervisor.Permanent(errDead)
			}
			lf.mu.Lock()
			lf.calls[o.ID]++
			lf.mu.Unlock()
			time.Sleep(time.Duration(slow*10) * time.Millisecond)
			switch n {
			case 0, 1:
				return errBoom
			case 2:
				panic("worse")
			case 3:
				return supervisor.Skip(errBoom)
			}
			lf.mu.Lock()
			lf.done[o.ID]++
			lf.mu.Unlock()
			return nil
		}
	}
	w.does(handler(m))
	plan := ops.Redrive{Rate: float64(rnd.IntN(3) * 100), MaxFailures: float64([]int{ops.NeverStop, 0, 60}[rnd.IntN(3)])}
	if rnd.IntN(2) == 0 {
		plan.Steps = []float64{5, 20, 100}
	}
	id := w.redrive(plan).ID
	cancelled := false
	for range 30 {
		time.Sleep(time.Duration(rnd.IntN(80)) * time.Millisecond)
		ctx := t.Context()
		switch n := rnd.IntN(14); {
		case n <= 1:
			_, _ = w.desk.PauseOperation(ctx, ada, id)
		case n <= 4:
			_, _ = w.desk.ResumeOperation(ctx, ada, id)
		case n == 5 && rnd.IntN(4) == 0:
			_, err := w.desk.CancelOperation(ctx, ada, id)
			// A store that fails may have done it.
			cancelled = cancelled || err == nil || errors.Is(err, errStore) && w.operation(id).State == deadletter.OperationCancelled
		case n == 6:
			_, _ = w.desk.SetRate(ctx, ada, id, float64(rnd.IntN(500)))
		case n == 7:
			w.sub.Pause()
		case n == 8:
			w.sub.Resume()
		case n == 9:
			m.fail(0.3)
		case n == 10:
			m.fail(0)
		case n == 11: // death
			deaths++
			m.die()
			_ = w.desk.Close(ctx)
			bury(w)
			begin()
		case n == 12: // restart
			deaths++
			m.fail(0)
			bury(w)
			if err := w.desk.Close(ctx); err != nil {
				t.Fatal(err)
			}
			begin()
		}
	}
	m.fail(0)
	w.sub.Resume()
	for range 400 { // until it is over
		time.Sleep(100 * time.Millisecond)
		op := w.operation(id)
		if op.State == deadletter.OperationStopped || op.State == deadletter.OperationPaused {
			if _, err := w.desk.ResumeOperation(t.Context(), ada, id); err != nil && !errors.Is(err, ops.ErrConflict) {
				t.Fatal(err)
			}
		}
		if op.Rate > 0 && !op.State.Ended() {
			if _, err := w.desk.SetRate(t.Context(), ada, id, 0); err != nil && !errors.Is(err, ops.ErrConflict) {
				t.Fatal(err)
			}
		}
		if op.State.Ended() && op.Items[deadletter.ItemIssued] == 0 {
			break
		}
	}
	w.Idle(time.Hour)
	check(t, w, lf, id, letters, cancelled)
}

// bury ends the runtime of a process in the background of the test.
func bury(w *world) {
	w.sub.Resume()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	_, _ = w.Shutdown(ctx)
}

func check(t *testing.T, w *world, lf *life, id string, letters int, cancelled bool) {
	op := w.operation(id)
	switch {
	case cancelled && op.State != deadletter.OperationCancelled, !cancelled && op.State != deadletter.OperationDone:
		t.Errorf("operation is %s: %v, cancelled %t", op.State, op.Items, cancelled)
	}
	items := w.items(id)
	if len(items) != letters || op.Total != letters {
		t.Fatalf("%d items of %d, want one for each of %d letters", len(items), op.Total, letters)
	}
	lf.mu.Lock()
	defer lf.mu.Unlock()
	seen := map[string]bool{}
	for i, it := range items {
		l, err := w.desk.Letter(t.Context(), it.Letter)
		if err != nil {
			t.Errorf("letter %s: %v", it.Letter, err)
			continue
		}
		if seen[it.Letter] || it.Position != i {
			t.Errorf("item %+v: its letter has two, or its position is not %d", it, i)
		}
		seen[it.Letter] = true
		var event order
		if err := json.Unmarshal(l.Payload, &event); err != nil {
			t.Fatal(err)
		}
		calls := lf.calls[event.ID]
		var outcome deadletter.Outcome
		aborted := 0 // a handler that was told to stop and then failed has not handled it
		for _, r := range l.Redrives {
			if outcome = r.Outcome; outcome == deadletter.OutcomeAborted {
				aborted++
			}
		}
		bad := func() {
			t.Errorf("event %d: item %s %q, letter %s, redrives %+v, %d calls", i, it.State, it.Error, l.State, l.Redrives, calls)
		}
		if calls > 1+aborted || lf.done[event.ID] > 1 || l.State == deadletter.StateRedriving {
			bad()
		}
		switch it.State {
		case deadletter.ItemDone:
			if l.State != deadletter.StateResolved || calls < 1 {
				bad()
			}
		case deadletter.ItemFailed:
			if l.State != deadletter.StateOpen || calls < 1 || lf.done[event.ID] > 0 || outcome != deadletter.OutcomeFailed {
				bad()
			}
		case deadletter.ItemInDoubt:
			if l.State != deadletter.StateOpen || outcome != deadletter.OutcomeInDoubt {
				bad()
			}
		case deadletter.ItemPending:
			if l.State != deadletter.StateOpen || calls > aborted || lf.done[event.ID] > 0 || !cancelled {
				bad()
			}
		case deadletter.ItemLeft:
			if l.State != deadletter.StateOpen || lf.done[event.ID] > 0 {
				bad()
			}
		default:
			bad()
		}
	}
	if a, err := w.desk.Verify(t.Context()); err != nil || a.Redriving != 0 {
		t.Errorf("account = %+v, %v", a, err)
	}
}
