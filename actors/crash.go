package actors

import (
	goruntime "runtime"
	"strconv"
	"strings"
)

// instrumentedFrame is how the frames of instrumented begin.
const instrumentedFrame = "github.com/troupe-go/troupe/actors.instrumented["

// maxFrames bounds a stack that is kept.
const maxFrames = 64

// callers returns the stack of a deferred function that found a panic or Goexit.
func callers() []uintptr {
	var pcs [maxFrames]uintptr
	return pcs[:goruntime.Callers(2, pcs[:])]
}

// trimmed renders the frames between the runtime's panic machinery and the
// frame of ours that called the user's code: those that the user wrote, or
// chose to call.
func trimmed(pcs []uintptr) string {
	if len(pcs) == 0 {
		return ""
	}
	var kept []goruntime.Frame
	inUser := false
	frames := goruntime.CallersFrames(pcs)
	for {
		f, more := frames.Next()
		switch {
		case strings.HasPrefix(f.Function, "runtime.gopanic"), f.Function == "runtime.Goexit":
			kept, inUser = kept[:0], true
		case !inUser:
		case strings.HasPrefix(f.Function, instrumentedFrame):
			// panics once more: what the user wrote comes below
		case ownFrame(f.Function):
			more = false
		case len(kept) == 0 && strings.HasPrefix(f.Function, "runtime."):
			// panicmem, sigpanic, panicIndex …: how the panic came about, not where
		default:
			kept = append(kept, f)
		}
		if !more {
			break
		}
	}
	var b strings.Builder
	for _, f := range kept {
		b.WriteString(f.Function)
		b.WriteString("\n\t")
		b.WriteString(f.File)
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(f.Line))
		b.WriteByte('\n')
	}
	return b.String()
}

// ownFrame reports whether the function is one that calls the user's code.
func ownFrame(name string) bool {
	return strings.HasPrefix(name, "github.com/troupe-go/troupe/actors.") ||
		strings.HasPrefix(name, "github.com/sourcegraph/conc/panics.")
}
