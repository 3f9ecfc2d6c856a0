package postgres_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/postgres"
)

func poolOf(t *testing.T, change func(*pgxpool.Config)) *pgxpool.Pool {
	t.Helper()
	cfg, err := pgxpool.ParseConfig(server(t))
	if err != nil {
		t.Fatal(err)
	}
	change(cfg)
	p, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	return p
}

// Each of many that share a pool makes the schema with the connection that it has: none
// waits for a second one while all are taken.
func TestOpenNeedsOneConnectionOfThePool(t *testing.T) {
	p := poolOf(t, func(cfg *pgxpool.Config) { cfg.MaxConns = 2 })
	schema := newSchema(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var work sync.WaitGroup
	engines := make([]*postgres.Engine, 6)
	for i := range engines {
		work.Go(func() {
			var err error
			engines[i], err = postgres.Open(ctx, postgres.Config{Pool: p, Schema: schema, Listen: postgres.ListenNone})
			if err != nil {
				t.Error(err)
			}
		})
	}
	work.Wait()
	for _, e := range engines {
		if e != nil {
			if err := e.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
}

// The session that listens gets its password from where those of the pool do.
func TestListensWithTheCredentialsOfThePool(t *testing.T) {
	var mu sync.Mutex
	var faults []string
	p := poolOf(t, func(cfg *pgxpool.Config) {
		user := cfg.ConnConfig.User
		cfg.ConnConfig.User = "nobody_of_this_name"
		cfg.BeforeConnect = func(_ context.Context, c *pgx.ConnConfig) error { c.User = user; return nil }
	})
	cfg := postgres.Config{Pool: p, Schema: newSchema(t), Poll: time.Hour, OnError: func(err error) {
		mu.Lock()
		defer mu.Unlock()
		faults = append(faults, err.Error())
	}}
	reader, writer := open(t, cfg), open(t, cfg)
	s := subscribe(t, topic(t, reader, "orders"), engine.SubscribeConfig{Group: "g", From: engine.FromOldest, Lease: time.Hour})
	for _, id := range []string{"1", "2"} { // the second, at least, is waited for
		publish(t, topic(t, writer, "orders"), id)
		got := fetch(t, s, 1)
		wantIDs(t, got, id)
		settle(t, s, engine.Ack, got...)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(faults) > 0 {
		t.Errorf("told of %q, want nothing", faults)
	}
}
