package postgres_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/postgres"
)

func pool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(server(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 20
	p, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

func begin(t testing.TB, p *pgxpool.Pool) pgx.Tx {
	t.Helper()
	tx, err := p.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { tx.Rollback(context.Background()) })
	return tx
}

func publishTx(t testing.TB, topic *postgres.Topic, tx pgx.Tx, id string) {
	t.Helper()
	if err := topic.PublishTx(t.Context(), tx, record(id, "")); err != nil {
		t.Fatal(err)
	}
}

func commit(t testing.TB, tx pgx.Tx) {
	t.Helper()
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestNothingIsSkippedWhateverCommitsFirst(t *testing.T) {
	cfg := config(t)
	cfg.Poll = 50 * time.Millisecond
	e, p := open(t, cfg), pool(t)
	orders := topic(t, e, "orders")
	s := subscribe(t, orders, engine.SubscribeConfig{Group: "g"})

	first, second, third := begin(t, p), begin(t, p), begin(t, p)
	publishTx(t, orders, first, "1")
	publishTx(t, orders, second, "2")
	publishTx(t, orders, third, "3")
	commit(t, third)
	nothing(t, s, 200*time.Millisecond)
	late := subscribe(t, orders, engine.SubscribeConfig{Group: "late"}) // 3 was before, 1 and 2 come
	f, err := e.Fence(t.Context())
	if err != nil || f.Held != 1 || f.PID != int32(first.Conn().PgConn().PID()) || f.Since.IsZero() {
		t.Errorf("Fence = %+v, %v, want 1 held by %d", f, err, first.Conn().PgConn().PID())
	}
	if err := second.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	nothing(t, s, 100*time.Millisecond)
	commit(t, first)
	wantIDs(t, fetchAll(t, s, 2), "1 3")
	wantIDs(t, fetchAll(t, late, 1), "1")
	nothing(t, late, 100*time.Millisecond)

	// One that began before the group did, and published after.
	old := begin(t, p)
	if _, err := old.Exec(t.Context(), "SELECT pg_current_xact_id()"); err != nil {
		t.Fatal(err)
	}
	young := subscribe(t, orders, engine.SubscribeConfig{Group: "young"})
	publishTx(t, orders, old, "4")
	commit(t, old)
	wantIDs(t, fetchAll(t, young, 1), "4")
}

func TestATransactionStoresWithItsOwnWritesOrNotAtAll(t *testing.T) {
	cfg := config(t)
	e, p := open(t, cfg), pool(t)
	orders := topic(t, e, "orders")
	s := subscribe(t, orders, engine.SubscribeConfig{Group: "g"})
	if _, err := p.Exec(t.Context(), "CREATE TABLE "+cfg.Schema+".shop (id text PRIMARY KEY)"); err != nil {
		t.Fatal(err)
	}
	place := func(id string) error {
		return pgx.BeginFunc(t.Context(), p, func(tx pgx.Tx) error {
			if err := orders.PublishTx(t.Context(), tx, record("event-"+id, id)); err != nil {
				return err
			}
			_, err := tx.Exec(t.Context(), "INSERT INTO "+cfg.Schema+".shop VALUES ($1)", id)
			return err
		})
	}
	if err := place("1"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Exec(t.Context(), "INSERT INTO "+cfg.Schema+".shop VALUES ('2')"); err != nil {
		t.Fatal(err)
	}
	if err := place("2"); err == nil {
		t.Fatal("order 2 was placed twice")
	}
	if err := place("3"); err != nil {
		t.Fatal(err)
	}
	wantIDs(t, fetchAll(t, s, 2), "event-1 event-3")
	nothing(t, s, 100*time.Millisecond)
}

// Transactions of all lengths, of which some roll back and some write something else
// before they publish, against readers that join at any time: each gets exactly what
// was committed, once, and what a publisher commits comes in its order.
func TestEveryGroupGetsExactlyWhatWasCommitted(t *testing.T) {
	cfg := config(t)
	cfg.Poll = 20 * time.Millisecond
	e, p := open(t, cfg), pool(t)
	orders := topic(t, e, "orders")
	const publishers, each, groups = 8, 60, 3
	var mu sync.Mutex
	committed := map[string]bool{}
	var work sync.WaitGroup
	for n := range publishers {
		work.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 7))
			for i := range each {
				tx, err := p.Begin(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				if r.IntN(3) == 0 { // has its id long before it publishes
					tx.Exec(t.Context(), "SELECT pg_current_xact_id()")
				}
				time.Sleep(time.Duration(r.IntN(4)) * time.Millisecond)
				id := fmt.Sprintf("%d-%03d", n, i)
				if err := orders.PublishTx(t.Context(), tx, record(id+"a", ""), record(id+"b", "")); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Duration(r.IntN(4)) * time.Millisecond)
				if r.IntN(4) == 0 {
					tx.Rollback(t.Context())
					continue
				}
				mu.Lock() // before, so that no reader is ahead of us
				committed[id+"a"], committed[id+"b"] = true, true
				mu.Unlock()
				if err := tx.Commit(t.Context()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	published := make(chan struct{})
	go func() { work.Wait(); close(published) }()
	var readers sync.WaitGroup
	for g := range groups {
		s := subscribe(t, orders, engine.SubscribeConfig{Group: fmt.Sprint(g), From: engine.FromOldest})
		readers.Go(func() {
			got := map[string]bool{}
			last := map[byte]string{}
			done := func() bool {
				select {
				case <-published:
				default:
					return false
				}
				mu.Lock()
				defer mu.Unlock()
				return len(got) >= len(committed)
			}
			deadline := time.Now().Add(60 * time.Second)
			for !done() && time.Now().Before(deadline) {
				ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
				deliveries, _ := s.Fetch(ctx, 50)
				cancel()
				var settled []engine.Settlement
				for _, d := range deliveries {
					id := d.Record.ID
					mu.Lock()
					if !committed[id] || got[id] || id <= last[id[0]] {
						t.Errorf("group %d gets %s after %s: committed %v, again %v", g, id, last[id[0]], committed[id], got[id])
					}
					mu.Unlock()
					got[id], last[id[0]] = true, id
					settled = append(settled, engine.Settlement{Delivery: d})
				}
				if _, err := s.Settle(t.Context(), settled); err != nil {
					t.Error(err)
				}
			}
			if len(got) != len(committed) {
				t.Errorf("group %d got %d of %d", g, len(got), len(committed))
			}
		})
	}
	readers.Wait()
}

// A dump that is restored into another cluster has ids of transactions that this one
// is far from. Here the ids are moved instead.
func TestARestoreIntoAClusterThatCountsAnewLosesNothing(t *testing.T) {
	cfg := config(t)
	p := pool(t)
	e := open(t, cfg)
	orders := topic(t, e, "orders")
	done, open_ := subscribe(t, orders, engine.SubscribeConfig{Group: "done"}), subscribe(t, orders, engine.SubscribeConfig{Group: "open"})
	publish(t, orders, "1", "2", "3")
	settle(t, done, engine.Ack, fetchAll(t, done, 3)...)
	settle(t, open_, engine.Ack, fetchAll(t, open_, 1)...)
	for _, s := range []engine.Subscription{done, open_} {
		if err := s.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, table := range []string{"records", "groups", "deliveries"} {
		if _, err := p.Exec(t.Context(), fmt.Sprintf("UPDATE %s.%s SET at = at + 1000000000", cfg.Schema, table)); err != nil {
			t.Fatal(err)
		}
	}
	for round := range 2 { // the second finds nothing to do
		e = open(t, cfg)
		orders = topic(t, e, "orders")
		publish(t, orders, fmt.Sprint("new", round))
		if err := e.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	e = open(t, cfg)
	orders = topic(t, e, "orders")
	wantIDs(t, fetchAll(t, subscribe(t, orders, engine.SubscribeConfig{Group: "done"}), 2), "new0 new1")
	wantIDs(t, fetchAll(t, subscribe(t, orders, engine.SubscribeConfig{Group: "open"}), 4), "2 3 new0 new1")
	wantIDs(t, fetchAll(t, subscribe(t, orders, engine.SubscribeConfig{Group: "all", From: engine.FromOldest}), 5), "1 2 3 new0 new1")
	now := subscribe(t, orders, engine.SubscribeConfig{Group: "now"})
	publish(t, orders, "last")
	wantIDs(t, fetchAll(t, now, 1), "last")
}

func TestRecordsGoWhenEveryGroupHasSettledThemAndTheirTimeIsOver(t *testing.T) {
	cfg := config(t)
	cfg.Keep, cfg.Sweep = postgres.KeepNothing, time.Hour
	e, p := open(t, cfg), pool(t)
	orders := topic(t, e, "orders")
	a, b := subscribe(t, orders, engine.SubscribeConfig{Group: "a"}), subscribe(t, orders, engine.SubscribeConfig{Group: "b"})
	publish(t, orders, "1", "2", "3", "4")
	left := func() (names []string) {
		t.Helper()
		if err := e.Clean(t.Context()); err != nil {
			t.Fatal(err)
		}
		rows, _ := p.Query(t.Context(), "SELECT id FROM "+cfg.Schema+".events ORDER BY at, pos")
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			t.Fatal(err)
		}
		return names
	}
	settle(t, a, engine.Ack, fetchAll(t, a, 4)...)
	if got := left(); len(got) != 4 {
		t.Fatalf("%v are left, b has not taken any", got)
	}
	of := fetchAll(t, b, 4)
	settle(t, b, engine.Ack, of[0], of[3])
	if got := left(); !slices.Equal(got, []string{"2", "3", "4"}) {
		t.Fatalf("%v are left, want 2 3 4", got)
	}
	settleLater(t, b, engine.Nack, time.Hour, of[1])
	settle(t, b, engine.Ack, of[2])
	if got := left(); !slices.Equal(got, []string{"2", "3", "4"}) {
		t.Fatalf("%v are left, want 2 3 4", got)
	}
	if err := e.DropGroup(t.Context(), "orders", "b"); err != nil {
		t.Fatal(err)
	}
	if got := left(); len(got) != 0 {
		t.Fatalf("%v are left, want none", got)
	}
}
