package ops_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
)

// A process that dies in the middle of a redrive of 10,000 letters loses none, and shows
// which are in doubt.
func TestRedriveGoesOnAfterDeath(t *testing.T) {
	if testing.Short() {
		t.Skip("10,000 letters")
	}
	synctest.Test(t, func(t *testing.T) {
		const letters = 10_000
		ledger, err := deadletter.NewMemory(deadletter.MemoryConfig{Capacity: 2 * letters})
		if err != nil {
			t.Fatal(err)
		}
		m := &mortal{Ledger: ledger}
		w := newWorld(t, m, ops.Config{})
		w.fail(letters)
		var mu sync.Mutex
		calls := map[int]int{}
		handle := func(m *mortal) func(context.Context, order) error {
			return func(_ context.Context, o order) error {
				time.Sleep(time.Millisecond)
				m.mu.Lock()
				defer m.mu.Unlock()
				if !m.dead {
					mu.Lock()
					calls[o.ID]++
					mu.Unlock()
				}
				return nil
			}
		}
		w.does(handle(m))
		op := w.redrive(ops.Redrive{})
		time.Sleep(3 * time.Second)
		m.die()
		_ = w.desk.Close(t.Context())
		bury(w)

		m = &mortal{Ledger: ledger}
		w = newShop(t, m)
		w.does(handle(m))
		w.open(ops.Config{})
		op = w.until(op.ID, deadletter.OperationDone)
		done, doubt := op.Items[deadletter.ItemDone], op.Items[deadletter.ItemInDoubt]
		if done+doubt != letters || doubt == 0 || doubt > 600 {
			t.Errorf("items = %v, want all done but those that were under way", op.Items)
		}
		for id, n := range calls {
			if n != 1 {
				t.Errorf("event %d was handled %d times", id, n)
			}
		}
		w.wantLetters(map[deadletter.State]int{deadletter.StateResolved: done, deadletter.StateOpen: doubt})
		// Those in doubt can be sent again, if somebody wants it.
		again := w.until(w.redrive(ops.Redrive{}).ID, deadletter.OperationDone)
		if again.Items[deadletter.ItemDone] != doubt {
			t.Errorf("items = %v, want those in doubt done", again.Items)
		}
		if len(calls) != letters {
			t.Errorf("%d events were handled, want all", len(calls))
		}
		t.Logf("in doubt: %d", doubt)
	})
}

// An orderly restart leaves nothing in doubt.
func TestRedriveGoesOnAfterAnOrderlyRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := memory(t)
		w := newWorld(t, ledger, ops.Config{})
		w.fail(1000)
		w.does(func(context.Context, order) error { time.Sleep(time.Millisecond); return nil })
		op := w.redrive(ops.Redrive{Steps: []float64{10, 100}})
		time.Sleep(300 * time.Millisecond)
		w.sub.Pause() // some are in the mailbox
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := w.Shutdown(ctx); err != nil {
			t.Fatal(err)
		}
		if err := w.desk.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		before := len(w.called())
		w = newShop(t, ledger)
		w.does(ok)
		w.open(ops.Config{})
		op = w.until(op.ID, deadletter.OperationDone)
		w.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemDone: 1000})
		if n := before + len(w.called()); n != 1000 || before < 100 {
			t.Errorf("%d calls, %d of them before, want 1000", n, before)
		}
	})
}
