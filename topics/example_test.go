package topics_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// Every subscriber of a topic gets every event, in the order of publication.
func ExampleTopic_Publish() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	orders, err := topics.Open[string](rt, "orders.placed")
	if err != nil {
		log.Fatal(err)
	}
	billed, shipped := 0, 0
	_, err1 := orders.Subscribe("billing", func(context.Context, string) error { billed++; return nil })
	_, err2 := orders.Subscribe("shipping", func(context.Context, string) error { shipped++; return nil })
	if err := errors.Join(err1, err2); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for _, order := range []string{"o-1", "o-2", "o-3"} {
		if err := orders.Publish(ctx, order); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := rt.Shutdown(ctx); err != nil { // after it, no handler runs
		log.Fatal(err)
	}
	fmt.Println(billed, "billed,", shipped, "shipped")
	// Output: 3 billed, 3 shipped
}

// A subscriber with state gets a fresh instance after a panic, and the event that
// was in hand is attempted again.
func ExampleTopic_SubscribeFactory() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	numbers, err := topics.Open[int](rt, "numbers.drawn")
	if err != nil {
		log.Fatal(err)
	}
	instances := 0
	if _, err := numbers.SubscribeFactory("sum", func() topics.Behavior[int] {
		instances++
		id, sum := instances, 0
		return topics.Behavior[int]{Receive: func(_ context.Context, n int) error {
			if n == 3 && id == 1 {
				panic("bad state")
			}
			sum += n
			fmt.Printf("instance %d: +%d = %d\n", id, n, sum)
			return nil
		}}
	}, topics.SubscriberConfig{Retry: supervisor.Retry{BaseDelay: supervisor.NoDelay}}); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for n := range 5 {
		if err := numbers.Publish(ctx, n); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// instance 1: +0 = 0
	// instance 1: +1 = 1
	// instance 1: +2 = 3
	// instance 2: +3 = 3
	// instance 2: +4 = 7
}

// A handler that wants to know about its delivery asks its context.
func ExampleDeliveryFrom() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	orders, err := topics.Open[string](rt, "orders.placed")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := orders.Subscribe("billing", func(ctx context.Context, order string) error {
		d, _ := topics.DeliveryFrom(ctx)
		fmt.Printf("%s/%s #%d, attempt %d, tenant %s\n", d.Topic, d.Subscriber, d.Sequence, d.Attempt, d.Headers["tenant"])
		if d.Attempt == 1 {
			return supervisor.RetryAfter(errors.New("busy"), time.Millisecond)
		}
		return nil
	}); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := orders.PublishWith(ctx, "o-1", topics.Meta{Headers: map[string]string{"tenant": "north"}}); err != nil {
		log.Fatal(err)
	}
	if _, err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// orders.placed/billing #1, attempt 1, tenant north
	// orders.placed/billing #1, attempt 2, tenant north
}

// With a key, a mailbox that keeps the latest event keeps the latest of each key.
func ExampleKeyOf() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	type Price struct {
		Item  string
		Cents int
	}
	prices, err := topics.Open[Price](rt, "prices.changed")
	if err != nil {
		log.Fatal(err)
	}
	shelf, err := prices.Subscribe("shelf", func(_ context.Context, p Price) error {
		fmt.Println(p.Item, p.Cents)
		return nil
	}, topics.SubscriberConfig{
		Overflow: mailbox.Latest,
		Key:      topics.KeyOf(func(p Price) string { return p.Item }),
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	shelf.Pause() // a slow subscriber, so to speak
	for _, p := range []Price{{"tea", 310}, {"milk", 95}, {"tea", 290}, {"tea", 305}} {
		if err := prices.Publish(ctx, p); err != nil {
			log.Fatal(err)
		}
	}
	shelf.Resume()
	if _, err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// tea 305
	// milk 95
}

// A parked subscriber sets a failing event aside and goes on with the next.
func ExampleSubscriberConfig_parked() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	orders, err := topics.Open[string](rt, "orders.placed")
	if err != nil {
		log.Fatal(err)
	}
	gate := make(chan struct{})
	if _, err := orders.Subscribe("billing", func(ctx context.Context, order string) error {
		<-gate
		if d, _ := topics.DeliveryFrom(ctx); order == "o-1" && d.Attempt == 1 {
			return errors.New("busy")
		}
		fmt.Println("billed", order)
		return nil
	}, topics.SubscriberConfig{Ordering: topics.Parked}); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for _, order := range []string{"o-1", "o-2", "o-3"} {
		if err := orders.Publish(ctx, order); err != nil {
			log.Fatal(err)
		}
	}
	close(gate) // all three are in the mailbox
	if _, err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// billed o-2
	// billed o-3
	// billed o-1
}

// What becomes of an event without a subscriber is the topic's to say.
func ExampleConfig_unrouted() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	orders, err := topics.Open[string](rt, "orders.placed", topics.Config{Unrouted: topics.RejectUnrouted})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	err = orders.Publish(ctx, "o-1")
	fmt.Println(errors.Is(err, topics.ErrNoSubscriber), err)
	if _, err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: true topics: publish orders.placed: mailbox: no subscriber
}
