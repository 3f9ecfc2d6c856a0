package topics_test

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

// Ten events for a paused subscriber with room for three, under each policy that
// never holds a publisher back.
func TestOverflowPolicies(t *testing.T) {
	for _, c := range []struct {
		overflow mailbox.Overflow
		handled  []int
		dropped  map[string]uint64
		letters  int
	}{
		{mailbox.Reject, []int{0, 1, 2}, nil, 0},
		{mailbox.DropOldest, []int{7, 8, 9}, map[string]uint64{actors.ReasonOverflowOldest: 7}, 0},
		{mailbox.DropNewest, []int{0, 1, 2}, map[string]uint64{actors.ReasonOverflowNewest: 7}, 0},
		{mailbox.Latest, []int{9}, map[string]uint64{actors.ReasonSuperseded: 9}, 0},
		{mailbox.DeadLetter, []int{0, 1, 2}, nil, 7},
		{mailbox.Unbounded, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, nil, 0},
	} {
		t.Run(c.overflow.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var told notes[runtime.Event]
				rt := troupetest.New(t, runtime.Config{Observer: runtime.Observer{Dropped: told.add}})
				topic := open(t, rt)
				h, other := troupetest.NewHandler[int](t), troupetest.NewHandler[int](t)
				sub := subscribe(t, topic, "s", h.Handle, topics.SubscriberConfig{Capacity: 3, Overflow: c.overflow})
				subscribe(t, topic, "other", other.Handle)
				sub.Pause()
				accepted := 0
				for n := range 10 {
					if err := topic.Publish(t.Context(), n); err == nil {
						accepted++
					}
				}
				waiting := counts(t, rt, "s")
				if waiting.Queued != uint64(len(c.handled)) || waiting.Deliveries != uint64(accepted) {
					t.Errorf("while it is paused: %+v, want %d queued of %d", waiting, len(c.handled), accepted)
				}
				sub.Resume()
				rt.Idle()
				h.WantEvents(c.handled...)
				if n := len(other.Events()); n != accepted {
					t.Errorf("the other handled %d events, want %d", n, accepted)
				}
				got := counts(t, rt, "s")
				if got.Done != uint64(len(c.handled)) || got.DeadLettered != uint64(c.letters) || fmt.Sprint(got.Dropped) != fmt.Sprint(c.dropped) {
					t.Errorf("account = %+v, want %d done, %d dead-lettered, dropped %v", got, len(c.handled), c.letters, c.dropped)
				}
				sum := map[string]uint64{}
				for _, e := range told.all() {
					if e.Topic != "t" || e.Subscriber != "s" {
						t.Errorf("observer was told %+v", e)
					}
					sum[e.Reason] += e.Count
				}
				if fmt.Sprint(sum) != fmt.Sprint(c.dropped) {
					t.Errorf("observer was told of %v, want %v", sum, c.dropped)
				}
				if n := len(rt.Letters()); n != c.letters {
					t.Errorf("%d letters, want %d", n, c.letters)
				}
			})
		})
	}
}

func TestOverflowLettersCanBeRedriven(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t)
		sub := subscribe(t, topic, "s", h.Handle, topics.SubscriberConfig{Capacity: 1, Overflow: mailbox.DeadLetter})
		sub.Pause()
		publish(t, topic, 1)
		if err := topic.PublishWith(t.Context(), 2, topics.Meta{Headers: map[string]string{"k": "v"}}); err != nil {
			t.Fatal(err)
		}
		publish(t, topic, 3)
		_ = rt.Snapshot() // takes over what has been published
		sub.Resume()
		rt.WantLetters(
			deadletter.Letter{Topic: "t", Subscriber: "s", Sequence: 2, Reason: supervisor.ReasonOverflow, Payload: []byte("2"), Headers: map[string]string{"k": "v"}},
			deadletter.Letter{Topic: "t", Subscriber: "s", Sequence: 3, Reason: supervisor.ReasonOverflow, Payload: []byte("3")})
		for _, l := range rt.Letters() {
			if l.AttemptCount != 0 || l.Cause != "" || l.Fingerprint == "" || l.FirstFailedAt.IsZero() {
				t.Errorf("letter = %+v, want one without attempts", l)
			}
			if err := rt.Redrive(t.Context(), l.ID); err != nil {
				t.Errorf("Redrive: %v", err)
			}
			rt.Idle()
		}
		h.WantEvents(1, 2, 3)
		rt.WantLetters(deadletter.Letter{State: deadletter.StateResolved}, deadletter.Letter{State: deadletter.StateResolved})
		if c := counts(t, rt, "s"); c.Deliveries != 5 || c.Redelivered != 2 || c.Done != 3 || c.DeadLettered != 2 {
			t.Errorf("account = %+v, want 3 deliveries and 2 redeliveries", c)
		}
	})
}

func TestLatestKeepsTheNewestOfEachKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t)
		sub := subscribe(t, topic, "s", h.Handle, topics.SubscriberConfig{
			Capacity: 3, Overflow: mailbox.Latest, Key: topics.KeyOf(func(n int) string { return fmt.Sprint(n % 10) })})
		sub.Pause()
		publish(t, topic, 1, 2, 11, 3, 21, 12)
		if c := counts(t, rt, "s"); c.Queued != 3 || c.Dropped[actors.ReasonSuperseded] != 3 {
			t.Errorf("account = %+v, want 3 queued and 3 superseded", c)
		}
		publish(t, topic, 4) // a fourth key: the oldest gives way
		sub.Resume()
		rt.Idle()
		h.WantEvents(12, 3, 4)
		if c := counts(t, rt, "s"); c.Dropped[actors.ReasonSuperseded] != 3 || c.Dropped[actors.ReasonOverflowOldest] != 1 {
			t.Errorf("account = %+v, want 3 superseded and 1 dropped", c)
		}
	})
}

func TestKeyThatPanicsIsTheEmptyKeyAndAFault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var faults notes[runtime.Event]
		rt := troupetest.New(t, runtime.Config{Observer: runtime.Observer{Fault: faults.add}})
		topic := open(t, rt)
		h := troupetest.NewHandler[int](t)
		sub := subscribe(t, topic, "s", h.Handle, topics.SubscriberConfig{Capacity: 8, Overflow: mailbox.Latest,
			Key: topics.KeyOf(func(n int) string {
				if n < 0 {
					panic("negative")
				}
				return fmt.Sprint(n)
			})})
		sub.Pause()
		publish(t, topic, 1, -1, 2, -2)
		sub.Resume()
		rt.Idle()
		h.WantEvents(1, -2, 2)
		if len(faults.all()) == 0 {
			t.Fatal("nobody was told of the panic")
		}
		for _, e := range faults.all() {
			if e.Topic != "t" || e.Subscriber != "s" || e.Err == nil {
				t.Errorf("Fault was told %+v", e)
			}
		}
	})
}

func TestKeyOfAnotherTypeIsAFault(t *testing.T) {
	rt := troupetest.New(t)
	topic := open(t, rt)
	_, err := topic.Subscribe("s", ok, topics.SubscriberConfig{Key: topics.KeyOf(func(string) string { return "" })})
	if err == nil || err.Error() != "topics: subscribe t/s: Key func(string) string: must be of the topic's type, func(int) string" {
		t.Errorf("Subscribe = %v, want a fault of the key", err)
	}
}

// What the mailboxes of dropping policies have dropped is known at once, also
// while nothing runs.
func TestDropsAreCountedWhileTheSubscriberIsPaused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t)
		topic := open(t, rt)
		sub := subscribe(t, topic, "s", func(context.Context, int) error { return nil },
			topics.SubscriberConfig{Capacity: 4, Overflow: mailbox.DropOldest})
		sub.Pause()
		for n := range 5000 {
			publish(t, topic, n)
		}
		c := counts(t, rt, "s")
		if c.Queued != 4 || c.Dropped[actors.ReasonOverflowOldest] != 4996 {
			t.Errorf("account = %+v, want 4 queued and 4996 dropped", c)
		}
		if err := sub.Unsubscribe(t.Context(), runtime.Discard); err != nil {
			t.Fatal(err)
		}
		if c := sub.Snapshot().Counts; c.Dropped[actors.ReasonOverflowOldest] != 4996 || c.Dropped[supervisor.ReasonUnsubscribed] != 4 {
			t.Errorf("account in the end = %+v, want the 4 unsubscribed", c)
		}
	})
}
