package ops_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/troupetest"
)

func TestNewReportsEveryFaultAtOnce(t *testing.T) {
	rt := troupetest.New(t)
	_, err := ops.New(rt.Runtime, ops.Config{
		Undo: -1, WatchBuffer: -1, Fixes: []ops.Fix{{}},
		Alerts: ops.Alerts{Rate: -5, Oldest: -5, Fill: 2, Cooldown: -1, Attempts: -1, Queue: -1, Webhook: ops.Webhook{URL: "ftp://x"}},
	})
	wantErr(t, "New", err, ops.ErrInvalid)
	for _, want := range []string{"Undo", "WatchBuffer", "Fixes[0].Name", "Fixes[0].Do", "Alerts.Rate", "Alerts.Oldest", "Alerts.Fill",
		"Alerts.Cooldown", "Alerts.Attempts", "Alerts.Queue", "Alerts.Webhook.URL", "Alerts.Webhook.Secret"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error has no %s: %v", want, err)
		}
	}
}

func TestARuntimeHasOneDesk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		wantErr(t, "a second desk", second(ops.New(w.Runtime.Runtime, ops.Config{})), ops.ErrTaken)
		if err := w.desk.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.open(ops.Config{})
		if _, err := w.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // it ends with its runtime
		wantErr(t, "after the end", w.desk.PauseSubscriber(t.Context(), ada, "orders", "billing"), ops.ErrClosed)
		if err := w.desk.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

type plainStore struct{ deadletter.Store }

func TestADeskNeedsALedger(t *testing.T) {
	rt := troupetest.New(t, runtime.Config{DeadLetters: plainStore{memory(t)}})
	if _, err := ops.New(rt.Runtime, ops.Config{}); err == nil || !strings.Contains(err.Error(), "ops_test.plainStore is no deadletter.Ledger") {
		t.Errorf("error = %v, want one that names the store", err)
	}
}

func TestOfflineCanBeLookedAtOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		w.fail(3)
		d := ops.Offline(w.ledger)
		ctx := t.Context()
		if page, err := d.Letters(ctx, "sub:billing", "", 0); err != nil || page.Total != 3 {
			t.Errorf("Letters = %+v, %v, want 3", page, err)
		}
		if o, err := d.Overview(ctx); err != nil || o.GroupsTotal != 1 || o.Account.Open != 3 {
			t.Errorf("Overview = %+v, %v, want one group", o, err)
		}
		one := 1
		for name, err := range map[string]error{
			"Redrive":         second(d.Redrive(ctx, ada, everything(ops.Redrive{}))),
			"Change":          second(d.Change(ctx, ada, ops.Change{Kind: ops.ChangeDelete, Confirm: &one, Scope: ops.Scope{Query: "*"}})),
			"Edit":            second(d.Edit(ctx, ada, "x", ops.Edit{})),
			"ChangeGroup":     second(d.ChangeGroup(ctx, ada, "x", ops.GroupChange{})),
			"PauseSubscriber": d.PauseSubscriber(ctx, ada, "orders", "billing"),
			"PauseOperation":  second(d.PauseOperation(ctx, ada, "x")),
			"SetRate":         second(d.SetRate(ctx, ada, "x", 1)),
			"Preview":         second(d.Preview(ctx, everything(ops.Redrive{}))),
			"PreviewEdit":     second(d.PreviewEdit(ctx, "x", ops.Edit{})),
			"Tree":            second(d.Tree()),
		} {
			wantErr(t, name, err, ops.ErrReadOnly)
		}
		if n := len(w.audits()); n != 0 {
			t.Errorf("%d audit entries of a desk that cannot write", n)
		}
	})
}

func TestOverview(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		w.fail(4)
		w.does(ok)
		op := w.redrive(ops.Redrive{Rate: 1})
		o, err := w.desk.Overview(t.Context())
		if err != nil || o.Name != "shop" || o.Account.Added != 4 || len(o.Groups) != 1 || len(o.Running) != 1 || o.Running[0].ID != op.ID || o.Faults == nil {
			t.Errorf("Overview = %+v, %v", o, err)
		}
		tree, err := w.desk.Tree()
		if err != nil || len(tree.Topics) != 1 || tree.Topics[0].Name != "orders" {
			t.Errorf("Tree = %+v, %v", tree, err)
		}
		spans, err := w.desk.Timeline(t.Context(), "", time.Now().Add(-time.Hour), time.Now().Add(time.Hour), 4)
		failed := 0
		for _, s := range spans {
			failed += s.Failed
		}
		if err != nil || len(spans) != 4 || failed != 4 {
			t.Errorf("Timeline = %+v, %v, want 4 failures in 4 spans", spans, err)
		}
		wantErr(t, "a query", second(w.desk.Letters(t.Context(), "nofield:x", "", 0)), ops.ErrInvalid)
	})
}

// What was done is audited even if the store does not take the entry at once.
func TestAuditSurvivesAStoreThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ledger := memory(t)
		m := &refusing{Ledger: ledger}
		m.refuse.Store(true)
		w := newWorld(t, m, ops.Config{})
		if err := w.desk.PauseSubscriber(t.Context(), ada, "orders", "billing"); err != nil {
			t.Errorf("PauseSubscriber = %v, and the subscriber is paused", err)
		}
		if n := len(w.audits()); n != 0 {
			t.Fatalf("%d entries", n)
		}
		m.refuse.Store(false)
		time.Sleep(time.Minute)
		if all := w.audits(); len(all) != 1 || all[0].Action != "pause_subscriber" || time.Since(all[0].At) < time.Minute {
			t.Errorf("audit = %+v, want the entry, with its own time", all)
		}
	})
}

// refusing takes no audit entries.
type refusing struct {
	deadletter.Ledger
	refuse atomic.Bool
}

func (r *refusing) Record(ctx context.Context, e deadletter.AuditEntry) error {
	if r.refuse.Load() {
		return errors.New("disk full")
	}
	return r.Ledger.Record(ctx, e)
}

func TestCompleteKnowsFieldsAndWhatLettersHave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, nil, ops.Config{})
		w.fail(1)
		for query, want := range map[string]string{"to": "topic:", "topic:o": "topic:orders", "state:op": "state:open", "reason:": "reason:attempts_exhausted"} {
			all, err := w.desk.Complete(t.Context(), query, len(query))
			if err != nil || !strings.Contains(strings.Join(all, "\n"), want) {
				t.Errorf("Complete(%s) = %q, %v, want %q among them", query, all, err, want)
			}
		}
	})
}
