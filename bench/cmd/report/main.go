// Command report runs every library through every cell and Troupe along every curve, interleaved, and writes
// its section of RESULTS.md, results.csv and plots/*.svg.
//
//	go run ./cmd/report [-reps 10] [-quick] [-rivals kelindar,watermill] [-scenarios throughput,payload]
//		[-cells 1x10,4x1,64] [-out RESULTS.md]
//
// It exits with 1 if a library lost, repeated or altered a delivery; the report then says which.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/troupe-go/troupe/bench"
	"github.com/troupe-go/troupe/bench/internal/paper"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run() error {
	reps := flag.Int("reps", 10, "times that every cell is run; a point of a curve is run half as often")
	quick := flag.Bool("quick", false, "a quarter of the time, twice, and nothing very large: to see that it works, not to compare")
	rivals := flag.String("rivals", "", "comma separated libraries to run beside the channel and Troupe (default all)")
	scenarios := flag.String("scenarios", "", "comma separated scenarios and curves to run (default all)")
	cells := flag.String("cells", "", "comma separated cells, and points of curves, to run (default all)")
	out := flag.String("out", "RESULTS.md", "paper of which to write a section; results.csv and plots go beside it")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("argument %q: unexpected", flag.Arg(0))
	}
	share := 1.0
	if *quick {
		share = 0.25
		if !isSet("reps") {
			*reps = 2
		}
	}
	if *reps < 1 {
		return fmt.Errorf("-reps %d: must be at least 1", *reps)
	}
	s, err := newSeries(*rivals, *scenarios, *cells)
	if err != nil {
		return err
	}
	s.env, s.reps, s.share = describe(), *reps, share
	s.collect()
	if err := s.write(*out); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "wrote %s after %v\n", *out, s.took.Round(time.Second))
	if len(s.failures) > 0 {
		return errors.New("some runs failed, see above")
	}
	return nil
}

func isSet(name string) (set bool) {
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// newSeries keeps of everything what is named in the comma separated lists, all for an empty one. The baseline
// and ours are always among the libraries, and are what some lines of curves begin with.
func newSeries(rivals, scenarios, cells string) (*series, error) {
	s := &series{libraries: bench.Libraries(), curves: bench.Curves()}
	var names, known, points []string
	for _, l := range s.libraries {
		names = append(names, l.Name)
	}
	for _, c := range bench.Cells() {
		known, points = append(known, c.Scenario), append(points, c.String())
	}
	for _, c := range s.curves {
		known = append(known, c.Name)
		for _, x := range c.Xs {
			points = append(points, curvePlace(c, x).point)
		}
	}
	wanted, err1 := chosen("-rivals", rivals, names)
	var err2, err3 error
	s.scenarios, err2 = chosen("-scenarios", scenarios, known)
	s.points, err3 = chosen("-cells", cells, points)
	if wanted != nil {
		unwanted := func(name string) bool {
			return slices.Contains(names, name) && name != bench.Baseline && name != bench.Ours && !slices.Contains(wanted, name)
		}
		s.libraries = slices.DeleteFunc(s.libraries, func(l bench.Library) bool { return unwanted(l.Name) })
		for i, c := range s.curves {
			s.curves[i].Lines = slices.DeleteFunc(c.Lines, func(l bench.Line) bool {
				library, _, _ := strings.Cut(l.Name, " ")
				return unwanted(library)
			})
		}
	}
	return s, errors.Join(err1, err2, err3)
}

// chosen splits a flag, each part of which has to be known.
func chosen(flag, list string, known []string) ([]string, error) {
	if list == "" {
		return nil, nil
	}
	names := strings.Split(list, ",")
	for _, name := range names {
		if !slices.Contains(known, name) {
			slices.Sort(known)
			return nil, fmt.Errorf("%s %q: must be of %s", flag, name, strings.Join(slices.Compact(known), ", "))
		}
	}
	return names, nil
}

// write writes the report to out, and beside it the runs and the plots.
func (s *series) write(out string) error {
	plots, err := s.plots()
	if err != nil {
		return err
	}
	dir := filepath.Dir(out)
	if err := os.MkdirAll(filepath.Join(dir, "plots"), 0o755); err != nil {
		return err
	}
	errs := []error{
		paper.Write(out, paper.InProcess, s.markdown()),
		os.WriteFile(filepath.Join(dir, "results.csv"), s.csv(), 0o644),
	}
	for name, svg := range plots {
		errs = append(errs, os.WriteFile(filepath.Join(dir, "plots", name), svg, 0o644))
	}
	return errors.Join(errs...)
}
