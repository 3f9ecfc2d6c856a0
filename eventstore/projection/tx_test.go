package projection_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/projection"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/troupetest"
)

// TestTxCountsEachEventOnce has events counted by a handler that would count one twice
// if it were called twice, while everything fails at random: handlers, by errors and
// panics, commits, answers to commits; in two processes that end and begin again.
func TestTxCountsEachEventOnce(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			store, db := eventstore.NewMemory(), newDatabase()
			var mu sync.Mutex
			rnd := rand.New(rand.NewPCG(seed, 7))
			fail := func() error {
				mu.Lock()
				defer mu.Unlock()
				if rnd.IntN(8) == 0 {
					return errBoom
				}
				return nil
			}
			db.lose, db.refuse = fail, fail
			handle := func(ctx context.Context, tx *tx, ev eventstore.Recorded) error {
				if err := count(ctx, tx, ev); err != nil {
					return err
				}
				mu.Lock()
				n := rnd.IntN(30)
				mu.Unlock()
				switch n {
				case 0:
					panic("boom")
				case 1:
					return errBoom
				}
				return nil
			}
			retry := supervisor.Retry{MaxAttempts: supervisor.Unlimited, BaseDelay: supervisor.NoDelay}
			start := func() *projection.Projection {
				p, err := projection.OpenTx(troupetest.New(t).Runtime, store, db, "p", handle, projection.Config{Batch: 5, Retry: retry})
				if err != nil {
					t.Fatal(err)
				}
				return p
			}
			p, q := start(), start()
			total := 0
			var at eventstore.Position
			for round := range 4 {
				at = add(t, store, "account", 40)
				total += 40
				if round%2 == 1 {
					if err := p.Close(ctx(t)); err != nil {
						t.Fatal(err)
					}
					p = start()
				}
			}
			if err := errors.Join(p.Wait(ctx(t), at), q.Wait(ctx(t), at)); err != nil {
				t.Fatal(err)
			}
			if got := db.row("sum"); got != total {
				t.Errorf("%d events are counted, want %d", got, total)
			}
			if a, b, c := db.row("0"), db.row("1"), db.row("2"); a+b+c != total {
				t.Errorf("%d + %d + %d events, want %d", a, b, c, total)
			}
		})
	}
}

func TestTxPoisonPausesBehindWhatIsDone(t *testing.T) {
	store, db := eventstore.NewMemory(), newDatabase()
	at := add(t, store, "account", 20)
	positions := all(t, store, 20)
	var mu sync.Mutex
	poison := positions[12]
	p, err := projection.OpenTx(troupetest.New(t).Runtime, store, db, "p", func(ctx context.Context, tx *tx, ev eventstore.Recorded) error {
		mu.Lock()
		defer mu.Unlock()
		if ev.Position == poison {
			return errBoom
		}
		return count(ctx, tx, ev)
	}, projection.Config{Retry: quick})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the projection pauses", func() bool { return p.Subscription().Snapshot().State == actors.StateEscalated })
	if got := db.row("sum"); got != 12 {
		t.Errorf("%d events are counted, want the 12 before", got)
	}
	mu.Lock()
	poison = ""
	mu.Unlock()
	p.Subscription().Resume()
	if err := p.Wait(ctx(t), at); err != nil {
		t.Fatal(err)
	}
	if got := db.row("sum"); got != 20 {
		t.Errorf("%d events are counted, want 20", got)
	}
	// The read model and its checkpoint go in one transaction.
	if err := projection.RebuildTx(ctx(t), p, func(_ context.Context, tx *tx) error { clear(tx.rows); return nil }); err != nil {
		t.Fatal(err)
	}
	if err := p.CaughtUp(ctx(t)); err != nil {
		t.Fatal(err)
	}
	if got := db.row("sum"); got != 20 {
		t.Errorf("%d events are counted after a rebuild, want 20", got)
	}
	if err := projection.RebuildTx(ctx(t), p, func(_ context.Context, tx *tx) error { clear(tx.rows); return errBoom }); !errors.Is(err, errBoom) {
		t.Errorf("RebuildTx whose clear fails = %v", err)
	}
	if got := db.row("sum"); got != 20 {
		t.Errorf("%d events are counted after a rebuild that failed, want 20", got)
	}
	if err := p.Rebuild(ctx(t), nil); err == nil {
		t.Error("Rebuild of a projection of OpenTx = nil, want an error")
	}
}
