package main

import (
	"bytes"
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/bench"
)

// Every plot that the report shows is written and is XML, also with one point or with a value of zero.
func TestPlotsAreWritten(t *testing.T) {
	s := fake()
	dir := t.TempDir()
	if err := s.write(filepath.Join(dir, "RESULTS.md")); err != nil {
		t.Fatal(err)
	}
	text := string(s.markdown())
	for _, name := range []string{"throughput.svg", "curve.svg", "single.svg", "zero.svg"} {
		svg, err := os.ReadFile(filepath.Join(dir, "plots", name))
		if err != nil {
			t.Error(err)
			continue
		}
		if !strings.Contains(text, "(plots/"+name+")") {
			t.Errorf("report does not show %s", name)
		}
		d := xml.NewDecoder(bytes.NewReader(svg))
		for err == nil {
			_, err = d.Token()
		}
		if err != io.EOF || !bytes.Contains(svg, []byte(bench.Ours)) {
			t.Errorf("%s: %v, in\n%s", name, err, svg)
		}
	}
}
