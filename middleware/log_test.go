package middleware_test

import (
	"context"
	"fmt"
	"maps"
	goruntime "runtime"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/middleware"
	"github.com/troupe-go/troupe/supervisor"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func TestLogSaysWhatBecameOfACall(t *testing.T) {
	for _, c := range []struct {
		name  string
		do    func() error
		level zapcore.Level
		want  string
		facts map[string]any
	}{
		{"done", func() error { return nil }, zap.DebugLevel, "event handled", nil},
		{"finished", func() error { return supervisor.ErrFinished }, zap.DebugLevel, "event handled", map[string]any{"error": "supervisor: actor finished", "verdict": "finished"}},
		{"error", func() error { return errBoom }, zap.WarnLevel, "attempt failed", map[string]any{"error": "boom"}},
		{"permanent", func() error { return fmt.Errorf("a: %w", supervisor.Permanent(errBoom)) }, zap.WarnLevel, "attempt failed",
			map[string]any{"error": "a: boom", "verdict": "permanent"}},
		{"retry after", func() error { return supervisor.RetryAfter(errBoom, 1) }, zap.WarnLevel, "attempt failed", map[string]any{"error": "boom", "verdict": "retry_after"}},
		{"skip", func() error { return supervisor.Skip(errBoom) }, zap.DebugLevel, "event skipped", map[string]any{"error": "boom", "verdict": "skip"}},
		{"postponed", func() error { return supervisor.Postpone(errBoom, 1) }, zap.DebugLevel, "event postponed", map[string]any{"error": "boom", "verdict": "postpone"}},
		{"panic", func() error { panic(errBoom) }, zap.WarnLevel, "handler did not return", nil},
		{"goexit", func() error { goruntime.Goexit(); return nil }, zap.WarnLevel, "handler did not return", nil},
		{"slip", func() error { return (*slip)(nil) }, zap.WarnLevel, "attempt failed", map[string]any{"error": "<nil>"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				logger, logs := logged(zap.DebugLevel)
				w := newWorld(t)
				calls := 0
				w.subscribe("s", func(context.Context, int) error {
					time.Sleep(time.Second)
					if calls++; calls == 1 {
						return c.do()
					}
					return nil
				}, with(middleware.Correlate(middleware.CorrelateConfig{}), middleware.Log(logger)))
				w.publishID(1, "e1")
				w.Idle(time.Hour)
				line := logs.All()[0]
				wantEqual(t, "level", line.Level, c.level)
				wantEqual(t, "message", line.Message, c.want)
				got := line.ContextMap()
				want := map[string]any{"duration": time.Second, "topic": "t", "subscriber": "s", "sequence": uint64(1), "attempt": int64(1),
					"correlation": "e1", "event": "e1"}
				maps.Copy(want, c.facts)
				if !maps.Equal(got, want) {
					t.Errorf("fields = %v\nwant %v", got, want)
				}
			})
		})
	}
}

func TestLogIsSilentWhereNobodyListens(t *testing.T) {
	logger, logs := logged(zap.WarnLevel)
	next := build(middleware.Log(logger), func(context.Context, any) error { return nil })
	if err := next(t.Context(), 1); err != nil || logs.Len() != 0 {
		t.Errorf("%v, %d lines, want none at debug level", err, logs.Len())
	}
	called := false
	handle := func(context.Context, any) error { called = true; return errBoom }
	for _, l := range []*zap.Logger{nil, zap.NewNop()} {
		wantEqual(t, "error", build(middleware.Log(l), handle)(t.Context(), 1), errBoom)
		wantEqual(t, "error", build(middleware.WarnSlow(l, 1), handle)(t.Context(), 1), errBoom)
	}
	wantEqual(t, "called", called, true)
}

func TestWarnSlowWarnsOncePerDoublingWhileItRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logs := logged(zap.WarnLevel)
		w := newWorld(t)
		w.subscribe("s", func(_ context.Context, ev int) error {
			time.Sleep(time.Duration(ev) * time.Second)
			return nil
		}, with(middleware.WarnSlow(logger, time.Second)))
		w.publish(0, 10, 0)
		time.Sleep(9 * time.Second) // in the middle of the second
		var running []any
		for _, line := range logs.All() {
			wantEqual(t, "message", line.Message, "handler still running")
			wantEqual(t, "sequence", line.ContextMap()["sequence"], any(uint64(2)))
			running = append(running, line.ContextMap()["running"])
		}
		wantEqual(t, "warnings after", fmt.Sprint(running), "[1s 2s 4s 8s]")
		w.Idle(time.Hour)
		last := logs.TakeAll()[4:]
		if len(last) != 1 || last[0].Message != "slow handler ended" || last[0].ContextMap()["duration"] != 10*time.Second {
			t.Errorf("after its end: %v", last)
		}
		time.Sleep(time.Hour)
		wantEqual(t, "lines later", logs.Len(), 0)
	})
}

// A panic and a Goexit end the watch, too; an abandoned handler goes on being
// watched, which is how it is found.
func TestWarnSlowWatchesUntilTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logs := logged(zap.WarnLevel)
		w := newWorld(t)
		release := make(chan struct{})
		cfg := with(middleware.WarnSlow(logger, time.Minute))
		cfg.Timeout, cfg.Grace, cfg.Retry.MaxAttempts = time.Second, time.Second, 1
		w.subscribe("s", func(_ context.Context, ev int) error {
			switch ev {
			case 1:
				panic("boom")
			case 2:
				goruntime.Goexit()
			}
			<-release
			return nil
		}, cfg)
		w.publish(1, 2, 3)
		w.Idle(time.Hour)
		time.Sleep(time.Hour)
		close(release)
		synctest.Wait()
		wantEqual(t, "lines", logs.Len(), 7) // after 1, 2, 4, 8, 16, 32 min and at the end
		for _, line := range logs.All() {
			wantEqual(t, "sequence", line.ContextMap()["sequence"], any(uint64(3)))
		}
	})
}

// The timer and the end of the handler at the same moment.
func TestWarnSlowEndsWithItsHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logger, logs := logged(zap.WarnLevel)
		next := build(middleware.WarnSlow(logger, time.Second), func(context.Context, any) error { time.Sleep(time.Second); return nil })
		for range 500 {
			if err := next(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		logs.TakeAll()
		time.Sleep(time.Hour)
		wantEqual(t, "lines after the end", logs.Len(), 0)
	})
}
