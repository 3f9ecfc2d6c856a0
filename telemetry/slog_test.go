package telemetry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/telemetry"
	"github.com/troupe-go/troupe/topics"
	"github.com/troupe-go/troupe/troupetest"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// zapHandler is a slog.Handler on a zap logger, made with nothing but its API: what
// slogtest asks of a handler is then asked of the bridge behind it.
type zapHandler struct{ l *zap.Logger }

func (h zapHandler) Enabled(_ context.Context, l slog.Level) bool {
	return h.l.Core().Enabled(zapLevel(l))
}

func zapLevel(l slog.Level) zapcore.Level {
	switch {
	case l < slog.LevelInfo:
		return zap.DebugLevel
	case l < slog.LevelWarn:
		return zap.InfoLevel
	case l < slog.LevelError:
		return zap.WarnLevel
	}
	return zap.ErrorLevel
}

func (h zapHandler) Handle(_ context.Context, r slog.Record) error {
	var fields []zap.Field
	r.Attrs(func(a slog.Attr) bool { fields = append(fields, fieldsOf(a)...); return true })
	return h.l.Core().Write(zapcore.Entry{Level: zapLevel(r.Level), Time: r.Time, Message: r.Message}, fields)
}

func (h zapHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	var fields []zap.Field
	for _, a := range attrs {
		fields = append(fields, fieldsOf(a)...)
	}
	return zapHandler{h.l.With(fields...)}
}

func (h zapHandler) WithGroup(name string) slog.Handler {
	return zapHandler{h.l.With(zap.Namespace(name))}
}

func fieldsOf(a slog.Attr) []zap.Field {
	a.Value = a.Value.Resolve()
	if a.Equal(slog.Attr{}) {
		return nil
	}
	if a.Value.Kind() != slog.KindGroup {
		return []zap.Field{zap.Any(a.Key, a.Value.Any())}
	}
	var fields []zap.Field
	for _, b := range a.Value.Group() {
		fields = append(fields, fieldsOf(b)...)
	}
	if a.Key == "" || len(fields) == 0 {
		return fields
	}
	return []zap.Field{zap.Dict(a.Key, fields...)}
}

func TestSlogIsAProperHandler(t *testing.T) {
	var buf bytes.Buffer
	slogtest.Run(t, func(*testing.T) slog.Handler {
		buf.Reset()
		return zapHandler{telemetry.Slog(slog.NewJSONHandler(&buf, nil))}
	}, func(t *testing.T) map[string]any {
		m := map[string]any{}
		if err := json.Unmarshal(buf.Bytes(), &m); err != nil {
			t.Fatalf("%v: %s", err, &buf)
		}
		return m
	})
}

func TestSlogKeepsLevelsAndFields(t *testing.T) {
	var buf bytes.Buffer
	h := slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}})
	l := telemetry.Slog(h)
	l.Debug("not seen")
	l.With(zap.String("a", "b"), zap.Namespace("n"), zap.Int("i", 1)).Named("sub").Info("message",
		zap.Duration("d", time.Second), zap.Error(errors.New("boom")), zap.Bool("ok", true), zap.Namespace("m"), zap.Float64("f", 1.5), zap.Skip())
	l.Warn("careful", zap.Strings("list", []string{"x", "y"}))
	l.Error("bad")
	if err := l.Sync(); err != nil {
		t.Error(err)
	}
	want := `level=INFO msg=message a=b n.i=1 n.logger=sub n.d=1s n.error=boom n.ok=true n.m.f=1.5
level=WARN msg=careful list="[x y]"
level=ERROR msg=bad
`
	if got := buf.String(); got != want {
		t.Errorf("log =\n%swant\n%s", got, want)
	}
}

func TestSlogServesARuntime(t *testing.T) {
	var buf bytes.Buffer
	rt := troupetest.New(t, runtime.Config{Name: "shop", Logger: telemetry.Slog(slog.NewJSONHandler(&buf, nil))})
	topic := open(t, rt, "t")
	subscribe(t, topic, "s", func(context.Context, int) error { return errBoom }, topics.SubscriberConfig{Retry: once})
	publish(t, topic, 1)
	rt.Idle()
	if _, err := rt.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(buf.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		if m["msg"] == "dead-lettered" {
			if m["level"] != "WARN" || m["runtime"] != "shop" || m["topic"] != "t" || m["subscriber"] != "s" || m["error"] != "boom" || m["sequence"] != 1.0 {
				t.Errorf("line = %v", m)
			}
			return
		}
	}
	t.Errorf("no line of the dead letter in\n%s", &buf)
}
