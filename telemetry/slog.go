package telemetry

import (
	"context"
	"log/slog"
	"slices"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Slog returns a logger for runtime.Config.Logger that writes to h, for hosts that
// use log/slog:
//
//	runtime.Config{Logger: telemetry.Slog(slog.Default().Handler())}
//
// Levels and keys stay what they are; levels above error (dpanic, panic, fatal)
// become errors. A runtime asks once which levels are enabled, when it is made.
func Slog(h slog.Handler) *zap.Logger { return zap.New(&slogCore{h}) }

// slogCore is a zapcore.Core on a slog.Handler: the other way around as package
// zapslog goes.
type slogCore struct{ h slog.Handler }

func level(l zapcore.Level) slog.Level {
	switch {
	case l < zapcore.InfoLevel:
		return slog.LevelDebug
	case l == zapcore.InfoLevel:
		return slog.LevelInfo
	case l == zapcore.WarnLevel:
		return slog.LevelWarn
	}
	return slog.LevelError
}

// Enabled, With, Check, Write and Sync make slogCore a zapcore.Core.
func (c *slogCore) Enabled(l zapcore.Level) bool { return c.h.Enabled(context.Background(), level(l)) }

func (c *slogCore) With(fields []zapcore.Field) zapcore.Core {
	groups := grouped(fields)
	h := c.h
	for i, g := range groups {
		if i > 0 { // a namespace holds what follows it
			h = h.WithGroup(g.name)
		}
		if len(g.attrs) > 0 {
			h = h.WithAttrs(g.attrs)
		}
	}
	return &slogCore{h}
}

func (c *slogCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

func (c *slogCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	var pc uintptr
	if e.Caller.Defined {
		pc = e.Caller.PC
	}
	r := slog.NewRecord(e.Time, level(e.Level), e.Message, pc)
	if e.LoggerName != "" {
		r.AddAttrs(slog.String("logger", e.LoggerName))
	}
	if e.Stack != "" {
		r.AddAttrs(slog.String("stack", e.Stack))
	}
	groups := grouped(fields)
	for i, g := range slices.Backward(groups) {
		if i == 0 {
			r.AddAttrs(g.attrs...)
			break
		}
		before := &groups[i-1]
		before.attrs = append(before.attrs, slog.Attr{Key: g.name, Value: slog.GroupValue(g.attrs...)})
	}
	return c.h.Handle(context.Background(), r)
}

func (c *slogCore) Sync() error { return nil }

// group is the fields behind a zap.Namespace; the first has no name.
type group struct {
	name  string
	attrs []slog.Attr
}

func grouped(fields []zapcore.Field) []group {
	groups := []group{{}}
	for _, f := range fields {
		last := &groups[len(groups)-1]
		switch f.Type {
		case zapcore.SkipType:
		case zapcore.NamespaceType:
			groups = append(groups, group{name: f.Key})
		case zapcore.StringType:
			last.attrs = append(last.attrs, slog.String(f.Key, f.String))
		default:
			// The encoder knows all the other types, and adds more than one
			// key for some, such as errors.
			enc := zapcore.NewMapObjectEncoder()
			f.AddTo(enc)
			keys := make([]string, 0, len(enc.Fields))
			for k := range enc.Fields {
				keys = append(keys, k)
			}
			slices.Sort(keys)
			for _, k := range keys {
				last.attrs = append(last.attrs, slog.Any(k, enc.Fields[k]))
			}
		}
	}
	return groups
}
