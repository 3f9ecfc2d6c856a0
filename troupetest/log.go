package troupetest

import (
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// testLog writes to a test's log until the test has ended, after which the
// testing package would panic.
type testLog struct {
	t      testing.TB
	mu     sync.Mutex
	closed bool
}

func (l *testLog) logger() *zap.Logger {
	cfg := zap.NewDevelopmentEncoderConfig()
	cfg.TimeKey, cfg.CallerKey = "", ""
	return zap.New(zapcore.NewCore(zapcore.NewConsoleEncoder(cfg), l, zap.DebugLevel))
}

// Write and Sync make testLog a zapcore.WriteSyncer.
func (l *testLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.closed {
		l.t.Log(strings.TrimRight(string(line), "\n"))
	}
	return len(line), nil
}

func (l *testLog) Sync() error { return nil }

func (l *testLog) close() {
	if l == nil {
		return
	}
	l.mu.Lock()
	l.closed = true
	l.mu.Unlock()
}
