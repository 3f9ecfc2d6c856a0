package runtime

import (
	"sync"
	"time"

	"github.com/troupe-go/troupe/supervisor"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

const (
	// A storm of the same news about the same subscriber is logged in full up
	// to stormFirst lines a second, then one line in stormEach.
	stormFirst = 10
	stormEach  = 100
	// heldWarning is how long a publisher is held back before it is news.
	heldWarning = time.Second
)

func fieldRuntime(name string) zap.Field { return zap.String("runtime", name) }

// logObserver returns an observer that writes a log: the same key for the same
// fact in every line, and a constant message.
func logObserver(l *zap.Logger) Observer {
	if !l.Core().Enabled(zap.ErrorLevel) {
		return Observer{}
	}
	var storms sync.Map // storm of stormKey
	line := func(level zapcore.Level, message string) func(Event) {
		if !l.Core().Enabled(level) {
			return nil
		}
		return func(e Event) {
			ok, left := sample(&storms, stormKey{e.Topic, e.Subscriber, message})
			if !ok {
				return
			}
			fields := eventFields(e)
			if left > 0 {
				fields = append(fields, zap.Uint64("left_out", left))
			}
			l.Log(level, message, fields...)
		}
	}
	held := line(zap.WarnLevel, "mailbox full, publishers wait")
	o := Observer{
		Failed:         line(zap.DebugLevel, "attempt failed"),
		Retrying:       line(zap.DebugLevel, "retrying"),
		DeadLettered:   line(zap.WarnLevel, "dead-lettered"),
		Dropped:        line(zap.WarnLevel, "dropped"),
		Redriven:       line(zap.InfoLevel, "redriven"),
		Started:        line(zap.InfoLevel, "subscriber started"),
		Restarting:     line(zap.WarnLevel, "subscriber restarting"),
		Paused:         line(zap.WarnLevel, "subscriber paused"),
		Resumed:        line(zap.InfoLevel, "subscriber resumed"),
		Passivated:     line(zap.InfoLevel, "subscriber passivated"),
		Escalated:      line(zap.ErrorLevel, "subscriber escalated and waits for resume"),
		Hung:           line(zap.ErrorLevel, "handler does not return"),
		Late:           line(zap.WarnLevel, "abandoned handler returned"),
		Stopped:        line(zap.InfoLevel, "subscriber stopped"),
		Fault:          line(zap.ErrorLevel, "user code beside the handler failed"),
		StoreFailing:   line(zap.ErrorLevel, "dead-letter store fails, letters wait"),
		StoreRecovered: line(zap.InfoLevel, "dead-letter store works again"),

		EngineFailing:   line(zap.ErrorLevel, "engine of a topic fails"),
		EngineRecovered: line(zap.InfoLevel, "engine of a topic works again"),
	}
	if held != nil {
		o.Held = func(e Event) {
			if e.Delay >= heldWarning {
				held(e)
			}
		}
	}
	return o
}

// eventFields returns the facts of e that are not zero.
func eventFields(e Event) []zap.Field {
	fields := make([]zap.Field, 0, 8)
	if e.Topic != "" {
		fields = append(fields, zap.String("topic", e.Topic))
	}
	if e.Subscriber != "" {
		fields = append(fields, zap.String("subscriber", e.Subscriber))
	}
	if e.Sequence > 0 {
		fields = append(fields, zap.Uint64("sequence", e.Sequence))
	}
	if e.Attempt > 0 {
		fields = append(fields, zap.Int("attempt", e.Attempt))
	}
	if e.Cause != supervisor.CauseError || e.Err != nil {
		fields = append(fields, zap.Stringer("cause", e.Cause))
	}
	if e.Err != nil {
		fields = append(fields, zap.String("error", message(e.Err)))
	}
	if e.Reason != "" {
		fields = append(fields, zap.String("reason", e.Reason))
	}
	if e.Delay > 0 {
		fields = append(fields, zap.Duration("delay", e.Delay))
	}
	if e.Count > 0 {
		fields = append(fields, zap.Uint64("count", e.Count))
	}
	return fields
}

type stormKey struct{ topic, subscriber, message string }

type storm struct {
	mu      sync.Mutex
	second  int64
	n       uint64
	leftOut uint64
}

// sample reports whether a line may be written, and how many of its kind were
// left out before.
func sample(storms *sync.Map, key stormKey) (ok bool, leftOut uint64) {
	v, found := storms.Load(key)
	if !found {
		v, _ = storms.LoadOrStore(key, &storm{})
	}
	s := v.(*storm)
	now := time.Now().Unix()
	s.mu.Lock()
	defer s.mu.Unlock()
	if now != s.second {
		s.second, s.n = now, 0
	}
	s.n++
	if s.n > stormFirst && s.n%stormEach != 0 {
		s.leftOut++
		return false, 0
	}
	leftOut, s.leftOut = s.leftOut, 0
	return true, leftOut
}
