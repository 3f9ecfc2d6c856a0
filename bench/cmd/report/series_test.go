package main

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/bench"
)

// A ratio compares the runs of one rep, because the machine may differ from rep to rep.
func TestRatiosPairRuns(t *testing.T) {
	s := fake()
	at := cellPlace(bench.Cells()[0])
	got := summarize(s.ratios(at, "rival", bench.Baseline, bench.NsPerDelivery))
	if want := (spread{2, 2, 2}); got != want {
		t.Errorf("ratios = %v, want %v", got, want)
	}
	if got := summarize(s.values(at, "rival", bench.NsPerDelivery)); got != (spread{110, 20, 200}) {
		t.Errorf("values = %v, want the median of the reps that were run", got)
	}
}

func TestReportNamesFailuresSkipsAndLosses(t *testing.T) {
	s := fake()
	s.failures, s.skipped = []string{"rival lost one"}, []string{"curve 8, troupe: too large"}
	text := string(s.markdown())
	for _, want := range []string{"**FAILED, left out from there on: rival lost one**", "**Skipped, with what is larger: curve 8, troupe: too large**",
		"not the fastest: 1x1 to channel (× 0.50)", "| rival | 110 (20–200) | – |",
		"bends, that is, first exceeds 1.5 times the least before it: troupe at 4 (30 against 10 at 1, × 3.0); other never.",
		"other is cheaper than troupe from 4 things on.", "| 2.5 × as fast as channel | **NOT met** | 0.50 (1x1) |"} {
		if !strings.Contains(text, want) {
			t.Errorf("report has no %q:\n%s", want, text)
		}
	}
}

// Every curve runs the points that are due; what is skipped is not tried again, nor is what is larger.
func TestCollectSkipsWhatIsLarger(t *testing.T) {
	var tried []int
	line := bench.Line{Name: "line", Run: func(x int, _ time.Duration) (bench.Result, error) {
		tried = append(tried, x)
		if x > 1 {
			return nil, errors.Join(bench.Skip("too large"))
		}
		return bench.Result{}, nil
	}}
	s := &series{reps: 3, share: 1, scenarios: []string{"curve"}, curves: []bench.Curve{{Name: "curve", Xs: []int{1, 2, 3}, Lines: []bench.Line{line}}}}
	s.collect()
	if len(tried) != 3 || tried[1] != 2 || tried[2] != 1 || len(s.skipped) != 1 || len(s.failures) != 0 {
		t.Errorf("tried %v, skipped %q, failures %q", tried, s.skipped, s.failures)
	}
}

// fake has three reps of one cell on a machine that gets ten times slower, of which the rival misses the last,
// and three curves.
func fake() *series {
	cell := bench.Cells()[0]
	line := func(names ...string) (lines []bench.Line) {
		for _, name := range names {
			lines = append(lines, bench.Line{Name: name})
		}
		return lines
	}
	plots := []bench.Metric{bench.NsPerDelivery}
	s := &series{reps: 3, share: 1,
		libraries: []bench.Library{
			{Name: bench.Ours, Handlers: bench.Isolated}, {Name: bench.Baseline, Handlers: bench.Isolated}, {Name: "rival", Handlers: bench.Isolated},
		},
		curves: []bench.Curve{
			{Name: "curve", X: "things", Xs: []int{1, 2, 4}, Metrics: plots, Plots: plots, Lines: line(bench.Ours, "other"), Cross: [][2]string{{"other", bench.Ours}}},
			{Name: "single", X: "things", Xs: []int{1, 2}, Metrics: plots, Plots: plots, Lines: line(bench.Ours)},
			{Name: "zero", X: "things", Xs: []int{1, 2}, Metrics: plots, Plots: plots, Lines: line(bench.Ours)},
		},
	}
	add := func(at place, line string, ns ...float64) {
		for rep, v := range ns {
			s.runs = append(s.runs, oneRun{at, line, rep, bench.Result{bench.NsPerDelivery: v}})
		}
	}
	add(cellPlace(cell), bench.Ours, 20, 200, 200)
	add(cellPlace(cell), bench.Baseline, 10, 100, 100)
	add(cellPlace(cell), "rival", 20, 200)
	for x, ns := range map[string]float64{"1": 10, "2": 11, "4": 30} {
		add(place{"curve", x}, bench.Ours, ns-1, ns, ns+1)
		add(place{"curve", x}, "other", 20, 20)
	}
	add(place{"single", "1"}, bench.Ours, 7)
	add(place{"zero", "1"}, bench.Ours, 0)
	add(place{"zero", "2"}, bench.Ours, 1)
	return s
}
