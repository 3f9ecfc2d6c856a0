package kafka_test

import (
	"context"
	"fmt"

	"github.com/troupe-go/troupe/engine/kafka"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
	"github.com/twmb/franz-go/pkg/kfake"
)

type OrderPlaced struct{ Customer, Item string }

// A topic on a cluster, which is a fake one in this process here. Events of a customer
// are handled in their order, whichever process handles them.
func Example() {
	ctx := context.Background()
	cluster, err := kfake.NewCluster()
	if err != nil {
		fmt.Println(err)
		return
	}
	defer cluster.Close()

	e, err := kafka.Open(ctx, kafka.Config{Seeds: cluster.ListenAddrs(), Partitions: 3})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close(ctx)
	rt, err := runtime.New(runtime.Config{Name: "shop"})
	if err != nil {
		fmt.Println(err)
		return
	}
	orders, err := topics.Open[OrderPlaced](rt, "orders.placed", topics.Config{
		Engine: e, Key: topics.KeyOf(func(o OrderPlaced) string { return o.Customer }),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	handled := make(chan struct{})
	_, err = orders.Subscribe("mailer", func(_ context.Context, o OrderPlaced) error {
		fmt.Println(o.Customer, "ordered", o.Item)
		handled <- struct{}{}
		return nil
	}, topics.SubscriberConfig{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, item := range []string{"tea", "a pot"} {
		if err := orders.Publish(ctx, OrderPlaced{"ada", item}); err != nil {
			fmt.Println(err)
			return
		}
		<-handled
	}
	if _, err := rt.Shutdown(ctx); err != nil {
		fmt.Println(err)
	}
	// Output:
	// ada ordered tea
	// ada ordered a pot
}
