package main

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/troupe-go/troupe/supervisor"
)

// library is the standard library, with what the tests that read it share. Each
// file is parsed once by the program's parser and once for the independent count.
type library struct {
	root  string
	parse func(path string) (Parsed, error)
	count func() (count, error)
}

var standard = sync.OnceValues(func() (*library, error) {
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("go env GOROOT: %w", err)
	}
	root := filepath.Join(strings.TrimSpace(string(out)), "src")
	l := &library{
		root:  root,
		parse: memo(func(path string) (Parsed, error) { return parse(os.DirFS(root), File{path}) }),
		count: sync.OnceValues(func() (count, error) { return countTree(root) }),
	}
	go l.count() // beside the pipeline, since it takes as long
	return l, nil
})

func standardLibrary(t *testing.T) *library {
	t.Helper()
	if testing.Short() {
		t.Skip("reads the whole standard library")
	}
	l, err := standard()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *library) pipeline() *pipeline {
	p := newPipeline(l.root, os.DirFS(l.root))
	p.parse = func(_ fs.FS, f File) (Parsed, error) { return l.parse(f.Path) }
	return p
}

func memo[V any](of func(string) (V, error)) func(string) (V, error) {
	var known sync.Map
	return func(key string) (V, error) {
		get, _ := known.LoadOrStore(key, sync.OnceValues(func() (V, error) { return of(key) }))
		return get.(func() (V, error))()
	}
}

func TestStandardLibraryAgreesWithAnIndependentCount(t *testing.T) {
	t.Parallel()
	l := standardLibrary(t)
	s := mustRun(t, l.pipeline())
	want, err := l.count()
	if err != nil {
		t.Fatal(err)
	}
	agrees(t, s, want)
	equal(t, "problems", fmt.Sprint(s.Problems), "[]")
	equal(t, "restarts", s.Restarts, 0)
	if s.Files.Found < 5000 || s.Files.DeadLettered < 20 {
		t.Errorf("found %d, dead letters %d: this is not the standard library", s.Files.Found, s.Files.DeadLettered)
	}
}

// Every hundredth call of the parser panics before its work, every hundredth of a
// collector before and every hundredth of another one after it. Nothing of the
// result shows it.
func TestPanicsOnEveryHundredthFileChangeNothing(t *testing.T) {
	t.Parallel()
	l := standardLibrary(t)
	p := l.pipeline()
	p.retry = supervisor.Retry{MaxAttempts: 3, BaseDelay: time.Millisecond}
	var panics atomic.Uint64
	everyHundredth := func() func() {
		var calls atomic.Uint64
		return func() {
			if calls.Add(1)%100 == 0 {
				panics.Add(1)
				panic("the hundredth file")
			}
		}
	}
	parse, parser := p.parse, everyHundredth()
	p.parse = func(files fs.FS, f File) (Parsed, error) {
		parser()
		return parse(files, f)
	}
	imports, before := p.collectors["imports"], everyHundredth()
	p.collectors["imports"] = func(ctx context.Context, f Parsed) error {
		before()
		return imports(ctx, f)
	}
	notes, after := p.collectors["notes"], everyHundredth()
	p.collectors["notes"] = func(ctx context.Context, f Parsed) error {
		err := notes(ctx, f)
		after()
		return err
	}

	s := mustRun(t, p)
	want, err := l.count()
	if err != nil {
		t.Fatal(err)
	}
	agrees(t, s, want)
	equal(t, "problems", fmt.Sprint(s.Problems), "[]")
	equal(t, "restarts", s.Restarts, panics.Load())
	equal(t, "retries", s.Retries, panics.Load())
	if panics.Load() < 200 {
		t.Errorf("%d panics, want at least 200: one in a hundred of three subscribers", panics.Load())
	}
}

func mustRun(t *testing.T, p *pipeline) *Summary {
	t.Helper()
	s, err := p.run(t.Context(), newProgress(io.Discard))
	if err != nil {
		t.Fatal(err)
	}
	return s
}
