package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode"
)

// TestMain is the program itself when a test starts it as a process.
func TestMain(m *testing.M) {
	if os.Getenv("INDEXER_TEST_MAIN") != "" {
		main()
	}
	os.Exit(m.Run())
}

const goodFile = "package p\n\nimport \"fmt\"\n\n// TODO(me): greet better\nfunc F() { fmt.Println(1) }\n"

// tree writes files and returns their directory.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// call runs the program.
func call(ctx context.Context, args ...string) (code int, stdout, stderr string) {
	var out, errs bytes.Buffer
	code = run(ctx, args, &out, &errs)
	return code, out.String(), errs.String()
}

func TestBadInputHasAClearMessageAndAnExitCode(t *testing.T) {
	dir := tree(t, map[string]string{"good.go": goodFile, "empty/readme.txt": "no Go here"})
	file, empty, missing := filepath.Join(dir, "good.go"), filepath.Join(dir, "empty"), filepath.Join(dir, "missing")
	for name, c := range map[string]struct {
		args []string
		code int
		says []string
	}{
		"missing directory": {[]string{missing}, 1, []string{missing, "no such directory", "check the path"}},
		"file":              {[]string{file}, 1, []string{file, "is a file", "name the directory that it is in, " + dir}},
		"below a file":      {[]string{filepath.Join(file, "x")}, 1, []string{file}},
		"empty tree":        {[]string{empty}, 1, []string{empty, "no Go files", "name a directory with .go files"}},
		"unknown flag":      {[]string{"-jsn", dir}, 2, []string{"-jsn", "indexer -h"}},
		"bad value":         {[]string{"-json=perhaps", dir}, 2, []string{"perhaps", "indexer -h"}},
		"two directories":   {[]string{dir, dir}, 2, []string{"one directory", "indexer -h"}},
		"not this machine":  {[]string{"-serve", "0.0.0.0:0", dir}, 2, []string{"0.0.0.0:0", "this machine only"}},
		"no port":           {[]string{"-serve", "localhost", dir}, 2, []string{"host:port"}},
		"flag at the end":   {[]string{dir, "-json"}, 2, []string{"flags come before", "indexer -h"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, stdout, stderr := call(t.Context(), c.args...)
			equal(t, "exit code", code, c.code)
			equal(t, "standard output", stdout, "")
			for _, part := range c.says {
				if !strings.Contains(stderr, part) {
					t.Errorf("standard error = %q, want %q in it", stderr, part)
				}
			}
		})
	}
}

func TestWithoutGoTheMessageSaysWhatToDo(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	code, _, stderr := call(t.Context())
	equal(t, "exit code", code, exitFailed)
	for _, part := range []string{"go env GOROOT", "not found", "install Go, or name a directory"} {
		if !strings.Contains(stderr, part) {
			t.Errorf("standard error = %q, want %q in it", stderr, part)
		}
	}
}

func TestNoPermissionForTheDirectoryIsBadInput(t *testing.T) {
	for name, p := range map[string]*pipeline{
		"refused by the file system": newPipeline("dir", faulty{files: sample(3), fail: func(string) error { return fs.ErrPermission }}),
		"mode 000":                   locked(t),
	} {
		t.Run(name, func(t *testing.T) {
			if p == nil {
				t.Skip("permission bits do not bind this user")
			}
			var stdout, stderr bytes.Buffer
			equal(t, "exit code", index(t.Context(), p, false, &stdout, &stderr), exitFailed)
			equal(t, "standard output", stdout.String(), "")
			for _, part := range []string{p.dir, "permission denied", "choose a directory that you may read"} {
				if part == "permission denied" && name != "mode 000" {
					continue
				}
				if !strings.Contains(stderr.String(), part) {
					t.Errorf("standard error = %q, want %q in it", stderr.String(), part)
				}
			}
		})
	}
}

// locked returns a pipeline over a directory that may not be read, nil if it may.
func locked(t *testing.T) *pipeline {
	dir := tree(t, map[string]string{"good.go": goodFile})
	if err := os.Chmod(dir, 0); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.Chmod(dir, 0o755) })
	if _, err := os.ReadDir(dir); err == nil {
		return nil
	}
	return newPipeline(dir, os.DirFS(dir))
}

func TestHelpGoesToStandardOutput(t *testing.T) {
	code, stdout, stderr := call(t.Context(), "-h")
	equal(t, "exit code", code, exitOK)
	equal(t, "standard output", stdout, usage)
	equal(t, "standard error", stderr, "")
}

func TestDeadLettersAreNotAFailure(t *testing.T) {
	dir := tree(t, map[string]string{"good.go": goodFile, "broken.go": "package p\nfunc {\n"})
	code, stdout, stderr := call(t.Context(), dir)
	equal(t, "exit code", code, exitOK)
	equal(t, "standard error", stderr, "indexing "+dir+"\n")
	for _, line := range []string{
		"files         2 found = 1 parsed + 1 dead letters\n",
		"        1  functions\n",
		"        1  TODO\n",
		"imports       1 packages import 1 others\n        1  fmt\n",
		"dead letters  1 permanent\n    broken.go:2:6: expected 'IDENT', found '{'",
	} {
		if !strings.Contains(stdout, line) {
			t.Errorf("standard output:\n%s\nwant %q in it", stdout, line)
		}
	}
}

func TestLinksAreNotFollowed(t *testing.T) {
	dir := tree(t, map[string]string{"a/good.go": goodFile})
	for name, to := range map[string]string{"link.go": "a/good.go", "b": "a", "dangling": "nowhere"} {
		if err := os.Symlink(to, filepath.Join(dir, name)); err != nil {
			t.Skip(err)
		}
	}
	s := mustRun(t, newPipeline(dir, os.DirFS(dir)))
	equal(t, "found", s.Files.Found, 1)
	equal(t, "skipped", s.Files.Skipped, 3)
	if !strings.Contains(string(s.text()), "3 symbolic links and special files passed over") {
		t.Errorf("text does not say so:\n%s", s.text())
	}
}

func TestJSONSaysWhatTheTextSays(t *testing.T) {
	dir := tree(t, map[string]string{"good.go": goodFile, "sub/good.go": goodFile, "broken.go": "package <&>"})
	code, text, _ := call(t.Context(), dir)
	equal(t, "exit code", code, exitOK)
	code, asJSON, _ := call(t.Context(), "-json", dir)
	equal(t, "exit code", code, exitOK)

	var s Summary
	dec := json.NewDecoder(strings.NewReader(asJSON))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&s); err != nil {
		t.Fatal(err)
	}
	_, want, _ := strings.Cut(text, "\n") // the first line has the time it took
	_, got, _ := strings.Cut(string(s.text()), "\n")
	equal(t, "text of the JSON", got, want)
	if strings.Contains(asJSON, "null") {
		t.Errorf("an empty list is null in\n%s", asJSON)
	}
}

func TestPipedOutputHasNoControlCharacters(t *testing.T) {
	if goruntime.GOOS == "windows" {
		t.Skip("no such names")
	}
	dir := tree(t, map[string]string{"good.go": "package p // TODO: \x1b[2J\n", "\x1b[31mred\r\nfiles 0.go": "broken"})
	_, text, progress := call(t.Context(), dir)
	_, asJSON, _ := call(t.Context(), "-json", dir)
	if strings.Contains(text, "\nfiles 0") {
		t.Errorf("a file name makes a line of its own:\n%s", text)
	}
	for what, out := range map[string]string{"text": text, "progress": progress, "JSON": asJSON} {
		if i := strings.IndexFunc(out, func(r rune) bool { return r != '\n' && unicode.IsControl(r) }); i >= 0 {
			t.Errorf("%s has a control character: %q", what, out[i:])
		}
	}
}

func TestProgressIsOneLineOnATerminalAndFewLinesElsewhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		show := func(p progress) string {
			var out bytes.Buffer
			p.w = &out
			ctx, cancel := context.WithCancel(t.Context())
			stop := p.start(ctx, "indexing x", func() string { return "5 found" })
			time.Sleep(p.every + 1)
			cancel()
			synctest.Wait()
			stop()
			return out.String()
		}
		equal(t, "on a terminal", show(progress{live: true, every: time.Second}), "\r\x1b[K5 found\r\x1b[Kinterrupted: 5 found\r\x1b[K")
		equal(t, "elsewhere", show(progress{every: time.Second}), "indexing x\n5 found\ninterrupted: 5 found\n")
	})
}

func TestAnOutputThatCannotBeWrittenIsAFailure(t *testing.T) {
	dir := tree(t, map[string]string{"good.go": goodFile})
	var stderr bytes.Buffer
	equal(t, "exit code", run(t.Context(), []string{dir}, fullDisk{}, &stderr), exitFailed)
	if !strings.Contains(stderr.String(), "write the result: disk full") {
		t.Errorf("standard error = %q", stderr.String())
	}
}

type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("disk full") }
