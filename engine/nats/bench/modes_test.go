package bench_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/nats"
)

// What it costs that the disk has a record before it is acknowledged, one at a time and
// 256 at a time.
func BenchmarkModes(b *testing.B) {
	for _, mode := range []struct {
		name string
		cfg  nats.Config
	}{
		{"ProcessSafe1s", nats.Config{}},
		{"ProcessSafe2min", nats.Config{SyncInterval: 2 * time.Minute}},
		{"PowerSafe", nats.Config{Mode: nats.PowerSafe}},
	} {
		for _, size := range []int{1, perBatch} {
			b.Run(fmt.Sprintf("%s/batch%d", mode.name, size), func(b *testing.B) {
				ctx := context.Background()
				mode.cfg.Folder = b.TempDir()
				e, err := nats.Open(ctx, mode.cfg)
				if err != nil {
					b.Fatal(err)
				}
				defer e.Close(ctx)
				top, err := e.Open(ctx, "orders")
				if err != nil {
					b.Fatal(err)
				}
				used := begin(b)
				for n := 0; n < b.N; n += size {
					batch := make([]engine.Record, min(size, b.N-n))
					for i := range batch {
						batch[i] = engine.Record{ID: fmt.Sprint(n + i), Source: "/bench", Type: "orders", Data: payload}
					}
					if errs := top.Publish(ctx, batch); errs != nil {
						b.Fatal(errs[0])
					}
				}
				report(b, used)
			})
		}
	}
}
