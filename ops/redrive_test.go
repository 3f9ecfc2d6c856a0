package ops_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

func TestRedriveSendsAllBackOldestFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		w.fail(1000)
		w.does(ok)
		op := w.redrive(ops.Redrive{})
		if op.Total != 1000 || op.State != deadletter.OperationRunning || op.By != "ada" || op.Why != "fixed in 1.4" || op.Query != "*" {
			t.Errorf("operation = %+v, want a running one of 1000 letters by ada", op)
		}
		op = w.until(op.ID, deadletter.OperationDone)
		w.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemDone: 1000})
		w.wantLetters(map[deadletter.State]int{deadletter.StateResolved: 1000})
		if !slices.Equal(w.called(), sorted(1000)) {
			t.Errorf("calls = %v, want the events in their order", w.called())
		}
		if op.EndedAt.IsZero() {
			t.Error("it has no end")
		}
		l, err := w.desk.Letter(t.Context(), w.items(op.ID)[0].Letter)
		if err != nil || l.Redrives[0].Operation != op.ID || l.Redrives[0].By != "ada" || l.Closed.As != deadletter.ClosedByRedrive || l.Closed.Why != "fixed in 1.4" {
			t.Errorf("letter = %+v, %v, want the record of the operation", l.Redrives, err)
		}
	})
}

func TestRedriveInSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		w.fail(200)
		var seen []string
		gate := make(chan struct{})
		w.does(func(ctx context.Context, o order) error { <-gate; return nil })
		op := w.redrive(ops.Redrive{Steps: []float64{1, 5, 20, 100}})
		for range 4 {
			time.Sleep(time.Minute)
			now := w.operation(op.ID)
			seen = append(seen, fmt.Sprintf("%d:%d", now.Step, now.Items[deadletter.ItemIssued]))
			if now.State != deadletter.OperationRunning {
				break
			}
			for range now.Items[deadletter.ItemIssued] {
				gate <- struct{}{}
			}
		}
		if want := []string{"1:2", "2:8", "3:30", "4:160"}; !slices.Equal(seen, want) {
			t.Errorf("steps and letters under way = %v, want %v", seen, want)
		}
		w.until(op.ID, deadletter.OperationDone)
	})
}

func TestRedriveStopsWhenTooManyFailAndCanBeResumed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		w.fail(200)
		w.does(func(_ context.Context, o order) error {
			if o.ID >= 5 && o.ID < 8 {
				return errBoom
			}
			return nil
		})
		op := w.redrive(ops.Redrive{Steps: []float64{1, 5, 20, 100}})
		op = w.until(op.ID, deadletter.OperationStopped)
		w.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemDone: 7, deadletter.ItemFailed: 3, deadletter.ItemPending: 190})
		if want := "3 of 8 in step 2 of 4 failed, more than 10 %"; op.Stopped != want {
			t.Errorf("stopped = %q, want %q", op.Stopped, want)
		}
		if it := w.items(op.ID)[5]; it.State != deadletter.ItemFailed || it.Error != "boom" {
			t.Errorf("item = %+v, want boom", it)
		}
		w.does(ok)
		if _, err := w.desk.ResumeOperation(t.Context(), ada, op.ID); err != nil {
			t.Fatal(err)
		}
		op = w.until(op.ID, deadletter.OperationDone)
		w.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemDone: 197, deadletter.ItemFailed: 3})
		w.wantLetters(map[deadletter.State]int{deadletter.StateResolved: 197, deadletter.StateOpen: 3})
		_, err := w.desk.ResumeOperation(t.Context(), ada, op.ID)
		wantErr(t, "resume of one that is done", err, ops.ErrConflict)
	})
}

func TestRedriveNeverStopsWithoutStepsOrLimit(t *testing.T) {
	for _, r := range []ops.Redrive{{}, {Steps: []float64{10, 100}, MaxFailures: ops.NeverStop}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, nil, ops.Config{})
			w.fail(50)
			op := w.until(w.redrive(r).ID, deadletter.OperationDone)
			w.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemFailed: 50})
		})
	}
}

func TestRateCanBeChangedWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		w.fail(1000)
		w.does(ok)
		op := w.redrive(ops.Redrive{Rate: 10})
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if n := len(w.called()); n < 95 || n > 106 {
			t.Errorf("%d letters in 10 s at 10 a second", n)
		}
		now := w.operation(op.ID)
		if left := time.Duration(1000-len(w.called())) * time.Second / 10; now.ETA < left-5*time.Second || now.ETA > left+5*time.Second || now.Rate != 10 {
			t.Errorf("ETA = %v at %v a second, want about %v", now.ETA, now.Rate, left)
		}
		if _, err := w.desk.SetRate(t.Context(), ada, op.ID, 200); err != nil {
			t.Fatal(err)
		}
		before := len(w.called())
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if n := len(w.called()) - before; n < 380 || n > 420 {
			t.Errorf("%d letters in 2 s at 200 a second", n)
		}
		began := time.Now()
		if _, err := w.desk.SetRate(t.Context(), ada, op.ID, 0); err != nil {
			t.Fatal(err)
		}
		w.until(op.ID, deadletter.OperationDone)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the rest took %v without a limit", took)
		}
		_, err := w.desk.SetRate(t.Context(), ada, op.ID, -1)
		wantErr(t, "a negative rate", err, ops.ErrConflict)
	})
}

func TestRedriveCanBePausedResumedAndCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		w.fail(300)
		w.does(ok)
		op := w.redrive(ops.Redrive{Rate: 20})
		time.Sleep(5 * time.Second)
		if op, err := w.desk.PauseOperation(t.Context(), ada, op.ID); err != nil || op.State != deadletter.OperationPaused {
			t.Fatalf("pause = %v, %v", op.State, err)
		}
		synctest.Wait()
		n := len(w.called())
		time.Sleep(time.Hour)
		if len(w.called()) != n || n < 90 {
			t.Errorf("%d letters when it was paused, %d an hour later", n, len(w.called()))
		}
		_, err := w.desk.PauseOperation(t.Context(), ada, op.ID)
		wantErr(t, "a second pause", err, ops.ErrConflict)
		if _, err := w.desk.ResumeOperation(t.Context(), ada, op.ID); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		op, err = w.desk.CancelOperation(t.Context(), ada, op.ID)
		if err != nil || op.State != deadletter.OperationCancelled || op.EndedAt.IsZero() {
			t.Fatalf("cancel = %+v, %v", op, err)
		}
		time.Sleep(time.Hour)
		done := len(w.called())
		w.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemDone: done, deadletter.ItemPending: 300 - done})
		w.wantLetters(map[deadletter.State]int{deadletter.StateResolved: done, deadletter.StateOpen: 300 - done})
		for _, err := range []error{second(w.desk.ResumeOperation(t.Context(), ada, op.ID)), second(w.desk.CancelOperation(t.Context(), ada, op.ID))} {
			wantErr(t, "after a cancel", err, ops.ErrConflict)
		}
		var actions []string
		for _, e := range w.audits() {
			actions = append(actions, fmt.Sprintf("%s %d %t", e.Action, e.Count, e.Error == ""))
		}
		want := []string{"redrive 300 true", "pause_operation 300 true", "pause_operation 300 false", "resume_operation 300 true",
			"cancel_operation 300 true", "resume_operation 300 false", "cancel_operation 300 false"}
		if !slices.Equal(actions, want) {
			t.Errorf("audit = %q, want %q", actions, want)
		}
	})
}

func second[T any](_ T, err error) error { return err }

func TestRedriveNeverGoesBeyondTheRoomOfTheMailbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{}, topics.SubscriberConfig{Retry: once, Capacity: 8})
		w.fail(100)
		w.does(func(context.Context, order) error { time.Sleep(100 * time.Millisecond); return nil })
		op := w.redrive(ops.Redrive{})
		for range 20 {
			time.Sleep(300 * time.Millisecond)
			synctest.Wait()
			if n := w.operation(op.ID).Items[deadletter.ItemIssued]; n > 9 {
				t.Fatalf("%d letters are issued, more than the 8 that wait and the one in hand", n)
			}
		}
		op = w.until(op.ID, deadletter.OperationDone)
		w.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemDone: 100})
		if !slices.Equal(w.called(), sorted(100)) {
			t.Errorf("calls = %v, want the events in their order", w.called())
		}
		for _, it := range w.items(op.ID) {
			if l, _ := w.desk.Letter(t.Context(), it.Letter); len(l.Redrives) != 1 {
				t.Fatalf("letter has redrives %+v, want one", l.Redrives)
			}
		}
	})
}

func TestRedriveWaitsForAPausedSubscriberAndCanBePausedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{}, topics.SubscriberConfig{Retry: once, Capacity: 5})
		w.fail(20)
		w.does(ok)
		if err := w.desk.PauseSubscriber(t.Context(), ada, "orders", "billing"); err != nil {
			t.Fatal(err)
		}
		op := w.redrive(ops.Redrive{})
		time.Sleep(time.Minute)
		w.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemIssued: 5, deadletter.ItemPending: 15})
		if _, err := w.desk.PauseOperation(t.Context(), ada, op.ID); err != nil {
			t.Fatal(err)
		}
		if err := w.desk.ResumeSubscriber(t.Context(), ada, "orders", "billing"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		w.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemDone: 5, deadletter.ItemPending: 15})
		if _, err := w.desk.ResumeOperation(t.Context(), ada, op.ID); err != nil {
			t.Fatal(err)
		}
		w.until(op.ID, deadletter.OperationDone)
	})
}

func TestLettersThatCannotGoBackAreLeftWithTheReason(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		w.fail(6)
		w.does(ok)
		ids, err := w.ledger.IDs(t.Context(), deadletter.Query{})
		if err != nil {
			t.Fatal(err)
		}
		spoil := func(i int, fn func(l *deadletter.Letter)) {
			if err := w.ledger.Update(t.Context(), ids[i], func(l *deadletter.Letter) error { fn(l); return nil }); err != nil {
				t.Fatal(err)
			}
		}
		spoil(1, func(l *deadletter.Letter) { l.PayloadError, l.Payload = "too large", nil })
		spoil(2, func(l *deadletter.Letter) { l.Subscriber = "gone" })
		spoil(3, func(l *deadletter.Letter) { l.Payload = []byte("{") })
		spoil(4, func(l *deadletter.Letter) { _ = l.Archive(deadletter.Closing{By: "bob"}) })
		if _, err := w.ledger.Delete(t.Context(), ids[5]); err != nil {
			t.Fatal(err)
		}
		p, err := w.desk.Preview(t.Context(), ops.Redrive{Scope: ops.Scope{IDs: ids}})
		if err != nil || p.Total != 6 || p.Open != 4 || p.Gone != 1 || p.Undecodable != 1 || p.Left != 5 || len(p.Examples) != 5 {
			t.Errorf("Preview = %+v, %v, want 6 letters, 4 open, 1 gone, 1 that does not decode", p, err)
		}
		op, err := w.desk.Redrive(t.Context(), ada, ops.Redrive{Scope: ops.Scope{IDs: slices.Concat(ids, ids)}})
		if err != nil {
			t.Fatal(err)
		}
		op = w.until(op.ID, deadletter.OperationDone)
		w.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemDone: 1, deadletter.ItemLeft: 5})
		for i, want := range []string{"", "no payload: too large", "unknown subscriber: orders/gone", "decode application/json", "archived by bob", "the letter is gone"} {
			if it := w.items(op.ID)[i]; !strings.Contains(it.Error, want) {
				t.Errorf("item %d = %s %q, want %q", i, it.State, it.Error, want)
			}
		}
	})
}

func TestTwoRedrivesOfTheSameLettersSendEachOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		w.fail(500)
		w.does(ok)
		a, b := w.redrive(ops.Redrive{}), w.redrive(ops.Redrive{})
		a, b = w.until(a.ID, deadletter.OperationDone), w.until(b.ID, deadletter.OperationDone)
		if n := a.Items[deadletter.ItemDone] + b.Items[deadletter.ItemDone]; n != 500 || len(w.called()) != 500 {
			t.Errorf("%d done, %d calls, want 500: %v, %v", n, len(w.called()), a.Items, b.Items)
		}
	})
}

func TestRedriveRefusesWhatMakesNoSense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		w.fail(1)
		for want, r := range map[string]ops.Redrive{
			"Scope: set exactly one":              {},
			"Scope.IDs: name a letter":            {Scope: ops.Scope{IDs: []string{}}},
			`Scope.IDs: contains ""`:              {Scope: ops.Scope{IDs: []string{""}}},
			"selects no letter":                   {Scope: ops.Scope{Group: "nobody"}},
			"query: ":                             {Scope: ops.Scope{Query: "nofield:x"}},
			"Redrive.Budget -1":                   everything(ops.Redrive{Budget: -1}),
			"Redrive.Rate -1":                     everything(ops.Redrive{Rate: -1}),
			"Redrive.Steps[1] 1: must be above 5": everything(ops.Redrive{Steps: []float64{5, 1}}),
			"Redrive.Steps: must end with 100":    everything(ops.Redrive{Steps: []float64{5, 10}}),
			"Redrive.MaxFailures 101":             everything(ops.Redrive{MaxFailures: 101}),
			`Redrive.Fix "x": is not registered`:  everything(ops.Redrive{Fix: "x"}),
			"Redrive.To.Subscriber: a rehearsal":  everything(ops.Redrive{Rehearse: true, To: ops.Target{Topic: "orders"}}),
		} {
			_, err := w.desk.Redrive(t.Context(), ada, r)
			wantErr(t, want, err, ops.ErrInvalid)
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v, want %q in it", err, want)
			}
		}
		_, err := w.desk.Redrive(t.Context(), ops.By{}, everything(ops.Redrive{}))
		wantErr(t, "without a name", err, ops.ErrInvalid)
		for _, e := range w.audits() {
			if e.Error == "" || e.Action != "redrive" {
				t.Errorf("audit entry %+v, want a refusal", e)
			}
		}
		if n := len(w.audits()); n != 13 {
			t.Errorf("%d audit entries, want one for each refusal", n)
		}
	})
}

// Under Ordered, what comes back is handled in its order, through all retries, while
// what is published goes on.
func TestRedriveKeepsTheOrderThroughRetries(t *testing.T) {
	for name, c := range map[string]struct {
		cfg    topics.SubscriberConfig
		perKey bool
	}{
		"ordered":           {topics.SubscriberConfig{}, false},
		"keyed and parked":  {topics.SubscriberConfig{Ordering: topics.Parked, Key: topics.KeyOf(func(o order) string { return o.Key })}, true},
		"keyed and workers": {topics.SubscriberConfig{Workers: 4, Key: topics.KeyOf(func(o order) string { return o.Key })}, true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c.cfg.Retry = supervisor.Retry{MaxAttempts: 3, BaseDelay: time.Second, Jitter: supervisor.NoJitter}
				w := newWorld(t, nil, ops.Config{}, c.cfg)
				w.fail(60)
				var handled []order
				w.does(func(ctx context.Context, o order) error {
					d, _ := topics.DeliveryFrom(ctx)
					if d.Attempt < 3 && o.ID%7 == 0 {
						return errBoom
					}
					w.mu.Lock()
					defer w.mu.Unlock()
					handled = append(handled, o)
					return nil
				})
				op := w.redrive(ops.Redrive{})
				time.Sleep(1500 * time.Millisecond)
				if err := w.topic.Publish(t.Context(), order{ID: 1000}); err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				w.mu.Lock()
				if !slices.ContainsFunc(handled, func(o order) bool { return o.ID == 1000 }) {
					t.Error("what was published meanwhile has to wait")
				}
				w.mu.Unlock()
				op = w.until(op.ID, deadletter.OperationDone)
				w.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemDone: 60})
				last := map[string]int{}
				for _, o := range handled {
					if !c.perKey {
						o.Key = ""
					}
					if at, known := last[o.Key]; known && at > o.ID && o.ID < 1000 && at < 1000 {
						t.Fatalf("%d came after %d, of key %q", o.ID, at, o.Key)
					}
					if o.ID < 1000 {
						last[o.Key] = o.ID
					}
				}
			})
		})
	}
}
