package topics_test

import (
	"context"
	"fmt"
	"log"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

// Members join and leave; what comes while there is none waits for the next one.
func ExampleTopic_ConsumerGroup() {
	ctx := context.Background()
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		log.Fatal(err)
	}
	pages, err := topics.Open[string](rt, "pages")
	if err != nil {
		log.Fatal(err)
	}
	printers, err := pages.ConsumerGroup("printers")
	if err != nil {
		log.Fatal(err)
	}
	printer := func(name string) topics.Handler[string] {
		return func(_ context.Context, page string) error {
			fmt.Println(name, "prints", page)
			return nil
		}
	}
	first, err := printers.Join("laser", printer("laser"))
	if err != nil {
		log.Fatal(err)
	}
	if err := pages.Publish(ctx, "page 1"); err != nil {
		log.Fatal(err)
	}
	if err := rt.Idle(ctx); err != nil {
		log.Fatal(err)
	}
	if err := first.Leave(ctx); err != nil {
		log.Fatal(err)
	}
	if err := pages.Publish(ctx, "page 2"); err != nil { // nobody is there
		log.Fatal(err)
	}
	if _, err := printers.Join("ink", printer("ink")); err != nil {
		log.Fatal(err)
	}
	if _, err := rt.Shutdown(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// laser prints page 1
	// ink prints page 2
}
