package main

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/troupe-go/troupe/bench"
)

// series is everything that one invocation measured.
type series struct {
	env       environment
	libraries []bench.Library
	curves    []bench.Curve
	reps      int
	share     float64  // of the time or the events
	scenarios []string // and curves, to run; nil for all
	points    []string // to run; nil for all

	runs     []oneRun
	failures []string
	skipped  []string
	took     time.Duration
}

// place is a cell of a scenario, or a point of a curve.
type place struct{ scenario, point string }

func (p place) String() string { return p.scenario + " " + p.point }

func cellPlace(c bench.Cell) place { return place{c.Scenario, c.String()} }

func curvePlace(c bench.Curve, x int) place { return place{c.Name, strconv.Itoa(x)} }

// oneRun is a run of a line, which is a library or a line of a curve.
type oneRun struct {
	place
	line   string
	rep    int
	result bench.Result
}

// job is what has to be run at a place.
type job struct {
	place
	line  string
	owner string // what is not run any more when it fails
	index int    // of the point on a curve
	every int    // how many reps go by from one run to the next
	once  bool   // in the last rep only
	run   func() (bench.Result, error)
}

func (j job) due(rep, reps int) bool {
	if j.once {
		return rep == reps-1
	}
	return rep%j.every == 0
}

// groups lists the jobs by place.
func (s *series) groups() (groups [][]job) {
	add := func(group []job) {
		if len(group) > 0 && s.wants(group[0].place) {
			groups = append(groups, group)
		}
	}
	for _, c := range bench.Cells() {
		var group []job
		for _, l := range s.libraries {
			group = append(group, job{place: cellPlace(c), line: l.Name, owner: l.Name, every: 1, run: func() (bench.Result, error) {
				return bench.Run(l, s.shorten(c.For(l)))
			}})
		}
		add(group)
	}
	span := time.Duration(float64(bench.CurveSpan) * s.share)
	for _, c := range s.curves {
		for i, x := range c.Xs {
			var group []job
			for _, line := range c.Lines {
				group = append(group, job{place: curvePlace(c, x), line: line.Name, owner: c.Name + "/" + line.Name, index: i, every: 2,
					once: c.Once > 0 && x >= c.Once, run: func() (bench.Result, error) { return line.Run(x, span) }})
			}
			if s.share == 1 || c.Once == 0 || x < c.Once { // a quick run has no time for the largest
				add(group)
			}
		}
	}
	return groups
}

func (s *series) wants(p place) bool {
	return (s.scenarios == nil || slices.Contains(s.scenarios, p.scenario)) && (s.points == nil || slices.Contains(s.points, p.point))
}

func (s *series) shorten(c bench.Cell) bench.Cell {
	c.Span = time.Duration(float64(c.Span) * s.share)
	if c.Scenario == bench.Latency {
		c.Events = max(int(float64(c.Events)*s.share), 100)
	}
	return c
}

// collect checks every library, then runs rep by rep, place by place, line by line. At a place the lines follow
// each other at once, so that they meet the same machine, and their order moves on each time, so that none
// always runs first or after the same neighbor.
func (s *series) collect() {
	start := time.Now()
	leftOut := make(map[string]int) // by owner, from which index on
	for _, l := range s.libraries {
		if err := bench.Verify(l, 4, 10, 1000); err != nil {
			leftOut[l.Name] = 0
			s.fail(err)
		}
	}
	groups := s.groups()
	for rep := range s.reps {
		for i, group := range groups {
			for k := range group {
				j := group[(k+rep+i)%len(group)]
				if from, ok := leftOut[j.owner]; !j.due(rep, s.reps) || ok && j.index >= from {
					continue
				}
				result, err := j.run()
				var skip bench.Skip
				switch {
				case errors.As(err, &skip):
					leftOut[j.owner] = j.index
					s.skip(fmt.Sprintf("%v, %s: %v", j.place, j.line, skip))
				case err != nil:
					leftOut[j.owner] = 0 // its goroutines may still run and would weigh on the others
					s.fail(err)
				default:
					s.runs = append(s.runs, oneRun{j.place, j.line, rep, result})
				}
			}
		}
		fmt.Fprintf(os.Stderr, "rep %d of %d done after %v\n", rep+1, s.reps, time.Since(start).Round(time.Second))
	}
	s.took = time.Since(start)
}

func (s *series) fail(err error) {
	fmt.Fprintln(os.Stderr, "FAILED, left out from here on:", err)
	s.failures = append(s.failures, err.Error())
}

func (s *series) skip(what string) {
	fmt.Fprintln(os.Stderr, "skipped, with what is larger:", what)
	s.skipped = append(s.skipped, what)
}

// ran reports whether a scenario or curve has a run.
func (s *series) ran(scenario string) bool {
	return slices.ContainsFunc(s.runs, func(r oneRun) bool { return r.scenario == scenario })
}

// values lists a metric of a line at a place by rep, with NaN where there is none.
func (s *series) values(p place, line string, metric bench.Metric) []float64 {
	values := slices.Repeat([]float64{math.NaN()}, s.reps)
	for _, r := range s.runs {
		if v, ok := r.result[metric]; ok && r.place == p && r.line == line {
			values[r.rep] = v
		}
	}
	return values
}

// ratios divides run by run: each by the run of the other line in the same rep, seconds apart.
func (s *series) ratios(p place, line, other string, metric bench.Metric) []float64 {
	a, b := s.values(p, line, metric), s.values(p, other, metric)
	for i := range a {
		a[i] /= b[i]
	}
	return a
}

// spread is a median with its extremes; NaN if there is no value.
type spread struct{ median, min, max float64 }

func summarize(values []float64) spread {
	v := slices.DeleteFunc(slices.Clone(values), math.IsNaN)
	if len(v) == 0 {
		return spread{math.NaN(), math.NaN(), math.NaN()}
	}
	slices.Sort(v)
	n := len(v)
	return spread{(v[(n-1)/2] + v[n/2]) / 2, v[0], v[n-1]}
}

func (s *series) has(library string) bool {
	return slices.ContainsFunc(s.libraries, func(l bench.Library) bool { return l.Name == library })
}

// csv is one line per run and metric.
func (s *series) csv() []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Write([]string{"scenario", "point", "line", "version", "rep", "metric", "value"})
	for _, r := range s.runs {
		library, _, _ := strings.Cut(r.line, " ")
		for _, metric := range slices.Sorted(maps.Keys(r.result)) {
			w.Write([]string{
				r.scenario, r.point, r.line, s.env.versions[library], strconv.Itoa(r.rep),
				string(metric), strconv.FormatFloat(r.result[metric], 'g', -1, 64),
			})
		}
	}
	w.Flush()
	return b.Bytes()
}
