package aggregate_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/troupetest"
)

func TestSnapshots(t *testing.T) {
	store := &faulty{Store: eventstore.NewMemory()}
	cfg := base(t)
	cfg.Snapshots.Every = 10
	a := open(t, troupetest.New(t), store, cfg)
	for range 25 {
		execute(t, a, "a", deposit{1})
	}
	stream := eventstore.Stream{Category: "account", ID: "a"}
	if snap, ok, err := store.LoadSnapshot(t.Context(), stream, 1); err != nil || !ok || snap.Version != 20 {
		t.Errorf("the snapshot is at %d, %v, %v, want 20", snap.Version, ok, err)
	}
	store.read.Store(0)
	wantBalance(t, a, "a", 25, 25)
	if n := store.read.Load(); n != 5 {
		t.Errorf("%d events were read after the snapshot, want 5", n)
	}

	// A program that has gone back does not see the snapshots of the newer one.
	newer := base(t)
	newer.Snapshots.Every, newer.Snapshots.Schema = 10, 2
	b := open(t, troupetest.New(t), store, newer)
	store.read.Store(0)
	execute(t, b, "a", deposit{1})
	if n := store.read.Load(); n != 25 {
		t.Errorf("%d events were read by another schema, want all 25", n)
	}
	if snap, ok, err := store.LoadSnapshot(t.Context(), stream, 2); err != nil || !ok || snap.Version != 26 {
		t.Errorf("the snapshot of schema 2 is at %d, %v, %v, want 26: it was time", snap.Version, ok, err)
	}
	wantBalance(t, a, "a", 26, 26)
}

func TestBrokenSnapshotIsNotNeeded(t *testing.T) {
	var f faults
	rt, store := troupetest.New(t, runtime.Config{Observer: f.observer()}), &faulty{Store: eventstore.NewMemory()}
	cfg := base(t)
	cfg.Snapshots.Every = 1
	a := open(t, rt, store, cfg)
	store.set(down("snapshot", 1), nil)
	execute(t, a, "a", deposit{1})
	if err := f.all(); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("the observer was told %v, want that the snapshot was not saved", err)
	}
	execute(t, a, "a", deposit{1})
	if err := store.SaveSnapshot(t.Context(), eventstore.Snapshot{
		Stream: eventstore.Stream{Category: "account", ID: "a"}, Version: 3, Schema: 1, ContentType: "application/json", Data: []byte("{"),
	}); err != nil {
		t.Fatal(err)
	}
	wantBalance(t, a, "a", 2, 2)
}

func TestPassivation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &faulty{Store: eventstore.NewMemory()}
		cfg := base(t)
		cfg.PassivateAfter = time.Minute
		a := open(t, troupetest.New(t), store, cfg)
		execute(t, a, "a", deposit{1})
		time.Sleep(40 * time.Second)
		execute(t, a, "b", deposit{1})
		for _, c := range []struct {
			after time.Duration
			want  int
		}{{19 * time.Second, 2}, {2 * time.Second, 1}, {38 * time.Second, 1}, {2 * time.Second, 0}} {
			time.Sleep(c.after)
			synctest.Wait()
			if n := a.Loaded(); n != c.want {
				t.Errorf("Loaded = %d %v later, want %d", n, c.after, c.want)
			}
		}
		store.read.Store(0)
		execute(t, a, "a", deposit{1})
		execute(t, a, "a", deposit{1})
		if n := store.read.Load(); n != 1 {
			t.Errorf("%d events were read, want the 1 when the state was loaded again", n)
		}
	})
}

func TestMaxLoaded(t *testing.T) {
	cfg := base(t)
	cfg.MaxLoaded = 3
	a := open(t, troupetest.New(t), eventstore.NewMemory(), cfg)
	for i := range 20 {
		execute(t, a, fmt.Sprint(i%7), deposit{1})
		if n := a.Loaded(); n > 3 {
			t.Fatalf("Loaded = %d, want 3 at most", n)
		}
	}
	wantBalance(t, a, "0", 3, 3)
}
