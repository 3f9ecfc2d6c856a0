package bench_test

import (
	"errors"
	"testing"
	"time"

	"github.com/troupe-go/troupe/bench"
)

// Every line of every curve runs to its end at its smallest x, counts what it should, and has every metric.
func TestCurvesCount(t *testing.T) {
	for _, curve := range bench.Curves() {
		for _, line := range curve.Lines {
			t.Run(curve.Name+"/"+line.Name, func(t *testing.T) {
				result, err := line.Run(curve.Xs[0], time.Millisecond)
				if skip := bench.Skip(""); errors.As(err, &skip) {
					t.Skip(skip)
				}
				if err != nil {
					t.Fatal(err)
				}
				for _, metric := range curve.Metrics {
					if _, ok := result[metric]; !ok {
						t.Errorf("no %s in %v", metric, result)
					}
				}
			})
		}
	}
}
