package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	goruntime "runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/troupe-go/troupe/supervisor"
)

// faulty is a file system in which opening fails when fail says so.
type faulty struct {
	files fs.FS
	fail  func(name string) error
}

func (f faulty) Open(name string) (fs.File, error) {
	if err := f.fail(name); err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return f.files.Open(name)
}

// sample is a tree of n good files, ten to a directory.
func sample(n int) fstest.MapFS {
	files := fstest.MapFS{}
	for i := range n {
		files[fmt.Sprintf("d%03d/f%d.go", i/10, i%10)] = &fstest.MapFile{Data: []byte(goodFile)}
	}
	return files
}

func TestUnreadableFileIsRetriedAndThenADeadLetter(t *testing.T) {
	var transient, lasting atomic.Int32
	p := newPipeline("sample", faulty{sample(30), func(name string) error {
		switch {
		case name == "d001/f1.go" && transient.Add(1) <= 2:
			return fs.ErrPermission
		case name == "d002/f2.go":
			lasting.Add(1)
			return fs.ErrPermission
		}
		return nil
	}})
	p.retry = supervisor.Retry{MaxAttempts: 3, BaseDelay: time.Millisecond}
	s := mustRun(t, p)
	equal(t, "files", fmt.Sprint(s.Files), fmt.Sprint(Files{Found: 30, Parsed: 29, DeadLettered: 1}))
	equal(t, "attempts of the file that can be read at last", transient.Load(), 3)
	equal(t, "attempts of the other", lasting.Load(), 3)
	equal(t, "retries", s.Retries, 4)
	equal(t, "restarts", s.Restarts, 0)
	equal(t, "dead letters", fmt.Sprint(s.DeadLetters),
		"[{attempts_exhausted [{d002/f2.go parser 3 open d002/f2.go: permission denied}]}]")
	equal(t, "problems", fmt.Sprint(s.Problems), "[]")
}

func TestUnreadableDirectoryIsReportedAndCounted(t *testing.T) {
	p := newPipeline("sample", faulty{sample(30), func(name string) error {
		if name == "d001" {
			return fs.ErrPermission
		}
		return nil
	}})
	var stdout, stderr bytes.Buffer
	equal(t, "exit code", index(t.Context(), p, false, &stdout, &stderr), exitFailed)
	for out, part := range map[*bytes.Buffer]string{
		&stdout: "not read      1 directories\n    open d001: permission denied\n",
		&stderr: "the index is incomplete: directories that could not be read: 1",
	} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("output:\n%s\nwant %q in it", out, part)
		}
	}
	if !strings.Contains(stdout.String(), "20 found = 20 parsed + 0 dead letters") {
		t.Errorf("the rest is not indexed:\n%s", &stdout)
	}
}

func TestFileThatCrashesTheParserIsADeadLetter(t *testing.T) {
	p := newPipeline("sample", sample(30))
	p.retry = supervisor.Retry{MaxAttempts: 3, BaseDelay: time.Millisecond}
	p.parse = func(files fs.FS, f File) (Parsed, error) {
		if f.Path == "d001/f1.go" {
			panic("no such grammar")
		}
		return parse(files, f)
	}
	s := mustRun(t, p)
	equal(t, "files", fmt.Sprint(s.Files), fmt.Sprint(Files{Found: 30, Parsed: 29, DeadLettered: 1}))
	if s.Restarts < 2 || s.Restarts > 3 { // the last one may be under way at the end
		t.Errorf("restarts = %d, want one for each panic", s.Restarts)
	}
	equal(t, "dead letters", fmt.Sprint(s.DeadLetters), "[{attempts_exhausted [{d001/f1.go parser 3 panic: no such grammar}]}]")
	if !strings.Contains(string(s.text()), "    d001/f1.go: panic: no such grammar\n") {
		t.Errorf("text does not name the file:\n%s", s.text())
	}
}

func TestCollectorThatMissesAFileFailsLoudly(t *testing.T) {
	p := newPipeline("sample", sample(30))
	notes := p.collectors["notes"]
	p.collectors["notes"] = func(ctx context.Context, f Parsed) error {
		if f.Path == "d001/f1.go" {
			return supervisor.Permanent(fmt.Errorf("no room for %s", f.Path))
		}
		return notes(ctx, f)
	}
	var stdout, stderr bytes.Buffer
	equal(t, "exit code", index(t.Context(), p, false, &stdout, &stderr), exitFailed)
	if want := "of 30 parsed files imports has 30, declarations 30, notes 29"; !strings.Contains(stderr.String(), want) {
		t.Errorf("standard error = %q, want %q in it", &stderr, want)
	}
	if !strings.Contains(stdout.String(), "no room for d001/f1.go") {
		t.Errorf("the dead letter is not shown:\n%s", &stdout)
	}
}

func TestFileThatIsSkippedFailsLoudly(t *testing.T) {
	p := newPipeline("sample", sample(30))
	p.parse = func(files fs.FS, f File) (Parsed, error) {
		if f.Path == "d001/f1.go" {
			return Parsed{}, supervisor.Skip(io.EOF)
		}
		return parse(files, f)
	}
	var stderr bytes.Buffer
	equal(t, "exit code", index(t.Context(), p, false, io.Discard, &stderr), exitFailed)
	if want := "the figures do not add up: found 30, parsed 29, dead letters 0, dropped 1"; !strings.Contains(stderr.String(), want) {
		t.Errorf("standard error = %q, want %q in it", &stderr, want)
	}
}

func TestMoreDeadLettersThanTheStoreKeepsAreStillCounted(t *testing.T) {
	files := sample(10_020)
	for _, f := range files {
		f.Data = []byte("broken")
	}
	p := newPipeline("sample", files)
	s := mustRun(t, p)
	equal(t, "files", fmt.Sprint(s.Files), fmt.Sprint(Files{Found: 10_020, DeadLettered: 10_020}))
	equal(t, "kept", len(s.DeadLetters[0].Letters), 10_000)
	if !strings.Contains(string(s.text()), "20 older ones are counted but were not kept") {
		t.Errorf("text does not say so:\n%s", s.text())
	}
}

func TestInterruptedRunFinishesWhatWasFound(t *testing.T) {
	const n = 5000
	p := newPipeline("sample", sample(n))
	ctx, interrupt := context.WithCancel(t.Context())
	defer interrupt()
	var collected atomic.Int32
	notes := p.collectors["notes"]
	p.collectors["notes"] = func(ctx context.Context, f Parsed) error {
		if collected.Add(1) == 200 {
			interrupt()
		}
		return notes(ctx, f)
	}
	var stdout, stderr bytes.Buffer
	equal(t, "exit code", index(ctx, p, false, &stdout, &stderr), exitInterrupted)
	first, rest, _ := strings.Cut(stdout.String(), "\n")
	equal(t, "first line", first, "INTERRUPTED: what follows is about the files found by then")
	var found, parsed, letters int
	_, rest, _ = strings.Cut(rest, "\n")
	if _, err := fmt.Sscanf(rest, "files %d found = %d parsed + %d dead letters", &found, &parsed, &letters); err != nil {
		t.Fatalf("%v in\n%s", err, rest)
	}
	if found < 200 || found >= n || found != parsed || letters != 0 {
		t.Errorf("found %d, parsed %d, dead letters %d, want some of %d and found = parsed", found, parsed, letters, n)
	}
	equal(t, "files collected", int(collected.Load()), found)
}

func TestCtrlCEndsTheProcessWith130AndASummary(t *testing.T) {
	if goruntime.GOOS == "windows" {
		t.Skip("a process cannot be interrupted from outside")
	}
	l := standardLibrary(t)
	cmd := exec.Command(os.Args[0], l.root)
	cmd.Env = append(os.Environ(), "INDEXER_TEST_MAIN=1")
	var stdout bytes.Buffer
	cmd.Stdout = &stdout
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewReader(stderr)
	line, _ := lines.ReadString('\n')
	equal(t, "first line of progress", line, "indexing "+l.root+"\n")
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, lines); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	equal(t, "exit code", cmd.ProcessState.ExitCode(), exitInterrupted)
	if !strings.HasPrefix(stdout.String(), "INTERRUPTED") || !strings.Contains(stdout.String(), "found = ") {
		t.Errorf("standard output:\n%s\nwant a summary", &stdout)
	}
}
