package main

import (
	"strings"
	"testing"

	"github.com/troupe-go/troupe/bench"
)

// A ratio compares the runs of one rep, because the machine may differ from rep to rep.
func TestRatiosPairRuns(t *testing.T) {
	s := fake()
	cell := bench.Cells()[0]
	got := summarize(s.ratios("rival", bench.Baseline, cell, bench.NsPerDelivery))
	if want := (spread{2, 2, 2}); got != want {
		t.Errorf("ratios = %v, want %v", got, want)
	}
	if got := summarize(s.values("rival", cell, bench.NsPerDelivery)); got != (spread{110, 20, 200}) {
		t.Errorf("values = %v, want the median of the reps that were run", got)
	}
}

func TestReportNamesFailuresAndLosses(t *testing.T) {
	s := fake()
	s.failures = []string{"rival lost one"}
	text := string(s.markdown())
	for _, want := range []string{"**FAILED, left out from there on: rival lost one**", "not the fastest: 1x1 to channel (× 0.50)", "| rival | 110 (20–200) | – |"} {
		if !strings.Contains(text, want) {
			t.Errorf("report has no %q:\n%s", want, text)
		}
	}
}

// fake has three reps of one cell on a machine that gets ten times slower; the rival misses the last.
func fake() *series {
	cell := bench.Cells()[0]
	s := &series{reps: 3, share: 1, libraries: []bench.Library{
		{Name: bench.Ours, Handlers: bench.Isolated}, {Name: bench.Baseline, Handlers: bench.Isolated}, {Name: "rival", Handlers: bench.Isolated},
	}}
	add := func(library string, ns ...float64) {
		for rep, v := range ns {
			s.runs = append(s.runs, oneRun{library, cell, cell.Events, rep, bench.Result{bench.NsPerDelivery: v}})
		}
	}
	add(bench.Ours, 20, 200, 200)
	add(bench.Baseline, 10, 100, 100)
	add("rival", 20, 200)
	return s
}
