package ops_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
)

func (w *world) change(c ops.Change) ops.Operation {
	w.t.Helper()
	op, err := w.desk.Change(w.t.Context(), ada, c)
	if err != nil {
		w.t.Fatalf("Change: %v", err)
	}
	return w.until(op.ID, deadletter.OperationDone)
}

func TestChangesOfManyLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{Undo: time.Hour})
		w.fail(600)
		ids, err := w.ledger.IDs(t.Context(), deadletter.Query{})
		if err != nil {
			t.Fatal(err)
		}
		op := w.change(ops.Change{Kind: ops.ChangeArchive, Scope: ops.Scope{IDs: ids[:300]}})
		w.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemDone: 300})
		w.wantLetters(map[deadletter.State]int{deadletter.StateArchived: 300, deadletter.StateOpen: 300})

		n := 300
		op = w.change(ops.Change{Kind: ops.ChangeDelete, Scope: ops.Scope{IDs: ids[300:]}, Confirm: &n})
		w.wantLetters(map[deadletter.State]int{deadletter.StateArchived: 300, deadletter.StateDeleted: 300})
		l, err := w.desk.Letter(t.Context(), ids[300])
		if err != nil || l.Closed.By != "ada" || l.Closed.Why != "fixed in 1.4" || l.Closed.Operation != op.ID || !l.Closed.PurgeAt.After(time.Now().Add(59*time.Minute)) {
			t.Errorf("letter = %+v, %v, want it closed by ada", l.Closed, err)
		}

		op = w.change(ops.Change{Kind: ops.ChangeRestore, Scope: ops.Scope{Query: "state:deleted"}})
		w.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemDone: 300})
		w.wantLetters(map[deadletter.State]int{deadletter.StateArchived: 300, deadletter.StateOpen: 300})

		op = w.change(ops.Change{Kind: ops.ChangeResolve, Scope: ops.Scope{Query: "*"}})
		w.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemDone: 300, deadletter.ItemLeft: 300})
		w.wantLetters(map[deadletter.State]int{deadletter.StateArchived: 300, deadletter.StateResolved: 300})

		op = w.change(ops.Change{Kind: ops.ChangeRestore, Scope: ops.Scope{IDs: ids[300:]}})
		until := time.Now().Add(time.Hour)
		op = w.change(ops.Change{Kind: ops.ChangeSnooze, Scope: ops.Scope{Query: "state:open"}, Until: until})
		w.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemDone: 300})
		if l, err := w.desk.Letter(t.Context(), ids[300]); err != nil || !l.SnoozedUntil.Equal(until) {
			t.Errorf("letter is snoozed until %v, %v, want %v", l.SnoozedUntil, err, until)
		}

		n = 600
		w.change(ops.Change{Kind: ops.ChangeDelete, Scope: ops.Scope{Query: "*"}, Confirm: &n})
		time.Sleep(2 * time.Hour)
		if n, err := w.desk.Count(t.Context(), ops.Scope{Query: "state:deleted"}); n != 0 || err != nil {
			t.Errorf("%d deleted letters are there after the time in which they can be restored, %v", n, err)
		}
		w.wantLetters(map[deadletter.State]int{deadletter.StateDeleted: 600})
	})
}

func TestChangeOfAGroup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		w.fail(10)
		page, err := w.desk.Groups(t.Context(), "", deadletter.GroupQuery{})
		if err != nil || len(page.Groups) != 1 {
			t.Fatalf("groups = %+v, %v, want one", page, err)
		}
		group := ops.Scope{Group: page.Groups[0].Fingerprint}
		if n, err := w.desk.Count(t.Context(), group); n != 10 || err != nil {
			t.Errorf("Count = %d, %v, want 10", n, err)
		}
		w.change(ops.Change{Kind: ops.ChangeArchive, Scope: group})
		w.wantLetters(map[deadletter.State]int{deadletter.StateArchived: 10})
		w.change(ops.Change{Kind: ops.ChangeRestore, Scope: group})
		w.wantLetters(map[deadletter.State]int{deadletter.StateOpen: 10})
		w.does(ok)
		op, err := w.desk.Redrive(t.Context(), ada, ops.Redrive{Scope: group})
		if err != nil {
			t.Fatal(err)
		}
		w.until(op.ID, deadletter.OperationDone)
		w.wantLetters(map[deadletter.State]int{deadletter.StateResolved: 10})
		_, err = w.desk.Redrive(t.Context(), ada, ops.Redrive{Scope: group})
		wantErr(t, "of a group without open letters", err, ops.ErrInvalid)
	})
}

func TestChangeRefusesWhatMakesNoSense(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		w.fail(3)
		two, all := 2, ops.Scope{Query: "*"}
		for want, c := range map[string]ops.Change{
			`Change.Kind "burn"`:             {Kind: "burn", Scope: all},
			"Change.Confirm: a delete needs": {Kind: ops.ChangeDelete, Scope: all},
			"Change.Until: is for snooze":    {Kind: ops.ChangeArchive, Scope: all, Until: time.Now()},
			"Scope: set exactly one":         {Kind: ops.ChangeArchive},
		} {
			_, err := w.desk.Change(t.Context(), ada, c)
			wantErr(t, want, err, ops.ErrInvalid)
			if err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("error = %v, want %q in it", err, want)
			}
		}
		_, err := w.desk.Change(t.Context(), ada, ops.Change{Kind: ops.ChangeDelete, Scope: all, Confirm: &two})
		wantErr(t, "another number", err, ops.ErrConflict)
		w.wantLetters(map[deadletter.State]int{deadletter.StateOpen: 3})
		if n := len(w.audits()); n != 5 {
			t.Errorf("%d audit entries, want one for each refusal", n)
		}
	})
}

// A process that dies in the middle of a change leaves no letter changed twice.
func TestChangeGoesOnAfterDeath(t *testing.T) {
	for _, kind := range []string{ops.ChangeArchive, ops.ChangeResolve, ops.ChangeDelete} {
		synctest.Test(t, func(t *testing.T) {
			ledger := memory(t)
			m := &mortal{Ledger: ledger}
			w := newWorld(t, m, ops.Config{})
			w.fail(1000)
			m.slow = 10 * time.Millisecond
			n := 1000
			op, err := w.desk.Change(t.Context(), ada, ops.Change{Kind: kind, Scope: ops.Scope{Query: "*"}, Confirm: &n})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(35 * time.Millisecond)
			m.die()
			_ = w.desk.Close(t.Context())
			bury(w)
			w = newWorld(t, ledger, ops.Config{})
			op = w.until(op.ID, deadletter.OperationDone)
			w.wantItems(op, map[deadletter.ItemState]int{deadletter.ItemDone: 1000})
			if _, err := w.desk.Verify(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestGroupsCanBeTalkedAbout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		w.fail(2)
		page, _ := w.desk.Groups(t.Context(), "sub:billing", deadletter.GroupQuery{})
		f := page.Groups[0].Fingerprint
		note, owner, yes := "ask ops", "payments", true
		g, err := w.desk.ChangeGroup(t.Context(), ada, f, ops.GroupChange{Note: &note, Owner: &owner, Acknowledged: &yes})
		if err != nil || g.Note != note || g.Owner != owner || g.AcknowledgedBy != "ada" || g.State != deadletter.GroupAcknowledged {
			t.Errorf("group = %+v, %v, want it acknowledged by ada", g, err)
		}
		no := false
		if g, err = w.desk.ChangeGroup(t.Context(), ada, f, ops.GroupChange{Acknowledged: &no}); err != nil || g.State != deadletter.GroupNew || g.Note != note {
			t.Errorf("group = %+v, %v, want it new with its note", g, err)
		}
		long := strings.Repeat("x", 20000)
		for _, c := range []ops.GroupChange{{}, {Note: &long}} {
			_, err := w.desk.ChangeGroup(t.Context(), ada, f, c)
			wantErr(t, "a change", err, ops.ErrInvalid)
		}
		_, err = w.desk.ChangeGroup(t.Context(), ada, "nobody", ops.GroupChange{Note: &note})
		wantErr(t, "of no group", err, deadletter.ErrNotFound)
	})
}

func TestSubscribersAreControlledAndAudited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		for _, do := range []func() error{
			func() error { return w.desk.PauseSubscriber(t.Context(), ada, "orders", "billing") },
			func() error { return w.desk.ResumeSubscriber(t.Context(), ada, "orders", "billing") },
			func() error { return w.desk.RestartSubscriber(t.Context(), ada, "orders", "billing") },
		} {
			if err := do(); err != nil {
				t.Error(err)
			}
		}
		wantErr(t, "of nobody", w.desk.PauseSubscriber(t.Context(), ada, "orders", "nobody"), runtime.ErrUnknownSubscriber)
		var got []string
		for _, e := range w.audits() {
			got = append(got, fmt.Sprint(e.By, " ", e.Action, " ", e.Object, " ", e.Error != ""))
		}
		want := []string{"ada pause_subscriber orders/billing false", "ada resume_subscriber orders/billing false",
			"ada restart_subscriber orders/billing false", "ada pause_subscriber orders/nobody true"}
		if !slices.Equal(got, want) {
			t.Errorf("audit = %q, want %q", got, want)
		}
	})
}
