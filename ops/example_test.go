package ops_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// A redrive in steps stops when what it tries fails again; repaired, it goes on.
func ExampleDesk_Redrive() {
	ctx := context.Background()
	rt, err := runtime.New(runtime.Config{Name: "shop"})
	if err != nil {
		log.Fatal(err)
	}
	orders, err := topics.Open[int](rt, "orders")
	if err != nil {
		log.Fatal(err)
	}
	var repaired atomic.Bool
	_, err = orders.Subscribe("billing", func(context.Context, int) error {
		if !repaired.Load() {
			return errors.New("tax service is down")
		}
		return nil
	}, topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: supervisor.NoRetry}})
	if err != nil {
		log.Fatal(err)
	}
	for n := range 40 {
		if err := orders.Publish(ctx, n); err != nil {
			log.Fatal(err)
		}
	}
	if err := rt.Idle(ctx); err != nil {
		log.Fatal(err)
	}

	desk, err := ops.New(rt, ops.Config{}) // after the subscribers are there
	if err != nil {
		log.Fatal(err)
	}
	ada := ops.By{Name: "ada", Why: "is it repaired?"}
	plan := ops.Redrive{Scope: ops.Scope{Query: `sub:billing err:"tax service"`}, Steps: []float64{5, 20, 100}}
	preview, err := desk.Preview(ctx, plan)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(preview.Total, "letters,", preview.Gone, "without a subscriber")
	op, err := desk.Redrive(ctx, ada, plan)
	if err != nil {
		log.Fatal(err)
	}
	tell(ctx, desk, op.ID)
	repaired.Store(true)
	if _, err := desk.ResumeOperation(ctx, ada, op.ID); err != nil {
		log.Fatal(err)
	}
	tell(ctx, desk, op.ID)

	if _, err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	if err := desk.Close(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// 40 letters, 0 without a subscriber
	// stopped: 2 of 2 in step 1 of 3 failed, more than 10 %
	// done: 38 done, 2 failed
}

// tell waits until the operation stands still, and says how.
func tell(ctx context.Context, desk *ops.Desk, id string) {
	for {
		op, err := desk.Operation(ctx, id)
		if err != nil {
			log.Fatal(err)
		}
		switch op.State {
		case deadletter.OperationStopped:
			fmt.Println("stopped:", op.Stopped)
			return
		case deadletter.OperationDone:
			fmt.Printf("done: %d done, %d failed\n", op.Items[deadletter.ItemDone], op.Items[deadletter.ItemFailed])
			return
		}
		time.Sleep(time.Millisecond)
	}
}
