package troupe_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/enginetest"
)

// TestEnginesDocShowsWhatTheSuiteHasFound holds the table of capabilities to the files
// that the conformance suite writes.
func TestEnginesDocShowsWhatTheSuiteHasFound(t *testing.T) {
	const begin, end = "<!-- CAPABILITIES: made of the files caps.json; a test looks. -->\n", "<!-- /CAPABILITIES -->"
	doc := read(t, "docs/engines.md")
	before, rest, ok := strings.Cut(doc, begin)
	table, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatal("docs/engines.md does not mark its table of capabilities")
	}
	want := capabilities(t)
	if strings.TrimSpace(table) == strings.TrimSpace(want) {
		return
	}
	if os.Getenv("TROUPE_CAPS") == "write" {
		if err := os.WriteFile("docs/engines.md", []byte(before+begin+"\n"+want+"\n"+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Errorf("docs/engines.md: the table is not that of the files; TROUPE_CAPS=write go test . -run Engines writes it. Want\n%s", want)
}

// TestGuidesReferToFigures holds that what docs/scale.md and docs/engines.md name as
// their evidence is a heading of bench/RESULTS.md, and that each step of scale.md has
// some.
func TestGuidesReferToFigures(t *testing.T) {
	link := regexp.MustCompile(`\.\./bench/RESULTS\.md#([a-z0-9-]+)`)
	anchors := map[string]bool{}
	for _, m := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(read(t, "bench/RESULTS.md"), -1) {
		name := regexp.MustCompile(`[^a-z0-9 -]`).ReplaceAllString(strings.ToLower(m[1]), "")
		anchors[strings.ReplaceAll(name, " ", "-")] = true
	}
	for _, guide := range []string{"docs/scale.md", "docs/engines.md"} {
		found := link.FindAllStringSubmatch(read(t, guide), -1)
		if len(found) == 0 {
			t.Errorf("%s refers to no figures", guide)
		}
		for _, m := range found {
			if !anchors[m[1]] {
				t.Errorf("%s refers to %s, which is no heading of bench/RESULTS.md: cd bench && go run ./cmd/engines", guide, m[0])
			}
		}
	}
	_, steps, _ := strings.Cut(read(t, "docs/scale.md"), "\n## ")
	for i, step := range strings.Split(steps, "\n## ")[:5] {
		if !link.MatchString(step) {
			t.Errorf("docs/scale.md: step %d refers to no figure", i+1)
		}
	}
}

func capabilities(t *testing.T) string {
	var files []string
	for _, pattern := range []string{"engine/*/", "bridge/*/"} {
		found, err := filepath.Glob(pattern + enginetest.CapsFile)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	type variant struct {
		name string
		caps engine.Caps
	}
	var all []variant
	for _, file := range files {
		found := map[string]engine.Caps{}
		if err := json.Unmarshal([]byte(read(t, file)), &found); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		for name, caps := range found {
			all = append(all, variant{name, caps})
		}
	}
	slices.SortFunc(all, func(a, b variant) int { return strings.Compare(a.name, b.name) })
	var b strings.Builder
	b.WriteString("| |")
	for _, v := range all {
		fmt.Fprintf(&b, " %s |", v.name)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(all)) + "\n")
	row := func(what string, of func(engine.Caps) string) {
		fmt.Fprintf(&b, "| %s |", what)
		for _, v := range all {
			fmt.Fprintf(&b, " %s |", of(v.caps))
		}
		b.WriteString("\n")
	}
	for _, one := range []struct {
		what string
		of   func(engine.Caps) bool
	}{
		{"at least once", func(c engine.Caps) bool { return c.AtLeastOnce }},
		{"survives kill -9", func(c engine.Caps) bool { return c.Durable }},
		{"survives loss of power", func(c engine.Caps) bool { return c.PowerSafe }},
		{"groups share events", func(c engine.Caps) bool { return c.Groups }},
		{"order of one publisher", func(c engine.Caps) bool { return c.Ordered }},
		{"order of a key over processes", func(c engine.Caps) bool { return c.KeyOrder }},
		{"a new group begins with the oldest", func(c engine.Caps) bool { return c.FromOldest }},
		{"gives back at once", func(c engine.Caps) bool { return c.Nack }},
		{"gives back for later", func(c engine.Caps) bool { return c.DelayedNack }},
		{"counts deliveries", func(c engine.Caps) bool { return c.Attempts }},
		{"leases", func(c engine.Caps) bool { return c.Lease }},
		{"lag", func(c engine.Caps) bool { return c.Lag }},
		{"stores a batch as one", func(c engine.Caps) bool { return c.AtomicBatch }},
	} {
		row(one.what, func(c engine.Caps) string {
			if one.of(c) {
				return "yes"
			}
			return "–"
		})
	}
	row("stores an ID once", func(c engine.Caps) string {
		switch c.Dedup {
		case 0:
			return "–"
		case engine.Forever:
			return "yes"
		}
		return "for " + strings.TrimSuffix(strings.TrimSuffix(c.Dedup.Round(time.Second).String(), "0s"), "0m")
	})
	row("largest event", func(c engine.Caps) string {
		if c.MaxRecord == 0 {
			return "not known"
		}
		return fmt.Sprintf("%d KiB", c.MaxRecord>>10)
	})
	return b.String()
}
