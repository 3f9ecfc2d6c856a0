package middleware

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-go/troupe/runtime"
	"go.uber.org/zap"
)

// WarnSlow warns while a handler still runs: after threshold, after twice that, and
// so on, with the facts of the delivery and for how long it has been running, so
// that one that never returns is found. When it returns after all there is a last
// line. A handler that was abandoned is warned of on and on, at ever longer intervals.
//
// A nil logger is silent and costs nothing; threshold must be positive. Price: a
// timer and a few allocations for each call.
func WarnSlow(logger *zap.Logger, threshold time.Duration) runtime.Middleware {
	if threshold <= 0 {
		return refuse("WarnSlow", fmt.Errorf("threshold %v: must be positive", threshold))
	}
	return func(next runtime.Next) runtime.Next {
		if logger == nil || !logger.Core().Enabled(zap.WarnLevel) {
			return next
		}
		return func(ctx context.Context, ev any) error {
			// The facts must be read now: by another goroutine they may not.
			w := &watch{logger: logger, facts: factsOf(ctx), started: time.Now()}
			w.mu.Lock()
			w.timer = time.AfterFunc(threshold, w.warn)
			w.mu.Unlock()
			defer w.stop()
			return next(ctx, ev)
		}
	}
}

// watch is a call that is being watched.
type watch struct {
	logger  *zap.Logger
	facts   facts
	started time.Time

	mu     sync.Mutex
	timer  *time.Timer
	warned bool
	ended  bool
}

// warn is called by the timer. The lines are written unlocked, because a log may
// block and the handler must not wait for it.
func (w *watch) warn() {
	w.mu.Lock()
	ended := w.ended
	running := time.Since(w.started)
	if !ended {
		w.warned = true
		w.timer.Reset(running) // at twice of it
	}
	w.mu.Unlock()
	if !ended {
		w.logger.Warn("handler still running", w.with("running", running)...)
	}
}

func (w *watch) stop() {
	w.mu.Lock()
	w.ended = true
	w.timer.Stop()
	warned := w.warned
	w.mu.Unlock()
	if warned {
		w.logger.Warn("slow handler ended", w.with("duration", time.Since(w.started))...)
	}
}

func (w *watch) with(key string, d time.Duration) []zap.Field {
	return append([]zap.Field{zap.Duration(key, d)}, w.facts.fields()...)
}
