package troupetest_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// recorder is a testing.TB that keeps what it is told, to prove that
// expectations fail.
type recorder struct {
	testing.TB
	mu       sync.Mutex
	logs     []string
	errors   []string
	fatal    bool
	cleanups []func()
}

// record runs f as a test and returns how it went, after its cleanups.
func record(f func(t testing.TB)) *recorder {
	r := &recorder{}
	r.run(func() { f(r) })
	for len(r.cleanups) > 0 {
		last := r.cleanups[len(r.cleanups)-1]
		r.cleanups = r.cleanups[:len(r.cleanups)-1]
		r.run(last)
	}
	return r
}

func (r *recorder) run(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	<-done
}

func (r *recorder) Helper()          {}
func (r *recorder) Name() string     { return "recorded" }
func (r *recorder) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }

func (r *recorder) Log(args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.logs = append(r.logs, fmt.Sprint(args...))
}

func (r *recorder) Errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors = append(r.errors, fmt.Sprintf(format, args...))
}

func (r *recorder) Fatalf(format string, args ...any) {
	r.Errorf(format, args...)
	r.fatal = true
	goexit()
}

// wantFailure fails t unless r failed once with a message that holds all parts.
func (r *recorder) wantFailure(t *testing.T, parts ...string) {
	t.Helper()
	if len(r.errors) != 1 {
		t.Fatalf("failures = %q, want one with %q", r.errors, parts)
	}
	for _, part := range parts {
		if !strings.Contains(r.errors[0], part) {
			t.Errorf("failure does not say %q:\n%s", part, r.errors[0])
		}
	}
}

func (r *recorder) wantSuccess(t *testing.T) {
	t.Helper()
	if len(r.errors) > 0 {
		t.Errorf("failures = %q, want none", slices.Clone(r.errors))
	}
}
