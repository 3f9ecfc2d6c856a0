package bench

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

// roundRobin is Troupe with so many topics, subscriber i being of topic i % n.
func roundRobin(n int) Library {
	return Library{Name: fmt.Sprintf("troupe with %d topics", n), Open: func(_ int, subs []*Subscriber) (Bus, error) {
		r := &topicsBus{topics: make([]*topics.Topic[Event], n)}
		bus, err := openTroupe(len(subs), func(b *troupeBus) (err error) {
			for i := 0; i < n && err == nil; i++ {
				r.topics[i], err = attach(b, fmt.Sprintf("bench.events.%d", i), subs[i:i+1], retrying, count)
			}
			return err
		})
		r.troupeBus = bus
		return r, err
	}}
}

type topicsBus struct {
	*troupeBus
	topics []*topics.Topic[Event]
}

func (r *topicsBus) Publish(ev Event) error {
	return r.topics[ev.ID%uint64(len(r.topics))].Publish(context.Background(), ev)
}

// besideSlow is Troupe with one more subscriber, which takes a millisecond for each event.
func besideSlow(overflow mailbox.Overflow) Library {
	return Library{Name: "troupe beside a slow one", Open: func(_ int, subs []*Subscriber) (Bus, error) {
		return openTroupe(len(subs), func(b *troupeBus) (err error) {
			if b.topic, err = attach(b, "bench.events", subs, retrying, count); err != nil {
				return err
			}
			slow, err := b.topic.Subscribe("slow", func(context.Context, Event) error {
				time.Sleep(time.Millisecond)
				return nil
			}, topics.SubscriberConfig{Overflow: overflow, Capacity: 64})
			b.ending = func() error { return slow.Unsubscribe(context.Background(), runtime.Discard) }
			return err
		})
	}}
}

const stormRate = 50_000 // events per second, of the storm and of the healthy subscriber

// besideStorm is Troupe with one more topic, on which as many of [stormRate] events per second are published as
// its subscriber takes, which fails at every one. At the end rate is how often it did in a second.
func besideStorm(cfg topics.SubscriberConfig, rate *float64) Library {
	return Library{Name: "troupe beside a storm", Open: func(_ int, subs []*Subscriber) (Bus, error) {
		return openTroupe(len(subs), func(b *troupeBus) (err error) {
			if b.topic, err = attach(b, "bench.events", subs, retrying, count); err != nil {
				return err
			}
			storm, err := topics.Open[Event](b.rt, "bench.storm")
			if err != nil {
				return err
			}
			failing, err := storm.Subscribe("failing", func(context.Context, Event) error { return errStorm }, cfg)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithCancel(context.Background())
			var publisher sync.WaitGroup
			start := clock()
			publisher.Go(func() {
				for i := int64(0); ctx.Err() == nil; i++ {
					sleeping(start + i*int64(time.Second)/stormRate)
					if err := storm.Publish(ctx, Event{}); err != nil {
						return // the end of ctx; another error would leave the storm without failures
					}
				}
			})
			b.ending = func() error {
				for failing.Snapshot().Counts.Failures == 0 { // a short run of a test may be over before the storm
					time.Sleep(time.Millisecond)
				}
				cancel()
				publisher.Wait()
				*rate = float64(failing.Snapshot().Counts.Failures) / time.Duration(clock()-start).Seconds()
				return failing.Unsubscribe(context.Background(), runtime.Discard)
			}
			return nil
		})
	}}
}

var errStorm = errors.New("storm")
