package aggregate_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/aggregate"
	"github.com/troupe-go/troupe/runtime"
)

// BenchmarkExecute is what a command costs beside its store.
func BenchmarkExecute(b *testing.B) {
	for _, callers := range []int{1, 8} {
		b.Run(fmt.Sprint("parallelism=", callers), func(b *testing.B) {
			rt, err := runtime.New(runtime.Config{})
			if err != nil {
				b.Fatal(err)
			}
			defer rt.Shutdown(b.Context())
			a, err := aggregate.Open(rt, eventstore.NewMemory(), base(b))
			if err != nil {
				b.Fatal(err)
			}
			var n, who atomic.Int64
			b.ReportAllocs()
			b.SetParallelism(callers)
			b.RunParallel(func(pb *testing.PB) {
				id := fmt.Sprint(who.Add(1))
				for pb.Next() {
					if _, err := a.Execute(b.Context(), id, deposit{1}); err != nil {
						b.Error(err)
						return
					}
					n.Add(1)
				}
			})
			if n.Load() != int64(b.N) {
				b.Errorf("%d commands were done, want %d", n.Load(), b.N)
			}
		})
	}
}
