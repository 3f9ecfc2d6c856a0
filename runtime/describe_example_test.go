package runtime_test

import (
	"context"
	"fmt"
	"strings"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

func ExampleRuntime_Describe() {
	rt, _ := runtime.New(runtime.Config{Name: "shop"})
	orders, _ := topics.Open[string](rt, "orders.placed")
	_, _ = orders.Subscribe("billing", func(context.Context, string) error { return nil })
	_ = orders.Publish(context.Background(), "o-1")
	_ = rt.Idle(context.Background())

	_, tree, _ := strings.Cut(rt.Describe().String(), "\n\ngroup") // behind the totals and the topics
	fmt.Print("group" + tree)
	_, _ = rt.Shutdown(context.Background())
	// Output:
	// group root: one_for_one
	//   orders.placed/billing: idle
	//     mailbox      0 of 4096, block, ordered
	//     account      1 deliveries: 1 done
	//     retry        5 attempts, backoff 100ms to 30s, jitter 0.5
	//     restart      always, 10 in 1m0s, then pause for 15s to 5m0s
}
