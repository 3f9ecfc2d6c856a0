package nats

import (
	"fmt"
	"sync/atomic"

	"go.uber.org/zap"
)

// serverLog gives what the server says to the log. It is a server.Logger.
type serverLog struct {
	log  *zap.Logger
	said atomic.Pointer[string] // the last that went wrong
	// errs is set with every error: a reason to look whether the server still does
	// its work.
	errs *atomic.Bool
}

func (l *serverLog) last() string {
	if s := l.said.Load(); s != nil {
		return *s
	}
	return "no reason was given"
}

func (l *serverLog) wrong(format string, v []any) string {
	s := fmt.Sprintf(format, v...)
	l.said.Store(&s)
	l.errs.Store(true)
	return s
}

// What the server tells of its life is of no use to the program's operators.
func (l *serverLog) Noticef(format string, v ...any) {
	if l.log.Core().Enabled(zap.DebugLevel) {
		l.log.Debug("server", zap.String("said", fmt.Sprintf(format, v...)))
	}
}

func (l *serverLog) Warnf(format string, v ...any) {
	l.log.Warn("server", zap.String("said", fmt.Sprintf(format, v...)))
}

func (l *serverLog) Errorf(format string, v ...any) {
	l.log.Error("server", zap.String("said", l.wrong(format, v)))
}

// Fatalf ends a server of its own; this one is only not started, and the caller of
// Open told.
func (l *serverLog) Fatalf(format string, v ...any) {
	l.log.Error("server", zap.String("said", l.wrong(format, v)))
}

func (l *serverLog) Debugf(string, ...any) {}
func (l *serverLog) Tracef(string, ...any) {}
