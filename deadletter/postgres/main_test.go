package postgres_test

import (
	"context"
	"crypto/rand"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/deadlettertest"
	"github.com/troupe-go/troupe/deadletter/postgres"
	"github.com/troupe-go/troupe/deadletter/search"
)

// server returns the URL of the PostgreSQL that tests share.
func server(t testing.TB) string {
	t.Helper()
	url := os.Getenv("TROUPE_POSTGRES")
	if url == "" {
		const how = `TROUPE_POSTGRES is not set: eval "$(scripts/services start postgres)"`
		if os.Getenv("CI") == "true" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	return url
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// schema returns the name of a schema of the test's own, which is removed after it.
func schema(t testing.TB) string {
	t.Helper()
	url, name := server(t), "test_"+strings.ToLower(rand.Text()[:12])
	t.Cleanup(func() {
		exec(t, url, "DROP SCHEMA IF EXISTS "+name+" CASCADE")
	})
	return name
}

func exec(t testing.TB, url, sql string, args ...any) {
	t.Helper()
	conn, err := pgx.Connect(within(t), url)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(within(t))
	if _, err := conn.Exec(within(t), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// open opens a store and closes it with the test.
func open(t testing.TB, cfg postgres.Config) *postgres.Store {
	t.Helper()
	if cfg.URL == "" {
		cfg.URL = server(t)
	}
	if cfg.Schema == "" {
		cfg.Schema = schema(t)
	}
	s, err := postgres.Open(within(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestStoreIsALedger(t *testing.T) {
	// What it asks is not whether commits survive a loss of power, and a store that is
	// emptied for each of its cases is one sooner than one that is made.
	url, name := server(t)+"&synchronous_commit=off", schema(t)
	open(t, postgres.Config{URL: url, Schema: name}).Close()
	deadlettertest.RunFleet(t, func(t *testing.T) deadletter.Fleet {
		empty := "SET session_replication_role = replica;" // no triggers
		for _, table := range []string{"members", "serves", "letter_rows", "groups", "counters", "operations", "items", "audit"} {
			empty += "DELETE FROM " + name + "." + table + ";"
		}
		exec(t, url, empty)
		return open(t, postgres.Config{URL: url, Schema: name})
	})
}

func connect(t testing.TB) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(within(t), server(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

func parse(t testing.TB, query string) search.Expr {
	t.Helper()
	e, err := search.Parse(query)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
