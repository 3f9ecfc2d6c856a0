package postgres_test

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/enginetest"
	"github.com/troupe-go/troupe/engine/postgres"
	"github.com/troupe-go/troupe/engine/postgres/internal/turn"
)

func TestMain(m *testing.M) {
	if os.Getenv("TROUPE_ENGINETEST_CHILD") != "" {
		enginetest.Main(m, openSuite)
	}
	if err := turn.Take(); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m)
}

// server returns the URL of the server that tests have.
func server(t testing.TB) string {
	t.Helper()
	url := os.Getenv("TROUPE_POSTGRES")
	if url == "" {
		if os.Getenv("CI") == "true" {
			t.Fatal("TROUPE_POSTGRES is not set, and CI skips nothing: eval \"$(scripts/services start postgres)\"")
		}
		t.Skip("SKIPPED: no PostgreSQL: eval \"$(scripts/services start postgres)\"")
	}
	return url
}

// newSchema returns the name of one that is dropped in the end.
func newSchema(t testing.TB) string {
	t.Helper()
	server(t)
	name := fmt.Sprintf("t%x", time.Now().UnixNano())
	dropInTheEnd(t, name)
	return name
}

func dropInTheEnd(t testing.TB, schema string) {
	url := server(t)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		c, err := pgx.Connect(ctx, url)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close(ctx)
		if _, err := c.Exec(ctx, "DROP SCHEMA IF EXISTS "+schema+" CASCADE"); err != nil {
			t.Error(err)
		}
	})
}

func config(t testing.TB) postgres.Config {
	t.Helper()
	return postgres.Config{URL: server(t), Schema: newSchema(t)}
}

func open(t testing.TB, cfg postgres.Config) *postgres.Engine {
	t.Helper()
	e, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return e
}

func topic(t testing.TB, e *postgres.Engine, name string) *postgres.Topic {
	t.Helper()
	topic, err := e.Topic(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func subscribe(t testing.TB, topic engine.Topic, cfg engine.SubscribeConfig) engine.Subscription {
	t.Helper()
	s, err := topic.Subscribe(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.Close(ctx); err != nil {
			t.Error(err)
		}
	})
	return s
}

func record(id, key string) engine.Record {
	return engine.Record{ID: id, Key: key, Source: "test", Type: "t", ContentType: "text/plain", Time: time.Now(), Data: []byte("data of " + id)}
}

func publish(t testing.TB, topic engine.Topic, ids ...string) {
	t.Helper()
	var records []engine.Record
	for _, id := range ids {
		id, key, _ := strings.Cut(id, "/")
		records = append(records, record(id, key))
	}
	for _, err := range topic.Publish(t.Context(), records) {
		if err != nil {
			t.Fatal(err)
		}
	}
}

// fetch waits for some.
func fetch(t testing.TB, s engine.Subscription, n int) []*engine.Delivery {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	got, err := s.Fetch(ctx, n)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// fetchAll waits for n.
func fetchAll(t testing.TB, s engine.Subscription, n int) (all []*engine.Delivery) {
	t.Helper()
	for len(all) < n {
		all = append(all, fetch(t, s, n-len(all))...)
	}
	return all
}

// nothing checks that there is nothing for a while.
func nothing(t testing.TB, s engine.Subscription, for_ time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), for_)
	defer cancel()
	if got, err := s.Fetch(ctx, 100); len(got) > 0 || err == nil {
		t.Fatalf("Fetch = %s, %v, want nothing", ids(got), err)
	}
}

func settle(t testing.TB, s engine.Subscription, v engine.Verdict, deliveries ...*engine.Delivery) {
	t.Helper()
	if late := settleLater(t, s, v, 0, deliveries...); late != 0 {
		t.Fatalf("%d of %s were late", late, ids(deliveries))
	}
}

func settleLater(t testing.TB, s engine.Subscription, v engine.Verdict, delay time.Duration, deliveries ...*engine.Delivery) int {
	t.Helper()
	var settled []engine.Settlement
	for _, d := range deliveries {
		settled = append(settled, engine.Settlement{Delivery: d, Verdict: v, Delay: delay})
	}
	late, err := s.Settle(t.Context(), settled)
	if err != nil {
		t.Fatal(err)
	}
	return late
}

func ids(deliveries []*engine.Delivery) string {
	var names []string
	for _, d := range deliveries {
		names = append(names, d.Record.ID)
	}
	return strings.Join(names, " ")
}

func wantIDs(t testing.TB, got []*engine.Delivery, want string) {
	t.Helper()
	if ids(got) != want {
		t.Fatalf("got %q, want %q", ids(got), want)
	}
}

func wantLag(t testing.TB, s engine.Subscription, want engine.Lag) {
	t.Helper()
	if got, err := s.Lag(t.Context()); err != nil || got != want {
		t.Fatalf("Lag = %+v, %v, want %+v", got, err, want)
	}
}
