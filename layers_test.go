package troupe_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/troupe-go/troupe"

// The modules of others that packages of ours may import.
const (
	protoactor = "github.com/asynkron/protoactor-go"
	conc       = "github.com/sourcegraph/conc"
	zap        = "go.uber.org/zap"
	rapid      = "pgregory.net/rapid"
	porcupine  = "github.com/anishathalye/porcupine"
	goleak     = "go.uber.org/goleak"
	protobuf   = "google.golang.org/protobuf"
	cbor       = "github.com/fxamacker/cbor/v2"
	gobreaker  = "github.com/sony/gobreaker/v2"
	xtime      = "golang.org/x/time"
	cron       = "github.com/robfig/cron/v3"
	otel       = "go.opentelemetry.io/otel"
	otelMetric = "go.opentelemetry.io/otel/metric"
	otelTrace  = "go.opentelemetry.io/otel/trace"
	otelSDK    = "go.opentelemetry.io/otel/sdk" // sdk/metric is a module of its own
	otelMeters = "go.opentelemetry.io/otel/sdk/metric"
	otelProm   = "go.opentelemetry.io/otel/exporters/prometheus"
	prometheus = "github.com/prometheus/client_golang"
	cloudEvent = "github.com/cloudevents/sdk-go/v2"
	cobra      = "github.com/spf13/cobra"
	xterm      = "golang.org/x/term"
	moderncDB  = "modernc.org/sqlite"
)

var modules = []string{
	protoactor, conc, zap, rapid, porcupine, goleak,
	otel, otelMetric, otelTrace, otelSDK, otelMeters, otelProm, prometheus,
	cloudEvent, protobuf, cbor, gobreaker, xtime, cron, moderncDB, cobra, xterm,
}

// layer is what a package may import beside the standard library: packages of
// ours without the module path, and modules of others.
type layer struct {
	code  []string
	tests []string // beyond code and the package itself, which its external tests import
}

// layers is the architecture: imports go from the bottom of this table to its
// top and never back. A new package needs a row, a new row a reason.
var layers = map[string]layer{
	".": {tests: []string{"engine", "engine/enginetest"}}, // the papers quote what the suite has found

	// Between topics and what keeps events beyond the process. It needs nothing of
	// ours, so that an engine's module stands on it alone.
	"engine": {tests: []string{rapid}},

	// The same for what keeps events for good, with the errors of engines, which are
	// those of the same servers. It knows no runtime: aggregates and projections do.
	"eventstore":                {code: []string{"engine"}, tests: []string{"eventstore/eventstoretest"}},
	"eventstore/eventstoretest": {code: []string{"eventstore", "engine"}},

	"mailbox":       {tests: []string{rapid, porcupine, goleak}},
	"mailbox/model": {}, // Spin models and the test that runs them

	"supervisor": {tests: []string{rapid}},

	// The query language knows no letters, so that a store can compile it to its own
	// language and a page can complete it.
	"deadletter/search": {tests: []string{rapid}},
	"deadletter":        {code: []string{"deadletter/search"}, tests: []string{"deadletter/deadlettertest", rapid}},
	// Files of letters, apart from the stores: who exports and imports nothing links no
	// MIME and no URL.
	// cloudEvent judges what is a valid event.
	"deadletter/exchange":       {code: []string{"deadletter"}, tests: []string{rapid, cloudEvent}},
	"deadletter/deadlettertest": {code: []string{"deadletter", "deadletter/search"}},
	// A package of its own, so that only who imports it links the database.
	"deadletter/sqlite": {
		code:  []string{"deadletter", "deadletter/search", moderncDB},
		tests: []string{"deadletter/deadlettertest", "runtime", "topics", "supervisor", "troupetest", zap, rapid, goleak},
	},

	// The only package that knows protoactor-go.
	"actors": {code: []string{"mailbox", "supervisor", protoactor, conc}, tests: []string{rapid, goleak}},

	"runtime": {
		code:  []string{"actors", "mailbox", "supervisor", "deadletter", conc, zap},
		tests: []string{"topics", "troupetest", "deadletter/deadlettertest", "engine", "engine/memory", rapid, goleak},
	},
	"topics": {
		code:  []string{"runtime", "actors", "mailbox", "supervisor", "deadletter", "engine", conc},
		tests: []string{"troupetest", "schedule", "engine/memory", rapid, goleak, zap},
	},
	"engine/spool":      {code: []string{"engine"}, tests: []string{"engine/memory"}},
	"engine/memory":     {code: []string{"engine"}, tests: []string{"engine/enginetest"}},
	"engine/enginetest": {code: []string{"engine", "topics", "runtime", "supervisor", "deadletter"}},

	// One encoding each, so that only its users link it. They need nothing of
	// ours: what topics wants of a codec is three methods.
	"codec/protobuf": {code: []string{protobuf}, tests: []string{"topics", "runtime", "deadletter", "supervisor", "troupetest"}},
	"codec/cbor":     {code: []string{cbor}, tests: []string{"topics", "runtime", "deadletter", "supervisor", "troupetest", rapid}},
	// What is put around handlers: a package of its own, so that only those who
	// import it get the libraries that it stands on.
	"middleware": {
		code:  []string{"runtime", "actors", "supervisor", zap, gobreaker, xtime},
		tests: []string{"topics", "deadletter", "troupetest", goleak},
	},
	// When something recurs. Topics know it by an interface only, so that who uses
	// no cron expression links nothing of the library that reads them.
	"schedule": {code: []string{cron}, tests: []string{"topics", "runtime"}},
	// Traces, metrics, health, slog: by the API of OpenTelemetry only, so that its
	// SDK is the program's choice. Below topics, which its tests publish with.
	"telemetry": {
		code:  []string{"runtime", "actors", "mailbox", "supervisor", conc, zap, otel, otelMetric, otelTrace},
		tests: []string{"topics", "troupetest", "deadletter", otelSDK, otelMeters, rapid, goleak},
	},
	// The SDK and the Prometheus client: who wants them says so by importing it.
	"telemetry/prometheus": {
		code:  []string{otelMetric, otelMeters, otelProm, prometheus},
		tests: []string{"telemetry", "runtime", "topics", "troupetest", otel, goleak},
	},

	// What operators do, for the console, the command line and programs. It stands on
	// the untyped side of the runtime, so it knows no topics but in its tests; the
	// limiter is what middleware has already.
	"ops": {
		code:  []string{"runtime", "actors", "mailbox", "supervisor", "deadletter", "deadletter/search", "deadletter/exchange", conc, zap, xtime},
		tests: []string{"topics", "troupetest", "deadletter/sqlite", "deadletter/deadlettertest", rapid, goleak},
	},

	// The page and the API over package ops. What it and its client say to each
	// other is in one place. The search language only to know which questions tell
	// what is in events.
	"console": {
		code:  []string{"ops", "runtime", "actors", "deadletter", "deadletter/search", "console/internal/wire"},
		tests: []string{"topics", "supervisor", "console/client", goleak},
	},
	"console/internal/wire": {code: []string{"ops", "runtime", "deadletter"}},
	"console/client":        {code: []string{"ops", "runtime", "deadletter", "console/internal/wire"}},

	// The command line: a program that others install. What it is made of is internal,
	// so that its tests can call it, and a runtime with a console is what they call.
	"cmd/troupe": {code: []string{"cmd/troupe/internal/cli", xterm}},
	"cmd/troupe/internal/cli": {
		code:  []string{"cmd/troupe/internal/demo", "console/client", "ops", "deadletter", "deadletter/search", "deadletter/sqlite", "runtime", "actors", cobra},
		tests: []string{"console", "topics", "supervisor", goleak},
	},
	// A shop that fails, for troupe demo: what a user may import, it may.
	"cmd/troupe/internal/demo": {
		code:  []string{"console", "ops", "deadletter", "deadletter/sqlite", "runtime", "topics", "supervisor"},
		tests: []string{goleak},
	},

	// Commands on what is in an event store, and read models of it: users of topics,
	// as a program is.
	"eventstore/projection": {
		code: []string{"eventstore", "engine", "topics", "runtime", "actors", "supervisor"},
		// The checkpoint in the user's own database, which is one by database/sql.
		tests: []string{"troupetest", goleak, moderncDB},
	},
	// Handlers whose effect counts once, in the user's database.
	"idempotent": {
		code:  []string{"topics", "runtime", "supervisor"},
		tests: []string{"troupetest", "actors", "eventstore", goleak, rapid, moderncDB},
	},
	"eventstore/aggregate": {
		code:  []string{"eventstore", "engine", "topics", "runtime", "actors", "supervisor"},
		tests: []string{"troupetest", goleak},
	},

	"troupetest": {
		code:  []string{"topics", "runtime", "actors", "deadletter", "mailbox", "supervisor", zap},
		tests: []string{rapid, goleak},
	},
}

// examples are programs: what a user may import, they may.
var examples = layer{
	code: []string{
		"topics", "runtime", "middleware", "telemetry", "actors", "supervisor", "deadletter", "mailbox", "schedule", zap,
		"console", "ops", "deadletter/sqlite",
	},
	tests: []string{"troupetest", "console/client", goleak},
}

func layerOf(pkg string) (layer, bool) {
	if strings.HasPrefix(pkg, "examples/") {
		return examples, true
	}
	l, ok := layers[pkg]
	return l, ok
}

// file is one Go file of the module, with its import paths.
type file struct {
	name    string // from the root, with slashes
	test    bool
	imports []string
}

// goFiles returns the Go files of this module by package directory. What is
// below another go.mod is another module.
func goFiles(t *testing.T) map[string][]file {
	t.Helper()
	files := map[string][]file{}
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			base := d.Name()
			_, noModule := os.Stat(filepath.Join(name, "go.mod"))
			if name != "." && (base == "testdata" || strings.HasPrefix(base, ".") || strings.HasPrefix(base, "_") || noModule == nil) {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") {
			return nil
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		f := file{name: filepath.ToSlash(name), test: strings.HasSuffix(name, "_test.go")}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			f.imports = append(f.imports, imported)
		}
		dir := path.Dir(f.name)
		files[dir] = append(files[dir], f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestLayers(t *testing.T) {
	packages := goFiles(t)
	for pkg := range layers {
		if packages[pkg] == nil {
			t.Errorf("package %s has a row in the table of layers and no file", pkg)
		}
	}
	for pkg, files := range packages {
		l, ok := layerOf(pkg)
		if !ok {
			t.Errorf("package %s has no row in the table of layers", pkg)
			continue
		}
		for _, f := range files {
			for _, imported := range f.imports {
				if !mayImport(pkg, l, f.test, imported) {
					t.Errorf("%s imports %s, which its layer does not allow", f.name, imported)
				}
			}
		}
	}
}

func TestLayersHaveNoCycle(t *testing.T) {
	var visit func(pkg string, way []string)
	visit = func(pkg string, way []string) {
		if slices.Contains(way, pkg) {
			t.Errorf("layers: cycle %s", strings.Join(append(way, pkg), " → "))
			return
		}
		for _, next := range layers[pkg].code {
			if _, ours := layers[next]; ours {
				visit(next, append(way, pkg))
			}
		}
	}
	for pkg := range layers {
		visit(pkg, nil)
	}
}

// TestLayersRefuse checks the check: each of these imports must be found.
func TestLayersRefuse(t *testing.T) {
	for _, c := range []struct {
		pkg      string
		test     bool
		imported string
	}{
		{"mailbox", false, module + "/supervisor"},
		{"mailbox", false, rapid},
		{"mailbox", true, module + "/actors"},
		{"supervisor", false, module + "/mailbox"},
		{"actors", false, module + "/runtime"},
		{"actors", false, zap},
		{"runtime", false, protoactor + "/actor"},
		{"runtime", true, protoactor + "/actor"},
		{"runtime", false, module + "/topics"},
		{"topics", false, protoactor + "/actor"},
		{"topics", false, module + "/middleware"},
		{"topics", false, gobreaker},
		{"topics", false, module + "/topicsx"},
		{"deadletter", false, module + "/deadletter/deadlettertest"},
		{"examples/quickstart", false, protoactor + "/actor"},
		{"examples/quickstart", false, module + "/examples/indexer"},
		{"mailbox", false, "example.org/else"},
		{"runtime", false, otelTrace},
		{"telemetry", false, otelSDK + "/trace"},
		{"telemetry", false, prometheus + "/prometheus"},
		{"telemetry", false, module + "/topics"},
	} {
		l, ok := layerOf(c.pkg)
		if !ok || mayImport(c.pkg, l, c.test, c.imported) {
			t.Errorf("layer of %s (test %v) allows %s", c.pkg, c.test, c.imported)
		}
	}
}

func mayImport(pkg string, l layer, test bool, imported string) bool {
	first, _, _ := strings.Cut(imported, "/")
	if !strings.Contains(first, ".") {
		return true // the standard library
	}
	allowed := l.code
	if test {
		allowed = slices.Concat(l.code, l.tests, []string{pkg})
	}
	if imported == module {
		return slices.Contains(allowed, ".")
	}
	if ours, ok := strings.CutPrefix(imported, module+"/"); ok {
		return slices.Contains(allowed, ours)
	}
	return slices.Contains(allowed, moduleOf(imported))
}

// moduleOf returns the module of others that a package belongs to: the longest
// that fits, for OpenTelemetry has modules inside of modules.
func moduleOf(imported string) string {
	var longest string
	for _, m := range modules {
		if (imported == m || strings.HasPrefix(imported, m+"/")) && len(m) > len(longest) {
			longest = m
		}
	}
	return longest
}

// TestDependencies holds what a program that imports Troupe gets beside it: what
// go.mod requires directly has a row in the table of layers.
func TestDependencies(t *testing.T) {
	data, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		if len(fields) < 2 || !strings.HasPrefix(fields[1], "v") || strings.Contains(line, "// indirect") {
			continue
		}
		if !slices.Contains(modules, fields[0]) {
			t.Errorf("go.mod requires %s, which no layer may import: say why in DESIGN.md first", fields[0])
		}
	}
	used := map[string]bool{}
	for _, l := range append(slices.Collect(maps.Values(layers)), examples) {
		for _, m := range slices.Concat(l.code, l.tests) {
			used[m] = true
		}
	}
	for _, m := range modules {
		if !used[m] {
			t.Errorf("%s is in no layer", m)
		}
	}
}
