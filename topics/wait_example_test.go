package topics_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

func ExampleTopic_PublishWait() {
	rt, _ := runtime.New(runtime.Config{Name: "shop"})
	defer rt.Shutdown(context.Background())
	orders, _ := topics.Open[string](rt, "orders.placed")
	_, _ = orders.Subscribe("stock", func(context.Context, string) error { return nil })
	_, _ = orders.Subscribe("billing", func(context.Context, string) error {
		return supervisor.Permanent(errors.New("card declined"))
	})

	outcomes, err := orders.PublishWait(context.Background(), "o-1")
	stock, _ := outcomes.Of("stock")
	fmt.Println("stock:", stock.Kind)
	fmt.Println(err)
	// Output:
	// stock: done
	// topics: publish orders.placed: billing: dead_lettered (permanent): card declined
}

func ExampleRequest() {
	rt, _ := runtime.New(runtime.Config{Name: "shop"})
	defer rt.Shutdown(context.Background())
	quotes, _ := topics.Open[string](rt, "quotes.requested")
	_, _ = topics.Respond(quotes, "prices", func(_ context.Context, item string) (float64, error) {
		if item != "tea" {
			return 0, supervisor.Permanent(errors.New("no such item"))
		}
		return 4.5, nil
	})

	price, err := topics.Request[float64](context.Background(), quotes, "tea")
	fmt.Println(price, err)
	_, err = topics.Request[float64](context.Background(), quotes, "gold")
	fmt.Println(err)
	// Output:
	// 4.5 <nil>
	// topics: request quotes.requested: actors: no reply
	// prices: dead_lettered (permanent): no such item
}

func ExampleRequestAll() {
	rt, _ := runtime.New(runtime.Config{Name: "shop"})
	defer rt.Shutdown(context.Background())
	quotes, _ := topics.Open[string](rt, "quotes.requested")
	for name, price := range map[string]int{"cheap": 3, "fine": 9} {
		_, _ = topics.Respond(quotes, name, func(context.Context, string) (int, error) { return price, nil })
	}

	answers, err := topics.RequestAll[int](context.Background(), quotes, "tea")
	sum := 0
	for _, a := range answers {
		sum += a.Value
	}
	fmt.Println(len(answers), sum, err)
	// Output: 2 12 <nil>
}

func ExampleReply() {
	rt, _ := runtime.New(runtime.Config{Name: "shop"})
	defer rt.Shutdown(context.Background())
	quotes, _ := topics.Open[string](rt, "quotes.requested")
	_, _ = quotes.Subscribe("prices", func(ctx context.Context, item string) error {
		return topics.Reply(ctx, len(item)) // nobody may have asked: then it does nothing
	})

	n, err := topics.Request[int](context.Background(), quotes, "tea")
	fmt.Println(n, err)
	// Output: 3 <nil>
}
