package ops_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

// BenchmarkRedrive sends 10,000 letters back, over a ledger in memory, to a handler that
// does nothing. One operation of the benchmark is all of them, to the end.
func BenchmarkRedrive(b *testing.B) {
	const letters = 10_000
	for b.Loop() {
		b.StopTimer()
		m, err := deadletter.NewMemory(deadletter.MemoryConfig{Capacity: 2 * letters})
		if err != nil {
			b.Fatal(err)
		}
		var batch []deadletter.Letter
		for i := range letters {
			batch = append(batch, deadletter.Letter{
				ID: deadletter.NewID(time.Now()), Topic: "orders", Subscriber: "billing", GoType: "ops_test.order", Sequence: uint64(i + 1),
				Payload: fmt.Appendf(nil, `{"id":%d}`, i), ContentType: "application/json", Reason: "attempts_exhausted", Error: "boom",
			})
		}
		if err := m.Add(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		rt, err := runtime.New(runtime.Config{DeadLetters: m})
		if err != nil {
			b.Fatal(err)
		}
		topic, err := topics.Open[order](rt, "orders")
		if err != nil {
			b.Fatal(err)
		}
		if _, err := topic.Subscribe("billing", ok); err != nil {
			b.Fatal(err)
		}
		desk, err := ops.New(rt, ops.Config{})
		if err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
		op, err := desk.Redrive(b.Context(), ada, everything(ops.Redrive{}))
		if err != nil {
			b.Fatal(err)
		}
		for op.State != deadletter.OperationDone {
			time.Sleep(time.Millisecond)
			if op, err = desk.Operation(b.Context(), op.ID); err != nil {
				b.Fatal(err)
			}
		}
		b.StopTimer()
		if n := op.Items[deadletter.ItemDone]; n != letters {
			b.Fatalf("%d letters are done, want %d: %v", n, letters, op.Items)
		}
		if _, err := rt.Shutdown(context.Background()); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
	b.ReportMetric(float64(letters)*float64(b.N)/b.Elapsed().Seconds(), "letters/s")
}
