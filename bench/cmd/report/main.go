// Command report runs every library through every cell, interleaved, and writes RESULTS.md and results.csv.
//
//	go run ./cmd/report [-reps 10] [-quick] [-rivals kelindar,watermill] [-out RESULTS.md]
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
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		os.Exit(1)
	}
}

func run() error {
	reps := flag.Int("reps", 10, "times that every cell is run")
	quick := flag.Bool("quick", false, "a quarter of the events, twice: to see that it works, not to compare")
	rivals := flag.String("rivals", "", "comma separated libraries to run beside the channel and Troupe (default all)")
	out := flag.String("out", "RESULTS.md", "report to write; results.csv goes beside it")
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
	libraries, err := choose(*rivals)
	if err != nil {
		return err
	}
	s := &series{env: describe(), libraries: libraries, reps: *reps, share: share}
	s.collect()
	csv := filepath.Join(filepath.Dir(*out), "results.csv")
	if err := errors.Join(
		os.WriteFile(*out, s.markdown(), 0o644),
		os.WriteFile(csv, s.csv(), 0o644),
	); err != nil {
		return err
	}
	fmt.Fprintf(os.Stderr, "wrote %s and %s after %v\n", *out, csv, s.took.Round(time.Second))
	if len(s.failures) > 0 {
		return errors.New("some runs failed, see above")
	}
	return nil
}

func isSet(name string) (set bool) {
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == name })
	return set
}

// choose keeps the named libraries, the baseline and ours.
func choose(names string) ([]bench.Library, error) {
	all := bench.Libraries()
	if names == "" {
		return all, nil
	}
	wanted := strings.Split(names, ",")
	var known []string
	for _, l := range all {
		known = append(known, l.Name)
	}
	for _, name := range wanted {
		if !slices.Contains(known, name) {
			return nil, fmt.Errorf("-rivals %q: must be of %s", name, strings.Join(known, ", "))
		}
	}
	return slices.DeleteFunc(all, func(l bench.Library) bool {
		return l.Name != bench.Baseline && l.Name != bench.Ours && !slices.Contains(wanted, l.Name)
	}), nil
}
