package projection_test

import (
	"context"
	"fmt"

	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/projection"
	"github.com/troupe-go/troupe/runtime"
)

func Example() {
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		panic(err)
	}
	ctx, store := context.Background(), eventstore.NewMemory()
	defer rt.Shutdown(ctx)

	// A read model in memory: its checkpoint is, too, so that each process makes it anew.
	visits := map[string]int{}
	p, err := projection.Open(rt, store, "visits", func(_ context.Context, ev eventstore.Recorded) error {
		visits[ev.Stream.ID]++
		return nil
	}, projection.Config{Categories: []string{"page"}, Checkpoints: eventstore.NewMemory()})
	if err != nil {
		panic(err)
	}

	var last eventstore.Appended
	for _, page := range []string{"home", "about", "home"} {
		last, err = store.Append(ctx, eventstore.Stream{Category: "page", ID: page}, eventstore.Any, eventstore.Event{Type: "visited"})
		if err != nil {
			panic(err)
		}
	}
	// Read what one has written.
	if err := p.Wait(ctx, last.Position); err != nil {
		panic(err)
	}
	if err := p.Close(ctx); err != nil {
		panic(err)
	}
	fmt.Println(visits)
	// Output: map[about:1 home:2]
}
