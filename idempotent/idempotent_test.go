package idempotent_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/troupe-go/troupe/idempotent"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"
	"pgregory.net/rapid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBoom = errors.New("boom")

// quick retries without waiting, for as long as it takes.
var quick = topics.SubscriberConfig{
	Retry:   supervisor.Retry{MaxAttempts: supervisor.Unlimited, BaseDelay: supervisor.NoDelay},
	Restart: supervisor.Restart{MaxRestarts: supervisor.Unlimited},
}

func open(t testing.TB, dir string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "db")+"?_txlock=immediate&_pragma=busy_timeout(10000)&_pragma=journal_mode(wal)&_pragma=synchronous(off)")
	if err != nil {
		t.Fatal(err)
	}
	if err := (idempotent.SQL{}).Create(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`CREATE TABLE IF NOT EXISTS effects (event text, subscriber text)`); err != nil {
		t.Fatal(err)
	}
	return db
}

func effect(ctx context.Context, tx *sql.Tx, subscriber, event string) error {
	_, err := tx.ExecContext(ctx, `INSERT INTO effects VALUES ($1, $2)`, event, subscriber)
	return err
}

func effects(t testing.TB, db *sql.DB) map[string]int {
	t.Helper()
	rows, err := db.Query(`SELECT subscriber || ':' || event, count(*) FROM effects GROUP BY 1`)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	all := map[string]int{}
	for rows.Next() {
		var name string
		var n int
		if err := rows.Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		all[name] = n
	}
	return all
}

// world is what goes wrong with transactions.
type world struct{ lost, refused int } // the nth commit whose answer is lost, that fails

// in is SQLTx with commits that fail, or whose answers are lost.
func (w *world) in(db *sql.DB) idempotent.InTx[*sql.Tx] {
	real := idempotent.SQLTx(db, nil)
	n := 0
	return func(ctx context.Context, apply func(context.Context, *sql.Tx) error) error {
		n++
		now := n
		err := real(ctx, func(ctx context.Context, tx *sql.Tx) error {
			if err := apply(ctx, tx); err != nil {
				return err
			}
			if w.refused > 0 && now%w.refused == 0 {
				return errBoom
			}
			return nil
		})
		if err == nil && w.lost > 0 && now%w.lost == 0 {
			return errBoom
		}
		return err
	}
}

// TestEffectIsExactlyOnce publishes events, some of them again, to two subscribers that
// fail in every way, and counts effects.
func TestEffectIsExactlyOnce(t *testing.T) {
	dir, round := t.TempDir(), 0
	rapid.Check(t, func(r *rapid.T) {
		round++
		db := open(t, t.TempDir())
		defer db.Close()
		_ = dir
		ids := rapid.SliceOfN(rapid.IntRange(0, 8), 1, 25).Draw(r, "ids")
		w := world{lost: rapid.IntRange(0, 4).Draw(r, "lost"), refused: rapid.IntRange(0, 4).Draw(r, "refused")}
		if w.refused == 1 {
			w.refused = 2 // else none is ever committed
		}
		panics := rapid.IntRange(2, 5).Draw(r, "panics")
		rt, err := runtime.New(runtime.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer rt.Shutdown(context.Background())
		topic, err := topics.Open[int](rt, "t")
		if err != nil {
			t.Fatal(err)
		}
		calls := 0
		one := idempotent.Handler(w.in(db), idempotent.SQL{}, func(ctx context.Context, tx *sql.Tx, ev int) error {
			if err := effect(ctx, tx, "one", fmt.Sprint(ev)); err != nil {
				return err
			}
			if calls++; calls%panics == 0 {
				panic("boom")
			} else if calls%panics == 1 {
				return errBoom
			}
			return nil
		})
		two := func(ctx context.Context, ev int) error {
			tx, ok := idempotent.TxFrom[*sql.Tx](ctx)
			if !ok {
				return supervisor.Permanent(errors.New("no transaction"))
			}
			return effect(ctx, tx, "two", fmt.Sprint(ev))
		}
		if panics == 2 {
			panics = 3 // else it fails each time
		}
		cfg := quick
		if _, err := topic.Subscribe("one", one, cfg); err != nil {
			t.Fatal(err)
		}
		cfg.Middleware = []topics.Middleware{idempotent.Middleware(w.in(db), idempotent.SQL{})}
		if _, err := topic.Subscribe("two", two, cfg); err != nil {
			t.Fatal(err)
		}
		want := map[string]int{}
		for _, id := range ids {
			if _, err := topic.PublishWait(t.Context(), id, topics.Meta{ID: fmt.Sprint("e", id)}); err != nil {
				t.Fatal(err)
			}
			want[fmt.Sprint("one:", id)], want[fmt.Sprint("two:", id)] = 1, 1
		}
		got := effects(t, db)
		for name := range want {
			if got[name] != 1 {
				r.Errorf("effect %s has happened %d times, want once", name, got[name])
			}
		}
		if len(got) != len(want) {
			r.Errorf("%d effects, want %d", len(got), len(want))
		}
	})
}

func TestConcurrentDuplicates(t *testing.T) {
	rt, db := troupetest.New(t), open(t, t.TempDir())
	defer db.Close()
	topic, err := topics.Open[int](rt.Runtime, "t")
	if err != nil {
		t.Fatal(err)
	}
	cfg := quick
	cfg.Workers = 8
	handle := idempotent.Handler(idempotent.SQLTx(db, nil), idempotent.SQL{}, func(ctx context.Context, tx *sql.Tx, ev int) error {
		return effect(ctx, tx, "s", fmt.Sprint(ev))
	})
	if _, err := topic.Subscribe("s", handle, cfg); err != nil {
		t.Fatal(err)
	}
	for i := range 120 {
		if err := topic.PublishWith(t.Context(), i%10, topics.Meta{ID: fmt.Sprint("e", i%10)}); err != nil {
			t.Fatal(err)
		}
	}
	rt.Idle()
	got := effects(t, db)
	for name, n := range got {
		if n != 1 {
			t.Errorf("effect %s has happened %d times", name, n)
		}
	}
	if len(got) != 10 {
		t.Errorf("%d effects, want 10", len(got))
	}
}

func TestRedriveAfterALostAnswerHasNoEffect(t *testing.T) {
	rt, db := troupetest.New(t), open(t, t.TempDir())
	defer db.Close()
	topic, err := topics.Open[int](rt.Runtime, "t")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{lost: 1}
	handle := idempotent.Handler(w.in(db), idempotent.SQL{}, func(ctx context.Context, tx *sql.Tx, ev int) error {
		return effect(ctx, tx, "s", fmt.Sprint(ev))
	})
	cfg := topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: supervisor.NoRetry}, Rehearsal: true}
	if _, err := topic.Subscribe("s", handle, cfg); err != nil {
		t.Fatal(err)
	}
	if err := topic.Publish(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	rt.Idle()
	w.lost = 0
	letters := rt.Letters()
	if len(letters) != 1 {
		t.Fatalf("%d letters, want 1", len(letters))
	}
	for _, rehearse := range []bool{true, false} {
		if err := rt.Redrive(t.Context(), letters[0].ID, runtime.RedriveConfig{Rehearse: rehearse}); err != nil {
			t.Fatal(err)
		}
		rt.Idle()
		if got := effects(t, db); got["s:1"] != 1 {
			t.Errorf("effects after a redrive (rehearsal %v): %v, want one", rehearse, got)
		}
	}
}

func TestForget(t *testing.T) {
	db := open(t, t.TempDir())
	defer db.Close()
	in, store := idempotent.SQLTx(db, nil), idempotent.SQL{}
	mark := func(event string) (fresh bool) {
		t.Helper()
		err := in(t.Context(), func(ctx context.Context, tx *sql.Tx) (err error) {
			fresh, err = store.Mark(ctx, tx, "s", event)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return fresh
	}
	if !mark("a") || mark("a") || !mark("b") {
		t.Error("Mark does not tell events apart")
	}
	if n, err := store.Forget(t.Context(), db, time.Now().Add(-time.Hour)); n != 0 || err != nil {
		t.Errorf("Forget of what is older than an hour = %d, %v, want 0", n, err)
	}
	if n, err := store.Forget(t.Context(), db, time.Now().Add(time.Hour)); n != 2 || err != nil {
		t.Errorf("Forget of all = %d, %v, want 2", n, err)
	}
	if !mark("a") {
		t.Error("an event that was forgotten is known")
	}
}

func TestBatchesAreRefused(t *testing.T) {
	rt, db := troupetest.New(t), open(t, t.TempDir())
	defer db.Close()
	topic, err := topics.Open[int](rt.Runtime, "t")
	if err != nil {
		t.Fatal(err)
	}
	_, err = topic.SubscribeBatch("s", func(context.Context, []int) error { t.Error("the handler was called"); return nil }, topics.SubscriberConfig{
		Batch:      topics.BatchConfig{Size: 2, Period: time.Hour},
		Middleware: []topics.Middleware{idempotent.Middleware(idempotent.SQLTx(db, nil), idempotent.SQL{})},
		Retry:      supervisor.Retry{MaxAttempts: supervisor.NoRetry},
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 2 {
		if err := topic.Publish(t.Context(), i); err != nil {
			t.Fatal(err)
		}
	}
	rt.Idle()
	if got := effects(t, db); len(got) != 0 {
		t.Errorf("effects = %v, want none", got)
	}
	if err := idempotent.Handler(idempotent.SQLTx(db, nil), idempotent.SQL{}, func(context.Context, *sql.Tx, int) error { return nil })(t.Context(), 1); !errors.Is(err, supervisor.ErrPermanent) {
		t.Errorf("a handler that is called by nobody = %v, want a permanent failure", err)
	}
}
