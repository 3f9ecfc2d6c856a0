package nats_test

import (
	"context"
	"fmt"
	"os"

	"github.com/troupe-go/troupe/engine/nats"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

type orderPlaced struct {
	ID    string
	Cents int
}

// A durable topic, with a server inside this process. With Config.URL instead of Folder
// it is one that other processes have, too.
func Example() {
	ctx := context.Background()
	folder, _ := os.MkdirTemp("", "shop")
	defer os.RemoveAll(folder)
	e, err := nats.Open(ctx, nats.Config{Folder: folder})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer e.Close(ctx)

	rt, _ := runtime.New(runtime.Config{Name: "shop"})
	orders, err := topics.Open[orderPlaced](rt, "orders.placed", topics.Config{Engine: e})
	if err != nil {
		fmt.Println(err)
		return
	}
	handled := make(chan struct{})
	orders.Subscribe("billing", func(_ context.Context, o orderPlaced) error {
		fmt.Println("bill", o.ID, o.Cents)
		close(handled)
		return nil
	})
	// nil is that it is stored: it survives this process.
	if err := orders.Publish(ctx, orderPlaced{ID: "o-1", Cents: 4200}); err != nil {
		fmt.Println(err)
	}
	<-handled
	rt.Shutdown(ctx)
	// Output: bill o-1 4200
}
