package idempotent_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"sync"
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

// world is what goes wrong with transactions: one in so many is refused, or its answer
// lost; 0 is none.
type world struct {
	lost, refused int
	mu            sync.Mutex
	rnd           *rand.Rand
}

func (w *world) hit(oneIn int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return oneIn > 0 && w.rnd.IntN(oneIn) == 0
}

// in is SQLTx with commits that fail, or whose answers are lost.
func (w *world) in(db *sql.DB) idempotent.InTx[*sql.Tx] {
	in := idempotent.SQLTx(db, nil)
	return func(ctx context.Context, apply func(context.Context, *sql.Tx) error) error {
		err := in(ctx, func(ctx context.Context, tx *sql.Tx) error {
			if err := apply(ctx, tx); err != nil {
				return err
			}
			if w.hit(w.refused) {
				return errBoom
			}
			return nil
		})
		if err == nil && w.hit(w.lost) {
			return errBoom
		}
		return err
	}
}

// TestEffectIsExactlyOnce publishes events, some of them again, to two subscribers that
// fail in every way, and counts effects.
func TestEffectIsExactlyOnce(t *testing.T) {
	db := open(t, t.TempDir())
	defer db.Close()
	rapid.Check(t, func(r *rapid.T) {
		if _, err := db.Exec(`DELETE FROM effects; DELETE FROM troupe_handled`); err != nil {
			t.Fatal(err)
		}
		ids := rapid.SliceOfN(rapid.IntRange(0, 5), 1, 10).Draw(r, "ids")
		oneIn := rapid.SampledFrom([]int{0, 2, 3, 5})
		w := &world{lost: oneIn.Draw(r, "lost"), refused: oneIn.Draw(r, "refused"), rnd: rand.New(rand.NewPCG(rapid.Uint64().Draw(r, "seed"), 1))}
		panics, fails := oneIn.Draw(r, "panics"), oneIn.Draw(r, "fails")
		rt, err := runtime.New(runtime.Config{})
		if err != nil {
			t.Fatal(err)
		}
		defer rt.Shutdown(context.Background())
		topic, err := topics.Open[int](rt, "t")
		if err != nil {
			t.Fatal(err)
		}
		one := idempotent.Handler(w.in(db), idempotent.SQL{}, func(ctx context.Context, tx *sql.Tx, ev int) error {
			if err := effect(ctx, tx, "one", fmt.Sprint(ev)); err != nil {
				return err
			}
			if w.hit(panics) {
				panic("boom")
			}
			if w.hit(fails) {
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
	w := &world{lost: 1, rnd: rand.New(rand.NewPCG(1, 1))}
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

func TestBatches(t *testing.T) {
	rt, db := troupetest.New(t), open(t, t.TempDir())
	defer db.Close()
	topic, err := topics.Open[int](rt.Runtime, "t")
	if err != nil {
		t.Fatal(err)
	}
	handle := func(ctx context.Context, batch []int) error {
		tx, ok := idempotent.TxFrom[*sql.Tx](ctx)
		if !ok {
			return supervisor.Permanent(errors.New("no transaction"))
		}
		for _, ev := range batch {
			if err := effect(ctx, tx, "s", fmt.Sprint(ev)); err != nil {
				return err
			}
		}
		return nil
	}
	_, err = topic.SubscribeBatch("s", handle, topics.SubscriberConfig{
		Batch:      topics.BatchConfig{Size: 4, Period: 5 * time.Millisecond},
		Middleware: []topics.Middleware{idempotent.Middleware(idempotent.SQLTx(db, nil), idempotent.SQL{})},
		Retry:      quick.Retry,
	})
	if err != nil {
		t.Fatal(err)
	}
	// Batches of new ones, of old ones, and of both.
	for _, id := range []int{0, 1, 2, 3, 0, 1, 2, 3, 2, 4, 5, 3, 6, 6, 6, 7} {
		if err := topic.PublishWith(t.Context(), id, topics.Meta{ID: fmt.Sprint("e", id)}); err != nil {
			t.Fatal(err)
		}
	}
	rt.Idle()
	rt.WantLetters()
	got := effects(t, db)
	for i := range 8 {
		if n := got[fmt.Sprint("s:", i)]; n != 1 {
			t.Errorf("effect %d has happened %d times, want once", i, n)
		}
	}
}

func TestHandlerThatNobodyCalls(t *testing.T) {
	db := open(t, t.TempDir())
	defer db.Close()
	handle := idempotent.Handler(idempotent.SQLTx(db, nil), idempotent.SQL{}, func(context.Context, *sql.Tx, int) error { return nil })
	if err := handle(t.Context(), 1); !errors.Is(err, supervisor.ErrPermanent) {
		t.Errorf("a handler outside of a subscriber = %v, want a permanent failure", err)
	}
}
