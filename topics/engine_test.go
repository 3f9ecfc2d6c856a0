package topics_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/engine"
	enginemem "github.com/troupe-go/troupe/engine/memory"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

// seen is what handlers were called with.
type seen struct {
	mu  sync.Mutex
	evs []int
}

func (s *seen) handle(_ context.Context, ev int) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.evs = append(s.evs, ev)
	return nil
}

func (s *seen) all() []int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.evs)
}

func (s *seen) want(t *testing.T, want ...int) {
	t.Helper()
	if got := s.all(); !slices.Equal(got, want) {
		t.Errorf("handled %v, want %v", got, want)
	}
}

func engineGroup(t *testing.T, rt *troupetest.Runtime, name string) runtime.EngineGroup {
	t.Helper()
	for _, g := range account(t, rt).Engine.Groups {
		if g.Name == name {
			return g
		}
	}
	t.Fatalf("no group %s", name)
	return runtime.EngineGroup{}
}

// An event that was in hand when the process died is handled alone when it comes again,
// and at the second death that is known of it is a dead letter instead.
func TestCrashSuspectIsNotHandledAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := enginemem.New()
		var h seen
		var most, now int
		start := func() (*troupetest.Runtime, *topics.Topic[int]) {
			rt := troupetest.New(t, runtime.Config{})
			topic := open(t, rt, topics.Config{Engine: e})
			subscribe(t, topic, "s", func(ctx context.Context, ev int) error {
				h.mu.Lock()
				now++
				most = max(most, now)
				h.evs = append(h.evs, ev)
				h.mu.Unlock()
				defer func() { h.mu.Lock(); now--; h.mu.Unlock() }()
				if ev == 2 { // dies of it: the engine never hears of it again
					e.Die()
					<-ctx.Done()
				}
				return nil
			}, topics.SubscriberConfig{Workers: 3, Engine: topics.ConsumeConfig{Lease: 10 * time.Second}})
			return rt, topic
		}
		rt, topic := start()
		for ev := range 6 {
			publish(t, topic, ev)
		}
		time.Sleep(time.Second)
		shutdown := func(rt *troupetest.Runtime) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			if _, err := rt.Shutdown(ctx); err != nil {
				t.Fatal(err)
			}
		}
		shutdown(rt)
		if n := len(h.all()); n < 3 {
			t.Fatalf("%d handled before the first death", n)
		}

		h.mu.Lock()
		h.evs, most = nil, 0
		h.mu.Unlock()
		rt, _ = start()
		time.Sleep(20 * time.Second) // the leases of the dead end
		h.mu.Lock()
		if most > 1 {
			t.Errorf("%d suspects at a time, want 1", most)
		}
		h.mu.Unlock()
		if got := h.all(); !slices.Contains(got, 2) {
			t.Fatalf("handled %v after the first death, want 2 among them", got)
		}
		shutdown(rt)

		h.mu.Lock()
		h.evs = nil
		h.mu.Unlock()
		rt, _ = start()
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if got := h.all(); slices.Contains(got, 2) {
			t.Errorf("handled %v after the second death, want no 2", got)
		}
		ls := rt.Letters()
		if len(ls) != 1 || ls[0].Reason != supervisor.ReasonCrashSuspect || string(ls[0].Payload) != "2" || ls[0].Subscriber != "s" {
			t.Errorf("letters = %+v, want 2 as crash_suspect", ls)
		}
		if g := engineGroup(t, rt, "s"); g.Here != 0 {
			t.Errorf("%d records are here, want 0", g.Here)
		}
	})
}

// While the engine is unavailable, publications wait or are rejected, as the topic
// says, and health says why.
func TestOutage(t *testing.T) {
	for _, outage := range []topics.Outage{topics.OutageBlock, topics.OutageReject} {
		synctest.Test(t, func(t *testing.T) {
			e := enginemem.New()
			rt := troupetest.New(t, runtime.Config{})
			topic := open(t, rt, topics.Config{Engine: e, Outage: outage})
			var h seen
			subscribe(t, topic, "s", h.handle)
			publish(t, topic, 1)
			synctest.Wait()
			e.Fail(fmt.Errorf("%w: the cable is out", engine.ErrUnavailable))
			if outage == topics.OutageReject {
				wantErr(t, "Publish", topic.Publish(t.Context(), 2), engine.ErrUnavailable)
				if n := account(t, rt).Rejected["engine_unavailable"]; n != 1 {
					t.Errorf("rejected = %d, want 1", n)
				}
				publishes := rt.Health()
				if publishes == nil || !strings.Contains(publishes.Error(), "the cable is out") {
					t.Errorf("Health() = %v", publishes)
				}
			} else {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				wantErr(t, "Publish", topic.Publish(ctx, 7), context.DeadlineExceeded)
				cancel()
				var done sync.WaitGroup
				done.Go(func() { publish(t, topic, 2) })
				time.Sleep(time.Minute)
				if n := account(t, rt).Waiting; n != 1 {
					t.Errorf("Waiting = %d, want 1", n)
				}
				e.Fail(nil)
				done.Wait()
			}
			e.Fail(nil)
			time.Sleep(time.Minute)
			publish(t, topic, 3)
			synctest.Wait()
			if err := rt.Health(); err != nil {
				t.Errorf("Health() = %v after the outage", err)
			}
			if outage == topics.OutageBlock {
				h.want(t, 1, 2, 3)
			} else {
				h.want(t, 1, 3)
			}
		})
	}
}

// A settlement that the engine does not take is repeated; what comes again meanwhile is
// not handled again.
func TestOutageBetweenHandlingAndSettling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := enginemem.New()
		rt := troupetest.New(t, runtime.Config{})
		topic := open(t, rt, topics.Config{Engine: e})
		var h seen
		subscribe(t, topic, "s", func(ctx context.Context, ev int) error {
			e.Fail(engine.ErrUnavailable)
			return h.handle(ctx, ev)
		}, topics.SubscriberConfig{Engine: topics.ConsumeConfig{Lease: 5 * time.Second}})
		publish(t, topic, 1)
		time.Sleep(time.Minute) // the lease has ended long ago
		if g := engineGroup(t, rt, "s"); g.Here != 1 || g.Failing == "" {
			t.Errorf("group = %+v, want one record here and a failure", g)
		}
		e.Fail(nil)
		time.Sleep(time.Minute)
		h.want(t, 1)
		if g := engineGroup(t, rt, "s"); g.Here != 0 || g.Failing != "" {
			t.Errorf("group = %+v, want nothing here", g)
		}
	})
}

// A handler that takes longer than the lease keeps its event, since it is extended.
func TestLongHandlerKeepsItsLease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := enginemem.New()
		one, two := troupetest.New(t, runtime.Config{}), troupetest.New(t, runtime.Config{})
		var h seen
		for _, rt := range []*troupetest.Runtime{one, two} {
			topic := open(t, rt, topics.Config{Engine: e})
			subscribe(t, topic, "s", func(ctx context.Context, ev int) error {
				time.Sleep(5 * time.Minute)
				return h.handle(ctx, ev)
			}, topics.SubscriberConfig{Engine: topics.ConsumeConfig{Lease: 10 * time.Second}})
		}
		publish(t, open(t, one), 1)
		time.Sleep(time.Hour)
		h.want(t, 1)
	})
}

// What a topic on an engine cannot do is refused, with the reason, and before anything
// has happened.
func TestEngineRefusals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := enginemem.New()
		rt := troupetest.New(t, runtime.Config{})
		for field, cfg := range map[string]topics.Config{
			"Replay":   {Engine: e, Replay: topics.ReplayLast(3)},
			"Unrouted": {Engine: e, Unrouted: topics.RejectUnrouted},
			"Key":      {Key: topics.KeyOf(func(int) string { return "" })},
			"Key func": {Engine: e, Key: topics.KeyOf(func(string) string { return "" })},
			"Outage":   {Outage: topics.OutageReject},
			"Outage 9": {Engine: e, Outage: 9},
		} {
			if _, err := topics.Open[int](rt.Runtime, "bad", cfg); err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("Open(%s) = %v, want an error that names it", field, err)
			}
		}
		topic := open(t, rt, topics.Config{Engine: e})
		for field, cfg := range map[string]topics.SubscriberConfig{
			"Overflow":          {Overflow: mailbox.DropOldest},
			"Engine.From":       {Engine: topics.ConsumeConfig{From: 7}},
			"Engine.KeyOrder":   {Engine: topics.ConsumeConfig{KeyOrder: true}},
			"Engine.Lease":      {Engine: topics.ConsumeConfig{Lease: -1}},
			"Engine.MaxCrashes": {Engine: topics.ConsumeConfig{MaxCrashes: 1}},
		} {
			if _, err := topic.Subscribe("s", ok, cfg); err == nil || !strings.Contains(err.Error(), field) {
				t.Errorf("Subscribe(%s) = %v, want an error that names it", field, err)
			}
		}
		inMemory, err := topics.Open[int](rt.Runtime, "plain")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := inMemory.Subscribe("s", ok, topics.SubscriberConfig{Engine: topics.ConsumeConfig{From: engine.FromOldest}}); err == nil || !strings.Contains(err.Error(), "Engine") {
			t.Errorf("Subscribe(Engine, in memory) = %v", err)
		}
		if _, err := inMemory.Lag(t.Context(), "s"); !errors.Is(err, topics.ErrOnEngine) {
			t.Errorf("Lag() = %v", err)
		}
		if _, err := topic.Lag(t.Context(), "nobody"); !errors.Is(err, runtime.ErrUnknownSubscriber) {
			t.Errorf("Lag(nobody) = %v", err)
		}
		_, err = topics.SubscribePattern(rt.Runtime, ">", "all", ok)
		wantErr(t, "SubscribePattern", err, topics.ErrOnEngine)
		_, err = topic.PublishWait(t.Context(), 1)
		wantErr(t, "PublishWait", err, topics.ErrOnEngine)
		tx := topics.Begin(rt.Runtime)
		if err := inMemory.Stage(tx, 1); err != nil {
			t.Fatal(err)
		}
		wantErr(t, "Stage", topic.Stage(tx, 1), topics.ErrOnEngine)
		e.Fail(fmt.Errorf("%w: wrong password", engine.ErrUnauthorized))
		_, err = topics.Open[int](rt.Runtime, "locked", topics.Config{Engine: e})
		wantErr(t, "Open", err, engine.ErrUnauthorized)
		_, err = topic.Subscribe("locked", ok)
		wantErr(t, "Subscribe", err, engine.ErrUnauthorized)
		e.Fail(nil)
		subscribe(t, topic, "locked", ok) // the name is free
	})
}

// A transaction of one topic on an engine is stored as one.
func TestTransactionOnEngine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := enginemem.New()
		rt := troupetest.New(t, runtime.Config{})
		topic := open(t, rt, topics.Config{Engine: e})
		var h seen
		subscribe(t, topic, "s", h.handle)
		tx := topics.Begin(rt.Runtime)
		for ev := range 3 {
			if err := topic.Stage(tx, ev, topics.Meta{Headers: map[string]string{"N": "x"}}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		h.want(t)
		e.Fail(engine.ErrFull)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		wantErr(t, "Commit", tx.Commit(ctx), engine.ErrFull)
		cancel()
		e.Fail(nil)
		if err := tx.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		h.want(t, 0, 1, 2)
	})
}

// weird decodes what it likes.
type weird struct{ N int }

func (w *weird) UnmarshalJSON(b []byte) error {
	switch string(b) {
	case `"panic"`:
		panic("cannot")
	case `"bad"`:
		return errors.New("bad")
	}
	return json.Unmarshal(b, &w.N)
}

func (w weird) MarshalJSON() ([]byte, error) { return json.Marshal(w.N) }

// What does not decode is a dead letter with its bytes, however the codec fails, and
// can be sent back when it does.
func TestUndecodableIsALetterWithItsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := enginemem.New()
		rt := troupetest.New(t, runtime.Config{})
		topic, err := topics.Open[weird](rt.Runtime, "t", topics.Config{Engine: e})
		if err != nil {
			t.Fatal(err)
		}
		var got []int
		if _, err := topic.Subscribe("s", func(_ context.Context, w weird) error { got = append(got, w.N); return nil }); err != nil {
			t.Fatal(err)
		}
		raw, err := e.Open(t.Context(), "t")
		if err != nil {
			t.Fatal(err)
		}
		for i, data := range []string{`1`, `"panic"`, `2`, `"bad"`, `3`} {
			r := engine.Record{ID: fmt.Sprint("id-", i), ContentType: "application/json", SchemaVersion: 1, Data: []byte(data), Headers: map[string]string{"h": "v"}}
			if errs := raw.Publish(t.Context(), []engine.Record{r}); errs != nil {
				t.Fatal(errs)
			}
		}
		other := engine.Record{ID: "cbor", ContentType: "application/cbor", Data: []byte{1}}
		if errs := raw.Publish(t.Context(), []engine.Record{other}); errs != nil {
			t.Fatal(errs)
		}
		synctest.Wait()
		time.Sleep(time.Second)
		if !slices.Equal(got, []int{1, 2, 3}) {
			t.Errorf("handled %v, want 1, 2, 3", got)
		}
		ls := rt.Letters()
		if len(ls) != 3 {
			t.Fatalf("%d letters, want 3: %+v", len(ls), ls)
		}
		for _, l := range ls {
			if l.Reason != supervisor.ReasonUndecodable || l.Subscriber != "s" || len(l.Payload) == 0 || l.PayloadError != "" || l.Error == "" {
				t.Errorf("letter = %+v", l)
			}
		}
		edited := ls[slices.IndexFunc(ls, func(l deadletter.Letter) bool { return l.EventID == "id-3" })]
		if string(edited.Payload) != `"bad"` || edited.Headers["h"] != "v" || edited.ContentType != "application/json" {
			t.Errorf("letter = %+v", edited)
		}
		troupetest.CheckAccount(t, rt.Snapshot())
		if g := engineGroup(t, rt, "s"); g.Here != 0 {
			t.Errorf("%d records here, want 0", g.Here)
		}
	})
}

// With an instrument around publications, an ID of the caller's stays.
func TestPublishWithKeepsItsID(t *testing.T) {
	for _, instrument := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			cfg := runtime.Config{}
			if instrument {
				cfg.Instrument.Publishing = func(string) actors.Publishing { return bystander{} }
			}
			rt := troupetest.New(t, cfg)
			topic := open(t, rt)
			var id string
			subscribe(t, topic, "s", func(ctx context.Context, _ int) error {
				d, _ := topics.DeliveryFrom(ctx)
				id = d.ID()
				return nil
			})
			if err := topic.PublishWith(t.Context(), 1, topics.Meta{ID: "mine"}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			if id != "mine" {
				t.Errorf("ID = %q with instrument = %v, want mine", id, instrument)
			}
		})
	}
}

// bystander stands around publications and does nothing.
type bystander struct{}

func (bystander) Begin(ctx context.Context, _ int, headers map[string]string) (context.Context, map[string]string) {
	return ctx, headers
}

func (bystander) End(context.Context, int, error) {}
