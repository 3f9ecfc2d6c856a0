package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// names stands for hash where the file system does not matter.
func names(path string) (string, error) { return "sum-of", nil }

func TestEachLineIsHashed(t *testing.T) {
	dir := t.TempDir()
	var in, want []string
	for i := range 20 {
		path := filepath.Join(dir, fmt.Sprint("f", i))
		if err := os.WriteFile(path, []byte("abc"), 0o644); err != nil {
			t.Fatal(err)
		}
		in = append(in, path, " ") // blank lines are nothing
		want = append(want, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad  "+path)
	}
	var out, problems bytes.Buffer
	if code := run(t.Context(), strings.NewReader(strings.Join(in, "\n")), &out, &problems, hash); code != exitOK {
		t.Errorf("exit code = %d, want %d", code, exitOK)
	}
	got := strings.Split(strings.TrimSpace(out.String()), "\n")
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("output:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if problems.Len() > 0 {
		t.Errorf("problems = %q, want none", &problems)
	}
}

func TestAFailureIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		var out, problems bytes.Buffer
		code := run(t.Context(), strings.NewReader("a"), &out, &problems, func(path string) (string, error) {
			if calls.Add(1) < 3 {
				return "", errors.New("device busy")
			}
			return names(path)
		})
		if code != exitOK || out.String() != "sum-of  a\n" || calls.Load() != 3 {
			t.Errorf("exit code %d, output %q, %d calls, want 0, the sum, 3", code, &out, calls.Load())
		}
	})
}

func TestLettersThatAreLeftAreListedAndFailTheCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out, problems bytes.Buffer
		code := run(t.Context(), strings.NewReader("missing\nbusy\ngood\n"), &out, &problems, func(path string) (string, error) {
			switch path {
			case "missing":
				return "", fs.ErrNotExist
			case "busy":
				return "", errors.New("device busy")
			}
			return names(path)
		})
		if code != exitFailed {
			t.Errorf("exit code = %d, want %d", code, exitFailed)
		}
		if out.String() != "sum-of  good\n" {
			t.Errorf("output = %q, want the good one", &out)
		}
		const want = "stdin: lines left: 2\n" +
			"  hasher after 3 attempts: \"busy\": \"device busy\"\n" +
			"  hasher after 1 attempts: \"missing\": \"file does not exist\"\n"
		if problems.String() != want {
			t.Errorf("problems:\n%s\nwant:\n%s", &problems, want)
		}
	})
}

func TestInterruptFinishesWhatHasBeenRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, interrupt := context.WithCancel(t.Context())
		in, typed := io.Pipe() // stays open, like a terminal
		release := make(chan struct{})
		var out, problems bytes.Buffer
		code := make(chan int)
		go func() {
			code <- run(ctx, in, &out, &problems, func(path string) (string, error) {
				<-release
				return names(path)
			})
		}()
		fmt.Fprintln(typed, "a")
		synctest.Wait()
		interrupt()
		synctest.Wait()
		close(release)
		if got := <-code; got != exitInterrupted {
			t.Errorf("exit code = %d, want %d", got, exitInterrupted)
		}
		if out.String() != "sum-of  a\n" {
			t.Errorf("output = %q, want the line that had been read", &out)
		}
		typed.Close() // ends the reader, as the process does
	})
}

func TestInputThatCannotBeReadFailsTheCommand(t *testing.T) {
	for name, in := range map[string]io.Reader{
		"fault":     io.MultiReader(strings.NewReader("a\n"), faulty{}),
		"long line": io.MultiReader(strings.NewReader("a\n"), strings.NewReader(strings.Repeat("x", 100_000))),
	} {
		var out, problems bytes.Buffer
		if code := run(t.Context(), in, &out, &problems, names); code != exitFailed {
			t.Errorf("%s: exit code = %d, want %d", name, code, exitFailed)
		}
		if out.String() != "sum-of  a\n" || !strings.Contains(problems.String(), "read standard input: ") {
			t.Errorf("%s: output %q, problems %q, want the line before and a reason", name, &out, &problems)
		}
	}
}

func TestOutputThatCannotBeWrittenFailsTheCommand(t *testing.T) {
	var problems bytes.Buffer
	if code := run(t.Context(), strings.NewReader("a"), faulty{}, &problems, names); code != exitFailed {
		t.Errorf("exit code = %d, want %d", code, exitFailed)
	}
	if !strings.Contains(problems.String(), "printer after 1 attempts") {
		t.Errorf("problems = %q, want the letter of the printer", &problems)
	}
}

type faulty struct{}

func (faulty) Read([]byte) (int, error)  { return 0, errors.New("cable is out") }
func (faulty) Write([]byte) (int, error) { return 0, errors.New("disk full") }
