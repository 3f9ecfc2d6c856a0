package troupe_test

import (
	"go/ast"
	"go/doc"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// papers are the texts whose links and names of tests must lead somewhere.
var papers = append([]string{
	"README.md", "DESIGN.md", "CONTRIBUTING.md", "CHANGELOG.md", "bench/README.md", "mailbox/model/README.md",
}, guides()...)

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// blocks returns the fenced blocks of README.md in that language.
func blocks(t *testing.T, language string) []string {
	t.Helper()
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(read(t, "README.md"), -1) {
		found = append(found, m[1])
	}
	if len(found) == 0 {
		t.Fatalf("README.md has no block in %s", language)
	}
	return found
}

func TestReadmeQuickStartIsTheProgram(t *testing.T) {
	const program = "examples/quickstart/main.go"
	if got, want := blocks(t, "go")[0], read(t, program); got != want {
		t.Errorf("quick start of README.md is not %s:\n%s", program, firstDifference(got, want))
	}
	const test = "examples/quickstart/main_test.go"
	parsed, err := parser.ParseFile(token.NewFileSet(), test, nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := blocks(t, "text")[0], doc.Examples(parsed)[0].Output; got != want {
		t.Errorf("output in README.md is not that of %s:\n%s", test, firstDifference(got, want))
	}
}

func firstDifference(got, want string) string {
	a, b := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return "README: " + a[i] + "\nwant:   " + b[i]
		}
	}
	return "one is longer than the other"
}

// TestReadmeCommandsAreThoseOfTheGates holds that what a reader is told to run is
// what is run for every change.
func TestReadmeCommandsAreThoseOfTheGates(t *testing.T) {
	commands := blocks(t, "sh")
	if len(commands) != 2 {
		t.Fatalf("README.md has %d commands, want 2: %q", len(commands), commands)
	}
	for _, command := range commands {
		command = strings.TrimSpace(command)
		gates := []string{"Makefile"}
		if strings.HasPrefix(command, "go test") {
			gates = append(gates, ".ci/run")
		}
		for _, gate := range gates {
			if !strings.Contains(strings.ReplaceAll(read(t, gate), "$(GO)", "go"), command) {
				t.Errorf("%s does not run %q of README.md", gate, command)
			}
		}
	}
}

// code is what is no text: types in it look like links.
var code = regexp.MustCompile("(?ms)^```.*?^```$")

var link = regexp.MustCompile(`\[([^\]]*)\]\(([^)\s]+)\)`)

func TestPapersLinkToWhatIsThere(t *testing.T) {
	for _, paper := range papers {
		for _, m := range link.FindAllStringSubmatch(code.ReplaceAllString(read(t, paper), ""), -1) {
			target, fragment, _ := strings.Cut(m[2], "#")
			if strings.Contains(target, "://") {
				continue
			}
			file := path.Join(path.Dir(paper), target)
			if target == "" {
				file = paper
			}
			if _, err := os.Stat(file); err != nil {
				t.Errorf("%s links to %s: %v", paper, m[2], err)
				continue
			}
			if fragment != "" && !slices.Contains(anchors(read(t, file)), fragment) {
				t.Errorf("%s links to %s, which has no such heading", paper, m[2])
			}
		}
	}
}

// anchors returns the fragments of a text's headings, as GitHub makes them.
func anchors(text string) []string {
	var found []string
	for _, m := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllStringSubmatch(text, -1) {
		name := regexp.MustCompile(`[^\p{L}\p{N} _-]`).ReplaceAllString(strings.ToLower(m[1]), "")
		found = append(found, strings.ReplaceAll(name, " ", "-"))
	}
	return found
}

var testName = regexp.MustCompile(`\b(?:Test|Fuzz|Benchmark|Example)[A-Z_]\w*`)

// TestPapersNameTestsThatExist keeps a guarantee from losing its test: a name has
// to exist, and in the file that it links to.
func TestPapersNameTestsThatExist(t *testing.T) {
	tests := map[string][]string{} // by name: the files it is in, also of other modules
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != "." && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, d := range parsed.Decls {
			if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && testName.MatchString(fn.Name.Name) {
				tests[fn.Name.Name] = append(tests[fn.Name.Name], filepath.ToSlash(name))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, paper := range papers {
		text := read(t, paper)
		for _, name := range testName.FindAllString(text, -1) {
			if tests[name] == nil {
				t.Errorf("%s names %s, which is no test", paper, name)
			}
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			file := path.Join(path.Dir(paper), m[2])
			for _, name := range testName.FindAllString(m[1], -1) {
				if !slices.Contains(tests[name], file) {
					t.Errorf("%s links %s to %s, but it is in %v", paper, name, file, tests[name])
				}
			}
		}
	}
}

// TestReadmeQuotesNoFigureOfItsOwn holds that a ratio or a time in the section
// about benchmarks is in the report of the benchmarks.
func TestReadmeQuotesNoFigureOfItsOwn(t *testing.T) {
	_, section, ok := strings.Cut(read(t, "README.md"), "<!-- BENCHMARKS")
	section, _, closed := strings.Cut(section, "<!-- /BENCHMARKS -->")
	if !ok || !closed {
		t.Fatal("README.md does not mark its section about benchmarks")
	}
	figures := regexp.MustCompile(`\d+(?:\.\d+)?`).FindAllString(section, -1)
	if len(figures) == 0 {
		return
	}
	results := regexp.MustCompile(`\d+(?:\.\d+)?`).FindAllString(read(t, "bench/RESULTS.md"), -1)
	for _, figure := range figures {
		if !slices.Contains(results, figure) {
			t.Errorf("README.md quotes %s, which is not in bench/RESULTS.md", figure)
		}
	}
}
