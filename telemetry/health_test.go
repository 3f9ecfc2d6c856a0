package telemetry_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/telemetry"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

// wantHealth asks h and compares faults and warnings, each "kind message".
func wantHealth(t testing.TB, what string, h http.Handler, status int, faults, warnings []string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/", nil))
	var got telemetry.Health
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
		t.Fatalf("%s: %v: %s", what, err, w.Body)
	}
	list := func(faults []runtime.Fault) (l []string) {
		for _, f := range faults {
			l = append(l, string(f.Kind)+" "+f.Message)
		}
		return l
	}
	text := "ok"
	if status != http.StatusOK {
		text = "fail"
	}
	if w.Code != status || got.Status != text || !slices.Equal(list(got.Faults), faults) || !slices.Equal(list(got.Warnings), warnings) {
		t.Errorf("%s = %d %s, want %d, faults %q, warnings %q", what, w.Code, w.Body, status, faults, warnings)
	}
	if c := w.Header().Get("Content-Type"); c != "application/json" {
		t.Errorf("%s: content type %q", what, c)
	}
}

func TestLiveAndReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newBrokenStore()
		rt := troupetest.New(t, runtime.Config{Name: "shop", DeadLetters: store})
		live, ready := telemetry.Live(rt.Runtime), telemetry.Ready(rt.Runtime)
		topic := open(t, rt, "t")
		full := subscribe(t, topic, "full", ok, topics.SubscriberConfig{Capacity: 1})
		subscribe(t, topic, "escalated", func(ctx context.Context, ev int) error {
			if d, _ := topics.DeliveryFrom(ctx); ev == 2 && d.Attempt == 1 {
				panic("crash")
			}
			return nil
		}, topics.SubscriberConfig{Restart: supervisor.Restart{MaxRestarts: supervisor.NoRestarts, OnExceed: supervisor.ExceedEscalate}})
		wantHealth(t, "live", live, 200, nil, nil)
		wantHealth(t, "ready", ready, 200, nil, nil)

		full.Pause()
		publish(t, topic, 1)
		held := make(chan error)
		go func() { held <- topic.Publish(t.Context(), 2) }()
		synctest.Wait()
		wedge := "full t/full: full, holds back publishers (1 wait), paused"
		wantHealth(t, "ready", ready, 503, []string{wedge}, nil)
		wantHealth(t, "live", live, 200, nil, []string{wedge})
		full.Resume()
		if err := <-held; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		escalated := "subscriber t/escalated: escalated"
		wantHealth(t, "ready", ready, 200, nil, []string{escalated})

		bad := open(t, rt, "bad")
		subscribe(t, bad, "s", func(context.Context, int) error { return errBoom }, topics.SubscriberConfig{Retry: once})
		publish(t, bad, 1)
		time.Sleep(time.Second)
		broken := "store dead-letter store: failing since " + time.Now().Add(-time.Second).Format(time.RFC3339) + ", 1 letters wait: disk full"
		wantHealth(t, "ready", ready, 503, []string{broken}, []string{escalated})
		wantHealth(t, "live", live, 200, nil, []string{escalated, broken})
		store.mend()
		rt.Resume("t", "escalated")
		rt.Idle()
		wantHealth(t, "ready", ready, 200, nil, nil)

		if _, err := rt.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		wantHealth(t, "ready", ready, 503, []string{"state runtime shop: closed"}, nil)
		wantHealth(t, "live", live, 200, nil, []string{"state runtime shop: closed"})
	})
}

// An observer that blocks the supervisor wedges the tree: nobody decides about
// failures any more.
func TestLiveOfARuntimeThatDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		rt := troupetest.New(t, runtime.Config{Name: "shop", Observer: runtime.Observer{Restarting: func(runtime.Event) { <-release }}})
		live := telemetry.Live(rt.Runtime)
		topic := open(t, rt, "t")
		subscribe(t, topic, "s", func(context.Context, int) error { panic("crash") }, topics.SubscriberConfig{Retry: once})
		publish(t, topic, 1)
		synctest.Wait()
		var probes sync.WaitGroup
		for range 5 { // impatient ones do not gather goroutines
			probes.Go(func() {
				wantHealth(t, "live", live, 503, []string{"wedged runtime shop: does not answer within 2s"}, nil)
			})
		}
		probes.Wait()
		close(release)
		rt.WantLetters(deadletter.Letter{Subscriber: "s"})
		for range 5 {
			probes.Go(func() { wantHealth(t, "live", live, 200, nil, nil) })
		}
		probes.Wait()
	})
}

func TestStateIsServedAsTextAndJSON(t *testing.T) {
	rt := troupetest.New(t, runtime.Config{Name: "shop"})
	topic := open(t, rt, "orders")
	subscribe(t, topic, "billing", ok)
	state := telemetry.State(rt.Runtime)
	get := func(target, accept string) *httptest.ResponseRecorder {
		w, r := httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, target, nil)
		r.Header.Set("Accept", accept)
		state.ServeHTTP(w, r)
		return w
	}
	for _, target := range []string{"/", "/?format=text"} {
		w := get(target, "text/html,*/*")
		if !strings.HasPrefix(w.Body.String(), "runtime shop: running") || !strings.Contains(w.Body.String(), "orders/billing") {
			t.Errorf("GET %s = %s", target, w.Body)
		}
	}
	for _, w := range []*httptest.ResponseRecorder{get("/?format=json", ""), get("/", "application/json")} {
		var d runtime.Description
		if err := json.Unmarshal(w.Body.Bytes(), &d); err != nil {
			t.Fatal(err)
		}
		if d.Name != "shop" || len(d.Tree.Subscribers) != 1 || d.Tree.Subscribers[0].Retry.MaxAttempts != 5 {
			t.Errorf("description = %+v", d)
		}
	}
}

func TestReadyAsksItsChecks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t, runtime.Config{})
		var behind error
		never := make(chan struct{})
		defer close(never)
		checks := []telemetry.Check{
			func(context.Context) error { return behind },
			func(context.Context) error { return nil },
		}
		wantHealth(t, "ready", telemetry.Ready(rt.Runtime, checks...), http.StatusOK, nil, nil)
		behind = errors.New("projection accounts: is behind")
		wantHealth(t, "ready", telemetry.Ready(rt.Runtime, checks...), http.StatusServiceUnavailable, []string{"check projection accounts: is behind"}, nil)
		checks = append(checks, func(context.Context) error { <-never; return nil }, func(context.Context) error { panic("boom") })
		began := time.Now()
		wantHealth(t, "ready", telemetry.Ready(rt.Runtime, checks...), http.StatusServiceUnavailable, []string{
			"check projection accounts: is behind", "check check 3 does not answer within 2s", "check a check panicked: boom",
		}, nil)
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("a check that does not return held it up for %v", took)
		}
	})
}
