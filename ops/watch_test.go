package ops_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
)

func TestWatchTellsWhatHappens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		ctx, cancel := context.WithCancel(t.Context())
		var mu sync.Mutex
		var got []ops.Event
		var reader sync.WaitGroup
		reader.Go(func() {
			for e := range w.desk.Watch(ctx, 0) {
				mu.Lock()
				got = append(got, e)
				mu.Unlock()
			}
		})
		synctest.Wait()
		w.fail(1)
		w.does(ok)
		op := w.redrive(ops.Redrive{})
		w.until(op.ID, deadletter.OperationDone)
		if err := w.desk.PauseSubscriber(t.Context(), ada, "orders", "billing"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		cancel()
		reader.Wait()
		kinds := map[string]int{}
		for i, e := range got {
			kinds[e.Kind]++
			if i > 0 && e.Number != got[i-1].Number+1 || e.At.IsZero() || e.Number > 1<<53 {
				t.Errorf("event %+v after %+v", e, got[max(0, i-1)])
			}
		}
		for _, kind := range []string{ops.EventLetter, ops.EventResolved, ops.EventOperation, ops.EventSubscriber, ops.EventAudit} {
			if kinds[kind] == 0 {
				t.Errorf("no event of kind %s: %+v", kind, got)
			}
		}
		if kinds[ops.EventLetter] != 1 || kinds[ops.EventResolved] != 1 || kinds[ops.EventAudit] != 2 {
			t.Errorf("kinds = %v, want one letter, one resolved, two audit entries", kinds)
		}
		// And again, from the middle.
		again := take(w.desk, got[2].Number, len(got)-3)
		if !slices.Equal(again, got[3:]) {
			t.Errorf("resumed: %+v, want %+v", again, got[3:])
		}
	})
}

// take returns the next n events.
func take(d *ops.Desk, since uint64, n int) (got []ops.Event) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for e := range d.Watch(ctx, since) {
		if got = append(got, e); len(got) == n {
			break
		}
	}
	return got
}

func TestWatchCountsWhatIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{WatchBuffer: 4})
		synctest.Wait() // for the subscriber to have started
		var first ops.Event
		var reader sync.WaitGroup
		reader.Go(func() { first = take(w.desk, 0, 1)[0] })
		synctest.Wait()
		w.fail(1)
		reader.Wait()
		w.fail(20)
		got := take(w.desk, first.Number, 5)
		if got[0].Kind != ops.EventLost || got[0].Lost != 16 || got[1].Number != first.Number+17 || got[4].Number != got[1].Number+3 {
			t.Errorf("events = %+v after %d, want those between lost and the newest 4", got, first.Number)
		}
		// Of another process, before or with a clock that was ahead.
		for _, since := range []uint64{1, 1 << 60} {
			got := take(w.desk, since, 1)
			if len(got) != 1 || got[0].Kind != ops.EventLost || got[0].Lost == 0 {
				t.Errorf("since %d: %+v, want that some are lost", since, got)
			}
		}
	})
}

func TestWatchEndsWithTheDesk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			for range w.desk.Watch(context.Background(), 0) {
			}
		}()
		synctest.Wait()
		if err := w.desk.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		<-ended
	})
}
