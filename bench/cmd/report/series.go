package main

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/troupe-go/troupe/bench"
)

// series is everything that one invocation measured.
type series struct {
	env       environment
	libraries []bench.Library
	reps      int
	share     float64 // of the events of the cells

	runs     []oneRun
	failures []string
	took     time.Duration
}

type oneRun struct {
	library string
	cell    bench.Cell // as listed by bench.Cells
	events  int        // that were run
	rep     int
	result  bench.Result
}

// collect checks every library, then runs rep by rep, cell by cell, library by library. Within a cell the
// libraries follow each other at once, so that they meet the same machine, and their order moves on each time,
// so that none always runs first or after the same neighbor.
func (s *series) collect() {
	start := time.Now()
	excluded := make(map[string]bool)
	for _, l := range s.libraries {
		if err := bench.Verify(l, 4, 10, 1000); err != nil {
			excluded[l.Name] = true
			s.fail(err)
		}
	}
	for rep := range s.reps {
		for i, cell := range bench.Cells() {
			for k := range s.libraries {
				l := s.libraries[(k+rep+i)%len(s.libraries)]
				if excluded[l.Name] {
					continue
				}
				mine := cell.For(l)
				if cell.Scenario != bench.Idle {
					mine.Events = max(int(float64(mine.Events)*s.share), 100)
				}
				result, err := bench.Run(l, mine)
				if err != nil {
					excluded[l.Name] = true // its goroutines may still run and would weigh on the others
					s.fail(err)
					continue
				}
				s.runs = append(s.runs, oneRun{l.Name, cell, mine.Events, rep, result})
			}
		}
		fmt.Fprintf(os.Stderr, "rep %d of %d done after %v\n", rep+1, s.reps, time.Since(start).Round(time.Second))
	}
	s.took = time.Since(start)
}

func (s *series) fail(err error) {
	fmt.Fprintln(os.Stderr, "FAILED, the library is left out from here on:", err)
	s.failures = append(s.failures, err.Error())
}

// values lists a metric of a library in a cell by rep, with NaN where there is none.
func (s *series) values(library string, cell bench.Cell, metric bench.Metric) []float64 {
	values := slices.Repeat([]float64{math.NaN()}, s.reps)
	for _, r := range s.runs {
		if r.library == library && r.cell == cell {
			values[r.rep] = r.result[metric]
		}
	}
	return values
}

// ratios divides run by run: each by the run of the other library in the same rep, seconds apart.
func (s *series) ratios(library, other string, cell bench.Cell, metric bench.Metric) []float64 {
	a, b := s.values(library, cell, metric), s.values(other, cell, metric)
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
	w.Write([]string{"scenario", "producers", "subscribers", "rate", "library", "version", "rep", "events", "metric", "value"})
	for _, r := range s.runs {
		for _, metric := range slices.Sorted(maps.Keys(r.result)) {
			w.Write([]string{
				r.cell.Scenario, strconv.Itoa(r.cell.Producers), strconv.Itoa(r.cell.Subscribers), strconv.Itoa(r.cell.Rate),
				r.library, s.env.versions[r.library], strconv.Itoa(r.rep), strconv.Itoa(r.events),
				string(metric), strconv.FormatFloat(r.result[metric], 'g', -1, 64),
			})
		}
	}
	w.Flush()
	return b.Bytes()
}
