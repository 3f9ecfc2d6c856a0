package topics_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

func TestOpenIsIdempotent(t *testing.T) {
	rt := troupetest.New(t)
	first, err := topics.Open[int](rt.Runtime, "t", topics.Config{Unrouted: topics.RejectUnrouted})
	if err != nil || first.Name() != "t" {
		t.Fatalf("Open = %v, %v", first, err)
	}
	var openers sync.WaitGroup
	for range 8 {
		openers.Go(func() {
			again, err := topics.Open[int](rt.Runtime, "t")
			if err != nil || again != first {
				t.Errorf("Open = %p, %v, want %p", again, err, first)
			}
		})
	}
	openers.Wait()
	// The configuration is that of the call that made it.
	wantErr(t, "Publish", first.Publish(t.Context(), 1), topics.ErrNoSubscriber)
	if n := len(rt.Snapshot().Topics); n != 1 {
		t.Errorf("%d topics, want 1", n)
	}
}

func TestOpenWithAnotherTypeIsAMismatch(t *testing.T) {
	rt := troupetest.New(t)
	open(t, rt)
	_, err := topics.Open[string](rt.Runtime, "t")
	wantErr(t, "Open", err, topics.ErrTypeMismatch)
	if !strings.Contains(err.Error(), "t carries int, not string") {
		t.Errorf("error = %q, want both types", err)
	}
	type number int
	_, err = topics.Open[number](rt.Runtime, "t")
	wantErr(t, "Open of a defined type", err, topics.ErrTypeMismatch)
}

func TestOpenReportsFaults(t *testing.T) {
	rt := troupetest.New(t)
	if _, err := topics.Open[int](rt.Runtime, "t", topics.Config{Unrouted: 9}); err == nil || !strings.Contains(err.Error(), "Unrouted 9: must be") {
		t.Errorf("Open = %v, want a fault of Unrouted", err)
	}
	if _, err := topics.Open[int](rt.Runtime, "a b"); err == nil || !strings.Contains(err.Error(), `"a b"`) {
		t.Errorf("Open = %v, want a fault of the name", err)
	}
}

// Every way in which Publish refuses, its error, and the counter it is under.
func TestPublishErrors(t *testing.T) {
	cause := errors.New("enough")
	for _, c := range []struct {
		name   string
		cfg    topics.Config
		sub    *topics.SubscriberConfig // paused
		before int
		ctx    func() (context.Context, context.CancelFunc)
		close  bool
		want   error
		reason string
	}{
		{name: "no subscriber", cfg: topics.Config{Unrouted: topics.RejectUnrouted}, want: topics.ErrNoSubscriber, reason: supervisor.ReasonUnrouted},
		{name: "full", sub: &topics.SubscriberConfig{Capacity: 2, Overflow: mailbox.Reject}, before: 2, want: topics.ErrFull, reason: "full"},
		{name: "ctx ends while full", sub: &topics.SubscriberConfig{Capacity: 2}, before: 2, want: cause, reason: "canceled",
			ctx: func() (context.Context, context.CancelFunc) {
				return context.WithTimeoutCause(context.Background(), time.Second, cause)
			}},
		{name: "ctx has ended and it is full", sub: &topics.SubscriberConfig{Capacity: 2}, before: 2, want: context.Canceled, reason: "canceled",
			ctx: func() (context.Context, context.CancelFunc) {
				ctx, cancel := context.WithCancel(context.Background())
				cancel()
				return ctx, cancel
			}},
		{name: "closed", sub: &topics.SubscriberConfig{}, close: true, want: runtime.ErrClosed, reason: "closed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var rejected notes[runtime.Event]
				rt := troupetest.New(t, runtime.Config{Observer: runtime.Observer{Rejected: rejected.add}})
				topic := open(t, rt, c.cfg)
				if c.sub != nil {
					subscribe(t, topic, "s", ok, *c.sub).Pause()
				}
				for n := range c.before {
					publish(t, topic, n)
				}
				if c.close {
					if _, err := rt.Shutdown(t.Context()); err != nil {
						t.Fatal(err)
					}
				}
				ctx, cancel := context.Background(), context.CancelFunc(func() {})
				if c.ctx != nil {
					ctx, cancel = c.ctx()
				}
				defer cancel()
				for _, publish := range []func() error{
					func() error { return topic.Publish(ctx, 9) },
					func() error { return topic.PublishWith(ctx, 9, topics.Meta{}) },
				} {
					err := publish()
					wantErr(t, "Publish", err, c.want)
					if err != nil && !strings.HasPrefix(err.Error(), "topics: publish t: ") {
						t.Errorf("error = %q, want the name of the topic", err)
					}
				}
				top := account(t, rt)
				if top.Rejected[c.reason] != 2 || top.Attempted != uint64(c.before+2) || top.Accepted != uint64(c.before) {
					t.Errorf("account = %+v, want 2 rejected as %s", top.Publications, c.reason)
				}
				for _, e := range rejected.all() {
					if e.Topic != "t" || e.Reason != c.reason || !errors.Is(e.Err, c.want) {
						t.Errorf("observer was told %+v, want reason %s", e, c.reason)
					}
				}
				if len(rejected.all()) != 2 {
					t.Errorf("observer was told %d times, want 2", len(rejected.all()))
				}
			})
		})
	}
}

func TestFullErrorNamesTheSubscriber(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	subscribe(t, topic, "roomy", ok)
	subscribe(t, topic, "tight", ok, topics.SubscriberConfig{Capacity: 1, Overflow: mailbox.Reject}).Pause()
	publish(t, topic, 1)
	var full *mailbox.FullError
	if err := topic.Publish(t.Context(), 2); !errors.As(err, &full) || full.Mailbox != "t/tight" || full.Capacity != 1 {
		t.Errorf("Publish = %v, want a FullError of t/tight", err)
	}
}

// What one subscriber refuses, no other gets.
func TestPublishIsAllOrNothing(t *testing.T) {
	t.Run("reject", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			rt := troupetest.New(t)
			topic := open(t, rt)
			all := troupetest.NewHandler[int](t)
			subscribe(t, topic, "before", all.Handle)
			tight := troupetest.NewHandler[int](t)
			sub := subscribe(t, topic, "tight", tight.Handle, topics.SubscriberConfig{Capacity: 2, Overflow: mailbox.Reject})
			subscribe(t, topic, "after", all.Handle)
			subscribe(t, topic, "lossy", all.Handle, topics.SubscriberConfig{Capacity: 1, Overflow: mailbox.DropOldest}).Pause()
			sub.Pause()
			var accepted []int
			for n := range 10 {
				if topic.Publish(t.Context(), n) == nil {
					accepted = append(accepted, n)
				}
			}
			wantSlice(t, "accepted", accepted, 0, 1)
			sub.Resume()
			_ = rt.Resume("t", "lossy")
			rt.Idle()
			tight.WantEvents(0, 1)
			if n := len(all.Events()); n != 2+2+1 {
				t.Errorf("the others handled %d events, want 5", n)
			}
			for _, s := range account(t, rt).Subscribers {
				if s.Counts.Deliveries != 2 {
					t.Errorf("%s had %d deliveries, want 2", s.Name, s.Counts.Deliveries)
				}
			}
		})
	})
	// Many publishers against subscribers of which one or the other is full.
	t.Run("under load", func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		cfg := topics.SubscriberConfig{Capacity: 4, Overflow: mailbox.Reject}
		var seen [3]notes[int]
		for i := range seen {
			subscribe(t, topic, fmt.Sprint("s", i), func(_ context.Context, n int) error { seen[i].add(n); return nil }, cfg)
		}
		var accepted notes[int]
		var publishers sync.WaitGroup
		for p := range 4 {
			publishers.Go(func() {
				for i := range 2000 {
					n := p*10000 + i
					switch err := topic.Publish(context.Background(), n); {
					case err == nil:
						accepted.add(n)
					case !errors.Is(err, topics.ErrFull):
						t.Errorf("Publish: %v", err)
					}
				}
			})
		}
		publishers.Wait()
		rt.Idle()
		want := map[int]bool{}
		for _, n := range accepted.all() {
			want[n] = true
		}
		first := seen[0].all()
		for i := range seen {
			got := seen[i].all()
			if len(got) != len(want) {
				t.Errorf("subscriber %d got %d events, want the %d that were accepted", i, len(got), len(want))
			}
			for k, n := range got {
				if !want[n] {
					t.Fatalf("subscriber %d got %d, which was refused", i, n)
				}
				if n != first[k] {
					t.Fatalf("subscriber %d got %d as number %d, subscriber 0 got %d: not the same order", i, n, k, first[k])
				}
			}
		}
		top := account(t, rt)
		if top.Attempted != 8000 || top.Accepted != uint64(len(want)) || top.Rejected["full"] != 8000-uint64(len(want)) {
			t.Errorf("account = %+v, want %d accepted of 8000", top.Publications, len(want))
		}
	})
}

func TestBlockHoldsThePublisherUntilThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t)
		subscribe(t, topic, "s", func(ctx context.Context, n int) error { time.Sleep(time.Second); return h.Handle(ctx, n) },
			topics.SubscriberConfig{Capacity: 2})
		publish(t, topic, 0)
		synctest.Wait() // in hand: it does not wait
		begin := time.Now()
		for n := range 4 {
			publish(t, topic, n+1)
			// Event n+1 fits in once event n-1 is in hand.
			if took, want := time.Since(begin), time.Duration(max(n-1, 0))*time.Second; took != want {
				t.Errorf("event %d was taken after %v, want %v", n+1, took, want)
			}
		}
		rt.Idle()
		h.WantEvents(0, 1, 2, 3, 4)
	})
}

func TestEventsOfOnePublisherKeepTheirOrder(t *testing.T) {
	for _, overflow := range []mailbox.Overflow{mailbox.Block, mailbox.Unbounded, mailbox.DropOldest, mailbox.DropNewest} {
		t.Run(overflow.String(), func(t *testing.T) {
			rt := troupetest.New(t)
			topic := open(t, rt)
			const publishers, each = 4, 3000
			var last [publishers]int
			var handled int
			for i := range last {
				last[i] = -1
			}
			subscribe(t, topic, "s", func(_ context.Context, n int) error {
				p, i := n/each, n%each
				if i <= last[p] {
					t.Errorf("publisher %d: event %d after %d", p, i, last[p])
				}
				last[p] = i
				handled++
				return nil
			}, topics.SubscriberConfig{Overflow: overflow, Capacity: 16})
			var work sync.WaitGroup
			for p := range publishers {
				work.Go(func() {
					for i := range each {
						if err := topic.Publish(context.Background(), p*each+i); err != nil {
							t.Errorf("Publish: %v", err)
						}
					}
				})
			}
			work.Wait()
			rt.Idle()
			c := counts(t, rt, "s")
			if int(c.Done) != handled || c.Done+c.TotalDropped() != publishers*each {
				t.Errorf("handled %d of %+v", handled, c)
			}
			if (overflow == mailbox.Block || overflow == mailbox.Unbounded) && handled != publishers*each {
				t.Errorf("handled %d, want %d", handled, publishers*each)
			}
		})
	}
}

func TestHandlersMayPublish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t)
		// Into its own topic, while there is room.
		subscribe(t, topic, "countdown", func(ctx context.Context, n int) error {
			if n > 0 {
				if err := topic.Publish(ctx, n-1); err != nil {
					return err
				}
			}
			return h.Handle(ctx, n)
		}, topics.SubscriberConfig{Capacity: 2})
		publish(t, topic, 50)
		rt.Idle()
		if n := len(h.Events()); n != 51 {
			t.Errorf("handled %d events, want 51", n)
		}
	})
}

func TestHandlerThatWouldWaitForItselfIsTold(t *testing.T) {
	t.Run("its own mailbox", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			rt := troupetest.New(t)
			topic := open(t, rt)
			var got error
			calls := 0
			subscribe(t, topic, "s", func(ctx context.Context, n int) error {
				if calls++; n == 0 {
					for got == nil {
						got = topic.Publish(ctx, 1)
					}
				}
				return nil
			}, topics.SubscriberConfig{Capacity: 3})
			publish(t, topic, 0)
			rt.Idle()
			wantErr(t, "Publish", got, topics.ErrWouldDeadlock)
			if !strings.Contains(got.Error(), "t/s waits for itself") {
				t.Errorf("error = %q, want the name", got)
			}
			// Beside the one in hand there were three places.
			if top := account(t, rt); calls != 4 || top.Rejected["would_deadlock"] != 1 {
				t.Errorf("%d calls, account %+v, want 4 and one rejected", calls, top.Publications)
			}
		})
	})
	t.Run("a circle", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			rt := troupetest.New(t)
			var ring [3]*topics.Topic[int]
			for i := range ring {
				var err error
				if ring[i], err = topics.Open[int](rt.Runtime, fmt.Sprint("ring.", i)); err != nil {
					t.Fatal(err)
				}
			}
			var would notes[error]
			for i := range ring {
				if _, err := ring[i].Subscribe("s", func(ctx context.Context, n int) error {
					if n == 0 {
						return nil
					}
					for range 2 {
						if err := ring[(i+1)%3].Publish(ctx, n-1); err != nil {
							would.add(err)
							return nil
						}
					}
					return nil
				}, topics.SubscriberConfig{Capacity: 2}); err != nil {
					t.Fatal(err)
				}
			}
			for i := range ring {
				publish(t, ring[i], 12, 12)
			}
			rt.Idle(time.Hour) // whatever happens, it comes to rest
			if len(would.all()) == 0 {
				t.Error("nobody was told, though the ring was overfull")
			}
			for _, err := range would.all() {
				wantErr(t, "Publish", err, topics.ErrWouldDeadlock)
			}
		})
	})
}

func TestUnrouted(t *testing.T) {
	for _, c := range []struct {
		unrouted topics.Unrouted
		err      error
		want     runtime.Publications
		letters  []deadletter.Letter
	}{
		{topics.CountUnrouted, nil, runtime.Publications{Attempted: 2, Accepted: 2, Unrouted: 2}, nil},
		{topics.RejectUnrouted, topics.ErrNoSubscriber, runtime.Publications{Attempted: 2}, nil},
		{topics.DeadLetterUnrouted, nil, runtime.Publications{Attempted: 2, Accepted: 2, Unrouted: 2}, []deadletter.Letter{
			{Topic: "t", Reason: supervisor.ReasonUnrouted, Payload: []byte("1")},
			{Topic: "t", Reason: supervisor.ReasonUnrouted, Payload: []byte("2"), Headers: map[string]string{"k": "v"}}}},
	} {
		t.Run(fmt.Sprint(c.unrouted), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				rt := troupetest.New(t)
				topic := open(t, rt, topics.Config{Unrouted: c.unrouted})
				wantErr(t, "Publish", topic.Publish(t.Context(), 1), c.err)
				wantErr(t, "PublishWith", topic.PublishWith(t.Context(), 2, topics.Meta{Headers: map[string]string{"k": "v"}}), c.err)
				rt.WantLetters(c.letters...)
				top := account(t, rt)
				if top.Attempted != c.want.Attempted || top.Accepted != c.want.Accepted || top.Unrouted != c.want.Unrouted ||
					top.Undelivered.DeadLettered != uint64(len(c.letters)) {
					t.Errorf("account = %+v, want %+v", top.Publications, c.want)
				}
				// With a subscriber it is an event like any other, and without again not.
				h := troupetest.NewHandler[int](t)
				sub := subscribe(t, topic, "s", h.Handle)
				publish(t, topic, 3)
				rt.Idle()
				h.WantEvents(3)
				if err := sub.Unsubscribe(t.Context(), runtime.Drain); err != nil {
					t.Fatal(err)
				}
				wantErr(t, "Publish after the last one left", topic.Publish(t.Context(), 4), c.err)
			})
		})
	}
}

func TestUnroutedLettersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m, err := deadletter.NewMemory(deadletter.MemoryConfig{})
		if err != nil {
			t.Fatal(err)
		}
		store := &failing{Store: m}
		rt := troupetest.New(t, runtime.Config{DeadLetters: store, MaxParkedLetters: 3})
		topic := open(t, rt, topics.Config{Unrouted: topics.DeadLetterUnrouted})
		store.set(errBoom)
		publish(t, topic, 1, 2, 3)
		wantErr(t, "Publish", topic.Publish(t.Context(), 4), topics.ErrNoRoom)
		if top := account(t, rt); top.Rejected[actors.ReasonDeadLettersUnavailable] != 1 || top.Accepted != 3 || top.Undelivered.Parked != 3 {
			t.Errorf("account = %+v, want 3 parked and 1 rejected", top.Publications)
		}
		store.set(nil)
		rt.Idle(time.Hour)
		publish(t, topic, 5)
		rt.WantLetters(deadletter.Letter{Payload: []byte("1")}, deadletter.Letter{Payload: []byte("2")},
			deadletter.Letter{Payload: []byte("3")}, deadletter.Letter{Payload: []byte("5")})
	})
}

// failing is a store that can be told to fail.
type failing struct {
	deadletter.Store
	mu  sync.Mutex
	err error
}

func (f *failing) set(err error) {
	f.mu.Lock()
	f.err = err
	f.mu.Unlock()
}

func (f *failing) Add(ctx context.Context, letters []deadletter.Letter) error {
	f.mu.Lock()
	err := f.err
	f.mu.Unlock()
	if err != nil {
		return err
	}
	return f.Store.Add(ctx, letters)
}

func TestPublishWithTakesACopyOfTheHeaders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t)
		sub := subscribe(t, topic, "s", h.Handle)
		sub.Pause()
		headers := map[string]string{"tenant": "x"}
		at := time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC)
		if err := topic.PublishWith(t.Context(), 1, topics.Meta{Headers: headers, PublishedAt: at}); err != nil {
			t.Fatal(err)
		}
		headers["tenant"] = "y"
		if err := topic.PublishWith(t.Context(), 2, topics.Meta{}); err != nil {
			t.Fatal(err)
		}
		publish(t, topic, 3)
		published := time.Now()
		time.Sleep(time.Hour)
		sub.Resume()
		rt.Idle()
		calls := h.Calls()
		if c := calls[0]; c.Headers["tenant"] != "x" || !c.PublishedAt.Equal(at) {
			t.Errorf("first delivery = %+v, want the headers as they were and the time that was given", c)
		}
		for _, c := range calls[1:] {
			if len(c.Headers) != 0 || !c.PublishedAt.Equal(published) {
				t.Errorf("delivery = %+v, want no headers and the time of publication", c)
			}
		}
	})
}

func TestAccountOfATopicCountsEveryAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt, topics.Config{Unrouted: topics.RejectUnrouted})
		_ = topic.Publish(t.Context(), 1) // no subscriber
		sub := subscribe(t, topic, "s", ok, topics.SubscriberConfig{Capacity: 1, Overflow: mailbox.Reject})
		sub.Pause()
		publish(t, topic, 2)
		_ = topic.Publish(t.Context(), 3) // full
		sub.Resume()
		rt.Idle()
		if _, err := rt.Shutdown(t.Context()); err != nil {
			t.Fatal(err)
		}
		_ = topic.Publish(t.Context(), 4) // closed
		top := account(t, rt)
		if top.Attempted != 4 || top.Accepted != 1 || top.Rejected["full"] != 1 || top.Rejected["closed"] != 1 || top.Rejected[supervisor.ReasonUnrouted] != 1 {
			t.Errorf("account = %+v, want one of each", top.Publications)
		}
	})
}
