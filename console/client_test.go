package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/console/client"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
)

func (w *world) client() *client.Client {
	w.t.Helper()
	c, err := client.New(client.Config{URL: w.server.URL + "/ops"})
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(c.Close)
	return c
}

// same compares what came over the line with what the desk says.
func same(t *testing.T, name string, got any, err error, want any, wantErr error) {
	t.Helper()
	if err != nil || wantErr != nil {
		t.Errorf("%s: %v, want %v", name, err, wantErr)
		return
	}
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(want)
	if !bytes.Equal(a, b) {
		t.Errorf("%s = %s, want %s", name, a, b)
	}
}

// TestClientReadsWhatTheDeskReads calls both.
func TestClientReadsWhatTheDeskReads(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples, Authorize: everything})
	c, d, ctx := w.client(), w.desk, t.Context()
	ids := w.ids("bills")
	op, err := d.Redrive(ctx, ops.By{Name: "ann"}, ops.Redrive{Scope: ops.Scope{IDs: ids[1:3]}, Budget: 2, Steps: []float64{50, 100}, Rate: 100})
	if err != nil {
		t.Fatal(err)
	}
	w.wait(op.ID)
	{
		a, err := c.Group(ctx, w.group("vault"))
		b, err2 := d.Group(ctx, w.group("vault"))
		same(t, "Group", a, err, b, err2)
	}
	{
		q := deadletter.GroupQuery{Limit: 5}
		a, err := c.Groups(ctx, "state:open", q)
		b, err2 := d.Groups(ctx, "state:open", q)
		same(t, "Groups", a, err, b, err2)
		q.Letters = deadletter.Query{Topic: "vault", Subscriber: "keeper"}
		a, err = c.Groups(ctx, "", q)
		b, err2 = d.Groups(ctx, "", q)
		same(t, "Groups of a Query", a, err, b, err2)
	}
	{
		a, err := c.Letters(ctx, "topic:vault", "", 3)
		b, err2 := d.Letters(ctx, "topic:vault", "", 3)
		same(t, "Letters", a, err, b, err2)
		a, err = c.Letters(ctx, "topic:vault", a.Next, 3)
		b, err2 = d.Letters(ctx, "topic:vault", b.Next, 3)
		same(t, "Letters, next", a, err, b, err2)
	}
	{
		a, err := c.Letter(ctx, ids[1])
		b, err2 := d.Letter(ctx, ids[1])
		same(t, "Letter", a, err, b, err2)
		if !reflect.DeepEqual(a, b) {
			t.Errorf("Letter = %+v, want %+v", a, b)
		}
	}
	{
		until := time.Now()
		a, err := c.Timeline(ctx, "*", until.Add(-2*time.Hour), until, 7)
		b, err2 := d.Timeline(ctx, "*", until.Add(-2*time.Hour), until, 7)
		same(t, "Timeline", a, err, b, err2)
	}
	{
		q := deadletter.OperationQuery{States: []deadletter.OperationState{deadletter.OperationDone, deadletter.OperationRunning}, Limit: 3}
		a, err := c.Operations(ctx, q)
		b, err2 := d.Operations(ctx, q)
		same(t, "Operations", a, err, b, err2)
	}
	{
		a, err := c.Operation(ctx, op.ID)
		b, err2 := d.Operation(ctx, op.ID)
		same(t, "Operation", a, err, b, err2)
	}
	{
		q := deadletter.ItemQuery{Operation: op.ID, After: -1, States: []deadletter.ItemState{deadletter.ItemDone}}
		a, err := c.Items(ctx, q)
		b, err2 := d.Items(ctx, q)
		same(t, "Items", a, err, b, err2)
	}
	{
		q := deadletter.AuditQuery{By: "ann", From: time.Now().Add(-time.Hour)}
		a, err := c.Audit(ctx, q)
		b, err2 := d.Audit(ctx, q)
		same(t, "Audit", a, err, b, err2)
	}
	{
		a, err := c.Verify(ctx)
		b, err2 := d.Verify(ctx)
		same(t, "Verify", a, err, b, err2)
	}
	{
		a, err := c.Complete(ctx, "state:o", 7)
		b, err2 := d.Complete(ctx, "state:o", 7)
		same(t, "Complete", a, err, b, err2)
	}
	{
		r := ops.Redrive{Scope: ops.Scope{Query: "state:open"}, Budget: 1, Rate: 3}
		a, err := c.Preview(ctx, r)
		b, err2 := d.Preview(ctx, r)
		same(t, "Preview", a, err, b, err2)
	}
	{
		s := ops.Scope{Group: w.group("vault")}
		a, err := c.Count(ctx, s)
		b, err2 := d.Count(ctx, s)
		same(t, "Count", a, err, b, err2)
		x, err := c.PreviewFix(ctx, "same", s, 2)
		y, err2 := d.PreviewFix(ctx, "same", s, 2)
		same(t, "PreviewFix", x, err, y, err2)
	}
	{
		e := ops.Edit{Payload: json.RawMessage(`{"id":9007199254740995}`), Headers: map[string]string{"a": "b"}}
		a, err := c.PreviewEdit(ctx, ids[0], e)
		b, err2 := d.PreviewEdit(ctx, ids[0], e)
		same(t, "PreviewEdit", a, err, b, err2)
	}
	{
		a, err := c.GoTest(ctx, ids[0])
		b, err2 := d.GoTest(ctx, ids[0])
		same(t, "GoTest", a, err, b, err2)
	}
	{
		a, b := c.Fixes(), d.Fixes()
		if len(a) != 1 || a[0].Name != b[0].Name || a[0].About != b[0].About {
			t.Errorf("Fixes = %v", a)
		}
		tree, err := c.Tree()
		if err != nil || len(tree.Tree.Subscribers) != 2 || tree.Name != "shop" {
			t.Errorf("Tree = %+v, %v", tree, err)
		}
		o, err := c.Overview(ctx)
		if err != nil || o.Name != "shop" || o.Account.Added != 8 {
			t.Errorf("Overview = %+v, %v", o, err)
		}
		about, err := c.About(ctx)
		if err != nil || !about.Rights["mutate"] {
			t.Errorf("About = %+v, %v", about, err)
		}
		diff, err := c.Diff(ctx, ids[0], w.ids("vault")[0])
		if err != nil || len(diff) != 2 {
			t.Errorf("Diff = %+v, %v", diff, err)
		}
		subs, err := c.Subscribers(ctx, client.SubscriberQuery{Filter: "keep", Sort: "trouble"})
		if err != nil || subs.Total != 1 || subs.Subscribers[0].Name != "keeper" {
			t.Errorf("Subscribers = %+v, %v", subs, err)
		}
		topics, err := c.Topics(ctx, "", 1, 1)
		if err != nil || topics.Total != 2 || len(topics.Topics) != 1 {
			t.Errorf("Topics = %+v, %v", topics, err)
		}
		if h, err := c.Health(ctx); err != nil || len(h.Groups) != 1 || h.Groups[0].Subscribers != 2 {
			t.Errorf("Health = %+v, %v", h, err)
		}
	}
}

// TestClientChanges does all that changes something, and looks at what became of it.
func TestClientChanges(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples, Authorize: everything})
	c, ctx, by := w.client(), t.Context(), ops.By{Name: "ann", Why: "test"}
	bills, vault := w.ids("bills"), w.ids("vault")
	op, err := c.Redrive(ctx, by, ops.Redrive{Scope: ops.Scope{IDs: bills[:1]}, Budget: 1})
	if err != nil {
		t.Fatal(err)
	}
	w.wait(op.ID)
	if l, err := c.Letter(ctx, bills[0]); err != nil || l.State != deadletter.StateResolved {
		t.Errorf("redriven: %s, %v", l.State, err)
	}
	slow, err := c.Redrive(ctx, by, ops.Redrive{Scope: ops.Scope{IDs: vault[:2]}, Budget: 1, Rate: 0.001})
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct {
		name string
		do   func() (ops.Operation, error)
		want deadletter.OperationState
	}{
		{"SetRate", func() (ops.Operation, error) { return c.SetRate(ctx, by, slow.ID, 0.002) }, deadletter.OperationRunning},
		{"PauseOperation", func() (ops.Operation, error) { return c.PauseOperation(ctx, by, slow.ID) }, deadletter.OperationPaused},
		{"ResumeOperation", func() (ops.Operation, error) { return c.ResumeOperation(ctx, by, slow.ID) }, deadletter.OperationRunning},
		{"CancelOperation", func() (ops.Operation, error) { return c.CancelOperation(ctx, by, slow.ID) }, deadletter.OperationCancelled},
	} {
		if op, err := step.do(); err != nil || op.State != step.want {
			t.Errorf("%s: %s, %v, want %s", step.name, op.State, err, step.want)
		}
	}
	one := 1
	op, err = c.Change(ctx, by, ops.Change{Kind: "delete", Scope: ops.Scope{IDs: vault[3:]}, Confirm: &one})
	if err != nil {
		t.Fatal(err)
	}
	w.wait(op.ID)
	if l, err := c.Letter(ctx, vault[3]); err != nil || l.State != deadletter.StateDeleted {
		t.Errorf("deleted: %s, %v", l.State, err)
	}
	edited, err := c.Edit(ctx, by, bills[1], ops.Edit{Payload: json.RawMessage(`{"id":9007199254740995}`), Budget: 1})
	if err != nil || edited.EventID == "" || len(edited.Diff) == 0 {
		t.Errorf("Edit = %+v, %v", edited, err)
	}
	note, yes := "known", true
	g, err := c.ChangeGroup(ctx, by, w.group("vault"), ops.GroupChange{Note: &note, Acknowledged: &yes})
	if err != nil || g.Note != note || g.State != deadletter.GroupAcknowledged {
		t.Errorf("ChangeGroup = %+v, %v", g, err)
	}
	state := func() string {
		s, err := c.Subscribers(ctx, client.SubscriberQuery{Name: "billing"})
		if err != nil || s.Total != 1 {
			t.Fatal(s, err)
		}
		return string(s.Subscribers[0].State)
	}
	if err := c.PauseSubscriber(ctx, by, "bills", "billing"); err != nil || state() != "paused" {
		t.Errorf("PauseSubscriber: %s, %v", state(), err)
	}
	if err := c.ResumeSubscriber(ctx, by, "bills", "billing"); err != nil || state() == "paused" {
		t.Errorf("ResumeSubscriber: %s, %v", state(), err)
	}
	if err := c.RestartSubscriber(ctx, by, "bills", "billing"); err != nil {
		t.Error(err)
	}
	page, err := c.Audit(ctx, deadletter.AuditQuery{Limit: 100})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.Entries {
		if e.By != "ann (unverified)" {
			t.Errorf("entry by %q", e.By)
		}
	}
	if page.Total < 10 {
		t.Errorf("%d entries", page.Total)
	}
}

// TestClientErrors keeps what an error is.
func TestClientErrors(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples, Authorize: everything})
	c, ctx := w.client(), t.Context()
	_, err := c.Letter(ctx, "nothing")
	if !errors.Is(err, deadletter.ErrNotFound) {
		t.Errorf("Letter = %v", err)
	}
	if err := c.PauseSubscriber(ctx, ops.By{}, "bills", "nobody"); !errors.Is(err, runtime.ErrUnknownSubscriber) {
		t.Errorf("PauseSubscriber = %v", err)
	}
	n := 7
	if _, err := c.Change(ctx, ops.By{}, ops.Change{Kind: "delete", Scope: ops.Scope{Query: "*"}, Confirm: &n}); !errors.Is(err, ops.ErrConflict) {
		t.Errorf("Change = %v", err)
	}
	_, err = c.Letters(ctx, "state:open sttae:x", "", 0)
	var e *client.Error
	if !errors.As(err, &e) || e.Column != 12 || e.Field != "query" || e.Status != 400 {
		t.Errorf("Letters = %#v", err)
	}
	for _, cfg := range []client.Config{{}, {URL: "localhost:1"}, {URL: "ftp://x/"}, {URL: "http://a:b@x/"}, {URL: "http://x/?y"}} {
		if _, err := client.New(cfg); err == nil || !strings.Contains(err.Error(), "Config.URL") {
			t.Errorf("New(%+v) = %v", cfg, err)
		}
	}
	gone, err := client.New(client.Config{URL: "http://127.0.0.1:1/"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := gone.Overview(ctx); err == nil {
		t.Error("nobody answers, and no error")
	}
}

// TestClientToken talks with a token, and over a Unix socket.
func TestClientToken(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples, Authorize: console.Token("abc")})
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: w.console}
	go func() { _ = server.Serve(l) }()
	defer server.Close()
	for token, want := range map[string]bool{"abc": true, "": false, "x": false} {
		for _, cfg := range []client.Config{{URL: w.server.URL + "/ops/", Token: token}, {Socket: path, Token: token}} {
			c, err := client.New(cfg)
			if err != nil {
				t.Fatal(err)
			}
			_, err = c.Overview(t.Context())
			if (err == nil) != want {
				t.Errorf("with %+v: %v", cfg, err)
			}
			c.Close()
		}
	}
}

// TestClientWatches goes on after its connection has broken off.
func TestClientWatches(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples, StreamTime: 30 * time.Millisecond, Heartbeat: 5 * time.Millisecond})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	c := w.client()
	pause(w, "first") // so that there is an event to begin behind
	var since uint64
	for e := range w.desk.Watch(ctx, 1) {
		since = e.Number
		break
	}
	const n = 20
	go func() {
		for range n {
			_ = w.desk.PauseSubscriber(ctx, ops.By{Name: "ann"}, "bills", "billing")
			_ = w.desk.ResumeSubscriber(ctx, ops.By{Name: "ann"}, "bills", "billing")
		}
	}()
	var last uint64
	resumed := 0
	for e := range c.Watch(ctx, since) {
		if e.Kind == "error" || e.Kind == ops.EventLost {
			t.Errorf("event %+v", e)
		}
		if e.Number <= last {
			t.Errorf("event %d after %d", e.Number, last)
		}
		last = e.Number
		if e.Kind == ops.EventAudit && e.Text == "resume_subscriber" {
			if resumed++; resumed == n {
				break
			}
		}
	}
	if resumed != n {
		t.Errorf("%d of %d came", resumed, n)
	}
}
