package projection_test

import (
	"context"
	"database/sql"
	"errors"
	"path/filepath"
	"testing"

	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/projection"
	"github.com/troupe-go/troupe/troupetest"
	_ "modernc.org/sqlite"
)

func sqlite(t *testing.T) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(t.TempDir(), "db")+"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func TestSQLMovesTheCheckpointWithTheReadModel(t *testing.T) {
	db, store := sqlite(t), eventstore.NewMemory()
	in := projection.SQL{DB: db}
	for range 2 {
		if err := in.Create(ctx(t)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := db.Exec(`CREATE TABLE counts (id text PRIMARY KEY, n int NOT NULL)`); err != nil {
		t.Fatal(err)
	}
	failures := 3
	handle := func(ctx context.Context, tx *sql.Tx, ev eventstore.Recorded) error {
		if _, err := tx.ExecContext(ctx, `INSERT INTO counts VALUES ($1, 1) ON CONFLICT (id) DO UPDATE SET n = n + 1`, ev.Stream.ID); err != nil {
			return err
		}
		if failures > 0 && ev.Version == 4 {
			if failures--; failures == 1 {
				panic("boom")
			}
			return errBoom
		}
		return nil
	}
	p, err := projection.OpenTx(troupetest.New(t).Runtime, store, in, "counts", handle, projection.Config{Retry: quick})
	if err != nil {
		t.Fatal(err)
	}
	// The third failure is the last one that is granted, so somebody has to resume it.
	at := add(t, store, "account", 30)
	until(t, "all is counted", func() bool { p.Subscription().Resume(); return p.Wait(short(t), at) == nil })
	var sum, rows int
	if err := db.QueryRow(`SELECT sum(n), count(*) FROM counts`).Scan(&sum, &rows); err != nil || sum != 30 || rows != 3 {
		t.Errorf("%d events in %d rows are counted, %v, want 30 in 3", sum, rows, err)
	}
	if got, err := in.LoadCheckpoint(ctx(t), "counts"); err != nil || got != at {
		t.Errorf("the checkpoint is at %q, %v, want %q", got, err, at)
	}
	err = in.Transact(ctx(t), "counts", eventstore.Start, "x", func(context.Context, *sql.Tx) error { t.Error("apply was called"); return nil })
	if conflict, ok := errors.AsType[*eventstore.CheckpointError](err); !ok || conflict.Actual != at {
		t.Errorf("Transact from another position = %v, want a *CheckpointError", err)
	}
	if err := projection.RebuildTx(ctx(t), p, func(ctx context.Context, tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM counts`)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(ctx(t), at); err != nil {
		t.Fatal(err)
	}
	if err := db.QueryRow(`SELECT sum(n) FROM counts`).Scan(&sum); err != nil || sum != 30 {
		t.Errorf("%d events are counted after a rebuild, %v, want 30", sum, err)
	}
}
