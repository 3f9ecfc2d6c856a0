package runtime_test

import (
	"errors"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
)

// exported returns the names that a package exports, methods left out.
func exported(t *testing.T, dir string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	add := func(id *ast.Ident) {
		if id.IsExported() {
			names[id.Name] = true
		}
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range f.Decls {
			switch d := decl.(type) {
			case *ast.FuncDecl:
				if d.Recv == nil {
					add(d.Name)
				}
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					switch s := spec.(type) {
					case *ast.TypeSpec:
						add(s.Name)
					case *ast.ValueSpec:
						for _, id := range s.Names {
							add(id)
						}
					}
				}
			}
		}
	}
	return names
}

// The two packages meet in one file often enough; what is theirs must be clear.
func TestNoNameIsOneOfTheStandardRuntime(t *testing.T) {
	std, ours := exported(t, filepath.Join(build.Default.GOROOT, "src", "runtime")), exported(t, ".")
	if !std["GC"] || !std["NumGoroutine"] || !std["GOOS"] || !std["MemStats"] || !ours["New"] || !ours["Runtime"] || !ours["ErrClosed"] {
		t.Fatalf("found %d standard names and %d of ours: the search is broken", len(std), len(ours))
	}
	for name := range ours {
		if std[name] {
			t.Errorf("runtime.%s is a name of the standard package, too", name)
		}
	}
}

func TestConfigReportsEveryFaultAtOnce(t *testing.T) {
	_, err := runtime.New(runtime.Config{Name: "a b", DrainTimeout: -1, CancelGrace: -2, MaxParkedLetters: -3})
	if err == nil {
		t.Fatal("New = nil, want an error")
	}
	for _, fault := range []string{`Name "a b"`, "DrainTimeout -1ns: must not be negative", "CancelGrace -2ns: must not be negative", "MaxParkedLetters -3: must not be negative"} {
		if !strings.Contains(err.Error(), fault) {
			t.Errorf("error = %q, want %q in it", err, fault)
		}
	}
}

func TestConfigIsNotWrittenTo(t *testing.T) {
	cfg := runtime.Config{}
	rt, err := runtime.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if rt.Name() != "troupe" || cfg.Name != "" || cfg.DeadLetters != nil || cfg.Logger != nil {
		t.Errorf("config after New = %+v", cfg)
	}
	if _, err := rt.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestNames(t *testing.T) {
	rt := troupetest.New(t)
	for name, valid := range map[string]bool{
		"orders": true, "orders.order.placed": true, "a-b_c.D9": true, strings.Repeat("x", 200): true,
		"": false, ".": false, "a.": false, ".a": false, "a..b": false, "a b": false, "a/b": false, "ä": false, "a*": false,
		strings.Repeat("x", 201): false,
	} {
		_, err := topics.Open[int](rt.Runtime, name)
		if (err == nil) != valid {
			t.Errorf("Open(%q) = %v, want valid %t", name, err, valid)
		}
		if _, err := rt.Group(name, actors.GroupConfig{}); (err == nil) != valid {
			t.Errorf("Group(%q) = %v, want valid %t", name, err, valid)
		}
		if valid {
			continue
		}
		topic := open[int](t, rt, "t")
		if _, err := topic.Subscribe(name, ok[int]); err == nil {
			t.Errorf("Subscribe(%q) = nil, want an error", name)
		}
	}
}

func TestControlByNameKnowsWhoIsThere(t *testing.T) {
	rt := troupetest.New(t)
	topic := open[int](t, rt, "t")
	sub := subscribe(t, topic, "s", ok[int])
	for _, c := range []struct {
		name    string
		control func(topic, subscriber string) error
	}{{"Pause", rt.Pause}, {"Restart", rt.Restart}, {"Resume", rt.Resume}} {
		name, control := c.name, c.control
		if err := control("t", "s"); err != nil {
			t.Errorf("%s = %v", name, err)
		}
		wantErr(t, name+" of an unknown topic", control("x", "s"), runtime.ErrUnknownTopic)
		wantErr(t, name+" of an unknown subscriber", control("t", "x"), runtime.ErrUnknownSubscriber)
	}
	if got, err := rt.Subscription("t", "s"); got != sub || err != nil || got.Topic() != "t" || got.Name() != "s" {
		t.Errorf("Subscription = %v, %v, want the one that was made", got, err)
	}
	if err := sub.Unsubscribe(t.Context(), runtime.Drain); err != nil {
		t.Fatal(err)
	}
	if _, err := rt.Subscription("t", "s"); !errors.Is(err, runtime.ErrUnknownSubscriber) {
		t.Errorf("Subscription after Unsubscribe = %v, want unknown", err)
	}
}

// Everything that an observer can be told of is a field of this type, so that a
// new one cannot be left out.
func observerOf(tell func(what string, e runtime.Event)) runtime.Observer {
	var o runtime.Observer
	v := reflect.ValueOf(&o).Elem()
	for i := range v.NumField() {
		name := v.Type().Field(i).Name
		v.Field(i).Set(reflect.ValueOf(func(e runtime.Event) { tell(name, e) }))
	}
	return o
}
