// Quickstart bills orders. One of them fails at every attempt, becomes a dead
// letter, and is sent back when the cause is repaired.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

type OrderPlaced struct{ ID, Card string }

var cardRenewed atomic.Bool

func bill(ctx context.Context, order OrderPlaced) error {
	if order.Card == "expired" && !cardRenewed.Load() {
		return errors.New("card has expired") // a failure: retried, then a dead letter
	}
	fmt.Println("billed", order.ID)
	return nil
}

func main() {
	ctx := context.Background()
	rt := must(runtime.New(runtime.Config{Name: "shop"}))
	orders := must(topics.Open[OrderPlaced](rt, "orders.placed"))
	must(orders.Subscribe("billing", bill, topics.SubscriberConfig{
		Retry: supervisor.Retry{MaxAttempts: 3, BaseDelay: 10 * time.Millisecond},
	}))
	for _, order := range []OrderPlaced{{"o-1", "valid"}, {"o-2", "expired"}, {"o-3", "valid"}} {
		check(orders.Publish(ctx, order))
	}
	check(rt.Idle(ctx)) // every event has its outcome

	cardRenewed.Store(true)
	for letter, err := range deadletter.All(ctx, rt.DeadLetters(), deadletter.Query{State: deadletter.StateOpen}) {
		check(err)
		fmt.Printf("%s, %d attempts, %s: %s\n", letter.Subscriber, letter.AttemptCount, letter.Error, letter.Payload)
		check(rt.Redrive(ctx, letter.ID))
	}

	report := must(rt.Shutdown(ctx)) // a server blocks in rt.Run(ctx) instead
	total := report.Snapshot.Total
	fmt.Printf("%d deliveries: %d done, %d dead-lettered\n", total.Deliveries, total.Done, total.DeadLettered)
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
