package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	"github.com/troupe-go/troupe/bench"
)

// environment is what a figure depends on beside the code.
type environment struct {
	machine  string
	commit   string
	command  string
	date     string
	versions map[string]string // by library name
}

func describe() environment {
	command := strings.Join(append([]string{"go run ./cmd/report"}, os.Args[1:]...), " ")
	return environment{
		machine: fmt.Sprintf("%s, %d logical CPUs, GOMAXPROCS %d, %s/%s, %s",
			cpu(), runtime.NumCPU(), runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH, runtime.Version()),
		commit:   commit(),
		command:  command,
		date:     time.Now().UTC().Format("2006-01-02"),
		versions: versions(),
	}
}

func cpu() string {
	info, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(info)) {
		if key, value, _ := strings.Cut(line, ":"); strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	if name, err := exec.Command("sysctl", "-n", "machdep.cpu.brand_string").Output(); err == nil {
		return strings.TrimSpace(string(name))
	}
	return "unknown CPU"
}

// commit is the revision of the working tree; the files that this command writes do not make it dirty.
func commit() string {
	revision, err := exec.Command("git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return "none"
	}
	changes, err := exec.Command("git", "status", "--porcelain", "--", ":(top)",
		":(top,exclude)bench/RESULTS.md", ":(top,exclude)bench/results.csv", ":(top,exclude)bench/plots").Output()
	if err != nil || len(changes) > 0 {
		return strings.TrimSpace(string(revision)) + " (dirty)"
	}
	return strings.TrimSpace(string(revision))
}

func versions() map[string]string {
	byModule := make(map[string]string)
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, dep := range info.Deps {
			byModule[dep.Path] = dep.Version
			if dep.Replace != nil {
				byModule[dep.Path] = "this tree"
			}
		}
	}
	byLibrary := make(map[string]string)
	for _, l := range bench.Libraries() {
		byLibrary[l.Name] = runtime.Version()
		if l.Module != "" {
			byLibrary[l.Name] = byModule[l.Module]
		}
	}
	return byLibrary
}
