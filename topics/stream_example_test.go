package topics_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

// A subscription that is to handle one event ends after it; others that wait are
// dropped and counted.
func ExampleSubscriberConfig_take() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	ready, err := topics.Open[string](rt, "service.ready")
	if err != nil {
		log.Fatal(err)
	}
	sub, err := ready.Subscribe("first", func(_ context.Context, name string) error {
		fmt.Println(name, "is ready")
		return nil
	}, topics.SubscriberConfig{Take: 1})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for _, name := range []string{"db", "cache", "search"} {
		if err := ready.Publish(ctx, name); err != nil {
			log.Fatal(err)
		}
	}
	<-sub.Done()
	if _, err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output: db is ready
}

// A loop is a subscription; leaving it is unsubscribing.
func ExampleTopic_Events() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	orders, err := topics.Open[string](rt, "orders.placed", topics.Config{Unrouted: topics.RejectUnrouted})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	go func() {
		for _, order := range []string{"o-1", "o-2", "o-3"} {
			for orders.Publish(ctx, order) != nil { // until the loop has begun
				time.Sleep(time.Millisecond)
			}
		}
	}()
	for order, err := range orders.Events(ctx, "report") {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(order)
		if order == "o-3" {
			break
		}
	}
	if _, err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// o-1
	// o-2
	// o-3
}

// A channel is for code that selects. It is closed when the subscription has ended.
func ExampleTopic_Chan() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	orders, err := topics.Open[string](rt, "orders.placed")
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	received, err := orders.Chan(ctx, "report")
	if err != nil {
		log.Fatal(err)
	}
	for _, order := range []string{"o-1", "o-2"} {
		if err := orders.Publish(ctx, order); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println(<-received)
	fmt.Println(<-received)
	cancel()
	_, open := <-received
	fmt.Println("open:", open)
	if _, err := rt.Shutdown(context.Background()); err != nil {
		log.Fatal(err)
	}
	// Output:
	// o-1
	// o-2
	// open: false
}
