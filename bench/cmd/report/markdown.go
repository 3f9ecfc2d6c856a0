package main

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/troupe-go/troupe/bench"
)

// markdown renders the report. No figure in it comes from anywhere but s.
func (s *series) markdown() []byte {
	var b bytes.Buffer
	s.heading(&b)
	s.targets(&b)
	s.compared(&b)
	if s.ran(bench.Throughput) {
		s.throughput(&b)
	}
	if s.ran(bench.Latency) {
		s.latency(&b)
	}
	if s.ran(bench.Throughput) {
		s.allocations(&b)
	}
	if s.ran(bench.Idle) {
		s.idle(&b)
	}
	for _, c := range s.curves {
		if s.ran(c.Name) {
			s.curve(&b, c)
		}
	}
	s.guarantees(&b)
	return b.Bytes()
}

func (s *series) heading(b *bytes.Buffer) {
	fmt.Fprintf(b, "# In process\n\nWritten by `%s`; do not edit. How it works: [README.md](README.md).\n\n", s.env.command)
	if s.share < 1 {
		fmt.Fprintf(b, "**Quick run with %v of the time: it shows that everything works; do not compare its figures.**\n\n", s.share)
	}
	if s.scenarios != nil || s.points != nil {
		b.WriteString("**A part of the report only.**\n\n")
	}
	if !s.has(bench.Ours) {
		b.WriteString("**Without Troupe.**\n\n")
	}
	for _, failure := range s.failures {
		fmt.Fprintf(b, "**FAILED, left out from there on: %s**\n\n", failure)
	}
	for _, what := range s.skipped {
		fmt.Fprintf(b, "**Skipped, with what is larger: %s**\n\n", what)
	}
	fmt.Fprintf(b, "* Machine: %s\n* Commit: %s\n* Date: %s, took %v\n", s.env.machine, s.env.commit, s.env.date, s.took.Round(time.Second))
	fmt.Fprintf(b, "* Runs: %d of each cell and %d of each point of a curve, interleaved. Figures are medians with (least–greatest).\n", s.reps, (s.reps+1)/2)
	b.WriteString("* Ratios are medians of the ratios of neighboring runs: × 2.0 takes twice the time.\n")
	b.WriteString("* Every figure stands for a run in which each subscriber counted each event exactly once.\n\n")
}

func (s *series) compared(b *bytes.Buffer) {
	b.WriteString("## Libraries\n\n")
	table(b, "library", "version", "handlers run", "in flight at most", "order per producer", "share of the time")
	for _, l := range s.libraries {
		order, share := "no", 1.0
		if l.Ordered {
			order = "yes"
		}
		if l.Scale > 0 {
			share = l.Scale
		}
		row(b, l.Name, s.env.versions[l.Name], l.Handlers, l.Bound, order, fmt.Sprint(share))
	}
	b.WriteString("\nHandlers that do not run isolated are not comparable in speed: a slow one holds up the others, or the publisher.\n" +
		"Slow libraries run for a shorter time in the throughput cells.\n\n")
}

func (s *series) throughput(b *bytes.Buffer) {
	cells := cellsOf(bench.Throughput)
	b.WriteString("## Throughput\n\nns per delivery in steady state, producers x subscribers.\n\n" +
		"![ns per delivery by cell](plots/throughput.svg)\n\n")
	s.grid(b, cells, func(l bench.Library, c bench.Cell) string {
		return summarize(s.values(cellPlace(c), l.Name, bench.NsPerDelivery)).String()
	})
	for _, other := range []string{bench.Baseline, bench.Ours} {
		if !s.has(other) {
			continue
		}
		fmt.Fprintf(b, "\nTimes the time of %s:\n\n", other)
		s.grid(b, cells, func(l bench.Library, c bench.Cell) string {
			return number(summarize(s.ratios(cellPlace(c), l.Name, other, bench.NsPerDelivery)).median)
		})
	}
	s.losses(b, cells)
}

// losses names the cells in which ours is not the fastest.
func (s *series) losses(b *bytes.Buffer, cells []bench.Cell) {
	if !s.has(bench.Ours) {
		return
	}
	var lost []string
	for _, c := range cells {
		for _, l := range s.libraries {
			if ratio := summarize(s.ratios(cellPlace(c), l.Name, bench.Ours, bench.NsPerDelivery)).median; ratio < 1 {
				lost = append(lost, fmt.Sprintf("%v to %s (× %s)", c, l.Name, number(ratio)))
			}
		}
	}
	if len(lost) == 0 {
		b.WriteString("\nTroupe is the fastest in every cell.\n")
		return
	}
	fmt.Fprintf(b, "\nCells in which Troupe is not the fastest: %s.\n", strings.Join(lost, ", "))
}

func (s *series) latency(b *bytes.Buffer) {
	b.WriteString("\n## Latency\n\nFrom just before Publish to the handler, one producer at a fixed rate. " +
		"The last column counts from the moment the event was due, so it also holds the time for which a library held its publisher up.\n" +
		"\n![latency by cell](plots/latency.svg)\n")
	for _, c := range cellsOf(bench.Latency) {
		fmt.Fprintf(b, "\n%d events/s, subscribers: %d\n\n", c.Rate, c.Subscribers)
		header := []string{"library", "p50", "p99", "p99.9", "p50 × channel", "p99 × channel"}
		if s.has(bench.Ours) {
			header = append(header, "p50 × Troupe", "p99 × Troupe")
		}
		table(b, append(header, "p99 from due")...)
		for _, l := range s.libraries {
			cols := []string{l.Name}
			for _, m := range []bench.Metric{bench.P50, bench.P99, bench.P999} {
				cols = append(cols, summarize(s.values(cellPlace(c), l.Name, m)).durations())
			}
			for _, other := range []string{bench.Baseline, bench.Ours} {
				if s.has(other) {
					cols = append(cols, number(summarize(s.ratios(cellPlace(c), l.Name, other, bench.P50)).median),
						number(summarize(s.ratios(cellPlace(c), l.Name, other, bench.P99)).median))
				}
			}
			row(b, append(cols, duration(summarize(s.values(cellPlace(c), l.Name, bench.DueP99)).median))...)
		}
	}
}

func (s *series) allocations(b *bytes.Buffer) {
	b.WriteString("\n## Allocations\n\nPer delivery, of the throughput cells with one producer: count / bytes.\n\n")
	var cells []bench.Cell
	for _, c := range cellsOf(bench.Throughput) {
		if c.Producers == 1 {
			cells = append(cells, c)
		}
	}
	s.grid(b, cells, func(l bench.Library, c bench.Cell) string {
		return fmt.Sprintf("%.2f / %.1f", summarize(s.values(cellPlace(c), l.Name, bench.AllocsPerDelivery)).median,
			summarize(s.values(cellPlace(c), l.Name, bench.BytesPerDelivery)).median)
	})
}

func (s *series) idle(b *bytes.Buffer) {
	c := cellsOf(bench.Idle)[0]
	fmt.Fprintf(b, "\n## Idle subscribers\n\nHeap and stacks, and goroutines, per subscriber of a topic with %d "+
		"that have each handled one event.\n\n", c.Subscribers)
	table(b, "library", "bytes", "goroutines", "measured with")
	for _, l := range s.libraries {
		row(b, l.Name, summarize(s.values(cellPlace(c), l.Name, bench.BytesPerSubscriber)).String(),
			fmt.Sprintf("%.2f", summarize(s.values(cellPlace(c), l.Name, bench.GoroutinesPerSubscriber)).median), fmt.Sprint(c.For(l).Subscribers))
	}
}

func (s *series) guarantees(b *bytes.Buffer) {
	b.WriteString("\n## What the figures do not say\n\nWhat each library promises for its price, as configured here.\n")
	for _, l := range s.libraries {
		fmt.Fprintf(b, "\n**%s** (handlers run %s). %s\n", l.Name, l.Handlers, l.Guarantees)
	}
}

// grid is a table of libraries by cells.
func (s *series) grid(b *bytes.Buffer, cells []bench.Cell, value func(bench.Library, bench.Cell) string) {
	header := []string{"library"}
	for _, c := range cells {
		header = append(header, c.String())
	}
	table(b, header...)
	marked := false
	for _, l := range s.libraries {
		cols := []string{l.Name}
		if l.Handlers != bench.Isolated {
			cols[0] += " †"
			marked = true
		}
		for _, c := range cells {
			cols = append(cols, value(l, c))
		}
		row(b, cols...)
	}
	if marked {
		b.WriteString("\n† handlers not isolated\n")
	}
}

func cellsOf(scenario string) (cells []bench.Cell) {
	for _, c := range bench.Cells() {
		if c.Scenario == scenario {
			cells = append(cells, c)
		}
	}
	return cells
}

func table(b *bytes.Buffer, header ...string) {
	row(b, header...)
	b.WriteString(strings.Repeat("|---", len(header)) + "|\n")
}

func row(b *bytes.Buffer, cols ...string) {
	b.WriteString("| " + strings.Join(cols, " | ") + " |\n")
}

func (s spread) String() string { return s.format(number) }

func (s spread) durations() string { return s.format(duration) }

func (s spread) format(f func(float64) string) string {
	if math.IsNaN(s.median) {
		return "–"
	}
	return fmt.Sprintf("%s (%s–%s)", f(s.median), f(s.min), f(s.max))
}

// number keeps about two significant digits below ten and no fraction from there on.
func number(v float64) string {
	switch {
	case math.IsNaN(v):
		return "–"
	case v < 1:
		return fmt.Sprintf("%.2f", v)
	case v < 10:
		return fmt.Sprintf("%.1f", v)
	default:
		return fmt.Sprintf("%.0f", v)
	}
}

func duration(ns float64) string {
	if math.IsNaN(ns) {
		return "–"
	}
	switch d := time.Duration(ns); {
	case d < time.Microsecond:
		return fmt.Sprintf("%d ns", d)
	case d < time.Millisecond:
		return number(ns/1e3) + " µs"
	default:
		return number(ns/1e6) + " ms"
	}
}
