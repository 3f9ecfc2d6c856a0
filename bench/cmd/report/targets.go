package main

import (
	"bytes"
	"fmt"
	"math"
	"strings"

	"github.com/troupe-go/troupe/bench"
)

// target is a claim about Troupe and the figures that decide it.
type target struct {
	claim   string
	atLeast bool // each figure has to be at least limit, else at most
	limit   float64
	figures []figure
	remark  string // why it does not count; empty if it does
}

type figure struct {
	cell  string
	value float64 // NaN if there is none
}

func (t target) missed(f figure) bool {
	return t.atLeast && f.value < t.limit || !t.atLeast && f.value > t.limit
}

// worst is the figure that is the farthest on the wrong side, false if there is none.
func (t target) worst() (w figure, ok bool) {
	for _, f := range t.figures {
		if !math.IsNaN(f.value) && (!ok || t.atLeast == (f.value < w.value)) {
			w, ok = f, true
		}
	}
	return w, ok
}

// verdict is that of the worst figure, but a target is met only if all of its figures are there.
func (t target) verdict() string {
	w, ok := t.worst()
	switch {
	case t.remark != "":
		return "not counted: " + t.remark
	case ok && t.missed(w):
		return "**NOT met**"
	}
	for _, f := range t.figures {
		if math.IsNaN(f.value) {
			return "not measured"
		}
	}
	return "met"
}

func (s *series) targets(b *bytes.Buffer) {
	b.WriteString("## Targets\n\nWhat was set as a goal, and what this very run says about it: the worst cell decides. " +
		"Figures are medians of the ratios of neighboring runs, unless the target names a unit.\n\n")
	table(b, "target", "verdict", "worst", "every cell")
	for _, t := range s.listTargets() {
		worst, all := "–", []string{}
		if w, ok := t.worst(); ok {
			worst = ratio(w.value) + " (" + w.cell + ")"
		}
		for _, f := range t.figures {
			all = append(all, f.cell+" "+ratio(f.value))
		}
		row(b, t.claim, t.verdict(), worst, strings.Join(all, ", "))
	}
	b.WriteString("\n")
}

// listTargets computes every target from the runs.
func (s *series) listTargets() []target {
	all := cellsOf(bench.Throughput)
	named := func(names ...string) (cells []bench.Cell) {
		for _, c := range all {
			for _, name := range names {
				if c.String() == name {
					cells = append(cells, c)
				}
			}
		}
		return cells
	}
	targets := []target{
		s.faster("kelindar", 2, all),
		s.faster(bench.Baseline, 2.5, all),
		s.faster("protoactor-go", 6, named("1x1", "4x1", "1x100")),
		s.within("go-disruptor", 2, bench.NsPerDelivery, named("1x10")),
		s.within("go-disruptor-yield", 2, bench.NsPerDelivery, named("1x10")),
	}
	targets[4].claim += ", the floor"
	for _, rival := range []string{"watermill", "EventBus", "EventBus-sync", "gookit-isolated", "gookit"} {
		targets = append(targets, s.faster(rival, 20, all))
	}
	latency := cellsOf(bench.Latency)
	return append(targets,
		s.within(bench.Baseline, 2, bench.P50, latency),
		s.within(bench.Baseline, 2, bench.P99, latency),
		target{"latency p50 at least 100 × below that of kelindar", true, 100, s.compare(latency, "kelindar", bench.Ours, bench.P50), ""},
		// The harness itself allocates a little in each run.
		target{"0 allocations per event (that is, at most 0.001)", false, 0.001, s.perEvent(all, bench.AllocsPerDelivery), ""},
		target{"less than 4 B allocated per event", false, math.Nextafter(4, 0), s.perEvent(all, bench.BytesPerDelivery), ""},
		s.batches(bench.Batches, "until it is handled", 64, 2),
		s.batches(bench.BatchPublishing, "for the publisher", 64, 2))
}

// faster is the target to take a share of the time of a rival.
func (s *series) faster(rival string, limit float64, cells []bench.Cell) target {
	t := target{fmt.Sprintf("%v × as fast as %s", limit, rival), true, limit, s.compare(cells, rival, bench.Ours, bench.NsPerDelivery), ""}
	for _, l := range bench.Libraries() {
		if l.Name == rival && l.Handlers != bench.Isolated {
			t.remark = "it runs its handlers " + l.Handlers
		}
	}
	return t
}

// within is the target to take at most so many times what a rival takes.
func (s *series) within(rival string, limit float64, metric bench.Metric, cells []bench.Cell) target {
	what := string(metric)
	if quantile, isTime := strings.CutSuffix(what, "-ns"); isTime {
		what = "latency " + quantile
	}
	return target{fmt.Sprintf("%s within %v × that of %s", what, limit, rival), false, limit, s.compare(cells, bench.Ours, rival, metric), ""}
}

func (s *series) compare(cells []bench.Cell, line, other string, metric bench.Metric) (figures []figure) {
	for _, c := range cells {
		figures = append(figures, figure{c.String(), summarize(s.ratios(cellPlace(c), line, other, metric)).median})
	}
	return figures
}

// perEvent is a metric of ours, over all deliveries of an event.
func (s *series) perEvent(cells []bench.Cell, metric bench.Metric) (figures []figure) {
	for _, c := range cells {
		figures = append(figures, figure{c.String(), summarize(s.values(cellPlace(c), bench.Ours, metric)).median * float64(c.Subscribers)})
	}
	return figures
}

// batches is the target that an event of a PublishBatch is so many times cheaper than by itself.
func (s *series) batches(curve, what string, size int, limit float64) target {
	t := target{claim: fmt.Sprintf("an event of a PublishBatch of %d %v × cheaper than by itself, %s", size, limit, what), atLeast: true, limit: limit}
	for _, c := range s.curves {
		if c.Name != curve {
			continue
		}
		for _, line := range c.Lines {
			t.figures = append(t.figures, figure{line.Name, summarize(s.values(curvePlace(c, size), line.Name, bench.BatchSpeedup)).median})
		}
	}
	return t
}

// ratio keeps two digits also of what is very small.
func ratio(v float64) string {
	if v != 0 && math.Abs(v) < 0.1 {
		return fmt.Sprintf("%.2g", v)
	}
	return number(v)
}
