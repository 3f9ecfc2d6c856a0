package topics_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// A batch begins when it is complete, or its first event has waited for long enough,
// or the subscriber drains.
func ExampleTopic_SubscribeBatch() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	readings, err := topics.Open[int](rt, "readings.taken")
	if err != nil {
		log.Fatal(err)
	}
	insert := func(_ context.Context, batch []int) error {
		fmt.Println("insert", batch)
		return nil
	}
	if _, err := readings.SubscribeBatch("table", insert, topics.SubscriberConfig{
		Batch: topics.BatchConfig{Size: 3, Period: time.Minute},
	}); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for n := range 7 {
		if err := readings.Publish(ctx, n); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := rt.Shutdown(ctx); err != nil { // does not wait for a minute
		log.Fatal(err)
	}
	// Output:
	// insert [0 1 2]
	// insert [3 4 5]
	// insert [6]
}

// A handler that can tell which events have failed says so. The others are done.
func ExampleBatchError() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	orders, err := topics.Open[string](rt, "orders.placed")
	if err != nil {
		log.Fatal(err)
	}
	index := func(ctx context.Context, batch []string) error {
		var failed topics.BatchError
		for i, order := range batch {
			if order == "" {
				failed.Fail(i, supervisor.Permanent(errors.New("order without an ID")))
				continue
			}
			fmt.Println("indexed", order)
		}
		return failed.Err()
	}
	if _, err := orders.SubscribeBatch("search", index); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	for _, order := range []string{"o-1", "", "o-3"} {
		if err := orders.Publish(ctx, order); err != nil {
			log.Fatal(err)
		}
	}
	report, err := rt.Shutdown(ctx)
	if err != nil {
		log.Fatal(err)
	}
	total := report.Snapshot.Total
	fmt.Println(total.Done, "done,", total.DeadLettered, "dead letter")
	// Output:
	// indexed o-1
	// indexed o-3
	// 2 done, 1 dead letter
}
