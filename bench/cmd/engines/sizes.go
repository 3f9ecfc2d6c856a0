package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/template"
)

// linked is a program with an engine.
type linked struct {
	title  string
	module string // empty for none
	open   string // what makes the engine
}

var programs = []linked{
	{"none, in memory", "", ""},
	{"NATS JetStream, with the embedded server", "engine/nats", `e.Open(ctx, e.Config{Folder: os.Args[1]})`},
	{"Kafka", "engine/kafka", `e.Open(ctx, e.Config{Seeds: os.Args[1:]})`},
	{"Redis", "engine/redis", `e.Open(ctx, e.Config{URL: os.Args[1]})`},
	{"RabbitMQ", "engine/rabbitmq", `e.Open(ctx, e.Config{URL: os.Args[1]})`},
	{"PostgreSQL", "engine/postgres", `e.Open(ctx, e.Config{URL: os.Args[1]})`},
}

var program = template.Must(template.New("").Parse(`package main

import (
	"context"
	"fmt"
	{{- if .Module}}
	"os"

	e "github.com/troupe-go/troupe/{{.Module}}"
	{{- end}}

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/topics"
)

func main() {
	if err := run(context.Background()); err != nil {
		panic(err)
	}
}

func run(ctx context.Context) error {
	rt, err := runtime.New(runtime.Config{Name: "hello"})
	if err != nil {
		return err
	}
	{{if .Module -}}
	engine, err := {{.Open}}
	if err != nil {
		return err
	}
	defer engine.Close(ctx)
	{{end -}}
	topic, err := topics.Open[string](rt, "hello"{{if .Module}}, topics.Config{Engine: engine}{{end}})
	if err != nil {
		return err
	}
	_, err = topic.Subscribe("printer", func(_ context.Context, s string) error {
		fmt.Println(s)
		return nil
	})
	if err != nil {
		return err
	}
	if err := topic.Publish(ctx, "hello"); err != nil {
		return err
	}
	_, err = rt.Shutdown(ctx)
	return err
}
`))

// size is what is known of a built program.
type size struct {
	full, stripped int64
	modules        int
}

func (r *run) sizes(ctx context.Context) error {
	s := &r.section
	s.line("## Size of engines\n\nA program with one topic, one publication and one subscriber, built with `go build` and with `-ldflags '-s -w'`, and the modules that it is linked from beside its own.")
	s.table("engine", "program", "more", "stripped", "more", "modules", "more")
	var base size
	for i, p := range programs {
		r.say("size with %s", p.title)
		got, err := r.size(ctx, p)
		if err != nil {
			r.fault("size with %s: %v", p.title, err)
			s.row(p.title, "–", "–", "–", "–", "–", "–")
			continue
		}
		if i == 0 {
			base = got
			s.row(p.title, mib(float64(got.full)), "", mib(float64(got.stripped)), "", fmt.Sprint(got.modules), "")
			continue
		}
		s.row(p.title, mib(float64(got.full)), mib(float64(got.full-base.full)), mib(float64(got.stripped)), mib(float64(got.stripped-base.stripped)),
			fmt.Sprint(got.modules), fmt.Sprint(got.modules-base.modules))
	}
	s.end()
	return context.Cause(ctx)
}

// size builds a program in a module of its own beside the repository.
func (r *run) size(ctx context.Context, p linked) (s size, err error) {
	dir, err := os.MkdirTemp(r.work, "hello-")
	if err != nil {
		return s, err
	}
	var text, mod, sum bytes.Buffer
	if err := program.Execute(&text, struct{ Module, Open string }{p.module, p.open}); err != nil {
		return s, err
	}
	fmt.Fprintf(&mod, "module hello\n\ngo 1.26.0\n")
	modules := []string{""}
	if p.module != "" {
		modules = append(modules, p.module)
	}
	for _, m := range modules {
		path := strings.TrimSuffix("github.com/troupe-go/troupe/"+m, "/")
		fmt.Fprintf(&mod, "\nrequire %s v0.0.0\n\nreplace %s => %s\n", path, path, filepath.Join(r.root, m))
		known, err := os.ReadFile(filepath.Join(r.root, m, "go.sum"))
		if err != nil {
			return s, err
		}
		sum.Write(known)
	}
	for name, content := range map[string][]byte{"main.go": text.Bytes(), "go.mod": mod.Bytes(), "go.sum": sum.Bytes()} {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return s, err
		}
	}
	for _, build := range []struct {
		flags string
		into  *int64
	}{{"", &s.full}, {"-s -w", &s.stripped}} {
		if _, _, err := r.command(ctx, dir, nil, "go", "build", "-mod=mod", "-ldflags", build.flags, "-o", "hello", "."); err != nil {
			return s, err
		}
		info, err := os.Stat(filepath.Join(dir, "hello"))
		if err != nil {
			return s, err
		}
		*build.into = info.Size()
	}
	out, _, err := r.command(ctx, dir, nil, "go", "version", "-m", "hello")
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(strings.TrimSpace(line), "dep\t") {
			s.modules++
		}
	}
	return s, err
}
