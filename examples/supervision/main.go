// Supervision shows a tree of subscribers in which siblings fall and rise:
//
//	shop             rest_for_one: whoever was started after the failed one restarts too
//	├── stock
//	├── payments     all_for_one: when one restarts, all do
//	│   ├── ledger
//	│   └── gateway
//	└── mailer
//
// It prints how often each has been started. An order that is poison to one of
// them is a dead letter of that one; all other deliveries are handled.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// Order is the event. Every member of the shop gets every order.
type Order struct{ PoisonTo string }

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context, out io.Writer) error {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		return err
	}
	defer rt.Shutdown(ctx)
	orders, err := topics.Open[Order](rt, "shop.orders")
	if err != nil {
		return err
	}

	started := make(chan string, 100) // the name of each instance that starts
	subscribe := func(name string, group *actors.Group) error {
		_, err := orders.SubscribeFactory(name, func() topics.Behavior[Order] {
			return topics.Behavior[Order]{
				Start: func(context.Context) error { started <- name; return nil },
				Receive: func(_ context.Context, o Order) error {
					if o.PoisonTo == name {
						panic("poison")
					}
					return nil
				},
			}
		}, topics.SubscriberConfig{Group: group, Retry: supervisor.Retry{MaxAttempts: supervisor.NoRetry}})
		return err
	}
	shop, err := rt.Group("shop", actors.GroupConfig{Strategy: supervisor.RestForOne})
	if err != nil {
		return err
	}
	stock := subscribe("stock", shop)
	payments, err := shop.Group("payments", actors.GroupConfig{Strategy: supervisor.AllForOne})
	if err != nil {
		return err
	}
	if err := errors.Join(stock, subscribe("ledger", payments), subscribe("gateway", payments), subscribe("mailer", shop)); err != nil {
		return err
	}

	starts := map[string]int{}
	fmt.Fprintln(out, "                stock  ledger  gateway  mailer")
	for _, act := range []struct {
		title, poisonTo string
		rise            int
	}{{"all start", "", 4}, {"mailer panics", "mailer", 1}, {"gateway panics", "gateway", 2}, {"stock panics", "stock", 4}} {
		for _, order := range []Order{{}, {}, {PoisonTo: act.poisonTo}, {}, {}} {
			if err := orders.Publish(ctx, order); err != nil {
				return err
			}
		}
		for range act.rise {
			starts[<-started]++
		}
		fmt.Fprintf(out, "%-15s %5d %7d %8d %7d\n", act.title, starts["stock"], starts["ledger"], starts["gateway"], starts["mailer"])
	}

	report, err := rt.Shutdown(ctx)
	total := report.Snapshot.Total
	fmt.Fprintf(out, "20 orders for 4 members: %d handled, %d dead letters\n", total.Done, total.DeadLettered)
	return errors.Join(err, report.Err())
}
