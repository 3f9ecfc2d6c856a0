package runtime_test

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"go.uber.org/zap/zaptest/observer"
)

func TestLogLines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.DebugLevel)
		rt := troupetest.New(t, runtime.Config{Name: "shop", DeadLetters: newPatchy(t), Logger: zap.New(core)})
		everything(t, rt)
		for message, level := range map[string]zapcore.Level{
			"attempt failed":        zap.DebugLevel,
			"retrying":              zap.DebugLevel,
			"dead-lettered":         zap.WarnLevel,
			"dropped":               zap.WarnLevel,
			"redriven":              zap.InfoLevel,
			"subscriber started":    zap.InfoLevel,
			"subscriber restarting": zap.WarnLevel,
			"subscriber paused":     zap.WarnLevel,
			"subscriber resumed":    zap.InfoLevel,
			"subscriber passivated": zap.InfoLevel,
			"subscriber escalated and waits for resume": zap.ErrorLevel,
			"handler does not return":                   zap.ErrorLevel,
			"abandoned handler returned":                zap.WarnLevel,
			"subscriber stopped":                        zap.InfoLevel,
			"user code beside the handler failed":       zap.ErrorLevel,
			"dead-letter store fails, letters wait":     zap.ErrorLevel,
			"dead-letter store works again":             zap.InfoLevel,
			"mailbox full, publishers wait":             zap.WarnLevel,
		} {
			lines := logs.FilterMessage(message).All()
			if len(lines) == 0 {
				t.Errorf("no line %q", message)
				continue
			}
			if got := lines[0].Level; got != level {
				t.Errorf("%q has level %v, want %v", message, got, level)
			}
		}
		known := []string{"runtime", "topic", "subscriber", "sequence", "attempt", "cause", "error", "reason", "delay", "count", "left_out"}
		for _, line := range logs.All() {
			fields := line.ContextMap()
			if fields["runtime"] != "shop" {
				t.Errorf("%q does not say which runtime: %v", line.Message, fields)
			}
			for _, key := range slices.Sorted(maps.Keys(fields)) {
				if !slices.Contains(known, key) {
					t.Errorf("%q has an unknown key %q", line.Message, key)
				}
			}
			if line.Message != strings.ToLower(line.Message) {
				t.Errorf("message %q is not lower-case", line.Message)
			}
		}
		dead := logs.FilterMessage("dead-lettered").All()[0].ContextMap()
		for key, want := range map[string]any{"topic": "t", "subscriber": "s", "attempt": int64(1), "cause": "error", "error": "boom", "reason": "permanent"} {
			if dead[key] != want {
				t.Errorf("dead-lettered: %s = %v, want %v", key, dead[key], want)
			}
		}
	})
}

func TestLogIsSilentBelowItsLevel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		rt := troupetest.New(t, runtime.Config{DeadLetters: newPatchy(t), Logger: zap.New(core)})
		everything(t, rt)
		if logs.Len() == 0 {
			t.Error("no lines")
		}
		for _, line := range logs.All() {
			if line.Level < zap.WarnLevel {
				t.Errorf("line %q of level %v", line.Message, line.Level)
			}
		}
	})
}

func TestPublisherIsHeldBackForASecondBeforeItIsNews(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		rt := troupetest.New(t, runtime.Config{Logger: zap.New(core)})
		topic := open[int](t, rt, "t")
		sub := subscribe(t, topic, "s", func(context.Context, int) error { time.Sleep(900 * time.Millisecond); return nil },
			topics.SubscriberConfig{Capacity: 1})
		for n := range 4 {
			publish(t, topic, n) // held back each time, but not for long
		}
		if logs.Len() != 0 {
			t.Errorf("lines = %v, want none", logs.All())
		}
		rt.Idle()
		sub.Pause()
		publish(t, topic, 5)
		ctx, cancel := context.WithTimeout(t.Context(), 3500*time.Millisecond)
		defer cancel()
		wantErr(t, "Publish", topic.Publish(ctx, 6), context.DeadlineExceeded)
		lines := logs.FilterMessage("mailbox full, publishers wait").All()
		if len(lines) != 3 {
			t.Fatalf("%d lines in 3.5 s, want one each second", len(lines))
		}
		if f := lines[0].ContextMap(); f["topic"] != "t" || f["subscriber"] != "s" || f["delay"] != time.Second {
			t.Errorf("fields = %v, want the names and a second", f)
		}
	})
}

func TestStormOfTheSameLineIsSampled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		core, logs := observer.New(zap.WarnLevel)
		rt := troupetest.New(t, runtime.Config{Logger: zap.New(core)})
		topic := open[int](t, rt, "t")
		fail := func(context.Context, int) error { return supervisor.Permanent(errBoom) }
		subscribe(t, topic, "a", fail)
		for n := range 1000 {
			publish(t, topic, n)
		}
		rt.Idle()
		lines := logs.FilterMessage("dead-lettered").All()
		left := uint64(0)
		for _, line := range lines {
			if n, ok := line.ContextMap()["left_out"].(uint64); ok {
				left += n
			}
		}
		if len(lines) != 20 || left+uint64(len(lines)) != 1000 {
			t.Errorf("%d lines, %d left out, want 20 lines that account for 1000", len(lines), left)
		}
		// Another subscriber, and another second, are other news.
		subscribe(t, topic, "b", fail)
		publish(t, topic, 1)
		rt.Idle()
		time.Sleep(time.Second)
		publish(t, topic, 2)
		rt.Idle()
		after := logs.FilterMessage("dead-lettered").All()[20:]
		got := map[any]int{}
		for _, line := range after {
			got[line.ContextMap()["subscriber"]]++
		}
		if got["b"] != 2 || got["a"] != 1 {
			t.Errorf("further lines = %v, want 2 of b and 1 of a", got)
		}
		if n := len(rt.Letters()); n != 1004 {
			t.Errorf("%d letters, want 1004: only lines are left out", n)
		}
	})
}
