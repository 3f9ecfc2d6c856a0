package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

var troupe = Library{
	Name:     Ours,
	Module:   "github.com/troupe-go/troupe",
	Handlers: Isolated,
	Bound:    "4096 per subscriber",
	Ordered:  true,
	Guarantees: "Default configuration, with retry configured: every subscriber is a supervised actor with a bounded mailbox of 4096 (policy Block, " +
		"acceptance all or nothing over the subscribers), panics and errors are retried and end as dead letters in the memory store, every " +
		"delivery is accounted for, order per producer. No goroutine while idle.",
	Open: func(_ int, subs []*Subscriber) (Bus, error) {
		rt, err := runtime.New(runtime.Config{Name: "bench"})
		if err != nil {
			return nil, err
		}
		b := &troupeBus{rt: rt}
		if b.topic, err = topics.Open[Event](rt, "bench.events"); err != nil {
			return nil, err
		}
		for i, s := range subs {
			handler := func(_ context.Context, ev Event) error {
				s.Handle(ev)
				return nil
			}
			cfg := topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: 5, BaseDelay: 100 * time.Millisecond}}
			if _, err := b.topic.Subscribe(fmt.Sprintf("subscriber-%d", i), handler, cfg); err != nil {
				return nil, err
			}
		}
		return b, nil
	},
}

type troupeBus struct {
	rt    *runtime.Runtime
	topic *topics.Topic[Event]
}

func (b *troupeBus) Publish(ev Event) error { return b.topic.Publish(context.Background(), ev) }

func (b *troupeBus) Close() error {
	report, err := b.rt.Shutdown(context.Background())
	if err == nil && !report.Clean {
		err = errors.New("troupe: shutdown was not clean")
	}
	return err
}
