package bench

import (
	"context"
	"errors"
	"fmt"
	"strconv"
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
		return openTroupe(len(subs), func(b *troupeBus) (err error) {
			b.topic, err = attach(b, "bench.events", subs, retrying, count)
			return err
		})
	},
}

var retrying = topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: 5, BaseDelay: 100 * time.Millisecond}}

func count(s *Subscriber) topics.Handler[Event] {
	return func(_ context.Context, ev Event) error {
		s.Handle(ev)
		return nil
	}
}

// troupeBus is a runtime with the topic that is published on.
type troupeBus struct {
	rt     *runtime.Runtime
	opened time.Time
	took   time.Duration // to set up, once opened
	topic  *topics.Topic[Event]
	want   int // subscriptions
	subs   []*topics.Subscription
	ending func() error // if not nil, comes before the shutdown
	judge  func() error // if not nil, looks at the account afterwards
}

// openTroupe starts a runtime and has it set up with about so many subscriptions, or ends it.
func openTroupe(subscriptions int, setUp func(*troupeBus) error) (*troupeBus, error) {
	rt, err := runtime.New(runtime.Config{Name: "bench"})
	if err != nil {
		return nil, err
	}
	b := &troupeBus{rt: rt, opened: time.Now(), want: subscriptions}
	if err := setUp(b); err != nil {
		_, _ = rt.Shutdown(context.Background()) // the first error says more
		return nil, err
	}
	b.took = time.Since(b.opened)
	return b, nil
}

// openLimit is how long opening may take: a minute for a million subscribers.
const openLimit = time.Minute

// attach subscribes subs to a topic.
func attach[E any](b *troupeBus, topic string, subs []*Subscriber, cfg topics.SubscriberConfig,
	handler func(*Subscriber) topics.Handler[E],
) (*topics.Topic[E], error) {
	t, err := topics.Open[E](b.rt, topic)
	if err != nil {
		return nil, err
	}
	for i, s := range subs {
		sub, err := t.Subscribe("subscriber-"+strconv.Itoa(i), handler(s), cfg)
		if err != nil {
			return nil, err
		}
		b.subs = append(b.subs, sub)
		if n := len(b.subs); n%10_000 == 0 {
			took := time.Since(b.opened)
			if took*time.Duration(b.want)/time.Duration(n) > openLimit {
				return nil, Skip(fmt.Sprintf("the first %d of %d subscriptions took %v, at which pace all take more than %v",
					n, b.want, took.Round(time.Second), openLimit))
			}
		}
	}
	return t, nil
}

func (b *troupeBus) Publish(ev Event) error { return b.topic.Publish(context.Background(), ev) }

// Subscribing is how long it took, without what the runtime takes that it is done on.
func (b *troupeBus) Subscribing() time.Duration { return b.took }

func (b *troupeBus) Unsubscribe(sub int) error {
	return b.subs[sub].Unsubscribe(context.Background(), runtime.Drain)
}

// Close ends the runtime and holds its account to be exact.
func (b *troupeBus) Close() error {
	var errs []error
	if b.ending != nil {
		errs = append(errs, b.ending())
	}
	report, err := b.rt.Shutdown(context.Background())
	errs = append(errs, err)
	if err == nil && !report.Clean {
		errs = append(errs, errors.New("troupe: shutdown was not clean"))
	}
	if n := report.Snapshot.Total.Balance(); n != 0 {
		errs = append(errs, fmt.Errorf("troupe: the account is off by %d", n))
	}
	if err == nil && b.judge != nil {
		errs = append(errs, b.judge())
	}
	return errors.Join(errs...)
}

// amongPatterns subscribes to n patterns, of which the last one matches, and notes
// how long that took.
func amongPatterns(n int, took *time.Duration) Library {
	return Library{Name: fmt.Sprintf("troupe with %d patterns", n), Open: func(_ int, subs []*Subscriber) (Bus, error) {
		return openTroupe(n, func(b *troupeBus) (err error) {
			for i := range n {
				pattern, handle := fmt.Sprintf("other.%d.>", i), count(subs[0])
				if i == n-1 {
					pattern = "bench.>"
				}
				sub, err := topics.SubscribePattern(b.rt, pattern, "subscriber-"+strconv.Itoa(i), handle, retrying)
				if err != nil {
					return err
				}
				b.subs = append(b.subs, sub)
			}
			*took = time.Since(b.opened)
			b.topic, err = topics.Open[Event](b.rt, "bench.events")
			return err
		})
	}}
}
