package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/postgres"
)

// elsewhere is a topic of another engine that fails as it is told to.
type elsewhere struct {
	engine.Topic // not used
	mu           sync.Mutex
	ids          []string // as stored, each once
	again        int
	fail         func(r engine.Record) error
}

func (e *elsewhere) Publish(_ context.Context, records []engine.Record) []error {
	e.mu.Lock()
	defer e.mu.Unlock()
	errs := make([]error, len(records))
	for i, r := range records {
		if e.fail != nil {
			errs[i] = e.fail(r)
		}
		if errs[i] != nil {
			continue
		}
		if slices.Contains(e.ids, r.ID) {
			e.again++
			continue
		}
		e.ids = append(e.ids, r.ID)
	}
	return errs
}

func (e *elsewhere) stored() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return slices.Clone(e.ids)
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in 30s", what)
		}
	}
}

func outbox(t testing.TB, e *postgres.Engine, to engine.Topic, cfg postgres.OutboxConfig) *postgres.Outbox {
	t.Helper()
	o, err := e.Outbox(t.Context(), "orders", to, cfg)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// runRelay returns what ends it, with its error.
func runRelay(t testing.TB, o *postgres.Outbox) (end func() error) {
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- o.Relay(ctx) }()
	end = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() { end() })
	return end
}

func TestTheOutboxCarriesWhatWasCommittedAndNothingElse(t *testing.T) {
	cfg := config(t)
	cfg.Poll = 50 * time.Millisecond
	e, p := open(t, cfg), pool(t)
	to := &elsewhere{}
	o := outbox(t, e, to, postgres.OutboxConfig{Batch: 2})
	end := runRelay(t, o)
	put := func(id string) (commitIt func()) {
		tx := begin(t, p)
		if err := o.PublishTx(t.Context(), tx, record(id, "")); err != nil {
			t.Fatal(err)
		}
		return func() { commit(t, tx) }
	}
	first, second, never, third := put("1"), put("2"), put("never"), put("3")
	_ = never
	third()
	second()
	time.Sleep(100 * time.Millisecond) // for what should not come
	if got := to.stored(); len(got) != 0 {
		t.Fatalf("%v were carried before the first has committed", got)
	}
	first()
	waitFor(t, "1 and 2", func() bool { return slices.Equal(to.stored(), []string{"1", "2"}) })
	if err := end(); !errors.Is(err, context.Canceled) {
		t.Errorf("Relay = %v, want context.Canceled", err)
	}
}

func TestTheOutboxStopsAtWhatTheDestinationRefuses(t *testing.T) {
	cfg := config(t)
	e := open(t, cfg)
	big := errors.New("too big for me")
	to := &elsewhere{fail: func(r engine.Record) error {
		if r.ID == "2" {
			return big
		}
		return nil
	}}
	o := outbox(t, e, to, postgres.OutboxConfig{})
	publish(t, o.Topic(), "1", "2", "3")
	if err := o.Relay(t.Context()); !errors.Is(err, big) {
		t.Fatalf("Relay = %v, want what the destination said", err)
	}
	var mu sync.Mutex
	var told []string
	o = outbox(t, e, to, postgres.OutboxConfig{Refused: func(_ context.Context, r engine.Record, err error) error {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, r.ID)
		return nil
	}})
	end := runRelay(t, o)
	publish(t, o.Topic(), "4")
	waitFor(t, "4", func() bool { return slices.Contains(to.stored(), "4") })
	end()
	if !slices.Equal(told, []string{"2"}) || !slices.Equal(to.stored(), []string{"1", "3", "4"}) {
		t.Errorf("told of %v, stored %v, want 2 and the others", told, to.stored())
	}
}

// Several relays, that end and begin, to a destination that fails now and then, while
// transactions commit in any order: all that was committed arrives, once by its ID.
func TestManyRelaysCarryEverythingInOrder(t *testing.T) {
	cfg := config(t)
	cfg.Poll = 20 * time.Millisecond
	p := pool(t)
	var mu sync.Mutex
	to := &elsewhere{fail: func(engine.Record) error {
		mu.Lock()
		defer mu.Unlock()
		if rand.IntN(60) == 0 {
			return fmt.Errorf("away: %w", engine.ErrUnavailable)
		}
		return nil
	}}
	first := outbox(t, open(t, cfg), to, postgres.OutboxConfig{})
	var work sync.WaitGroup
	want := make([][]string, 4)
	for n := range want {
		work.Go(func() {
			for i := range 60 {
				tx, err := p.Begin(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				id := fmt.Sprintf("%d-%03d", n, i)
				if err := first.PublishTx(t.Context(), tx, record(id, "")); err != nil {
					t.Error(err)
				}
				if rand.IntN(5) == 0 {
					tx.Rollback(t.Context())
					continue
				}
				if err := tx.Commit(t.Context()); err != nil {
					t.Error(err)
				}
				want[n] = append(want[n], id)
			}
		})
	}
	stop := make(chan struct{})
	var relays sync.WaitGroup
	for range 3 {
		o := outbox(t, open(t, cfg), to, postgres.OutboxConfig{Batch: 7, Retry: 5 * time.Millisecond})
		relays.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(100+rand.IntN(400))*time.Millisecond)
				if err := o.Relay(ctx); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("Relay = %v, want the end of its context", err)
				}
				cancel()
			}
		})
	}
	work.Wait()
	total := 0
	for _, ids := range want {
		total += len(ids)
	}
	waitFor(t, "all", func() bool { return len(to.stored()) >= total })
	close(stop)
	relays.Wait()
	got := make([][]string, len(want))
	for _, id := range to.stored() {
		got[id[0]-'0'] = append(got[id[0]-'0'], id)
	}
	for n := range want {
		// What a batch took along behind one that failed may be before it.
		slices.Sort(got[n])
		if !slices.Equal(got[n], want[n]) {
			t.Errorf("publisher %d: got %d records, want %d", n, len(got[n]), len(want[n]))
		}
	}
	t.Logf("%d records, %d published again", total, to.again)
}
