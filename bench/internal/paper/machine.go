package paper

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// Machine says what the figures were measured on.
func Machine() string {
	return fmt.Sprintf("%s, %d logical CPUs, GOMAXPROCS %d, %s/%s, %s",
		cpu(), runtime.NumCPU(), runtime.GOMAXPROCS(0), runtime.GOOS, runtime.GOARCH, runtime.Version())
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

// Commit is the revision of the working tree; what the commands write does not make it
// dirty.
func Commit() string {
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

// Date is that of today.
func Date() string { return time.Now().UTC().Format("2006-01-02") }
