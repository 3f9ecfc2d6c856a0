package deadletter

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"strings"
)

// stackFrames is how many of the topmost calls tell two panics apart. One is
// not enough where a helper panics for many callers; all would split a group
// wherever the way to the fault differs.
const stackFrames = 3

// Fingerprint returns 16 hexadecimal digits that are the same for letters that
// failed in the same way: same subscriber, reason, types of the error chain,
// message after its variable parts have been replaced by placeholders, and
// names of the topmost calls if there is a stack. It reads nothing else of the
// letter, in particular neither its payload nor line numbers, so a group
// survives a rebuild.
//
// Placeholders stand for numbers, durations, hexadecimal numbers, UUIDs and
// other long identifiers, quoted texts, and paths. Only the beginning of a
// long message counts. The price is a few microseconds.
func Fingerprint(l Letter) string {
	h := sha256.New()
	field := func(s string) {
		// Lengths keep "ab","c" apart from "a","bc".
		var n [8]byte
		binary.LittleEndian.PutUint64(n[:], uint64(len(s)))
		h.Write(n[:])
		h.Write([]byte(s))
	}
	field(l.Subscriber)
	field(l.Reason)
	field(strings.Join(l.ErrorTypes, "\n"))
	field(template(l.Error))
	for _, f := range topFrames(l.Stack, stackFrames) {
		field(f)
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
}

// maxErrorTypes bounds ErrorTypes against errors that unwrap to themselves.
const maxErrorTypes = 32

// ErrorTypes returns the Go types of err and of all it wraps, outermost first
// and depth first, as fmt's %T prints them. It stops at 32 and returns nil for
// nil. A panic in an Unwrap method ends the chain there.
func ErrorTypes(err error) []string {
	var types []string
	var walk func(error)
	walk = func(err error) {
		if err == nil || len(types) == maxErrorTypes {
			return
		}
		types = append(types, fmt.Sprintf("%T", err))
		switch e := err.(type) {
		case interface{ Unwrap() error }:
			walk(e.Unwrap())
		case interface{ Unwrap() []error }:
			for _, inner := range e.Unwrap() {
				walk(inner)
			}
		}
	}
	func() {
		// The errors are the user's, and this runs while one of them is
		// being reported: what is known so far is better than a panic.
		defer func() { _ = recover() }()
		walk(err)
	}()
	return types
}

// topFrames returns the names of the first n functions of a stack as
// runtime/debug.Stack prints it, without those that only report the panic: what
// stands above the panic is the deferred call that looked at it.
func topFrames(stack string, n int) []string {
	if _, below, ok := strings.Cut(stack, "\npanic("); ok {
		stack = below
	}
	var frames []string
	for line := range strings.Lines(stack) {
		if line[0] == '\t' { // file, line and offset
			continue
		}
		if strings.HasPrefix(line, "created by ") {
			break
		}
		// "pkg.(*T).Method(0xc000012345, {0x1, 0x2})": arguments have no
		// parentheses, so the last one opens them.
		open := strings.LastIndexByte(line, '(')
		if open <= 0 || !strings.HasSuffix(strings.TrimRight(line, "\r\n"), ")") {
			continue
		}
		name := line[:open]
		if name == "panic" || strings.HasPrefix(name, "runtime.") || strings.HasPrefix(name, "runtime/debug.") {
			continue
		}
		frames = append(frames, name)
		if len(frames) == n {
			break
		}
	}
	return frames
}
