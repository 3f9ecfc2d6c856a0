package ops_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/topics"
)

func (w *world) only() deadletter.Letter {
	w.t.Helper()
	page, err := w.desk.Letters(w.t.Context(), "", "", 0)
	if err != nil || len(page.Letters) != 1 {
		w.t.Fatalf("letters = %+v, %v, want one", page, err)
	}
	return page.Letters[0]
}

func TestEditSendsAnotherEventAndKeepsTheOriginal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		w.fail(1)
		w.does(ok)
		l := w.only()
		e := ops.Edit{Payload: json.RawMessage(`{"id":7,"key":"k0","total":9007199254740995}`)}
		want := []ops.DiffLine{{Path: "id", Old: "0", New: "7"}, {Path: "total", Old: "9007199254740993", New: "9007199254740995"}}
		p, err := w.desk.PreviewEdit(t.Context(), l.ID, e)
		if err != nil || p.EventID != "" || !equalDiff(p.Diff, want) {
			t.Errorf("PreviewEdit = %+v, %v, want %+v", p, err, want)
		}
		if n := len(w.called()); n != 0 || w.only().State != deadletter.StateOpen {
			t.Errorf("a preview has sent %d events", n)
		}
		out, err := w.desk.Edit(t.Context(), ada, l.ID, e)
		if err != nil || !equalDiff(out.Diff, want) || out.EventID == "" {
			t.Fatalf("Edit = %+v, %v", out, err)
		}
		w.Idle()
		if now := w.only(); now.State != deadletter.StateResolved || now.Closed.As != deadletter.ClosedByEdit || now.Closed.EventID != out.EventID ||
			now.Closed.Why != ada.Why || string(now.Payload) != string(l.Payload) {
			t.Errorf("letter = %s %+v, want resolved by edit with its payload", now.State, now.Closed)
		}
		_, err = w.desk.Edit(t.Context(), ada, l.ID, e)
		wantErr(t, "of a letter that is resolved", err, deadletter.ErrNotOpen)
		if n := len(w.audits()); n != 2 {
			t.Errorf("%d audit entries, want 2", n)
		}
	})
}

func equalDiff(a, b []ops.DiffLine) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

func TestEditRefusesWhatDoesNotDecode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		w.fail(1)
		w.does(ok)
		id := w.only().ID
		for want, e := range map[string]ops.Edit{
			"changes nothing":              {},
			"is no JSON":                   {Payload: json.RawMessage(`{"id":}`)},
			"something follows":            {Payload: json.RawMessage(`{} {}`)},
			"Edit.Payload: topics: decode": {Payload: json.RawMessage(`{"id":"x"}`)},
			"not both":                     {Payload: json.RawMessage(`{}`), Raw: []byte("x")},
			"Edit.Budget -1":               {Payload: json.RawMessage(`{}`), Budget: -1},
			"Edit.To orders/nobody":        {Payload: json.RawMessage(`{}`), To: ops.Target{Subscriber: "nobody"}},
		} {
			_, err := w.desk.Edit(t.Context(), ada, id, e)
			wantErr(t, want, err, ops.ErrInvalid)
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v, want %q in it", err, want)
			}
		}
		if l := w.only(); l.State != deadletter.StateOpen || len(l.Redrives) != 0 || len(w.called()) != 0 {
			t.Errorf("letter is %s with %+v, %d events sent, want nothing done", l.State, l.Redrives, len(w.called()))
		}
		if e, err := w.desk.PreviewEdit(t.Context(), id, ops.Edit{Headers: map[string]string{"k": "v"}}); err != nil || len(e.Diff) != 1 || e.Diff[0].Path != "headers.k" {
			t.Errorf("PreviewEdit = %+v, %v, want one header", e, err)
		}
		wantErr(t, "of no letter", second(w.desk.PreviewEdit(t.Context(), "x", ops.Edit{})), deadletter.ErrNotFound)
	})
}

func TestFixRepairsEachPayload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fix := ops.Fix{Name: "total", About: "doubles the total", Do: func(_ context.Context, l deadletter.Letter) ([]byte, error) {
			var o order
			if err := json.Unmarshal(l.Payload, &o); err != nil {
				return nil, err
			}
			switch o.ID {
			case 3:
				return nil, errors.New("not this one")
			case 4:
				panic("worse")
			case 5:
				return []byte("{"), nil
			}
			o.Total = 2
			return json.Marshal(o)
		}}
		w := newWorld(t, nil, ops.Config{Fixes: []ops.Fix{fix}})
		w.fail(8)
		samples, err := w.desk.PreviewFix(t.Context(), "total", ops.Scope{Query: "*"}, 0)
		if err != nil || len(samples) != 8 {
			t.Fatalf("PreviewFix = %+v, %v, want 8", samples, err)
		}
		faults := 0
		for _, s := range samples {
			if s.Error != "" {
				faults++
			} else if !equalDiff(s.Diff, []ops.DiffLine{{Path: "total", Old: "9007199254740993", New: "2"}}) {
				t.Errorf("diff = %+v", s.Diff)
			}
		}
		if faults != 3 {
			t.Errorf("%d samples with an error, want 3: %+v", faults, samples)
		}
		if _, err := w.desk.PreviewFix(t.Context(), "x", ops.Scope{Query: "*"}, 0); !errors.Is(err, ops.ErrInvalid) {
			t.Errorf("PreviewFix of no fix = %v", err)
		}
		var totals []int64
		w.does(func(ctx context.Context, o order) error {
			d, _ := topics.DeliveryFrom(ctx)
			if d.CausationID() == "" || d.CausationID() == d.ID() {
				t.Errorf("event %s is caused by %q", d.ID(), d.CausationID())
			}
			w.mu.Lock()
			defer w.mu.Unlock()
			totals = append(totals, o.Total)
			if o.ID == 7 {
				return errBoom
			}
			return nil
		})
		p, err := w.desk.Preview(t.Context(), everything(ops.Redrive{Fix: "total"}))
		if err != nil || p.Left != 3 || p.Undecodable != 1 {
			t.Errorf("Preview = %+v, %v, want 3 left, 1 of them for its payload", p, err)
		}
		op := w.until(w.redrive(ops.Redrive{Fix: "total"}).ID, deadletter.OperationDone)
		w.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemDone: 4, deadletter.ItemFailed: 1, deadletter.ItemLeft: 3})
		for _, total := range totals {
			if total != 2 {
				t.Errorf("totals = %v, want 2 of each", totals)
			}
		}
		// Five are resolved, one of them has a letter after it; three are as they were.
		w.wantLetters(map[deadletter.State]int{deadletter.StateResolved: 5, deadletter.StateOpen: 4})
		l, _ := w.desk.Letter(t.Context(), w.items(op.ID)[0].Letter)
		if l.Closed == nil || l.Closed.As != deadletter.ClosedByFix || l.Closed.Operation != op.ID {
			t.Errorf("letter = %+v, want it fixed", l.Closed)
		}
		if it := w.items(op.ID)[7]; it.State != deadletter.ItemFailed || !strings.Contains(it.Error, "the new event is letter ") {
			t.Errorf("item = %+v, want the new letter", it)
		}
	})
}

func TestRehearsalOfManyLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{}, topics.SubscriberConfig{Retry: once, Rehearsal: true})
		w.fail(20)
		w.does(func(ctx context.Context, o order) error {
			if d, _ := topics.DeliveryFrom(ctx); !d.Rehearsal {
				t.Error("it does not see that it is a rehearsal")
			}
			if o.ID%2 == 0 {
				return errBoom
			}
			return nil
		})
		op := w.until(w.redrive(ops.Redrive{Rehearse: true}).ID, deadletter.OperationDone)
		w.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemDone: 10, deadletter.ItemFailed: 10})
		w.wantLetters(map[deadletter.State]int{deadletter.StateOpen: 20})
	})
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		w.fail(2)
		w.does(ok)
		if p, err := w.desk.Preview(t.Context(), everything(ops.Redrive{Rehearse: true})); err != nil || p.Left != 2 {
			t.Errorf("Preview = %+v, %v, want both left", p, err)
		}
		op := w.until(w.redrive(ops.Redrive{Rehearse: true}).ID, deadletter.OperationDone)
		w.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemLeft: 2})
		if len(w.called()) != 0 {
			t.Error("it was called")
		}
	})
}
