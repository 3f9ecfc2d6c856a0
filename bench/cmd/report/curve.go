package main

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-go/troupe/bench"
)

// curve is a table with a column for each x or, if there is one x only, for each metric.
func (s *series) curve(b *bytes.Buffer, c bench.Curve) {
	fmt.Fprintf(b, "\n## %s\n\n%s\n\n", c.Title, c.About)
	if len(c.Xs) == 1 {
		s.single(b, c)
		return
	}
	for _, metric := range c.Plots {
		fmt.Fprintf(b, "![%s by %s](plots/%s)\n", metric, c.X, plotFile(c, metric))
	}
	header := []string{c.X}
	for _, x := range c.Xs {
		header = append(header, strconv.Itoa(x))
	}
	b.WriteString("\n")
	table(b, header...)
	for _, line := range c.Lines {
		for _, metric := range c.Metrics {
			cols := []string{line.Name + ", " + string(metric)}
			for _, x := range c.Xs {
				cols = append(cols, summarize(s.values(curvePlace(c, x), line.Name, metric)).String())
			}
			row(b, cols...)
		}
	}
	for _, metric := range c.Plots {
		fmt.Fprintf(b, "\n%s\n", s.bends(c, metric))
	}
	for _, pair := range c.Cross {
		fmt.Fprintf(b, "\n%s\n", s.crossing(c, pair[0], pair[1]))
	}
}

func (s *series) single(b *bytes.Buffer, c bench.Curve) {
	at := curvePlace(c, c.Xs[0])
	header := []string{""}
	for _, metric := range c.Metrics {
		header = append(header, strings.TrimSuffix(string(metric), "-ns"))
	}
	if c.Versus != "" {
		header = append(header, fmt.Sprintf("%s × %s", c.Metrics[0], c.Versus))
	}
	table(b, header...)
	for _, line := range c.Lines {
		cols := []string{line.Name}
		for _, metric := range c.Metrics {
			format := number
			if strings.HasSuffix(string(metric), "-ns") {
				format = duration
			}
			cols = append(cols, summarize(s.values(at, line.Name, metric)).format(format))
		}
		if c.Versus != "" {
			cols = append(cols, ratio(summarize(s.ratios(at, line.Name, c.Versus, c.Metrics[0])).median))
		}
		row(b, cols...)
	}
}

// bendAt is how many times the least median before it a median has to be for a curve to bend there. Half as much
// again is more than the runs of one point differ on a quiet machine, and less than what any growth with x
// makes of the steps of a curve, which are of 2 or 10. Comparing with the least of all before, and not with the
// one before, also finds what grows a little at each step.
const bendAt = 1.5

// bend returns where values first exceed the least before them by bendAt, and which is that least. NaNs are
// points without a value.
func bend(values []float64) (at, least int, ok bool) {
	least = -1
	for i, v := range values {
		switch {
		case math.IsNaN(v):
		case least < 0 || v < values[least]:
			least = i
		case v > bendAt*values[least]:
			return i, least, true
		}
	}
	return 0, 0, false
}

// bends is a sentence about each line of a curve.
func (s *series) bends(c bench.Curve, metric bench.Metric) string {
	var lines []string
	for _, line := range c.Lines {
		values := s.medians(c, line.Name, metric)
		at, least, ok := bend(values)
		switch {
		case ok:
			lines = append(lines, fmt.Sprintf("%s at %d (%s against %s at %d, × %s)", line.Name, c.Xs[at],
				number(values[at]), number(values[least]), c.Xs[least], number(values[at]/values[least])))
		case measured(values) < 2:
			lines = append(lines, line.Name+" has too few points to say")
		default:
			lines = append(lines, line.Name+" never")
		}
	}
	return fmt.Sprintf("Where %s bends, that is, first exceeds %v times the least before it: %s.", metric, bendAt, strings.Join(lines, "; "))
}

// crossing is a sentence about the x from which on line is below other, at it and all above.
func (s *series) crossing(c bench.Curve, line, other string) string {
	a, b := s.medians(c, line, c.Plots[0]), s.medians(c, other, c.Plots[0])
	from := crossing(a, b)
	if from < 0 {
		return fmt.Sprintf("%s is not cheaper than %s in the end.", line, other)
	}
	return fmt.Sprintf("%s is cheaper than %s from %d %s on.", line, other, c.Xs[from], c.X)
}

// crossing returns the first index from which on all of a is below b, or -1.
func crossing(a, b []float64) int {
	from := -1
	for i, v := range slices.Backward(a) {
		if math.IsNaN(v) || math.IsNaN(b[i]) {
			continue
		}
		if v >= b[i] {
			break
		}
		from = i
	}
	return from
}

// medians lists those of a line by x.
func (s *series) medians(c bench.Curve, line string, metric bench.Metric) (values []float64) {
	for _, x := range c.Xs {
		values = append(values, summarize(s.values(curvePlace(c, x), line, metric)).median)
	}
	return values
}

func measured(values []float64) (n int) {
	for _, v := range values {
		if !math.IsNaN(v) {
			n++
		}
	}
	return n
}
