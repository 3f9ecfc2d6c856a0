package bench

import (
	"bytes"
	"fmt"
	"os"
	"runtime/debug"
	"syscall"
	"time"
)

// processorTime is what the process has used so far, in user code and in the kernel.
func processorTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// needMemory is nil if the machine has so many bytes left for this process.
func needMemory(bytes int64) error {
	debug.FreeOSMemory() // what runs before have left is available, too
	have, ok := freeMemory()
	switch {
	case !ok:
		return Skip(fmt.Sprintf("needs %s, and the system does not say what it has", gib(bytes)))
	case have < bytes:
		return Skip(fmt.Sprintf("needs %s of memory, %s are available", gib(bytes), gib(have)))
	}
	return nil
}

// freeMemory is what the kernel says could be used without swapping.
func freeMemory() (int64, bool) {
	info, _ := os.ReadFile("/proc/meminfo")
	for line := range bytes.Lines(info) {
		var kib int64
		if n, _ := fmt.Sscanf(string(line), "MemAvailable: %d kB", &kib); n == 1 {
			return kib << 10, true
		}
	}
	return 0, false
}

func gib(bytes int64) string { return fmt.Sprintf("%.1f GiB", float64(bytes)/(1<<30)) }
