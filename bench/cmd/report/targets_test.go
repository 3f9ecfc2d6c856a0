package main

import (
	"math"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/bench"
)

// What is wanted of a target decides which of its figures is the worst; one without a figure is never met.
func TestTargetVerdict(t *testing.T) {
	nan := math.NaN()
	for _, test := range []struct {
		name    string
		atLeast bool
		values  []float64
		remark  string
		verdict string
		worst   float64
	}{
		{"at least", true, []float64{3, 2, 5}, "", "met", 2},
		{"at least, one below", true, []float64{3, 1.99, 5}, "", "**NOT met**", 1.99},
		{"at most", false, []float64{1, 2}, "", "met", 2},
		{"at most, one above", false, []float64{2.01, 1}, "", "**NOT met**", 2.01},
		{"one missing", true, []float64{3, nan}, "", "not measured", 3},
		{"one missing, one below", true, []float64{nan, 1}, "", "**NOT met**", 1},
		{"all missing", true, []float64{nan}, "", "not measured", nan},
		{"remark", true, []float64{1}, "synchronous", "not counted: synchronous", 1},
	} {
		target := target{atLeast: test.atLeast, limit: 2, remark: test.remark}
		for _, v := range test.values {
			target.figures = append(target.figures, figure{"cell", v})
		}
		if got := target.verdict(); got != test.verdict {
			t.Errorf("%s: verdict = %q, want %q", test.name, got, test.verdict)
		}
		if w, ok := target.worst(); ok == math.IsNaN(test.worst) || ok && w.value != test.worst {
			t.Errorf("%s: worst = %v, %v, want %v", test.name, w, ok, test.worst)
		}
	}
}

// Each target asks for figures that a whole report has: names of libraries, cells and lines are not checked elsewhere.
func TestTargetsAreMeasuredByAWholeReport(t *testing.T) {
	s := &series{reps: 1, libraries: bench.Libraries(), curves: bench.Curves()}
	for _, group := range s.groups() {
		for _, j := range group {
			s.runs = append(s.runs, oneRun{place: j.place, line: j.line, result: bench.Result{bench.NsPerDelivery: 1, bench.P50: 1, bench.P99: 1,
				bench.AllocsPerDelivery: 0, bench.BytesPerDelivery: 0.5, bench.BatchSpeedup: 2}})
		}
	}
	verdicts := make(map[string]int)
	for _, target := range s.listTargets() {
		verdict, _, _ := strings.Cut(target.verdict(), ":")
		verdicts[verdict]++
		if verdict == "not measured" || len(target.figures) == 0 {
			t.Errorf("%q is not measured: %v", target.claim, target.figures)
		}
	}
	// Within 2 × of itself: disruptors, p50, p99, allocations and the batches are met; 0.5 B × 10 subscribers is not.
	if verdicts["met"] != 7 || verdicts["not counted"] != 2 || verdicts["**NOT met**"] != 8 {
		t.Errorf("verdicts = %v", verdicts)
	}
}
