package outbox_test

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/troupe-go/troupe/engine/postgres"
	"github.com/troupe-go/troupe/engine/postgres/internal/turn"
)

// childEnv says in which schemas a child process works until it is killed.
const childEnv = "TROUPE_OUTBOX_CHILD"

func TestMain(m *testing.M) {
	if what := os.Getenv(childEnv); what != "" {
		child(what)
		return
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

func commit(t testing.TB, tx pgx.Tx) {
	t.Helper()
	if err := tx.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}
