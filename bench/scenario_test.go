package bench_test

import (
	"fmt"
	"testing"

	"github.com/troupe-go/troupe/bench"
)

// BenchmarkThroughput/2x10/kelindar: two producers, ten subscribers. b.N is the number of events published,
// because it is the run that lasts until all of them are counted; ns/delivery is the figure to compare.
func BenchmarkThroughput(b *testing.B) { benchmark(b, bench.Throughput) }

// BenchmarkLatency/1x10@5000/kelindar takes b.N/5000 seconds.
func BenchmarkLatency(b *testing.B) { benchmark(b, bench.Latency) }

// BenchmarkIdle/1x1000/kelindar opens and closes the subscribers b.N times.
func BenchmarkIdle(b *testing.B) { benchmark(b, bench.Idle) }

func benchmark(b *testing.B, scenario string) {
	for _, cell := range bench.Cells() {
		if cell.Scenario != scenario {
			continue
		}
		for _, library := range bench.Libraries() {
			b.Run(fmt.Sprintf("%v/%s", cell, library.Name), func(b *testing.B) {
				b.ReportAllocs()
				cell, rounds := cell.For(library), 1
				if scenario == bench.Idle {
					rounds = b.N
				} else {
					cell.Events = b.N
				}
				var result bench.Result
				for range rounds {
					var err error
					if result, err = bench.Run(library, cell); err != nil {
						b.Fatal(err)
					}
				}
				for metric, value := range result {
					b.ReportMetric(value, string(metric))
				}
			})
		}
	}
}
