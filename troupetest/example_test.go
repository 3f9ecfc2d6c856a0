package troupetest_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
	"go.uber.org/zap"
)

type Order struct{ ID string }

// A test of a subscriber, from publishing to dead letters.
func Example() {
	test(func(t testing.TB) { // func TestBilling(t *testing.T) {
		rt := troupetest.New(t, runtime.Config{Logger: zap.NewNop()})
		orders, err := topics.Open[Order](rt.Runtime, "orders.placed")
		if err != nil {
			t.Fatalf("open: %v", err)
		}
		bill := troupetest.NewHandler[Order](t).
			On(1, troupetest.Panic("boom")). // retried
			When(func(c troupetest.Call[Order]) bool { return c.Event.ID == "o-2" },
				troupetest.Fail(supervisor.Permanent(errors.New("no such customer"))))
		if _, err := orders.Subscribe("billing", bill.Handle); err != nil {
			t.Fatalf("subscribe: %v", err)
		}
		for _, id := range []string{"o-1", "o-2", "o-3"} {
			if err := orders.Publish(context.Background(), Order{ID: id}); err != nil {
				t.Fatalf("publish: %v", err)
			}
		}
		rt.WantLetters(deadletter.Letter{Subscriber: "billing", Reason: "permanent", Error: "no such customer"})
		bill.WantEvents(Order{ID: "o-1"}, Order{ID: "o-3"})
	})
	// Output: PASS
}

// Expectations that are not met say what is different.
func ExampleRuntime_WantLetters() {
	test(func(t testing.TB) {
		rt := troupetest.New(t, runtime.Config{Logger: zap.NewNop()})
		orders, _ := topics.Open[Order](rt.Runtime, "orders.placed")
		bill := troupetest.NewHandler[Order](t).On(1, troupetest.Fail(supervisor.Permanent(errors.New("no such customer"))))
		_, _ = orders.Subscribe("billing", bill.Handle)
		_ = orders.Publish(context.Background(), Order{ID: "o-1"})
		rt.WantLetters(deadletter.Letter{Subscriber: "billing", Error: "no such account"})
	})
	// Output:
	// troupetest: dead letters are not as wanted:
	//   missing  {Subscriber: "billing", Error: "no such account"}
	//            closest is {orders.placed/billing #1, permanent after 1 attempts, error: no such customer, open, payload {"ID":"o-1"}}, but
	//            Error = "no such customer", want "no such account"
	//   unwanted {orders.placed/billing #1, permanent after 1 attempts, error: no such customer, open, payload {"ID":"o-1"}}
	// FAIL
}

// A handler can hang until it is told to go on.
func ExampleHandler_Release() {
	test(func(t testing.TB) {
		rt := troupetest.New(t, runtime.Config{Logger: zap.NewNop()})
		orders, _ := topics.Open[Order](rt.Runtime, "orders.placed")
		slow := troupetest.NewHandler[Order](t).On(1, troupetest.Hang())
		_, _ = orders.Subscribe("slow", slow.Handle)
		_ = orders.Publish(context.Background(), Order{ID: "o-1"})
		slow.Await(1)
		fmt.Println("in hand:", rt.Snapshot().Total.InFlight)
		slow.Release()
		rt.Idle()
		fmt.Println("done:", rt.Snapshot().Total.Done)
	})
	// Output:
	// in hand: 1
	// done: 1
	// PASS
}

// test runs f as go test would.
func test(f func(t testing.TB)) {
	r := record(f)
	for _, e := range r.errors {
		fmt.Println(strings.TrimRight(e, "\n"))
	}
	fmt.Println(map[bool]string{true: "FAIL", false: "PASS"}[len(r.errors) > 0])
}
