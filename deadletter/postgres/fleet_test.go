package postgres_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/postgres"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// Two workers and a console share the database: letters of one, redriven from the
// console, go back to the workers, each once; and who leaves is gone.
func TestAFleetRedrivesFromAnyOfItsMembers(t *testing.T) {
	const many = 300
	url, name := server(t), schema(t)
	join := func() *runtime.Runtime {
		rt, err := runtime.New(runtime.Config{DeadLetters: open(t, postgres.Config{URL: url, Schema: name}), Build: "v1.2.3"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _, _ = rt.Shutdown(within(t)) })
		return rt
	}
	var mu sync.Mutex
	broken := true
	handled := map[int]int{}
	var workers []*runtime.Runtime
	for range 2 {
		rt := join()
		workers = append(workers, rt)
		topic, err := topics.Open[int](rt, "orders")
		if err != nil {
			t.Fatal(err)
		}
		_, err = topic.Subscribe("billing", func(_ context.Context, ev int) error {
			mu.Lock()
			defer mu.Unlock()
			if broken {
				return fmt.Errorf("no rate for %d", ev)
			}
			handled[ev]++
			return nil
		}, topics.SubscriberConfig{Retry: supervisor.Retry{MaxAttempts: supervisor.NoRetry}, Capacity: 32})
		if err != nil {
			t.Fatal(err)
		}
		if len(workers) > 1 {
			break
		}
		for ev := range many {
			if err := topic.Publish(within(t), ev); err != nil {
				t.Fatal(err)
			}
		}
	}
	console := join()
	desk, err := ops.New(console, ops.Config{})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "all letters are there", func() bool {
		page, err := desk.Letters(within(t), "build:v1.2.3 state:open", "", 1)
		return err == nil && page.Total == many
	})
	until(t, "all members attend, and say what they serve", func() bool {
		o, err := desk.Overview(within(t))
		_, _, served := console.RedriveRoom(deadletter.Letter{Topic: "orders", Subscriber: "billing"}, runtime.Destination{})
		return err == nil && len(o.Fleet) == 3 && served == nil
	})
	mu.Lock()
	broken = false
	mu.Unlock()
	op, err := desk.Redrive(within(t), ops.By{Name: "ada"}, ops.Redrive{Scope: ops.Scope{Query: "sub:billing"}, Steps: []float64{1, 20, 100}})
	if err != nil {
		t.Fatal(err)
	}
	until(t, "the operation is done", func() bool {
		op, err = desk.Operation(within(t), op.ID)
		return err == nil && op.State == deadletter.OperationDone
	})
	if n := op.Items[deadletter.ItemDone]; n != many {
		t.Errorf("items = %v, want %d done", op.Items, many)
	}
	mu.Lock()
	for ev := range many {
		if handled[ev] != 1 {
			t.Errorf("event %d was handled %d times", ev, handled[ev])
		}
	}
	mu.Unlock()
	by := map[string]int{}
	for l, err := range deadletter.All(within(t), console.DeadLetters(), deadletter.Query{}) {
		if err != nil || l.State != deadletter.StateResolved || len(l.Redrives) != 1 || l.Redrives[0].Errand != "" {
			t.Fatalf("letter %s is %s, %+v, %v", l.ID, l.State, l.Redrives, err)
		}
		by[l.Redrives[0].Member]++
	}
	if by[workers[0].Member()]+by[workers[1].Member()] != many {
		t.Errorf("redriven by %v, want by the workers %s and %s", by, workers[0].Member(), workers[1].Member())
	}
	if _, err := workers[0].Shutdown(within(t)); err != nil {
		t.Fatal(err)
	}
	o, err := desk.Overview(within(t))
	if err != nil || len(o.Fleet) != 2 {
		t.Errorf("fleet = %+v, %v, want two members", o.Fleet, err)
	}
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited a minute until %s", what)
		}
	}
}
