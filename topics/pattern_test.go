package topics_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

func openAt[T any](t testing.TB, rt *troupetest.Runtime, name string) *topics.Topic[T] {
	t.Helper()
	topic, err := topics.Open[T](rt.Runtime, name)
	if err != nil {
		t.Fatal(err)
	}
	return topic
}

func TestPatternTakesTopicsThatAreThereAndThatCome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		before, other := openAt[int](t, rt, "orders.eu.placed"), openAt[int](t, rt, "orders.placed")
		var mu sync.Mutex
		got := map[string][]int{}
		sub, err := topics.SubscribePattern(rt.Runtime, "orders.*.placed", "audit", func(ctx context.Context, n int) error {
			d, _ := topics.DeliveryFrom(ctx)
			mu.Lock()
			defer mu.Unlock()
			got[d.Topic] = append(got[d.Topic], n)
			if d.Subscriber != "audit" || int(d.Sequence) != n {
				t.Errorf("delivery %+v of event %d", d, n)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		after := openAt[int](t, rt, "orders.us.placed")
		openAt[string](t, rt, "invoices.us.placed") // another type, and does not match
		publish(t, before, 1, 2, 3)
		publish(t, after, 1, 2)
		publish(t, other, 1)
		rt.Idle()
		publish(t, before, 4) // out of sleep
		rt.Idle()
		if want := fmt.Sprint(map[string][]int{"orders.eu.placed": {1, 2, 3, 4}, "orders.us.placed": {1, 2}}); fmt.Sprint(got) != want {
			t.Errorf("got %v, want %v", got, want)
		}
		snap := rt.Snapshot()
		troupetest.CheckAccount(t, snap)
		top, _ := snap.Topic("orders.*.placed")
		if s, found := top.Subscriber("audit"); !found || s.Counts.Done != 6 {
			t.Errorf("account of the pattern: %+v, want audit with 6 done", top)
		}
		if u, _ := snap.Topic("orders.us.placed"); u.Unrouted != 0 || u.Accepted != 2 {
			t.Errorf("account of a topic: %+v, want 2 accepted and routed", u)
		}
		if err := sub.Unsubscribe(t.Context(), runtime.Drain); err != nil {
			t.Fatal(err)
		}
		publish(t, before, 5)
		openAt[string](t, rt, "orders.uk.placed") // nobody minds its type any more
		rt.Idle()
		if n := sub.Snapshot().Counts.Deliveries; n != 6 {
			t.Errorf("%d deliveries after Unsubscribe, want 6", n)
		}
	})
}

func TestPatternOfAnyType(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		numbers := openAt[int](t, rt, "a.numbers")
		h := troupetest.NewHandler[topics.Any](t)
		if _, err := topics.SubscribePattern(rt.Runtime, ">", "tap", h.Handle); err != nil {
			t.Fatal(err)
		}
		words := openAt[string](t, rt, "words")
		publish(t, numbers, 1)
		rt.Idle()
		if err := words.Publish(t.Context(), "two"); err != nil {
			t.Fatal(err)
		}
		rt.Idle()
		h.WantEvents(topics.Any{"a.numbers", 1}, topics.Any{"words", "two"})
		if _, err := topics.Spawn(rt.Runtime, "actor", func() topics.Behavior[int] { return topics.Behavior[int]{Receive: ok} }); err != nil {
			t.Errorf("an actor beside a pattern that matches its name: %v", err)
		}
	})
}

// A letter of a subscriber to a pattern says where the event was published, and is
// given back to this subscriber.
func TestPatternLetters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		numbers, words := openAt[int](t, rt, "x.numbers"), openAt[string](t, rt, "x.words")
		fail := errBoom
		var got []topics.Any
		if _, err := topics.SubscribePattern(rt.Runtime, "x.*", "s", func(_ context.Context, ev topics.Any) error {
			if fail == nil {
				got = append(got, ev)
			}
			return fail
		}, topics.SubscriberConfig{Retry: once}); err != nil {
			t.Fatal(err)
		}
		direct := troupetest.NewHandler[int](t)
		subscribe(t, numbers, "s", direct.Handle) // of the same name
		publish(t, numbers, 7)
		if err := words.Publish(t.Context(), "seven"); err != nil {
			t.Fatal(err)
		}
		rt.Idle()
		letters := rt.Letters()
		slices.SortFunc(letters, func(a, b deadletter.Letter) int { return strings.Compare(a.Topic, b.Topic) })
		if len(letters) != 2 || letters[0].Topic != "x.numbers" || letters[0].Pattern != "x.*" || string(letters[0].Payload) != "7" || letters[0].GoType != "int" {
			t.Fatalf("letters = %+v, want 7 of x.numbers first", letters)
		}
		fail = nil
		for _, l := range letters {
			if err := rt.Redrive(t.Context(), l.ID); err != nil {
				t.Fatal(err)
			}
		}
		rt.Idle()
		if want := []topics.Any{{"x.numbers", 7}, {"x.words", "seven"}}; !slices.Equal(got, want) {
			t.Errorf("redriven: %v, want %v", got, want)
		}
		direct.WantEvents(7)
	})
}

func TestPatternErrors(t *testing.T) {
	rt := troupetest.New(t)
	openAt[int](t, rt, "a.b")
	none := func(context.Context, string) error { return nil }
	for pattern, want := range map[string]string{
		"a.b": "no wildcard", "a.>.b": "go on", "a.b*": "inside", "a.*": "a.b carries int, not string",
	} {
		if _, err := topics.SubscribePattern(rt.Runtime, pattern, "s", none); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error = %v, want %s", pattern, err, want)
		}
	}
	_, err := topics.SubscribePattern(rt.Runtime, "a.*", "s", none)
	wantErr(t, "another type", err, topics.ErrTypeMismatch)
	_, err = topics.SubscribePattern[int](rt.Runtime, "a.*", "s", nil)
	if err == nil || !strings.Contains(err.Error(), "handler") {
		t.Errorf("nil handler: %v", err)
	}
	if _, err := topics.SubscribePattern(rt.Runtime, "c.*", "s", none); err != nil {
		t.Fatal(err)
	}
	_, err = topics.SubscribePattern(rt.Runtime, "c.*", "s", none)
	wantErr(t, "the name again", err, runtime.ErrNameTaken)
	_, err = topics.Open[int](rt.Runtime, "c.d")
	wantErr(t, "a topic of another type", err, topics.ErrTypeMismatch)
	if err == nil || !strings.Contains(err.Error(), "c.*/s") {
		t.Errorf("error = %v, want it to name the subscriber", err)
	}
	if _, err := topics.Open[string](rt.Runtime, "c.d"); err != nil {
		t.Errorf("the name of the topic that was refused: %v", err)
	}
	_, err = topics.Open[int](rt.Runtime, "c.*")
	if err == nil || !strings.Contains(err.Error(), "patterns") {
		t.Errorf("opening a pattern: %v, want an error that says so", err)
	}
	if n := len(rt.Snapshot().Topics); n != 4 {
		t.Errorf("%d topics and patterns, want 4", n)
	}
}

// A pattern whose mailbox is full holds back publishers of the topic that fills it,
// and takes part in all or nothing.
func TestPatternIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		a, b := openAt[int](t, rt, "x.a"), openAt[int](t, rt, "x.b")
		other := troupetest.NewHandler[int](t)
		subscribe(t, a, "other", other.Handle)
		h := troupetest.NewHandler[int](t)
		sub, err := topics.SubscribePattern(rt.Runtime, "x.*", "s", h.Handle, topics.SubscriberConfig{Capacity: 2, Overflow: mailbox.Reject})
		if err != nil {
			t.Fatal(err)
		}
		sub.Pause()
		publish(t, a, 1, 2)
		wantErr(t, "the third", a.Publish(t.Context(), 3), topics.ErrFull)
		publish(t, b, 11, 12)
		wantErr(t, "the third of another", b.Publish(t.Context(), 13), topics.ErrFull)
		sub.Resume()
		rt.Idle()
		publish(t, a, 4)
		rt.Idle()
		other.WantEvents(1, 2, 4)
		if got := h.Events(); len(got) != 5 || !slices.Equal(slices.DeleteFunc(slices.Clone(got), func(n int) bool { return n > 10 }), []int{1, 2, 4}) {
			t.Errorf("handled %v, want 1, 2, 4 and 11, 12", got)
		}
	})
}

// Patterns with workers, keys, filters and retries, while topics come and go on.
func TestPatternUnderLoad(t *testing.T) {
	const topicCount, each = 20, 300
	for _, cfg := range []topics.SubscriberConfig{
		{},
		{Workers: 3, Key: topics.KeyOf(lastDigit)},
		{Filter: topics.Where(even), Capacity: 5},
		{Overflow: mailbox.DropOldest, Capacity: 50, Workers: 2},
	} {
		cfg.Retry = supervisor.Retry{BaseDelay: time.Millisecond}
		t.Run(fmt.Sprintf("%v/%d", cfg.Overflow, cfg.Workers), func(t *testing.T) {
			rt := troupetest.New(t)
			var mu sync.Mutex
			done, last := 0, map[string]uint64{}
			sub, err := topics.SubscribePattern(rt.Runtime, "load.>", "s", func(ctx context.Context, n int) error {
				d, _ := topics.DeliveryFrom(ctx)
				if d.Attempt == 1 && n%50 == 7 {
					return errors.New("again")
				}
				mu.Lock()
				defer mu.Unlock()
				if cfg.Workers == 0 && last[d.Topic] >= d.Sequence {
					t.Errorf("%s: event %d after %d", d.Topic, d.Sequence, last[d.Topic])
				}
				last[d.Topic] = d.Sequence
				done++
				return nil
			}, cfg)
			if err != nil {
				t.Fatal(err)
			}
			var wg sync.WaitGroup
			for i := range topicCount {
				wg.Go(func() {
					topic := openAt[int](t, rt, fmt.Sprintf("load.t%d", i))
					for n := range each {
						publish(t, topic, n)
					}
				})
			}
			wg.Wait()
			rt.Idle(time.Minute)
			got := sub.Snapshot().Counts
			if got.Deliveries != topicCount*each || got.Done != uint64(done) || got.Done+got.Filtered+got.TotalDropped() != got.Deliveries || got.Balance() != 0 {
				t.Errorf("%+v, want %d deliveries, %d of them done", got, topicCount*each, done)
			}
			troupetest.CheckAccount(t, rt.Snapshot())
		})
	}
}

func ExampleSubscribePattern() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		panic(err)
	}
	if _, err := topics.SubscribePattern(rt, "orders.>", "audit", func(_ context.Context, ev topics.Any) error {
		fmt.Printf("%s: %v\n", ev.Topic, ev.Event)
		return nil
	}); err != nil {
		panic(err)
	}
	placed, err := topics.Open[order](rt, "orders.eu.placed")
	if err != nil {
		panic(err)
	}
	ctx := context.Background()
	_ = placed.Publish(ctx, order{"o-1", 20_00})
	_, _ = rt.Shutdown(ctx)
	// Output: orders.eu.placed: {o-1 2000}
}
