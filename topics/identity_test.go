package topics_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

var uuid7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// TestEventIDIsTheSameWhereverItIsAskedFor: by every subscriber, whatever its
// overflow policy, twice, on each attempt, in the letters and in what comes back.
func TestEventIDIsTheSameWhereverItIsAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		var mu sync.Mutex
		ids := map[int]map[string]int{} // by event: the ids that were seen, and how often
		failing := true
		see := func(name string) topics.Handler[int] {
			return func(ctx context.Context, ev int) error {
				d, _ := topics.DeliveryFrom(ctx)
				again, _ := topics.DeliveryFrom(ctx)
				mu.Lock()
				defer mu.Unlock()
				if ids[ev] == nil {
					ids[ev] = map[string]int{}
				}
				ids[ev][d.ID()]++
				if d.ID() != again.ID() {
					t.Errorf("%s: event %d has id %s, and asked again %s", name, ev, d.ID(), again.ID())
				}
				if ev%10 == 3 && failing {
					return errBoom
				}
				return nil
			}
		}
		retry := supervisor.Retry{MaxAttempts: 3, BaseDelay: time.Second}
		for i, cfg := range []topics.SubscriberConfig{
			{Retry: retry}, {Retry: retry, Ordering: topics.Parked}, {Retry: retry, Timeout: time.Hour},
			{Retry: retry, Overflow: mailbox.DropOldest}, {Retry: retry, Overflow: mailbox.Latest, Capacity: 100, Key: topics.KeyOf(func(ev int) string { return fmt.Sprint(ev) })},
		} {
			name := fmt.Sprint("s", i)
			subscribe(t, topic, name, see(name), cfg)
		}
		const events = 50
		for ev := range events {
			publish(t, topic, ev)
			time.Sleep(time.Duration(ev) * time.Millisecond) // of some, every mailbox is asleep
		}
		rt.Idle()
		mu.Lock()
		failing = false
		mu.Unlock()
		letters := rt.Letters()
		if want := 5 * events / 10; len(letters) != want {
			t.Fatalf("%d letters, want %d", len(letters), want)
		}
		for _, l := range letters {
			ev, err := topic.Decode(l)
			if err != nil {
				t.Fatal(err)
			}
			mu.Lock()
			ids[ev][l.EventID]++
			mu.Unlock()
			if l.CorrelationID != l.EventID || l.CausationID != "" {
				t.Errorf("letter of %d: correlation %q, causation %q, want its own id %q and none", ev, l.CorrelationID, l.CausationID, l.EventID)
			}
			if err := rt.Redrive(t.Context(), l.ID); err != nil {
				t.Fatal(err)
			}
		}
		rt.Idle()
		var order []string
		for ev := range events {
			if len(ids[ev]) != 1 {
				t.Fatalf("event %d has %d ids: %v, want one", ev, len(ids[ev]), ids[ev])
			}
			for id, n := range ids[ev] {
				want := 5
				if ev%10 == 3 {
					want = 5*3 + 5 + 5 // attempts, letters, redeliveries
				}
				if n != want || !uuid7.MatchString(id) {
					t.Errorf("event %d: id %s was seen %d times, want a UUID 7, %d times", ev, id, n, want)
				}
				order = append(order, id)
			}
		}
		if !slices.IsSorted(order) {
			t.Errorf("ids do not sort like the events: %v", order)
		}
	})
}

// Ten runtimes with a topic of the same name, each with several topics, publish at
// the same instant of a clock that stands still.
func TestEventIDsAreUnique(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[string]string{}
		var mu sync.Mutex
		for r := range 10 {
			rt := troupetest.New(t)
			for _, name := range []string{"a", "b"} {
				topic, err := topics.Open[int](rt.Runtime, name)
				if err != nil {
					t.Fatal(err)
				}
				subscribe(t, topic, "s", func(ctx context.Context, ev int) error {
					d, _ := topics.DeliveryFrom(ctx)
					mu.Lock()
					defer mu.Unlock()
					who := fmt.Sprint(r, name, ev)
					if other, taken := seen[d.ID()]; taken {
						t.Errorf("%s and %s have the same id %s", other, who, d.ID())
					}
					seen[d.ID()] = who
					return nil
				})
				for ev := range 500 {
					publish(t, topic, ev)
				}
			}
			rt.Idle()
		}
		if len(seen) != 10*2*500 {
			t.Errorf("%d ids, want %d", len(seen), 10*2*500)
		}
	})
}

// An actor that is started again under its name numbers its messages from 1.
func TestIDsOfSuccessiveActorsDiffer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		seen := map[string]bool{}
		for range 3 {
			ref, err := topics.Spawn(rt.Runtime, "a", func() topics.Behavior[int] {
				return topics.Behavior[int]{Receive: func(ctx context.Context, _ int) error {
					d, _ := topics.DeliveryFrom(ctx)
					if seen[d.ID()] {
						t.Errorf("id %s was there before", d.ID())
					}
					seen[d.ID()] = true
					return nil
				}}
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := ref.Tell(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			if err := ref.Stop(t.Context(), actors.Drain); err != nil {
				t.Fatal(err)
			}
		}
		if len(seen) != 3 {
			t.Errorf("%d ids, want 3", len(seen))
		}
	})
}

func TestGivenIDIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t).On(1, troupetest.Fail(supervisor.Permanent(errBoom)))
		subscribe(t, topic, "s", h.Handle)
		lossy := troupetest.NewHandler[int](t)
		subscribe(t, topic, "lossy", lossy.Handle, topics.SubscriberConfig{Overflow: mailbox.DropNewest})
		if err := topic.PublishWith(t.Context(), 1, topics.Meta{ID: "order-7"}); err != nil {
			t.Fatal(err)
		}
		rt.WantLetters(deadletter.Letter{EventID: "order-7", CorrelationID: "order-7"})
		if err := rt.Redrive(t.Context(), rt.Letters()[0].ID); err != nil {
			t.Fatal(err)
		}
		rt.Idle()
		for _, c := range append(h.Calls(), lossy.Calls()...) {
			if c.ID() != "order-7" {
				t.Errorf("attempt %d, letter %q: id %s, want order-7", c.Attempt, c.LetterID, c.ID())
			}
		}
	})
}

// Letters of before have no event id: that of the letter serves.
func TestRedeliveryOfALetterWithoutEventIDHasThatOfTheLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t).On(1, troupetest.Fail(supervisor.Permanent(errBoom)))
		subscribe(t, topic, "s", h.Handle)
		publish(t, topic, 1)
		rt.Idle()
		id := rt.Letters()[0].ID
		if err := rt.DeadLetters().Update(t.Context(), id, func(l *deadletter.Letter) error { l.EventID = ""; return nil }); err != nil {
			t.Fatal(err)
		}
		if err := rt.Redrive(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		rt.Idle()
		if got := h.Calls()[1].ID(); got != id {
			t.Errorf("id = %s, want that of the letter, %s", got, id)
		}
	})
}

func TestUnroutedEventKeepsItsIDWhenItIsPublishedAgain(t *testing.T) {
	for name, given := range map[string]string{"derived": "", "given": "order-7"} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt, topics.Config{Unrouted: topics.DeadLetterUnrouted})
				if err := topic.PublishWith(t.Context(), 1, topics.Meta{ID: given, Headers: map[string]string{topics.HeaderCorrelation: "c"}}); err != nil {
					t.Fatal(err)
				}
				publish(t, topic, 2)
				rt.Idle()
				ids := map[int]string{}
				for _, l := range rt.Letters() {
					ev, _ := topic.Decode(l)
					ids[ev] = l.EventID
				}
				if ids[1] == "" || ids[1] == ids[2] || given != "" && ids[1] != given || !uuid7.MatchString(ids[2]) {
					t.Fatalf("ids = %v, want two, the first %q if that is given", ids, given)
				}
				h := troupetest.NewHandler[int](t)
				subscribe(t, topic, "s", h.Handle)
				for _, l := range rt.Letters() {
					if err := rt.Redrive(t.Context(), l.ID); err != nil {
						t.Fatal(err)
					}
				}
				rt.Idle()
				for _, c := range h.Calls() {
					if c.ID() != ids[c.Event] {
						t.Errorf("event %d: id %s, want %s", c.Event, c.ID(), ids[c.Event])
					}
					if c.CausationID() != "" || c.Event == 1 && c.CorrelationID() != "c" {
						t.Errorf("event %d: correlation %q, causation %q, want them as they were", c.Event, c.CorrelationID(), c.CausationID())
					}
				}
			})
		})
	}
}

// A chain of three: the correlation is the first event's all along, the causation
// that of the event before.
func TestCorrelationFollowsTheHandlers(t *testing.T) {
	publishers := map[string]struct {
		cfg     topics.Config
		publish func(*topics.Topic[int], context.Context, int) error
	}{
		"PublishWith": {publish: func(topic *topics.Topic[int], ctx context.Context, ev int) error {
			return topic.PublishWith(ctx, ev, topics.Meta{})
		}},
		"Publish": {cfg: topics.Config{Correlate: true}, publish: (*topics.Topic[int]).Publish},
		"PublishBatch": {cfg: topics.Config{Correlate: true}, publish: func(topic *topics.Topic[int], ctx context.Context, ev int) error {
			n, err := topic.PublishBatch(ctx, []int{ev})
			if n != 1 {
				t.Errorf("PublishBatch = %d, want 1", n)
			}
			return err
		}},
	}
	for name, p := range publishers {
		for _, root := range []string{"", "request-1"} {
			t.Run(name+" "+root, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					rt := troupetest.New(t)
					var chain []*topics.Topic[int]
					for i := range 3 {
						topic, err := topics.Open[int](rt.Runtime, fmt.Sprint("t", i), p.cfg)
						if err != nil {
							t.Fatal(err)
						}
						chain = append(chain, topic)
					}
					var got []topics.Delivery
					for i, topic := range chain {
						subscribe(t, topic, "s", func(ctx context.Context, ev int) error {
							d, _ := topics.DeliveryFrom(ctx)
							got = append(got, d)
							if i+1 < len(chain) {
								return p.publish(chain[i+1], ctx, ev)
							}
							return supervisor.Permanent(errBoom)
						})
					}
					var m topics.Meta
					if root != "" {
						m.Headers = map[string]string{topics.HeaderCorrelation: root}
					}
					if err := chain[0].PublishWith(t.Context(), 1, m); err != nil {
						t.Fatal(err)
					}
					rt.Idle()
					if len(got) != 3 {
						t.Fatalf("%d deliveries, want 3", len(got))
					}
					want := root
					if want == "" {
						want = got[0].ID()
					}
					for i, d := range got {
						cause := ""
						if i > 0 {
							cause = got[i-1].ID()
						}
						if d.CorrelationID() != want || d.CausationID() != cause {
							t.Errorf("event %d: correlation %q, causation %q, want %q, %q", i, d.CorrelationID(), d.CausationID(), want, cause)
						}
					}
					rt.WantLetters(deadletter.Letter{CorrelationID: want, CausationID: got[1].ID(), EventID: got[2].ID()})
				})
			})
		}
	}
}

func TestCorrelationIsOnlyWhereItWasAskedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		from := open(t, rt)
		to, err := topics.Open[int](rt.Runtime, "to")
		if err != nil {
			t.Fatal(err)
		}
		h := troupetest.NewHandler[int](t)
		subscribe(t, to, "s", h.Handle)
		mine := map[string]string{topics.HeaderCorrelation: "mine", topics.HeaderCausation: "", "k": "v"}
		subscribe(t, from, "s", func(ctx context.Context, ev int) error {
			return errors.Join(to.Publish(ctx, 1), to.PublishWith(ctx, 2, topics.Meta{Headers: mine}),
				to.PublishWith(context.Background(), 3, topics.Meta{}), to.PublishWith(ctx, 4, topics.Meta{Headers: map[string]string{"k": "v"}}))
		})
		publish(t, from, 1)
		rt.Idle()
		calls := h.Calls()
		for i, want := range []map[string]string{nil, mine, nil} {
			if !maps.Equal(calls[i].Headers, want) {
				t.Errorf("event %d has headers %v, want %v", i+1, calls[i].Headers, want)
			}
		}
		if c := calls[3]; c.Headers["k"] != "v" || c.CausationID() == "" || len(c.Headers) != 3 {
			t.Errorf("headers = %v, want k and both of ours", c.Headers)
		}
		if len(mine) != 3 {
			t.Errorf("the caller's headers are %v by now", mine)
		}
	})
}

func TestNewIDsSortInTheOrderTheyWereMade(t *testing.T) {
	var ids []string
	for range 10000 {
		ids = append(ids, topics.NewID())
	}
	if !slices.IsSorted(ids) || len(slices.Compact(ids)) != 10000 {
		t.Error("ids are not sorted or not unique")
	}
	at := time.Date(2026, 3, 14, 3, 0, 0, 0, time.UTC)
	if id := actors.NewID(at); !uuid7.MatchString(id) || !strings.HasPrefix(id, fmt.Sprintf("%08x-%04x", at.UnixMilli()>>16, at.UnixMilli()&0xffff)) {
		t.Errorf("NewID = %s, want a UUID 7 of %v", id, at)
	}
	if id := actors.NewID(time.Time{}); !strings.HasPrefix(id, "00000000-0000-7000-") {
		t.Errorf("NewID of no time = %s, want the epoch", id)
	}
}

func TestNoDeliveryHasNoID(t *testing.T) {
	if id := (topics.Delivery{}).ID(); id != "" {
		t.Errorf("id = %q, want none", id)
	}
}

func TestPriceOfIdentity(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	var facts, id float64
	subscribe(t, topic, "s", func(ctx context.Context, _ int) error {
		facts = testing.AllocsPerRun(100, func() { topics.DeliveryFrom(ctx) })
		d, _ := topics.DeliveryFrom(ctx)
		id = testing.AllocsPerRun(100, func() { idSink = d.ID() })
		return nil
	})
	publish(t, topic, 1)
	rt.Idle()
	if facts != 0 || id != 1 {
		t.Errorf("facts take %v allocations and an id %v, want 0 and 1", facts, id)
	}
}

var idSink string
