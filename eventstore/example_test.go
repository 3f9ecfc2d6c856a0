package eventstore_test

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupe-go/troupe/eventstore"
)

func Example() {
	type Opened struct{ Owner string }
	type Deposited struct{ Cents int64 }
	schema, err := eventstore.NewSchema[any](nil, eventstore.TypeOf[Opened]("opened"), eventstore.TypeOf[Deposited]("deposited"))
	if err != nil {
		panic(err)
	}
	ctx, store := context.Background(), eventstore.NewMemory()
	defer store.Close(ctx)

	account := eventstore.Stream{Category: "account", ID: "4711"}
	opened, _ := schema.Encode(Opened{Owner: "jane"})
	deposited, _ := schema.Encode(Deposited{Cents: 500})
	store.Append(ctx, account, eventstore.NoStream, opened, deposited)

	// Who has not seen them does not get to decide.
	_, err = store.Append(ctx, account, 1, deposited)
	fmt.Println(err, errors.Is(err, eventstore.ErrConflict))

	for ev, err := range store.Read(ctx, account, 0) {
		if err != nil {
			panic(err)
		}
		happened, err := schema.Decode(ev.Event)
		fmt.Printf("%d %+v %v\n", ev.Version, happened, err)
	}
	// Output:
	// eventstore: conflict: account/4711 is at version 2, not 1 true
	// 1 {Owner:jane} <nil>
	// 2 {Cents:500} <nil>
}
