package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// command runs a program in a group of its own, which ends with ctx together with what
// it has started. It returns what was printed and the processor time of the program.
func (r *run) command(ctx context.Context, dir string, env []string, name string, args ...string) (out []byte, used time.Duration, err error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), r.env...), env...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = 5 * time.Second
	var b bytes.Buffer
	cmd.Stdout, cmd.Stderr = &b, &b
	err = cmd.Run()
	if err != nil {
		if cause := context.Cause(ctx); cause != nil {
			err = cause
		}
		err = fmt.Errorf("%s: %w: %s", strings.Join(append([]string{filepath.Base(name)}, args...), " "), err, tail(b.String()))
	}
	if cmd.ProcessState != nil {
		used = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	return b.Bytes(), used, err
}

// tail is the end of what a program has printed.
func tail(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-8):], " / ")
}

// binary builds the tests of a module, once.
func (r *run) binary(ctx context.Context, module string) (string, error) {
	if path, ok := r.builds[module]; ok {
		if path == "" {
			return "", fmt.Errorf("%s did not build, see above", module)
		}
		return path, nil
	}
	path := filepath.Join(r.work, strings.ReplaceAll(module, "/", "-")+".test")
	r.builds[module] = ""
	if _, _, err := r.command(ctx, filepath.Join(r.root, module), nil, "go", "test", "-c", "-o", path, "."); err != nil {
		return "", err
	}
	r.builds[module] = path
	return path, nil
}

// errSkipped is of tests and benchmarks that say so themselves.
var errSkipped = errors.New("skipped")
