package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"
)

// report is what is written.
type report struct{ bytes.Buffer }

func (r *report) line(format string, args ...any) { fmt.Fprintf(r, format+"\n\n", args...) }

func (r *report) table(columns ...string) {
	r.row(columns...)
	r.row(slices.Repeat([]string{"---"}, len(columns))...)
}

func (r *report) row(cells ...string) {
	for i, c := range cells {
		cells[i] = strings.ReplaceAll(c, "|", `\|`)
	}
	fmt.Fprintf(r, "| %s |\n", strings.Join(cells, " | "))
}

func (r *run) heading(quick bool) {
	r.out.line("# Dead letters\n\nWritten by `%s`; do not edit.", strings.Join(append([]string{"go run ./cmd/letters"}, os.Args[1:]...), " "))
	if quick {
		r.out.line("**Quick run: it shows that everything works; do not compare its figures.**")
	}
	commit, _ := exec.Command("git", "describe", "--always", "--dirty").Output()
	r.out.line("* Machine: %s, %d logical CPUs, %s/%s, %s\n* Commit: %s\n* Date: %s\n* Letters have a payload of half a KiB, 4 KiB in 1 of 20 and 32 KiB in 1 of 500, an error with numbers in it and one to four attempts; 1 of 40 groups panics. There are %d topics, %d subscribers and %d groups, of which few have most letters; 1 of %d has a node, an error and numbers that no other has.",
		cpu(), runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), strings.TrimSpace(string(commit)), time.Now().UTC().Format("2006-01-02"), topicCount, subscriberCount, groupCount, rareEvery)
}

func cpu() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown CPU"
}

// timings are how long calls took.
type timings []time.Duration

func (t timings) at(share float64) string {
	if len(t) == 0 {
		return "–"
	}
	slices.Sort(t)
	return millis(t[min(len(t)-1, int(share*float64(len(t))))])
}

func (t timings) median() time.Duration {
	if len(t) == 0 {
		return 0
	}
	slices.Sort(t)
	return t[len(t)/2]
}

func millis(d time.Duration) string { return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000) }

// timed calls fn and returns how long it took.
func timed(fn func() error) (time.Duration, error) {
	start := time.Now()
	err := fn()
	return time.Since(start), err
}
