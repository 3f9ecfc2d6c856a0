package topics_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// The code of docs/coming-from.md, which quotes these examples; a test of the root
// package compares.

// In place of a dispatcher of kelindar/event.
func Example_comingFromKelindar() {
	type OrderPlaced struct{ ID string }
	ctx := context.Background()
	ship := func(_ context.Context, order OrderPlaced) error {
		fmt.Println("shipped", order.ID)
		return nil
	}

	rt := must(runtime.New(runtime.Config{}))
	orders := must(topics.Open[OrderPlaced](rt, "orders.placed"))
	shipping := must(orders.Subscribe("shipping", ship, topics.SubscriberConfig{Capacity: 50_000}))

	check(orders.Publish(ctx, OrderPlaced{ID: "o-1"})) // waits for room until ctx ends
	check(shipping.Unsubscribe(ctx, runtime.Drain))    // after it, no call runs or begins

	report := must(rt.Shutdown(ctx))
	fmt.Println("clean:", report.Clean)
	// Output:
	// shipped o-1
	// clean: true
}

// In place of a store and dispatcher of GoEventBus.
func Example_comingFromGoEventBus() {
	type OrderPlaced struct{ ID string }
	ctx := context.Background()
	cardRenewed := false
	ship := func(_ context.Context, order OrderPlaced) error {
		fmt.Println("shipped", order.ID)
		return nil
	}
	bill := func(_ context.Context, order OrderPlaced) error {
		if !cardRenewed {
			return errors.New("card has expired")
		}
		fmt.Println("billed", order.ID)
		return nil
	}

	rt := must(runtime.New(runtime.Config{}))
	orders := must(topics.Open[OrderPlaced](rt, "orders.placed"))
	must(orders.Subscribe("shipping", ship))
	must(orders.Subscribe("billing", bill, topics.SubscriberConfig{
		Retry: supervisor.Retry{MaxAttempts: 3, BaseDelay: 10 * time.Millisecond},
	}))

	check(orders.PublishWith(ctx, OrderPlaced{ID: "o-1"}, topics.Meta{ID: "evt-1"}))
	check(rt.Idle(ctx)) // handled, or in the dead-letter store

	cardRenewed = true
	for letter, err := range deadletter.All(ctx, rt.DeadLetters(), deadletter.Query{State: deadletter.StateOpen}) {
		check(err)
		fmt.Println(letter.Subscriber, letter.EventID, letter.AttemptCount)
		check(rt.Redrive(ctx, letter.ID)) // to billing only
	}

	must(rt.Shutdown(ctx))
	// Output:
	// shipped o-1
	// billing evt-1 3
	// billed o-1
}

// In place of a bus, filter, middleware and batch of Gossip.
func Example_comingFromGossip() {
	type UserCreated struct{ Name string }
	ctx := context.Background()
	welcome := func(_ context.Context, user UserCreated) error {
		fmt.Println("welcome", user.Name)
		return nil
	}
	insert := func(_ context.Context, users []UserCreated) error {
		fmt.Println("insert", len(users))
		return nil
	}

	rt := must(runtime.New(runtime.Config{}))
	users := must(topics.Open[UserCreated](rt, "user.created"))
	must(users.Subscribe("welcome", welcome, topics.SubscriberConfig{
		Filter:  topics.Header("source", "api"),
		Retry:   supervisor.Retry{MaxAttempts: 3, BaseDelay: 100 * time.Millisecond},
		Timeout: 5 * time.Second,
	}))
	must(users.SubscribeBatch("table", insert, topics.SubscriberConfig{
		Batch: topics.BatchConfig{Size: 100, Period: 5 * time.Second},
	}))

	check(users.PublishWith(ctx, UserCreated{"alice"}, topics.Meta{Headers: map[string]string{"source": "api"}}))
	check(users.Publish(ctx, UserCreated{"bob"}))

	must(rt.Shutdown(ctx)) // handles what was accepted, the last batch included
	// Unordered output:
	// welcome alice
	// insert 2
}

// In place of a router of Watermill on its gochannel.
func Example_comingFromWatermill() {
	type OrderPlaced struct{ ID string }
	type InvoiceMade struct{ Order string }
	ctx := context.Background()

	rt := must(runtime.New(runtime.Config{}))
	orders := must(topics.Open[OrderPlaced](rt, "orders.placed"))
	invoices := must(topics.Open[InvoiceMade](rt, "invoices.made", topics.Config{Correlate: true}))

	must(orders.Subscribe("billing", func(ctx context.Context, order OrderPlaced) error {
		if order.ID == "" {
			return supervisor.Permanent(errors.New("order without an ID")) // a dead letter at once
		}
		return invoices.Publish(ctx, InvoiceMade{Order: order.ID})
	}, topics.SubscriberConfig{
		Retry: supervisor.Retry{MaxAttempts: 3, BaseDelay: 10 * time.Millisecond},
	}))
	must(invoices.Subscribe("mail", func(ctx context.Context, invoice InvoiceMade) error {
		delivery, _ := topics.DeliveryFrom(ctx)
		fmt.Println("mailed", invoice.Order, "caused by", delivery.Headers[topics.HeaderCausation])
		return nil
	}))

	check(orders.PublishWith(ctx, OrderPlaced{ID: "o-1"}, topics.Meta{ID: "evt-1"}))
	check(orders.Publish(ctx, OrderPlaced{}))

	total := must(rt.Shutdown(ctx)).Snapshot.Total // a server blocks in rt.Run(ctx) instead
	fmt.Println(total.Done, "done,", total.DeadLettered, "dead-lettered")
	// Output:
	// mailed o-1 caused by evt-1
	// 2 done, 1 dead-lettered
}

func must[T any](v T, err error) T {
	check(err)
	return v
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
