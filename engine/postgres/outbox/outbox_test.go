package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/memory"
	"github.com/troupe-go/troupe/engine/postgres"
	"github.com/troupe-go/troupe/engine/postgres/outbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

// elsewhere is an engine whose topics fail as they are told to.
type elsewhere struct {
	engine.Engine // not used
	engine.Topic  // not used
	caps          engine.Caps
	mu            sync.Mutex
	got           []engine.Record // as stored, each ID once
	again         int
	fail          func(r engine.Record) error // called with mu
}

func (e *elsewhere) Name() string                                           { return "elsewhere" }
func (e *elsewhere) Open(_ context.Context, _ string) (engine.Topic, error) { return e, nil }
func (e *elsewhere) Ready(context.Context) error                            { return nil }
func (e *elsewhere) Close(context.Context) error                            { return nil }
func (e *elsewhere) Caps() engine.Caps                                      { return e.caps }

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
		if slices.ContainsFunc(e.got, func(x engine.Record) bool { return x.ID == r.ID }) {
			e.again++
			continue
		}
		e.got = append(e.got, r)
	}
	return errs
}

func (e *elsewhere) failing(f func(r engine.Record) error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.fail = f
}

// stored returns the IDs of what arrived, in order.
func (e *elsewhere) stored() (ids []string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range e.got {
		ids = append(ids, r.ID)
	}
	return ids
}

func waitFor(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not in 30s", what)
		}
	}
}

// order is the event of these tests. Its key is what comes before the dash.
type order struct {
	ID string `json:"id"`
}

func (o order) key() string { key, _, _ := strings.Cut(o.ID, "-"); return key }

var orderKey = topics.KeyOf(order.key)

// quick looks often, for tests without company.
func quick(t testing.TB) postgres.Config {
	return postgres.Config{URL: server(t), Schema: newSchema(t), Poll: 50 * time.Millisecond}
}

func openOrders(t testing.TB, rt *runtime.Runtime, e engine.Engine) *topics.Topic[order] {
	t.Helper()
	orders, err := topics.Open[order](rt, "orders", topics.Config{Engine: e, Key: orderKey})
	if err != nil {
		t.Fatal(err)
	}
	return orders
}

func startRelay(t testing.TB, rt *runtime.Runtime, box *outbox.Outbox, cfg ...outbox.RelayConfig) *runtime.Subscription {
	t.Helper()
	sub, err := box.Relay(rt, "orders", cfg...)
	if err != nil {
		t.Fatal(err)
	}
	return sub
}

// put publishes in a transaction, and returns what commits it. The event is its ID.
func put(t testing.TB, orders *topics.Topic[order], tx pgx.Tx, ids ...string) {
	t.Helper()
	for _, id := range ids {
		if err := outbox.PublishWith(t.Context(), tx, orders, order{id}, topics.Meta{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheOutboxCarriesWhatWasCommittedAndNothingElse(t *testing.T) {
	e, p, to := open(t, quick(t)), pool(t), &elsewhere{}
	rt := troupetest.New(t)
	box := outbox.New(e, to)
	orders := openOrders(t, rt.Runtime, box)
	startRelay(t, rt.Runtime, box, outbox.RelayConfig{Batch: 2})
	first, second, never, third := begin(t, p), begin(t, p), begin(t, p), begin(t, p)
	put(t, orders, first, "1")
	put(t, orders, second, "2")
	put(t, orders, never, "never")
	put(t, orders, third, "3")
	commit(t, third)
	commit(t, second)
	f, err := e.Fence(t.Context())
	if err != nil || f.Held != 2 || f.PID == 0 {
		t.Fatalf("Fence = %+v, %v, want 2 held by a session", f, err)
	}
	if got := to.stored(); len(got) != 0 {
		t.Fatalf("%v were carried before the first has committed", got)
	}
	commit(t, first)
	waitFor(t, "1 and 2", func() bool { return slices.Equal(to.stored(), []string{"1", "2"}) }) // 3 is behind never
	if err := never.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "3", func() bool { return slices.Equal(to.stored(), []string{"1", "2", "3"}) })
}

func TestPublishIsPublish(t *testing.T) {
	e, p := open(t, quick(t)), pool(t)
	rt := troupetest.New(t)
	mem := memory.New()
	box := outbox.New(e, mem)
	orders := openOrders(t, rt.Runtime, box)
	startRelay(t, rt.Runtime, box)
	got := make(chan engine.Record, 10)
	events := make(chan order, 10)
	_, err := orders.Subscribe("billing", func(ctx context.Context, ev order) error {
		d, _ := topics.DeliveryFrom(ctx)
		got <- d.Source().(*engine.Delivery).Record
		events <- ev
		return nil
	}, topics.SubscriberConfig{Engine: topics.ConsumeConfig{From: engine.FromOldest}})
	if err != nil {
		t.Fatal(err)
	}
	published := time.Date(2026, 1, 2, 3, 4, 5, 6789, time.UTC)
	tx := begin(t, p)
	if err := outbox.PublishWith(t.Context(), tx, orders, order{"a-1"}, topics.Meta{
		ID: "a-1", PublishedAt: published, Headers: map[string]string{"Tenant": "\xff<x>"},
	}); err != nil {
		t.Fatal(err)
	}
	if err := outbox.Publish(t.Context(), tx, orders, order{"b-1"}, order{"b-2"}); err != nil {
		t.Fatal(err)
	}
	commit(t, tx)
	if err := orders.Publish(t.Context(), order{"c-1"}); err != nil {
		t.Fatal(err)
	}
	var keys []string
	for i := range 4 {
		r := <-got
		<-events
		keys = append(keys, r.Key)
		if r.Type != "orders" || r.ContentType != "application/json" || r.SchemaVersion != 1 || r.ID == "" || r.Time.IsZero() {
			t.Errorf("record %d = %+v, want what Publish makes", i, r)
		}
		if i == 0 && (r.ID != "a-1" || !r.Time.Equal(published) || r.Headers["tenant"] != "\xff<x>" || string(r.Data) != `{"id":"a-1"}`) {
			t.Errorf("record = %+v, want the ID, time and headers of its Meta", r)
		}
	}
	if want := []string{"a", "b", "b", "c"}; !slices.Equal(keys, want) {
		t.Errorf("keys %v, want %v", keys, want)
	}
	rt.Idle()
}

func TestPublishRefusesWhatItCannotDo(t *testing.T) {
	e, p := open(t, quick(t)), pool(t)
	rt := troupetest.New(t)
	tx := begin(t, p)
	defer tx.Rollback(context.Background())
	onMemory := openOrders(t, rt.Runtime, memory.New())
	if err := outbox.Publish(t.Context(), tx, onMemory, order{"1"}); !errors.Is(err, engine.ErrUnsupported) || !strings.Contains(err.Error(), "outbox.New") {
		t.Errorf("Publish on another engine = %v, want ErrUnsupported and the way", err)
	}
	none, err := topics.Open[order](rt.Runtime, "none")
	if err != nil {
		t.Fatal(err)
	}
	if err := outbox.Publish(t.Context(), tx, none, order{"1"}); err == nil || !strings.Contains(err.Error(), "in memory") {
		t.Errorf("Publish in memory = %v, want an error", err)
	}
	small, err := topics.Open[order](rt.Runtime, "small", topics.Config{Engine: outbox.New(e, &elsewhere{caps: engine.Caps{MaxRecord: 100}})})
	if err != nil {
		t.Fatal(err)
	}
	if err := outbox.Publish(t.Context(), tx, small, order{strings.Repeat("x", 101)}); !errors.Is(err, engine.ErrTooLarge) {
		t.Errorf("Publish of too much for the destination = %v, want ErrTooLarge", err)
	}
	direct, err := topics.Open[order](rt.Runtime, "direct", topics.Config{Engine: e})
	if err != nil {
		t.Fatal(err)
	}
	if err := outbox.Publish(t.Context(), tx, direct, order{"1"}); err != nil {
		t.Errorf("Publish on the engine itself = %v", err)
	}
	if err := tx.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := outbox.Publish(t.Context(), tx, direct, order{"1"}); !errors.Is(err, pgx.ErrTxClosed) {
		t.Errorf("Publish in a transaction that is over = %v, want pgx.ErrTxClosed", err)
	}
	if _, err := outbox.New(e, memory.New()).Relay(rt.Runtime, "x", outbox.RelayConfig{Retry: supervisor.Retry{MaxAttempts: 3}}); err == nil {
		t.Error("Relay with MaxAttempts = nil, want an error")
	}
}

// A record that the destination refuses is a dead letter with all of it; those behind
// it go on; mended by nobody but the destination, it arrives by a redrive.
func TestRefusedRecordIsADeadLetterThatCanBeSentAgain(t *testing.T) {
	for _, whole := range []bool{true, false} {
		t.Run(fmt.Sprintf("atomic=%v", whole), func(t *testing.T) {
			e := open(t, quick(t))
			bad := errors.New("not a record for me")
			to := &elsewhere{caps: engine.Caps{AtomicBatch: whole}, fail: func(r engine.Record) error {
				if r.ID == "a-2" {
					return bad
				}
				return nil
			}}
			rt := troupetest.New(t)
			box := outbox.New(e, to)
			orders := openOrders(t, rt.Runtime, box)
			for i := range 5 {
				id := fmt.Sprintf("a-%d", i)
				if err := orders.PublishWith(t.Context(), order{id}, topics.Meta{ID: id, Headers: map[string]string{"tenant": "7"}}); err != nil {
					t.Fatal(err)
				}
			}
			startRelay(t, rt.Runtime, box)
			waitFor(t, "the others", func() bool { return slices.Equal(to.stored(), []string{"a-0", "a-1", "a-3", "a-4"}) })
			var letters []deadletter.Letter
			waitFor(t, "the letter", func() bool {
				letters = rt.Letters()
				return len(letters) == 1
			})
			l := letters[0]
			if l.Topic != "outbox.orders" || l.Subscriber != outbox.RelayName || l.Reason != outbox.ReasonRefused || l.EventID != "a-2" || !strings.Contains(l.Error, bad.Error()) {
				t.Errorf("letter = %+v, want that of a-2, refused", l)
			}
			if want := `"data":{"id":"a-2"}`; !strings.Contains(string(l.Payload), want) {
				t.Errorf("payload %s, want %s in it", l.Payload, want)
			}
			to.failing(nil)
			if err := rt.Redrive(t.Context(), l.ID); err != nil {
				t.Fatal(err)
			}
			waitFor(t, "a-2", func() bool { return slices.Contains(to.stored(), "a-2") })
			to.mu.Lock()
			defer to.mu.Unlock()
			r := to.got[len(to.got)-1]
			if r.Key != "a" || r.Headers["tenant"] != "7" || r.Type != "orders" || string(r.Data) != `{"id":"a-2"}` || r.ContentType != "application/json" {
				t.Errorf("redriven %+v, want the record as it was published", r)
			}
		})
	}
}

// While the destination is away nothing is lost, nothing becomes a dead letter, and it
// is told; a relay that is paused carries nothing.
func TestRelayWaitsForTheDestinationAndForItsOperator(t *testing.T) {
	e := open(t, quick(t))
	away := fmt.Errorf("away: %w", engine.ErrUnauthorized)
	to := &elsewhere{fail: func(engine.Record) error { return away }}
	rt := troupetest.New(t)
	box := outbox.New(e, to)
	orders := openOrders(t, rt.Runtime, box)
	relay := startRelay(t, rt.Runtime, box, outbox.RelayConfig{Retry: supervisor.Retry{BaseDelay: time.Millisecond, MaxDelay: 5 * time.Millisecond}})
	publish := func(id string) {
		t.Helper()
		if err := orders.PublishWith(t.Context(), order{id}, topics.Meta{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	publish("1")
	publish("2")
	waitFor(t, "20 failures", func() bool { return relay.Snapshot().Counts.Retries > 20 })
	if letters := rt.Letters(); len(letters) != 0 {
		t.Fatalf("%d dead letters in an outage, want 0", len(letters))
	}
	to.failing(nil)
	waitFor(t, "1 and 2", func() bool { return slices.Equal(to.stored(), []string{"1", "2"}) })
	relay.Pause()
	publish("3")
	waitFor(t, "3 to be in the mailbox", func() bool { return relay.Snapshot().Counts.Queued > 0 })
	if got := to.stored(); len(got) != 2 {
		t.Fatalf("%v arrived, the relay is paused", got)
	}
	relay.Resume()
	waitFor(t, "3", func() bool { return slices.Equal(to.stored(), []string{"1", "2", "3"}) })
}

// A panic restarts the relay, and the record comes again; a shutdown drains, and what
// is left at its deadline is another process's.
func TestRelayIsRestartedAndGivesBackAtShutdown(t *testing.T) {
	cfg := quick(t)
	e := open(t, cfg)
	panicked := false
	to := &elsewhere{fail: func(r engine.Record) error {
		if r.ID == "2" && !panicked {
			panicked = true
			panic("the client of the other engine")
		}
		return nil
	}}
	rt := troupetest.New(t)
	box := outbox.New(e, to)
	orders := openOrders(t, rt.Runtime, box)
	relay := startRelay(t, rt.Runtime, box)
	for _, id := range []string{"1", "2", "3"} {
		if err := orders.PublishWith(t.Context(), order{id}, topics.Meta{ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	waitFor(t, "all", func() bool { return slices.Equal(to.stored(), []string{"1", "2", "3"}) })
	if n := relay.Snapshot().Counts.Restarts; n != 1 {
		t.Errorf("%d restarts, want 1", n)
	}
	if _, err := box.Relay(rt.Runtime, "orders"); !errors.Is(err, runtime.ErrNameTaken) {
		t.Errorf("second Relay = %v, want ErrNameTaken", err)
	}
	to.failing(func(engine.Record) error { return engine.ErrUnavailable })
	if err := orders.PublishWith(t.Context(), order{"4"}, topics.Meta{ID: "4"}); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "4 to fail", func() bool { return relay.Snapshot().Counts.Retries > 0 })
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, _ = rt.Shutdown(ctx) // 4 is not handled in time
	to.failing(nil)
	next := troupetest.New(t)
	startRelay(t, next.Runtime, outbox.New(e, to))
	waitFor(t, "4", func() bool { return slices.Contains(to.stored(), "4") })
}

// Several relays, that end and begin, to a destination that fails now and then and
// stores parts of batches, while transactions commit in any order: all that was
// committed arrives, once by its ID, in the order of each key.
func TestManyRelaysCarryEverythingInTheOrderOfItsKey(t *testing.T) {
	cfg := quick(t)
	p := pool(t)
	to := &elsewhere{fail: func(engine.Record) error {
		if rand.IntN(40) == 0 {
			return fmt.Errorf("away: %w", engine.ErrUnavailable)
		}
		return nil
	}}
	e := open(t, cfg)
	rt := troupetest.New(t)
	orders := openOrders(t, rt.Runtime, outbox.New(e, to))
	retry := outbox.RelayConfig{Batch: 7, Lease: time.Second, Retry: supervisor.Retry{BaseDelay: time.Millisecond, MaxDelay: 5 * time.Millisecond}}
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
				if err := outbox.PublishWith(t.Context(), tx, orders, order{id}, topics.Meta{ID: id}); err != nil {
					t.Error(err)
				}
				if rand.IntN(5) == 0 {
					_ = tx.Rollback(t.Context())
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
		own := open(t, cfg)
		relays.Go(func() {
			for {
				rt, err := runtime.New(runtime.Config{})
				if err != nil {
					t.Error(err)
					return
				}
				_, err = outbox.New(own, to).Relay(rt, "orders", retry)
				if err != nil {
					t.Error(err)
				}
				over := false
				select {
				case <-stop:
					over = true
				case <-time.After(time.Duration(100+rand.IntN(300)) * time.Millisecond):
				}
				ctx, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(2))*10*time.Second)
				_, _ = rt.Shutdown(ctx)
				cancel()
				if over {
					return
				}
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
		if !slices.Equal(got[n], want[n]) {
			t.Errorf("publisher %d: got %v, want %v", n, got[n], want[n])
		}
	}
	t.Logf("%d records, %d published again", total, to.again)
}
