package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"log"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// A program that ends with its context: Run blocks, then drains.
func ExampleRuntime_Run() {
	rt, err := runtime.New(runtime.Config{Name: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	orders, err := topics.Open[string](rt, "orders.placed")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := orders.Subscribe("billing", func(_ context.Context, order string) error {
		fmt.Println("billed", order)
		return nil
	}); err != nil {
		log.Fatal(err)
	}

	// In a server: signal.NotifyContext(context.Background(), os.Interrupt).
	ctx, stop := context.WithCancel(context.Background())
	for _, order := range []string{"o-1", "o-2", "o-3"} {
		if err := orders.Publish(ctx, order); err != nil {
			log.Fatal(err)
		}
	}
	stop()
	fmt.Println("error:", rt.Run(ctx))
	// Output:
	// billed o-1
	// billed o-2
	// billed o-3
	// error: <nil>
}

// What an operator does about dead letters: look, repair the cause, send back.
func ExampleRuntime_Redrive() {
	rt, err := runtime.New(runtime.Config{Name: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	orders, err := topics.Open[string](rt, "orders.placed")
	if err != nil {
		log.Fatal(err)
	}
	errNoTariff := errors.New("no tariff for this country")
	tariffs := map[string]bool{}
	if _, err := orders.Subscribe("billing", func(_ context.Context, order string) error {
		if !tariffs[order] {
			return supervisor.Permanent(errNoTariff)
		}
		return nil
	}); err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := errors.Join(orders.Publish(ctx, "o-1"), rt.Idle(ctx)); err != nil {
		log.Fatal(err)
	}

	tariffs["o-1"] = true
	for l, err := range deadletter.All(ctx, rt.DeadLetters(), deadletter.Query{State: deadletter.StateOpen}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s #%d %s: %s: %s\n", l.Topic, l.Sequence, l.Reason, l.Error, l.Payload)
		if err := rt.Redrive(ctx, l.ID, runtime.RedriveConfig{By: "on call"}); err != nil {
			log.Fatal(err)
		}
	}
	if err := rt.Idle(ctx); err != nil {
		log.Fatal(err)
	}
	for l, err := range deadletter.All(ctx, rt.DeadLetters(), deadletter.Query{Subscriber: "billing"}) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s after %d redrive by %s\n", l.State, l.RedriveCount(), l.Redrives[0].By)
	}
	if _, err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// orders.placed #1 permanent: no tariff for this country: "o-1"
	// resolved after 1 redrive by on call
}

// A paused subscriber keeps its events, and shutdown does not wait for it: they
// become dead letters.
func ExampleRuntime_Shutdown() {
	rt, err := runtime.New(runtime.Config{Name: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	orders, err := topics.Open[string](rt, "orders.placed")
	if err != nil {
		log.Fatal(err)
	}
	nothing := func(context.Context, string) error { return nil }
	for _, name := range []string{"billing", "shipping"} {
		if _, err := orders.Subscribe(name, nothing); err != nil {
			log.Fatal(err)
		}
	}
	ctx := context.Background()
	if err := rt.Pause("orders.placed", "shipping"); err != nil {
		log.Fatal(err)
	}
	for _, order := range []string{"o-1", "o-2"} {
		if err := orders.Publish(ctx, order); err != nil {
			log.Fatal(err)
		}
	}

	report, err := rt.Shutdown(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(report.Err())
	total := report.Snapshot.Total
	fmt.Printf("%d deliveries = %d done + %d dead-lettered\n", total.Deliveries, total.Done, total.DeadLettered)
	// Output:
	// runtime: shutdown was not clean: orders.placed/shipping: 2 events dead-lettered
	// 4 deliveries = 2 done + 2 dead-lettered
}

// An observer is a struct of functions, of which a program sets those it needs.
func ExampleObserver() {
	rt, err := runtime.New(runtime.Config{Observer: runtime.Observer{
		Dropped: func(e runtime.Event) { fmt.Printf("%s: %d dropped, %s\n", e.Subscriber, e.Count, e.Reason) },
		Paused:  func(e runtime.Event) { fmt.Printf("%s: paused by %s\n", e.Subscriber, e.Reason) },
	}})
	if err != nil {
		log.Fatal(err)
	}
	readings, err := topics.Open[int](rt, "sensor.readings")
	if err != nil {
		log.Fatal(err)
	}
	display, err := readings.Subscribe("display", func(_ context.Context, reading int) error {
		fmt.Println("shows", reading)
		return nil
	}, topics.SubscriberConfig{Capacity: 2, Overflow: mailbox.DropOldest})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	display.Pause()
	for reading := range 5 {
		if err := readings.Publish(ctx, reading); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("waiting:", display.Snapshot().Counts.Queued)
	display.Resume()
	if _, err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// display: paused by operator
	// display: 3 dropped, overflow_oldest
	// waiting: 2
	// shows 3
	// shows 4
}
