package ops_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"
)

// bell collects alerts. It fails as often as told before it takes one.
type bell struct {
	mu     sync.Mutex
	alerts []ops.Alert
	fails  int
	tries  int
}

func (b *bell) ring(_ context.Context, a ops.Alert) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.tries++; b.fails > 0 {
		b.fails--
		return errBoom
	}
	b.alerts = append(b.alerts, a)
	return nil
}

func (b *bell) kinds() (kinds []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, a := range b.alerts {
		kinds = append(kinds, a.Kind)
	}
	return kinds
}

func TestAlerts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &bell{}
		w := newWorld(t, nil, ops.Config{Alerts: ops.Alerts{Hook: b.ring, Rate: 10, Oldest: 2 * time.Hour}})
		w.fail(5)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := b.kinds(); !slices.Equal(got, []string{ops.AlertNewGroup}) {
			t.Fatalf("alerts = %v, want a new group", got)
		}
		a := b.alerts[0]
		if a.ID == "" || a.Runtime != "shop" || a.Group == "" || a.Letter == "" || a.Subscriber != "billing" || a.Text != "orders/billing: fails in a new way: boom" {
			t.Errorf("alert = %+v, want the facts", a)
		}
		w.fail(8) // 13 within a minute
		time.Sleep(10 * time.Second)
		synctest.Wait()
		w.fail(8)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		if got := b.kinds(); !slices.Equal(got, []string{ops.AlertNewGroup, ops.AlertRate}) {
			t.Fatalf("alerts = %v, want a rate, once", got)
		}
		// It comes back after a redrive.
		w.does(func(context.Context, order) error { time.Sleep(time.Millisecond); return errBoom })
		op := w.redrive(ops.Redrive{Scope: ops.Scope{Query: "*"}, Steps: []float64{50, 100}})
		w.until(op.ID, deadletter.OperationStopped)
		time.Sleep(10 * time.Second)
		synctest.Wait()
		got := b.kinds()
		slices.Sort(got)
		if !slices.Equal(got, []string{ops.AlertNewGroup, ops.AlertRate, ops.AlertRedriveStopped, ops.AlertRegression}) {
			t.Fatalf("alerts = %v, want a regression and the redrive", got)
		}
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		if n := len(b.kinds()); n != 5+1 && n != 5 || !slices.Contains(b.kinds(), ops.AlertOldest) {
			t.Errorf("alerts = %v, want the age, once in the cool-down", b.kinds())
		}
	})
}

func TestAlertThatTheStoreFills(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := deadletter.NewMemory(deadletter.MemoryConfig{Capacity: 10})
		if err != nil {
			t.Fatal(err)
		}
		b := &bell{}
		w := newWorld(t, m, ops.Config{Alerts: ops.Alerts{Hook: b.ring, Rate: ops.NoAlert}})
		w.fail(7)
		time.Sleep(time.Minute)
		synctest.Wait()
		if slices.Contains(b.kinds(), ops.AlertFilling) {
			t.Errorf("alerts = %v at 70 %%", b.kinds())
		}
		w.fail(1)
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if got := b.kinds(); !slices.Equal(got, []string{ops.AlertNewGroup, ops.AlertFilling}) {
			t.Errorf("alerts = %v, want that it fills, once", got)
		}
	})
}

func TestAlertsAreTriedAgainAndDropsAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.ErrorLevel)
		b := &bell{fails: 3}
		hook := b.ring
		w := newWorld(t, nil, ops.Config{Logger: zap.New(core), Alerts: ops.Alerts{Hook: hook, Attempts: 4, Queue: 1}})
		w.fail(1)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if b.tries != 3 || len(b.kinds()) != 0 {
			t.Errorf("%d tries within 5 s, want 3: after 1 s and 2 s more", b.tries)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if b.tries != 4 || len(b.kinds()) != 1 {
			t.Errorf("%d tries, %d alerts, want the fourth to succeed", b.tries, len(b.kinds()))
		}
		b.mu.Lock()
		b.fails, b.tries = 1000, 0
		b.mu.Unlock()
		for i := range 5 { // five groups
			w.does(func(context.Context, order) error { return fmt.Errorf("another %s", strings.Repeat("x", i+1)) })
			w.fail(1)
			time.Sleep(300 * time.Millisecond)
		}
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		dropped, gaveUp := logs.FilterMessage("alert dropped, too many wait for delivery").Len(), logs.FilterMessage("alert not delivered").Len()
		if dropped == 0 || dropped+gaveUp != 5 || b.tries != 4*gaveUp {
			t.Errorf("%d dropped, %d given up after %d tries, want 5 in all", dropped, gaveUp, b.tries)
		}
	})
}

func TestAlertHookThatPanicsOrHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.ErrorLevel)
		free := make(chan struct{})
		calls := 0
		hook := func(context.Context, ops.Alert) error {
			if calls++; calls == 1 {
				panic("worse")
			}
			<-free
			return nil
		}
		w := newWorld(t, nil, ops.Config{Logger: zap.New(core), Alerts: ops.Alerts{Hook: hook, Attempts: 2}})
		w.fail(1)
		time.Sleep(time.Minute)
		synctest.Wait()
		if logs.FilterMessage("alert not delivered").Len() != 1 || calls != 2 {
			t.Errorf("%d calls, logs %v, want two and that it was not delivered", calls, logs.All())
		}
		close(free)
	})
}

// endpoint is a webhook's other side, without a network.
type endpoint func(*http.Request) (*http.Response, error)

func (e endpoint) RoundTrip(r *http.Request) (*http.Response, error) { return e(r) }

func TestWebhookIsSignedAndVerified(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secret := []byte("0123456789abcdef")
		var got []ops.Alert
		status := []int{500, 302, 204}
		client := &http.Client{
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			Transport: endpoint(func(r *http.Request) (*http.Response, error) {
				body, _ := io.ReadAll(r.Body)
				header := r.Header.Get(ops.SignatureHeader)
				if err := ops.VerifyWebhook(secret, header, body, time.Now()); err != nil {
					t.Errorf("VerifyWebhook = %v", err)
				}
				for name, err := range map[string]error{
					"another secret": ops.VerifyWebhook([]byte("0123456789abcdeF"), header, body, time.Now()),
					"no secret":      ops.VerifyWebhook(nil, header, body, time.Now()),
					"another body":   ops.VerifyWebhook(secret, header, append(body, ' '), time.Now()),
					"an hour later":  ops.VerifyWebhook(secret, header, body, time.Now().Add(time.Hour)),
					"an hour before": ops.VerifyWebhook(secret, header, body, time.Now().Add(-time.Hour)),
					"another time":   ops.VerifyWebhook(secret, "t=1"+header[3:], body, time.Now()),
					"no header":      ops.VerifyWebhook(secret, "", body, time.Now()),
				} {
					wantErr(t, name, err, ops.ErrSignature)
				}
				var a ops.Alert
				if err := json.Unmarshal(body, &a); err != nil {
					t.Error(err)
				}
				got = append(got, a)
				code := status[0]
				status = status[1:]
				return &http.Response{StatusCode: code, Status: fmt.Sprint(code), Body: io.NopCloser(bytes.NewReader(nil)), Header: http.Header{"Location": {"/x"}}}, nil
			}),
		}
		w := newWorld(t, nil, ops.Config{Alerts: ops.Alerts{Webhook: ops.Webhook{URL: "https://alerts.example/x", Secret: secret, Client: client}}})
		w.fail(1)
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(got) != 3 || got[0] != got[2] || got[0].Kind != ops.AlertNewGroup {
			t.Errorf("webhook got %+v, want the same alert three times", got)
		}
	})
}

func FuzzVerifyWebhook(f *testing.F) {
	secret, body, now := []byte("0123456789abcdef"), []byte("{}"), time.Unix(1e9, 0)
	good := ops.SignWebhook(secret, body, now)
	f.Add(good)
	f.Add("t=1,v1=")
	f.Add("t=99999999999999999999,v1=00,v1=zz,,=")
	f.Fuzz(func(t *testing.T, header string) {
		err := ops.VerifyWebhook(secret, header, body, now)
		if err != nil && !errors.Is(err, ops.ErrSignature) {
			t.Errorf("error = %v", err)
		}
		if err == nil && !strings.Contains(strings.ToLower(header), good[len("t=1000000000,v1="):]) {
			t.Errorf("header %q is taken", header)
		}
	})
}
