package aggregate_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/aggregate"
	"github.com/troupe-go/troupe/runtime"
)

func Example() {
	type Seats struct{ Free int }
	type Book struct{ Seats int }
	type Booked struct{ Seats int }

	schema, err := eventstore.NewSchema[Booked](nil, eventstore.TypeOf[Booked]("booked"))
	if err != nil {
		panic(err)
	}
	rt, err := runtime.New(runtime.Config{})
	if err != nil {
		panic(err)
	}
	ctx, store := context.Background(), eventstore.NewMemory()
	defer rt.Shutdown(ctx)

	flights, err := aggregate.Open(rt, store, aggregate.Config[Seats, Book, Booked]{
		Category: "flight", Schema: schema,
		New: func(string) Seats { return Seats{Free: 3} },
		Decide: func(_ context.Context, s Seats, c Book) ([]Booked, error) {
			if c.Seats > s.Free {
				return nil, errors.New("sold out")
			}
			return []Booked{{c.Seats}}, nil
		},
		Evolve: func(s Seats, ev Booked) Seats { return Seats{s.Free - ev.Seats} },
	})
	if err != nil {
		panic(err)
	}
	for range 2 {
		done, err := flights.Execute(ctx, "LH400", Book{Seats: 2})
		fmt.Println(done.Version, done.Events, err)
	}
	seats, version, err := flights.Load(ctx, "LH400")
	fmt.Println(seats.Free, version, err)
	// Output:
	// 1 [{2}] <nil>
	// 0 [] sold out
	// 1 1 <nil>
}
