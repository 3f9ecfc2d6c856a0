package topics_test

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// A dead letter of an older program is read by the one of today.
func ExampleUpcastJSON() {
	type OrderV1 struct{ Name string }
	type Order struct{ First, Last string }

	rt, _ := runtime.New(runtime.Config{Name: "shop"})
	orders, _ := topics.Open[Order](rt, "orders.placed", topics.Config{
		Version: 2,
		Upcasts: topics.Upcasts{
			1: topics.UpcastJSON(func(o OrderV1) (Order, error) {
				first, last, _ := strings.Cut(o.Name, " ")
				return Order{first, last}, nil
			}),
		},
	})
	letter := deadletter.Letter{SchemaVersion: 1, ContentType: "application/json", Payload: []byte(`{"Name":"Ada Lovelace"}`)}
	order, err := orders.Decode(letter)
	fmt.Printf("%+v %v\n", order, err)

	letter.SchemaVersion = 3
	_, err = orders.Decode(letter)
	fmt.Println(errors.Is(err, topics.ErrUnknownVersion))
	_, _ = rt.Shutdown(context.Background())
	// Output:
	// {First:Ada Last:Lovelace} <nil>
	// true
}

// What an event leads to can be told by its correlation, and each step by its
// causation.
func ExampleTopic_PublishWith_correlation() {
	ctx := context.Background()
	rt, _ := runtime.New(runtime.Config{Name: "shop"})
	placed, _ := topics.Open[string](rt, "orders.placed")
	// With Correlate, Publish does in a handler what PublishWith does.
	billed, _ := topics.Open[string](rt, "orders.billed", topics.Config{Correlate: true})

	_, _ = placed.Subscribe("billing", func(ctx context.Context, order string) error {
		return billed.Publish(ctx, order)
	})
	_, _ = billed.Subscribe("mail", func(ctx context.Context, order string) error {
		d, _ := topics.DeliveryFrom(ctx)
		fmt.Println(order, "is part of", d.CorrelationID(), "and follows from", d.CausationID())
		return nil
	})
	_ = placed.PublishWith(ctx, "o-1", topics.Meta{
		ID:      "placed-o-1",
		Headers: map[string]string{topics.HeaderCorrelation: "request-7"},
	})
	_, _ = rt.Shutdown(ctx)
	// Output: o-1 is part of request-7 and follows from placed-o-1
}

// A publisher that may be called twice gives the id, and the handler knows what it
// has done.
func ExampleDelivery() {
	ctx := context.Background()
	rt, _ := runtime.New(runtime.Config{Name: "shop"})
	payments, _ := topics.Open[int](rt, "payments")
	done := map[string]bool{}
	_, _ = payments.Subscribe("ledger", func(ctx context.Context, cents int) error {
		d, _ := topics.DeliveryFrom(ctx)
		if done[d.ID()] {
			return supervisor.Skip(fmt.Errorf("payment %s was booked", d.ID()))
		}
		done[d.ID()] = true
		fmt.Println("book", cents, "of", d.ID())
		return nil
	})
	for range 2 {
		_ = payments.PublishWith(ctx, 4200, topics.Meta{ID: "p-1"})
	}
	_, _ = rt.Shutdown(ctx)
	// Output: book 4200 of p-1
}

// Errors are told apart by errors.Is, and errors.As has what they carry.
func Example_errors() {
	ctx := context.Background()
	rt, _ := runtime.New(runtime.Config{Name: "shop"})
	orders, _ := topics.Open[int](rt, "orders")
	slow, _ := orders.Subscribe("billing", func(context.Context, int) error { return nil },
		topics.SubscriberConfig{Capacity: 1, Overflow: mailbox.Reject})
	slow.Pause()
	_ = orders.Publish(ctx, 1)

	err := fmt.Errorf("place order: %w", orders.Publish(ctx, 2))
	var full *topics.FullError
	fmt.Println(errors.Is(err, topics.ErrFull), errors.As(err, &full), full.Mailbox)

	_, err = topics.Open[string](rt, "orders")
	fmt.Println(errors.Is(err, topics.ErrTypeMismatch), supervisor.IsPermanent(err))

	slow.Resume()
	_, _ = rt.Shutdown(ctx)
	err = orders.Publish(ctx, 3)
	fmt.Println(errors.Is(err, topics.ErrClosed))
	// Output:
	// true true orders/billing
	// true true
	// true
}
