package topics_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

func TestPublishBatchReachesEverySubscriberInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var accepted atomic.Int64
		rt := troupetest.New(t, runtime.Config{Observer: runtime.Observer{Accepted: func(runtime.Event) { accepted.Add(1) }}})
		topic := open(t, rt)
		var a, b notes[int]
		subscribe(t, topic, "a", func(_ context.Context, ev int) error { a.add(ev); return nil })
		subscribe(t, topic, "b", func(_ context.Context, ev int) error { b.add(ev); return nil }, topics.SubscriberConfig{Capacity: 3})
		var evs []int
		for i := range 1000 {
			evs = append(evs, i)
		}
		if n, err := topic.PublishBatch(t.Context(), evs); n != 1000 || err != nil {
			t.Fatalf("PublishBatch = %d, %v, want 1000, nil", n, err)
		}
		synctest.Wait()
		wantSlice(t, "a", a.all(), evs...)
		wantSlice(t, "b", b.all(), evs...)
		if top := account(t, rt); top.Accepted != 1000 || top.Attempted != 1000 || accepted.Load() != 1000 {
			t.Errorf("account = %+v and %d told, want 1000 accepted", top.Publications, accepted.Load())
		}
	})
}

// The first event that is refused ends a batch, and is the only one that counts
// as refused.
func TestPublishBatchStopsAtTheFirstRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		rt := troupetest.New(t, runtime.Config{})
		topic := open(t, rt)
		subscribe(t, topic, "wide", ok)
		narrow := subscribe(t, topic, "narrow", ok, topics.SubscriberConfig{Capacity: 4, Overflow: mailbox.Reject})
		narrow.Pause()
		synctest.Wait()
		n, err := topic.PublishBatch(t.Context(), make([]int, 10))
		var full *mailbox.FullError
		if n != 4 || !errors.As(err, &full) || !strings.HasPrefix(err.Error(), "topics: publish t: ") {
			t.Errorf("PublishBatch = %d, %v, want 4 and which mailbox is full", n, err)
		}
		if top := account(t, rt); top.Accepted != 4 || top.Rejected["full"] != 1 || top.Attempted != 5 {
			t.Errorf("account = %+v, want 4 accepted and 1 rejected", top.Publications)
		}
		narrow.Resume()
	})
}

func TestPublishBatchWithoutSubscriber(t *testing.T) {
	for unrouted, want := range map[topics.Unrouted]int{topics.CountUnrouted: 3, topics.DeadLetterUnrouted: 3, topics.RejectUnrouted: 0} {
		synctest.Test(t, func(t *testing.T) {
			rt := troupetest.New(t, runtime.Config{})
			topic := open(t, rt, topics.Config{Unrouted: unrouted})
			n, err := topic.PublishBatch(t.Context(), []int{1, 2, 3})
			if n != want || errors.Is(err, topics.ErrNoSubscriber) != (want == 0) {
				t.Errorf("%d: PublishBatch = %d, %v, want %d", unrouted, n, err, want)
			}
			synctest.Wait()
			top := account(t, rt)
			if int(top.Unrouted) != want || int(top.Rejected[supervisor.ReasonUnrouted]) != min(1, 3-want) {
				t.Errorf("%d: account = %+v, want %d unrouted", unrouted, top.Publications, want)
			}
			if unrouted == topics.DeadLetterUnrouted && top.Undelivered.DeadLettered != 3 {
				t.Errorf("Undelivered = %+v, want 3 dead letters", top.Undelivered)
			}
		})
	}
}
