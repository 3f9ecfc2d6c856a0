package main

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// benchmark is one of a module's own, for that many events.
type benchmark struct {
	module string
	name   string // BenchmarkEndToEnd/same_bytes
	events int
}

// cpu is the name that the processor time of an event gets, whatever a module calls it.
const cpu = "cpu-ns"

// rate is the name for events in a second.
const rate = "events/s"

// once runs it and returns its metrics.
func (r *run) once(ctx context.Context, b benchmark) (map[string]float64, error) {
	path, err := r.binary(ctx, b.module)
	if err != nil {
		return nil, err
	}
	within, cancel := context.WithTimeoutCause(ctx, time.Minute, fmt.Errorf("%s: took longer than a minute", b.name))
	defer cancel()
	out, used, err := r.command(within, r.root+"/"+b.module, nil, path, "-test.run=^$", "-test.bench="+pattern(b.name),
		"-test.benchtime="+strconv.Itoa(b.events)+"x", "-test.benchmem")
	if err != nil {
		return nil, err
	}
	metrics, err := parse(string(out), b.name)
	if err != nil {
		return nil, err
	}
	if _, ok := metrics[cpu]; !ok { // of the whole process, with its start
		metrics[cpu] = float64(used.Nanoseconds()) / float64(b.events)
	}
	return metrics, nil
}

// pattern matches that benchmark only.
func pattern(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

// result is what a benchmark ends its output with: how often, and its metrics.
var result = regexp.MustCompile(`(?m)\s\d+\t\s*(\S+ ns/op.*)$`)

// parse reads the metrics of the one benchmark of that name. What a benchmark or its
// libraries print may stand between the name and the metrics. A module may call events
// msg or record, and what one of them takes op.
func parse(out, name string) (map[string]float64, error) {
	at := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `(-\d+)?\s`).FindStringIndex(out)
	if at == nil && strings.Contains(out, "SKIP") {
		return nil, fmt.Errorf("%s: %w: %s", name, errSkipped, tail(out))
	}
	if at == nil {
		return nil, fmt.Errorf("%s: there is no such benchmark: %s", name, tail(out))
	}
	lines := result.FindStringSubmatch(out[at[0]:])
	if lines == nil {
		return nil, fmt.Errorf("%s: has no figures: %s", name, tail(out))
	}
	found := map[string]float64{}
	fields := strings.Fields(lines[1])
	for i := 0; i+1 < len(fields); i += 2 {
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is no figure in %q", name, fields[i], lines[1])
		}
		unit := fields[i+1]
		switch unit {
		case "msg/s", "records/s":
			unit = rate
		case "cpu-ns/op", "cpu-ns/msg", "cpu-ns/record":
			unit = cpu
		}
		found[unit] = v
	}
	if _, ok := found[rate]; !ok && found["ns/op"] > 0 {
		found[rate] = 1e9 / found["ns/op"]
	}
	return found, nil
}

// samples are metrics by name of the benchmark, unit and repetition.
type samples map[string]map[string]map[int]float64

func (s samples) of(name, unit string) map[int]float64 { return s[name][unit] }

// interleave runs benchmarks in turn, in an order that rotates. What fails is told and
// has no figure of that run; one that fails twice is left out from there on.
func (r *run) interleave(ctx context.Context, all []benchmark) samples {
	got, failed := samples{}, map[string]int{}
	for rep := range r.reps {
		for i := range all {
			b := all[(i+rep)%len(all)]
			if failed[b.name] > 1 || ctx.Err() != nil {
				continue
			}
			metrics, err := r.once(ctx, b)
			if err != nil {
				failed[b.name]++
				r.fault("%s, run %d: %v", b.module, rep+1, err)
				continue
			}
			if got[b.name] == nil {
				got[b.name] = map[string]map[int]float64{}
			}
			for unit, v := range metrics {
				if got[b.name][unit] == nil {
					got[b.name][unit] = map[int]float64{}
				}
				got[b.name][unit][rep] = v
			}
		}
	}
	return got
}
