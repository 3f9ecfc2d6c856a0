package middleware_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/middleware"
)

// hits returns which of n calls fail.
func hits(t *testing.T, cfg middleware.FaultConfig, n int) (failed []int) {
	t.Helper()
	next := build(middleware.InjectFaults(cfg), func(context.Context, any) error { return nil })
	for i := range n {
		if next(t.Context(), i) != nil {
			failed = append(failed, i+1)
		}
	}
	return failed
}

func TestFaultsHitTheSameCallsInEachRun(t *testing.T) {
	if got, want := hits(t, middleware.FaultConfig{Every: 3}, 10), []int{3, 6, 9}; !slices.Equal(got, want) {
		t.Errorf("Every 3 hits %v, want %v", got, want)
	}
	cfg := middleware.FaultConfig{Rate: 0.1, Seed: 1}
	first := hits(t, cfg, 10_000)
	if n := len(first); n < 900 || n > 1100 {
		t.Errorf("Rate 0.1 hits %d of 10000", n)
	}
	if !slices.Equal(first, hits(t, cfg, 10_000)) {
		t.Error("the same seed hits other calls")
	}
	cfg.Seed = 2
	if slices.Equal(first, hits(t, cfg, 10_000)) {
		t.Error("another seed hits the same calls")
	}
	wantEqual(t, "Rate 1 hits", len(hits(t, middleware.FaultConfig{Rate: 1}, 100)), 100)
}

func TestKindsOfFaults(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		called := 0
		handle := func(context.Context, any) error { called++; return nil }
		run := func(cfg middleware.FaultConfig) (panicked any, took time.Duration, err error) {
			cfg.Every, called = 1, 0
			began := time.Now()
			panicked = call(func() { err = build(middleware.InjectFaults(cfg), handle)(t.Context(), 1) })
			return panicked, time.Since(began), err
		}
		for _, c := range []struct {
			name     string
			cfg      middleware.FaultConfig
			err      error
			panicked any
			took     time.Duration
			called   int
		}{
			{"default", middleware.FaultConfig{}, middleware.ErrInjected, nil, 0, 0},
			{"error", middleware.FaultConfig{Err: errBoom}, errBoom, nil, 0, 0},
			{"panic", middleware.FaultConfig{Panic: "boom"}, nil, "boom", 0, 0},
			{"delay", middleware.FaultConfig{Delay: time.Minute}, nil, nil, time.Minute, 1},
			{"delay and error", middleware.FaultConfig{Delay: time.Minute, Err: errBoom}, errBoom, nil, time.Minute, 0},
			{"after", middleware.FaultConfig{After: true, Err: errBoom}, errBoom, nil, 0, 1},
			{"delay after", middleware.FaultConfig{After: true, Delay: time.Minute}, nil, nil, time.Minute, 1},
			{"panic after", middleware.FaultConfig{After: true, Panic: 7}, nil, 7, 0, 1},
		} {
			panicked, took, err := run(c.cfg)
			if err != c.err || panicked != c.panicked || took != c.took || called != c.called {
				t.Errorf("%s: error %v, panic %v, %v, %d calls; want %v, %v, %v, %d", c.name, err, panicked, took, called, c.err, c.panicked, c.took, c.called)
			}
		}
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(time.Second, func() { cancel(errBoom) })
		next := build(middleware.InjectFaults(middleware.FaultConfig{Every: 1, Delay: time.Minute}), handle)
		wantEqual(t, "delay that is cut", next(ctx, 1), errBoom)
	})
}

// An error of the handler is not replaced by a fault that comes after it.
func TestFaultAfterAFailureIsTheFailure(t *testing.T) {
	next := build(middleware.InjectFaults(middleware.FaultConfig{Every: 1, After: true}), func(context.Context, any) error { return errBoom })
	wantEqual(t, "error", next(t.Context(), 1), errBoom)
}
