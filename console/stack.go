package console

import (
	"slices"
	"strings"
)

// userFrames returns the numbers of the lines of a stack, as debug.Stack prints it,
// that are of the user's code: not of the standard library, of Troupe and what it
// stands on, or of a module of others. Each frame is two lines.
func userFrames(stack string) []int {
	lines := strings.Split(stack, "\n")
	var user []int
	for i := 0; i+1 < len(lines); i++ {
		name, file := lines[i], lines[i+1]
		if !strings.HasPrefix(file, "\t") || strings.HasPrefix(name, "\t") {
			continue
		}
		if usersOwn(strings.TrimPrefix(name, "created by "), file) {
			user = append(user, i, i+1)
		}
		i++
	}
	return user
}

// standard are the first elements of the import paths of the standard library.
var standard = strings.Fields(`archive bufio bytes cmp compress container context crypto database debug embed encoding errors
	expvar flag fmt go hash html image index internal io iter log maps math mime net os path plugin reflect regexp runtime
	slices sort strconv strings structs sync syscall testing text time unicode unique unsafe vendor weak panic`)

func usersOwn(function, file string) bool {
	if strings.Contains(file, "/pkg/mod/") || strings.Contains(file, "@v") {
		return false
	}
	if rest, ok := strings.CutPrefix(function, "github.com/troupe-go/troupe/"); ok {
		// Programs and tests in Troupe's own repository are users of it.
		return strings.HasPrefix(rest, "examples/") || strings.HasPrefix(rest, "cmd/") ||
			strings.HasPrefix(rest, "console/browsertest.") || strings.Contains(rest, "_test.")
	}
	first := function
	if i := strings.IndexAny(first, "/.("); i >= 0 {
		first = first[:i]
	}
	return !slices.Contains(standard, first)
}
