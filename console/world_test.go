package console_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

type order struct {
	ID int `json:"id"`
}

// world is a runtime with two topics, letters of both, and a console on a server.
type world struct {
	t       *testing.T
	rt      *runtime.Runtime
	store   *deadletter.Memory
	desk    *ops.Desk
	console *console.Console
	server  *httptest.Server
	bills   *topics.Topic[order]
}

// secret is in every field of the letters of topic "vault" that the right to
// payloads is about.
const secret = "s3cr3t"

func newWorld(t *testing.T, cfg console.Config) *world {
	t.Helper()
	w := &world{t: t}
	var err error
	if w.store, err = deadletter.NewMemory(deadletter.MemoryConfig{}); err != nil {
		t.Fatal(err)
	}
	if w.rt, err = runtime.New(runtime.Config{Name: "shop", DeadLetters: w.store}); err != nil {
		t.Fatal(err)
	}
	fix := ops.Fix{Name: "same", About: "leaves it", Do: func(_ context.Context, l deadletter.Letter) ([]byte, error) {
		return bytes.Replace(l.Payload, []byte(`"id":`), []byte(`"id":1`), 1), nil
	}}
	if w.desk, err = ops.New(w.rt, ops.Config{Fixes: []ops.Fix{fix}}); err != nil {
		t.Fatal(err)
	}
	cfg.Desk = w.desk
	if w.console, err = console.New(w.rt, cfg); err != nil {
		t.Fatal(err)
	}
	quick := topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: 1}}
	fails := func(context.Context, order) error { return errors.New("it is " + secret) }
	if w.bills, err = topics.Open[order](w.rt, "bills"); err != nil {
		t.Fatal(err)
	}
	vault, err := topics.Open[order](w.rt, "vault")
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.bills.Subscribe("billing", func(context.Context, order) error { return nil }, quick)
	_, err2 := vault.Subscribe("keeper", fails, quick)
	if err = errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	now := time.Now().Add(-time.Hour)
	for i := range 4 {
		l := letterOf("bills", "billing", now.Add(time.Duration(i)*time.Second), "harmless")
		v := letterOf("vault", "keeper", now.Add(time.Duration(i)*time.Second), secret)
		if err := w.store.Add(t.Context(), []deadletter.Letter{l, v}); err != nil {
			t.Fatal(err)
		}
	}
	w.server = httptest.NewServer(http.StripPrefix("/ops", w.console))
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.console.Close(ctx); err != nil {
			t.Error(err)
		}
		w.server.Close()
		_, err := w.rt.Shutdown(ctx)
		if err := errors.Join(w.desk.Close(ctx), err); err != nil {
			t.Error(err)
		}
	})
	return w
}

// letterOf is a letter with that text wherever an event or handler can speak.
func letterOf(topic, sub string, at time.Time, text string) deadletter.Letter {
	l := deadletter.Letter{
		ID: deadletter.NewID(at), Node: "n1", Topic: topic, Subscriber: sub, Sequence: 7, Payload: []byte(`{"id":9007199254740993,"note":"` + text + `"}`),
		ContentType: "application/json", GoType: "console_test.order", Headers: map[string]string{"tenant": text}, Reason: "attempts_exhausted", Cause: "panic",
		Error: "error " + text, ErrorTypes: []string{"*errors.errorString"}, PanicValue: "panic " + text,
		Stack:       "goroutine 1 [running]:\nmain.bill({0x1, 0x2})\n\t/src/" + text + "/main.go:12 +0x1d\nruntime.main()\n\t/go/src/runtime/proc.go:1 +0x1\n",
		PublishedAt: at, EventID: deadletter.NewID(at), CorrelationID: "c1", CausationID: "c0",
	}
	l.AddAttempt(deadletter.Attempt{Number: 1, Started: at, Duration: time.Millisecond, Cause: "panic", Error: "attempt " + text})
	if n, err := l.BeginRedrive("ann", 1, at); err != nil || n != 1 {
		panic(err)
	}
	if err := l.EndRedrive(deadletter.OutcomeFailed, "redrive "+text, at.Add(time.Second)); err != nil {
		panic(err)
	}
	l.Fingerprint = deadletter.Fingerprint(l)
	return l
}

// ids returns the letters of a topic, newest first.
func (w *world) ids(topic string) []string {
	w.t.Helper()
	page, err := w.store.List(w.t.Context(), deadletter.Query{Topic: topic})
	if err != nil {
		w.t.Fatal(err)
	}
	var ids []string
	for _, l := range page.Letters {
		ids = append(ids, l.ID)
	}
	return ids
}

// ask sends a request to the API. A body that is no reader or text is sent as JSON.
func (w *world) ask(method, path string, body any, change ...func(*http.Request)) (int, string, http.Header) {
	w.t.Helper()
	var r io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(b)
	default:
		data, err := json.Marshal(b)
		if err != nil {
			w.t.Fatal(err)
		}
		r = bytes.NewReader(data)
	}
	req, err := http.NewRequestWithContext(w.t.Context(), method, w.server.URL+"/ops/"+path, r)
	if err != nil {
		w.t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/json")
	}
	for _, fn := range change {
		fn(req)
	}
	resp, err := w.server.Client().Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp.StatusCode, string(data), resp.Header
}

func (w *world) get(path string) (int, string) {
	status, text, _ := w.ask(http.MethodGet, "api/v1/"+path, nil)
	return status, text
}

func (w *world) post(path string, body any) (int, string) {
	status, text, _ := w.ask(http.MethodPost, "api/v1/"+path, body)
	return status, text
}

// everything allows all.
func everything(*http.Request, console.Action) error { return nil }

// except allows all but what fn refuses.
func except(fn func(console.Action) bool) func(*http.Request, console.Action) error {
	return func(_ *http.Request, a console.Action) error {
		if fn(a) {
			return errors.New("not for you")
		}
		return nil
	}
}
