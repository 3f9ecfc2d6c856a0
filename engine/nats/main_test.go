package nats_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/enginetest"
	"github.com/troupe-go/troupe/engine/nats"
)

func TestMain(m *testing.M) {
	if role := os.Getenv(childEnv); role != "" {
		child(role)
		return
	}
	if os.Getenv("TROUPE_ENGINETEST_CHILD") != "" {
		enginetest.Main(m, opened)
	}
	folder, err := os.MkdirTemp("", "troupe-nats")
	if err != nil {
		panic(err)
	}
	os.Setenv(urls, folder)
	// The server leaves a few of its own for a moment.
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(folder)
		os.Exit(code)
	}), goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*Server).startGoRoutine.func1"))
}

const patience = 20 * time.Second

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// start opens an engine, by default with a server in this process.
func start(t testing.TB, cfg nats.Config) *nats.Engine {
	t.Helper()
	if cfg.URL == "" && cfg.Folder == "" {
		cfg.Folder = t.TempDir()
	}
	e, err := nats.Open(within(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil && !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("Close: %v", err)
		}
	})
	return e
}

func topic(t testing.TB, e engine.Engine, name string) engine.Topic {
	t.Helper()
	top, err := e.Open(within(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return top
}

func subscribe(t testing.TB, top engine.Topic, cfg engine.SubscribeConfig) engine.Subscription {
	t.Helper()
	if cfg.Group == "" {
		cfg.Group = "group"
	}
	s, err := top.Subscribe(within(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(context.Background()) })
	return s
}

func record(id int) engine.Record {
	return engine.Record{
		ID: fmt.Sprint(id), Source: "/test", Type: "orders.placed", Time: time.Unix(1, 0).UTC(),
		ContentType: "application/json", Data: fmt.Appendf(nil, `{"n":%d}`, id),
	}
}

func keyed(id int, key string) engine.Record {
	r := record(id)
	r.Key = key
	return r
}

func publish(t testing.TB, top engine.Topic, records ...engine.Record) {
	t.Helper()
	for i, err := range top.Publish(within(t), records) {
		if err != nil {
			t.Fatalf("record %d: %v", i, err)
		}
	}
}

func numbered(from, to int) (records []engine.Record) {
	for i := from; i < to; i++ {
		records = append(records, record(i))
	}
	return records
}

// fetch waits for n deliveries.
func fetch(t testing.TB, s engine.Subscription, n int) []*engine.Delivery {
	t.Helper()
	var got []*engine.Delivery
	ctx := within(t)
	for len(got) < n {
		some, err := s.Fetch(ctx, n-len(got))
		if err != nil && !engine.Temporary(err) || ctx.Err() != nil {
			t.Fatalf("Fetch after %d of %d: %v", len(got), n, err)
		}
		got = append(got, some...)
	}
	return got
}

// nothing checks that a Fetch has nothing to return for a moment.
func nothing(t testing.TB, s engine.Subscription, moment time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), moment)
	defer cancel()
	if got, err := s.Fetch(ctx, 1); len(got) > 0 || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("Fetch = %v, %v, want nothing", ids(got), err)
	}
}

func settle(t testing.TB, s engine.Subscription, v engine.Verdict, got ...*engine.Delivery) {
	t.Helper()
	var all []engine.Settlement
	for _, d := range got {
		all = append(all, engine.Settlement{Delivery: d, Verdict: v})
	}
	if late, err := s.Settle(within(t), all); err != nil || late > 0 {
		t.Fatalf("Settle = %d, %v, want 0, nil", late, err)
	}
}

func ids(got []*engine.Delivery) (ids []string) {
	for _, d := range got {
		ids = append(ids, d.Record.ID)
	}
	return ids
}

// eventually waits until f is true.
func eventually(t testing.TB, what string, f func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}
