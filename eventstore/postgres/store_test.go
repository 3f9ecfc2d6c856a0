package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/eventstoretest"
	"github.com/troupe-go/troupe/eventstore/postgres"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

func connect(t testing.TB) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), server(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(context.Background()) })
	return c
}

// config names a schema that is dropped in the end.
func config(t testing.TB) postgres.Config {
	t.Helper()
	cfg := postgres.Config{URL: server(t), Schema: fmt.Sprintf("t%x", time.Now().UnixNano()), Poll: 200 * time.Millisecond}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		c, err := pgx.Connect(ctx, cfg.URL)
		if err != nil {
			t.Error(err)
			return
		}
		defer c.Close(ctx)
		if _, err := c.Exec(ctx, "DROP SCHEMA IF EXISTS "+cfg.Schema+" CASCADE"); err != nil {
			t.Error(err)
		}
	})
	return cfg
}

func open(t testing.TB, cfg postgres.Config) *postgres.Store {
	t.Helper()
	s, err := postgres.Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestStore(t *testing.T) {
	server(t)
	eventstoretest.Run(t, eventstoretest.Config{New: func(t *testing.T) eventstoretest.Open {
		cfg := config(t)
		return func(ctx context.Context) (eventstore.Store, error) { return postgres.Open(ctx, cfg) }
	}})
}

var account = eventstore.Stream{Category: "account", ID: "1"}

func appendTo(t testing.TB, s *postgres.Store, stream eventstore.Stream, n int) eventstore.Appended {
	t.Helper()
	events := make([]eventstore.Event, n)
	for i := range events {
		events[i] = eventstore.Event{Type: "deposited", Data: []byte(fmt.Sprint(i))}
	}
	a, err := s.Append(t.Context(), stream, eventstore.Any, events...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// A projection whose process ends between any two of its steps counts each event once.
func TestACheckpointMovesWithWhatTheProjectionWrites(t *testing.T) {
	cfg := config(t)
	s, c := open(t, cfg), connect(t)
	if _, err := c.Exec(t.Context(), "CREATE TABLE "+cfg.Schema+".balance (n int NOT NULL); INSERT INTO "+cfg.Schema+".balance VALUES (0)"); err != nil {
		t.Fatal(err)
	}
	to := appendTo(t, s, account, 1).Position
	add := func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, "UPDATE "+cfg.Schema+".balance SET n = n + 1")
		return err
	}
	want := func(n int, at eventstore.Position) {
		t.Helper()
		var got int
		if err := c.QueryRow(t.Context(), "SELECT n FROM "+cfg.Schema+".balance").Scan(&got); err != nil {
			t.Fatal(err)
		}
		if p, err := s.LoadCheckpoint(t.Context(), "p"); got != n || p != at || err != nil {
			t.Errorf("balance %d at %q (%v), want %d at %q", got, p, err, n, at)
		}
	}
	mine := errors.New("mine")
	err := s.Transact(t.Context(), "p", eventstore.Start, to, func(ctx context.Context, tx pgx.Tx) error { return errors.Join(add(ctx, tx), mine) })
	if !errors.Is(err, mine) {
		t.Errorf("Transact = %v, want what apply returned", err)
	}
	want(0, eventstore.Start)
	func() {
		defer func() {
			if p := recover(); p != "oh" {
				t.Errorf("recovered %v, want the panic of apply", p)
			}
		}()
		s.Transact(t.Context(), "p", eventstore.Start, to, func(ctx context.Context, tx pgx.Tx) error { add(ctx, tx); panic("oh") })
	}()
	want(0, eventstore.Start)
	if err := s.Transact(t.Context(), "p", eventstore.Start, to, add); err != nil {
		t.Fatal(err)
	}
	want(1, to)
	called := false
	err = s.Transact(t.Context(), "p", eventstore.Start, to, func(context.Context, pgx.Tx) error { called = true; return nil })
	var conflict *eventstore.CheckpointError
	if !errors.As(err, &conflict) || conflict.Actual != to || called {
		t.Errorf("Transact = %v (called %v), want a CheckpointError before apply", err, called)
	}
	want(1, to)
}

// Many processes append to a few streams while others follow, and a transaction of
// something else stays open for a while: each follower gets each event once, in the
// order of positions, and of versions in each stream.
func TestFollowersSkipNothingAndRepeatNothing(t *testing.T) {
	cfg := config(t)
	cfg.Poll = 50 * time.Millisecond
	const writers, each = 6, 40
	var work sync.WaitGroup
	for n := range writers {
		s := open(t, cfg)
		work.Go(func() {
			for i := range each {
				stream := eventstore.Stream{Category: fmt.Sprintf("c%d", i%2), ID: fmt.Sprint((n + i) % 4)}
				_, err := s.Append(t.Context(), stream, eventstore.Any, eventstore.Event{Type: "a"}, eventstore.Event{Type: "b"})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	c := connect(t)
	work.Go(func() {
		for range 10 {
			pgx.BeginFunc(t.Context(), c, func(tx pgx.Tx) error {
				tx.Exec(t.Context(), "SELECT pg_current_xact_id()")
				time.Sleep(20 * time.Millisecond)
				return nil
			})
		}
	})
	for f, categories := range [][]string{nil, {"c0", "c1"}, {"c1"}} {
		s := open(t, cfg)
		want := writers * each * 2
		if len(categories) == 1 {
			want /= 2
		}
		work.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
			defer cancel()
			at := eventstore.Start
			versions := map[eventstore.Stream]eventstore.Version{}
			for got := 0; got < want; {
				// Begun anew each time, as after a restart.
				follower, err := s.Follow(ctx, at, categories...)
				if err != nil {
					t.Error(err)
					return
				}
				list, err := follower.Next(ctx, 13)
				follower.Close()
				if err != nil {
					t.Errorf("follower %d has %d of %d: %v", f, got, want, err)
					return
				}
				for _, r := range list {
					if r.Position <= at || r.Version != versions[r.Stream]+1 {
						t.Errorf("follower %d: %v version %d at %s after version %d at %s", f, r.Stream, r.Version, r.Position, versions[r.Stream], at)
					}
					at, versions[r.Stream] = r.Position, r.Version
					got++
				}
			}
		})
	}
	work.Wait()
}

func TestARestoreIntoAClusterThatCountsAnewLosesNothing(t *testing.T) {
	cfg := config(t)
	s, c := open(t, cfg), connect(t)
	appendTo(t, s, account, 2)
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Exec(t.Context(), "UPDATE "+cfg.Schema+".events SET at = at + 1000000000"); err != nil {
		t.Fatal(err)
	}
	s = open(t, cfg)
	f, err := s.Follow(t.Context(), eventstore.Start)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	appendTo(t, s, account, 1)
	for v := eventstore.Version(1); v <= 3; {
		list, err := f.Next(t.Context(), 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range list {
			if r.Version != v {
				t.Fatalf("version %d comes, want %d", r.Version, v)
			}
			v++
		}
	}
}

func TestOpenSaysWhatIsWrong(t *testing.T) {
	cfg := config(t)
	s := open(t, cfg)
	if _, err := connect(t).Exec(t.Context(), "UPDATE "+cfg.Schema+".meta SET version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		cfg  postgres.Config
		want error
	}{
		{cfg, engine.ErrMismatch},
		{postgres.Config{URL: "postgres://postgres@127.0.0.1:1/postgres?sslmode=disable"}, engine.ErrUnavailable},
	} {
		if _, err := postgres.Open(t.Context(), c.cfg); !errors.Is(err, c.want) {
			t.Errorf("Open = %v, want %v", err, c.want)
		}
	}
}
