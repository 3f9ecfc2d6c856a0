package middleware_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/troupe-go/troupe/middleware"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"go.uber.org/zap"
)

// run subscribes handle, publishes the events, each with an id, and shuts down.
func run(cfg runtime.Config, sub topics.SubscriberConfig, handle topics.Handler[int], events ...int) {
	rt, err := runtime.New(cfg)
	if err != nil {
		log.Fatal(err)
	}
	topic, err := topics.Open[int](rt, "orders.placed")
	if err != nil {
		log.Fatal(err)
	}
	if sub.Retry.BaseDelay == 0 {
		sub.Retry.BaseDelay = supervisor.NoDelay
	}
	if _, err := topic.Subscribe("billing", handle, sub); err != nil {
		fmt.Println(err)
	}
	ctx := context.Background()
	for _, ev := range events {
		if err := topic.PublishWith(ctx, ev, topics.Meta{ID: fmt.Sprint("o-", ev)}); err != nil {
			log.Fatal(err)
		}
	}
	if _, err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
}

// The chain of a runtime is outside of that of a subscriber, and the first of each is
// outermost.
func Example() {
	named := func(name string) topics.Middleware {
		return func(next topics.Next) topics.Next {
			return func(ctx context.Context, ev any) error {
				fmt.Print(name, " (")
				defer fmt.Print(")")
				return next(ctx, ev)
			}
		}
	}
	run(runtime.Config{Middleware: []topics.Middleware{named("a")}},
		topics.SubscriberConfig{Middleware: []topics.Middleware{named("b"), named("c")}},
		func(_ context.Context, ev int) error { fmt.Print(ev); return nil }, 1)
	// Output: a (b (c (1)))
}

// Hooks before and after a handler are a middleware of one's own. What it remembers
// belongs to the subscription; the verdict is passed on as it is.
func Example_beforeAndAfter() {
	hooks := func(next topics.Next) topics.Next {
		return func(ctx context.Context, ev any) error {
			d, _ := topics.DeliveryFrom(ctx)
			fmt.Printf("before %v for %s\n", ev, d.Subscriber)
			err := next(ctx, ev)
			fmt.Printf("after %v: %v\n", ev, err)
			return err
		}
	}
	run(runtime.Config{Middleware: []topics.Middleware{hooks}}, topics.SubscriberConfig{},
		func(context.Context, int) error { return supervisor.Skip(errors.New("not ours")) }, 1)
	// Output:
	// before 1 for billing
	// after 1: not ours
}

// Hooks on what happens to an event are functions of the runtime's observer.
func Example_hooks() {
	observer := runtime.Observer{
		Failed:       func(e runtime.Event) { fmt.Println("error:", e.Err, "in attempt", e.Attempt) },
		DeadLettered: func(e runtime.Event) { fmt.Println("dead letter:", e.Reason) },
		Dropped:      func(e runtime.Event) { fmt.Println("drop:", e.Reason) },
		Unrouted:     func(e runtime.Event) { fmt.Println("no subscriber:", e.Topic) },
	}
	rt, err := runtime.New(runtime.Config{Observer: observer})
	if err != nil {
		log.Fatal(err)
	}
	orders, err := topics.Open[int](rt, "orders.placed")
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	err0 := orders.Publish(ctx, 0) // nobody is there yet
	_, err1 := orders.Subscribe("billing", func(_ context.Context, ev int) error {
		if ev == 1 {
			return supervisor.Skip(errors.New("not ours"))
		}
		return errors.New("no such order")
	}, topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: supervisor.NoRetry}})
	_, err2 := orders.PublishBatch(ctx, []int{1, 2})
	if err := errors.Join(err0, err1, err2); err != nil {
		log.Fatal(err)
	}
	if _, err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// no subscriber: orders.placed
	// error: not ours in attempt 1
	// drop: skipped
	// error: no such order in attempt 1
	// dead letter: attempts_exhausted
}

func ExampleTimeout() {
	run(runtime.Config{Observer: runtime.Observer{Failed: func(e runtime.Event) { fmt.Println(e.Cause, "in attempt", e.Attempt) }}},
		topics.SubscriberConfig{
			Retry:      supervisor.Retry{MaxAttempts: 2},
			Middleware: []topics.Middleware{middleware.Timeout(time.Millisecond)},
		},
		func(ctx context.Context, _ int) error { <-ctx.Done(); return ctx.Err() }, 1)
	// Output:
	// timeout in attempt 1
	// timeout in attempt 2
}

func ExampleThrottle() {
	began := time.Now()
	run(runtime.Config{}, topics.SubscriberConfig{Middleware: []topics.Middleware{
		middleware.Throttle(middleware.ThrottleConfig{Rate: 100, Burst: 2}),
	}}, func(context.Context, int) error { return nil }, 1, 2, 3, 4)
	fmt.Println("two at once, two 10 ms apart:", time.Since(began) >= 20*time.Millisecond)
	// Output: two at once, two 10 ms apart: true
}

// While the service is down, events wait and keep their attempts: six calls fail, and
// an event has four attempts.
func ExampleCircuitBreaker() {
	calls := 0
	charge := func(_ context.Context, order int) error {
		if calls++; calls <= 6 {
			return errors.New("payment service is down")
		}
		fmt.Println("charged", order, "in call", calls)
		return nil
	}
	run(runtime.Config{}, topics.SubscriberConfig{
		Retry: supervisor.Retry{MaxAttempts: 4},
		Middleware: []topics.Middleware{middleware.CircuitBreaker(middleware.CircuitConfig{
			Failures: 3, OpenFor: 5 * time.Millisecond,
			OnChange: func(c middleware.CircuitChange) {
				if c.From == middleware.CircuitClosed || c.To == middleware.CircuitClosed {
					fmt.Println(c.Subscriber, "circuit", c.To)
				}
			},
		})},
	}, charge, 1, 2)
	// Output:
	// billing circuit open
	// charged 1 in call 7
	// billing circuit closed
	// charged 2 in call 8
}

// The same order is published twice and billed once.
func ExampleDeduplicate() {
	run(runtime.Config{Observer: runtime.Observer{Dropped: func(e runtime.Event) {
		fmt.Println(e.Reason, errors.Is(e.Err, middleware.ErrDuplicate))
	}}}, topics.SubscriberConfig{Middleware: []topics.Middleware{
		middleware.Deduplicate(middleware.DeduplicateConfig{Window: time.Hour}),
	}}, func(_ context.Context, order int) error { fmt.Println("billed", order); return nil }, 1, 2, 1)
	// Output:
	// billed 1
	// billed 2
	// skipped true
}

// What a handler publishes is put together with what it handles.
func ExampleCorrelate() {
	run(runtime.Config{}, topics.SubscriberConfig{Middleware: []topics.Middleware{
		middleware.Correlate(middleware.CorrelateConfig{}),
	}}, func(ctx context.Context, _ int) error {
		c, _ := middleware.CorrelationFrom(ctx)
		fmt.Println(c.Headers()) // for topics.Meta of the next event
		return nil
	}, 1)
	// Output: map[causation-id:o-1 correlation-id:o-1]
}

func ExampleLog() {
	run(runtime.Config{}, topics.SubscriberConfig{
		Retry:      supervisor.Retry{MaxAttempts: supervisor.NoRetry},
		Middleware: []topics.Middleware{middleware.Log(printed("duration"))},
	}, func(_ context.Context, order int) error {
		if order == 2 {
			return supervisor.Permanent(errors.New("no such order"))
		}
		return nil
	}, 1, 2)
	// Output:
	// debug event handled {"topic": "orders.placed", "subscriber": "billing", "sequence": 1, "attempt": 1}
	// warn attempt failed {"topic": "orders.placed", "subscriber": "billing", "sequence": 2, "attempt": 1, "verdict": "permanent", "error": "no such order"}
}

func ExampleWarnSlow() {
	warned := make(chan struct{})
	logger := printed("running", "duration").WithOptions(zap.Hooks(closeOnce(warned)))
	run(runtime.Config{}, topics.SubscriberConfig{Middleware: []topics.Middleware{
		middleware.WarnSlow(logger, 20*time.Millisecond),
	}}, func(context.Context, int) error { <-warned; return nil }, 1)
	// Output:
	// warn handler still running {"topic": "orders.placed", "subscriber": "billing", "sequence": 1, "attempt": 1}
	// warn slow handler ended {"topic": "orders.placed", "subscriber": "billing", "sequence": 1, "attempt": 1}
}

// A handler is tried against faults: every third call fails after its work is done,
// so the work is done again.
func ExampleInjectFaults() {
	run(runtime.Config{}, topics.SubscriberConfig{Middleware: []topics.Middleware{
		middleware.InjectFaults(middleware.FaultConfig{Every: 3, After: true}),
	}}, func(_ context.Context, order int) error { fmt.Println("billed", order); return nil }, 1, 2, 3)
	// Output:
	// billed 1
	// billed 2
	// billed 3
	// billed 3
}

// A configuration that is not valid is an error of Subscribe.
func ExampleThrottle_invalid() {
	run(runtime.Config{}, topics.SubscriberConfig{Middleware: []topics.Middleware{
		middleware.Throttle(middleware.ThrottleConfig{Rate: -1}),
	}}, func(context.Context, int) error { return nil })
	// Output: topics: subscribe orders.placed/billing: Middleware[0]: middleware.Throttle: Rate -1: must be positive
}
