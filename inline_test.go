package troupe_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What is done for each delivery of a quick handler is a few instructions, so a call
// more is felt: when Plain had become too large to be inlined, a delivery to a hundred
// subscribers cost a quarter more.
func TestHotPathIsInlined(t *testing.T) {
	for _, dir := range []string{"mailbox", "actors"} { // so that a result is not cached beyond their changes
		if _, err := os.ReadDir(dir); err != nil {
			t.Fatal(err)
		}
		files, _ := filepath.Glob(dir + "/*.go")
		for _, name := range files {
			if _, err := os.Stat(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	out, err := exec.Command("go", "build", "-gcflags=-m", "-o", os.DevNull, "./examples/quickstart").CombinedOutput()
	if err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, method := range []string{"Plain", "Take", "More"} {
		found := false
		for line := range strings.Lines(string(out)) {
			found = found || strings.Contains(line, "actors/loop.go") && strings.Contains(line, "inlining call to mailbox.(*Reader[go.shape.struct { ID string; Card string }") &&
				strings.HasSuffix(strings.TrimSpace(line), "])."+method)
		}
		if !found {
			t.Errorf("mailbox.Reader.%s is not inlined: see the output of go build -gcflags=-m ./examples/quickstart", method)
		}
	}
}
