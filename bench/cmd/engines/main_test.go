package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/bench/internal/paper"
)

const printed = `goos: linux
BenchmarkPublish/bare,_headers-2   	   50000	      1500 ns/op	       900.5 cpu-ns/record	    666666 records/s	     120 B/op
BenchmarkPublish/bare-2   	   50000	      1000 ns/op
BenchmarkWatermill
[watermill] error closing: i/o timeout read/write 3 4
   50000	     25000 ns/op	     40000 msg/s
BenchmarkSilent-2
PASS
`

func TestParse(t *testing.T) {
	got, err := parse(printed, "BenchmarkPublish/bare,_headers")
	if err != nil || got[cpu] != 900.5 || got[rate] != 666666 || got["B/op"] != 120 {
		t.Errorf("parse = %v, %v", got, err)
	}
	got, err = parse(printed, "BenchmarkPublish/bare")
	if err != nil || got[rate] != 1e6 {
		t.Errorf("parse = %v, %v, want a million events/s of 1000 ns/op", got, err)
	}
	got, err = parse(printed, "BenchmarkWatermill")
	if err != nil || got[rate] != 40000 {
		t.Errorf("parse = %v, %v, want the figures behind what else was printed", got, err)
	}
	if _, err := parse(printed, "BenchmarkSilent"); err == nil || !strings.Contains(err.Error(), "no figures") {
		t.Errorf("parse of one without figures = %v, want an error", err)
	}
	if _, err := parse(printed, "BenchmarkConsume"); err == nil || !strings.Contains(err.Error(), "no such benchmark") {
		t.Errorf("parse of another = %v, want an error", err)
	}
	if _, err := parse("--- SKIP: BenchmarkPublish\n  names no server\nPASS\n", "BenchmarkPublish"); !errors.Is(err, errSkipped) {
		t.Errorf("parse of a skipped one = %v, want errSkipped", err)
	}
	if got := pattern("BenchmarkBare/headers=6"); got != "^BenchmarkBare$/^headers=6$" {
		t.Errorf("pattern = %q", got)
	}
}

// Every benchmark that the command names is in the module that it names.
func TestWhatIsRunIsThere(t *testing.T) {
	for _, c := range contests {
		for _, name := range append([]rival{{"", c.ours, 0}}, c.theirs...) {
			top, _, _ := strings.Cut(name.name, "/")
			if !declared(t, c.module, "func "+top+"(") {
				t.Errorf("%s has no %s", c.module, top)
			}
		}
		for _, goal := range c.targets {
			found := false
			for _, rival := range c.theirs {
				found = found || rival.name == goal.rival
			}
			if !found {
				t.Errorf("%s: the target is against %s, which is not run", c.title, goal.rival)
			}
		}
	}
	for _, k := range killTests {
		top, _, _ := strings.Cut(k.test, "/")
		if !declared(t, "engine/nats", "func "+top+"(") {
			t.Errorf("engine/nats has no %s", top)
		}
	}
	for _, f := range storeFigures {
		top, _, _ := strings.Cut(f.name, "/")
		if !declared(t, "bench/engines", "func "+top+"(") {
			t.Errorf("bench/engines has no %s", top)
		}
	}
}

func declared(t *testing.T, module, text string) bool {
	files, err := filepath.Glob(filepath.Join("../../..", module, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s has no tests: %v", module, err)
	}
	for _, f := range files {
		content, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(content), text) {
			return true
		}
	}
	return false
}

func TestRatiosAreOfNeighbors(t *testing.T) {
	ours, theirs := map[int]float64{0: 10, 1: 40, 2: 90}, map[int]float64{0: 10, 1: 20, 3: 1}
	got := ratio(ours, theirs)
	if len(got) != 2 || got.median() != 1.5 {
		t.Errorf("ratio = %v, want 1 and 2", got)
	}
	if more := difference(ours, theirs); len(more) != 2 || more.median() != 10 {
		t.Errorf("difference = %v, want 0 and 20", more)
	}
	for v, want := range map[float64]string{9.987: "9.99", 99.94: "99.9", 1234: "1,230", 123456: "123,000", 7654321: "7,650,000", 999: "999"} {
		if got := whole(v); got != want {
			t.Errorf("whole(%v) = %s, want %s", v, got, want)
		}
	}
	if got := (spread{3, 1, 2}).show(times); got != "2.00 (1.00–3.00)" {
		t.Errorf("show = %s", got)
	}
	if got := (spread{}).show(times); got != "–" {
		t.Errorf("show of nothing = %s", got)
	}
}

func TestVerdict(t *testing.T) {
	goals := []target{{"x", 2}}
	for want, got := range map[string]spread{"2.00: met": {2, 2.5}, "2.00: **NOT met**": {1.9}, "2.00: not measured": nil} {
		if v := verdict(goals, "x", got); v != want {
			t.Errorf("verdict(%v) = %q, want %q", got, v, want)
		}
	}
	if v := verdict(goals, "y", spread{1}); v != "" {
		t.Errorf("verdict without a target = %q", v)
	}
}

func TestLogged(t *testing.T) {
	got := logged("    outage_test.go:45: memory when=\"away 10s\" heap=1234\n    x.go:1: policy name=block\n", "memory")
	if len(got) != 1 || got[0]["when"] != "away 10s" || number(got[0]["heap"]) != 1234 {
		t.Errorf("logged = %v", got)
	}
	if got := longest("pause of acknowledgments was 250ms\nthe longest pause of acknowledgments was 1.5s\n"); got != "1.50 s" {
		t.Errorf("longest = %q", got)
	}
	if got := exports([]byte("export A=redis://x:1\nexport B=\"postgres://y?z=1\"\nnoise\n")); len(got) != 2 || got[1] != "B=postgres://y?z=1" {
		t.Errorf("exports = %q", got)
	}
}

// What fails, is skipped or does not come to its turn is said in the section, and the
// rest is written.
func TestAnUnfinishedRunSaysSo(t *testing.T) {
	r := &run{began: time.Now(), out: filepath.Join(t.TempDir(), "RESULTS.md"), root: "../../.."}
	r.heading("")
	r.section.line("a figure")
	r.fault("outage: %v", errors.New("two\nlines"))
	r.skip("redis, which does not start")
	r.skip("redis, which does not start")
	if err := r.write(parts[1:2]); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(r.out)
	if err != nil {
		t.Fatal(err)
	}
	body, err := paper.Section(text, paper.Engines)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"**FAILED: outage: two; lines**", "**SKIPPED: redis, which does not start**", "**NOT FINISHED: without " + parts[1].name + "**", "a figure"} {
		if n := strings.Count(string(body), want); n != 1 {
			t.Errorf("the section says %q %d times, want once:\n%s", want, n, body)
		}
	}
}

func TestAPartIsCutOffWithWhatItStarted(t *testing.T) {
	r := &run{began: time.Now()}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 100*time.Millisecond, errors.New("over the limit"))
	defer cancel()
	began := time.Now()
	_, _, err := r.command(ctx, ".", nil, "sh", "-c", "sleep 60 & sleep 60")
	if err == nil || !strings.Contains(err.Error(), "over the limit") || time.Since(began) > 20*time.Second {
		t.Errorf("command = %v after %v, want the cause at once", err, time.Since(began))
	}
}

func TestPartsAreChosen(t *testing.T) {
	if all, err := choose(""); err != nil || len(all) != len(parts) {
		t.Errorf("choose() = %d parts, %v", len(all), err)
	}
	if some, err := choose("outage,kills"); err != nil || len(some) != 2 || some[1].name != "kills" {
		t.Errorf("choose(outage,kills) = %v, %v", some, err)
	}
	if _, err := choose("weather"); err == nil || !strings.Contains(err.Error(), "weather") || !strings.Contains(err.Error(), "outage") {
		t.Errorf("choose(weather) = %v, want an error that says what is known", err)
	}
}
