package troupe_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// guides are the papers in docs.
func guides() []string {
	found, err := filepath.Glob("docs/*.md")
	if err != nil {
		panic(err) // the pattern is a constant
	}
	return found
}

var fence = regexp.MustCompile("(?ms)(?:^<!-- (Example_\\w+) -->\n)?^```go\n(.*?)^```$")

// TestGuidesQuoteExamples holds that the Troupe code in docs compiles and does what
// its example says: a block is part of the example that is named above it.
func TestGuidesQuoteExamples(t *testing.T) {
	const file = "topics/example_coming_test.go"
	examples := bodies(t, file)
	if len(examples) == 0 {
		t.Fatalf("%s has no examples", file)
	}
	quoted := map[string]bool{}
	for _, guide := range guides() {
		for _, m := range fence.FindAllStringSubmatch(read(t, guide), -1) {
			name, block := m[1], m[2]
			body, ok := examples[name]
			switch {
			case guide == "docs/engines.md":
				if source := strings.ReplaceAll(read(t, "engine/nats/example_test.go"), "\n\t", "\n"); !strings.Contains(source, block) {
					t.Errorf("%s: this is not in the example of engine/nats:\n%s", guide, block)
				}
			case name == "" && strings.Contains(block, "topics."):
				t.Errorf("%s: code of Troupe under the name of no example:\n%s", guide, block)
			case name == "": // code of others
			case !ok:
				t.Errorf("%s quotes %s, which is not in %s", guide, name, file)
			case !strings.Contains(body, block):
				t.Errorf("%s: this is not in %s of %s:\n%s", guide, name, file, block)
			}
			quoted[name] = true
		}
	}
	for name := range examples {
		if !quoted[name] {
			t.Errorf("%s is quoted by no guide", name)
		}
	}
}

// bodies returns the bodies of the examples in a file, by name, one tab less
// indented.
func bodies(t *testing.T, file string) map[string]string {
	t.Helper()
	source, files := read(t, file), token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	for _, d := range parsed.Decls {
		if fn, ok := d.(*ast.FuncDecl); ok && strings.HasPrefix(fn.Name.Name, "Example_coming") {
			body := source[files.Position(fn.Body.Lbrace).Offset+1 : files.Position(fn.Body.Rbrace).Offset]
			found[fn.Name.Name] = strings.ReplaceAll(body, "\n\t", "\n")
		}
	}
	return found
}
