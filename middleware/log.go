package middleware

import (
	"context"
	"time"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Log writes a line after each call, with the facts of the delivery, how long it
// took and, inside of [Correlate], the ids: what was handled, skipped or postponed
// at debug level, what failed as a warning. The keys are those of the runtime's
// own log.
//
// It does not sample: give it a logger that does (zap's NewSamplerWithOptions) if a
// storm of failures must not be one of lines. The values of panics and their stacks
// are in the runtime's log and the letter; here it is a call that did not return.
//
// Nil is silent and costs nothing. Price without debug: two readings of the clock.
func Log(logger *zap.Logger) runtime.Middleware {
	return func(next runtime.Next) runtime.Next {
		if logger == nil || !logger.Core().Enabled(zap.WarnLevel) {
			return next
		}
		return func(ctx context.Context, ev any) (err error) {
			started, returned := time.Now(), false
			defer func() {
				level, message := result(returned, err)
				entry := logger.Check(level, message)
				if entry == nil {
					return
				}
				fields := append(make([]zap.Field, 0, 10), zap.Duration("duration", time.Since(started)))
				fields = append(fields, factsOf(ctx).fields()...)
				if verdict := verdictOf(err); verdict != "" {
					fields = append(fields, zap.String("verdict", verdict))
				}
				if err != nil {
					fields = append(fields, zap.Error(err)) // survives an Error method that panics
				}
				entry.Write(fields...)
			}()
			err = next(ctx, ev)
			returned = true
			return err
		}
	}
}

// result is what a call has come to, and how much it is worth.
func result(returned bool, err error) (zapcore.Level, string) {
	switch verdict := verdictOf(err); {
	case !returned:
		return zap.WarnLevel, "handler did not return"
	case err == nil || verdict == verdictFinished:
		return zap.DebugLevel, "event handled"
	case verdict == verdictSkip:
		return zap.DebugLevel, "event skipped"
	case verdict == verdictPostpone:
		return zap.DebugLevel, "event postponed"
	}
	return zap.WarnLevel, "attempt failed"
}

// facts are what a line says of the event in hand.
type facts struct {
	delivery    actors.Delivery
	correlation *Correlation // nil outside of Correlate
}

func factsOf(ctx context.Context) facts {
	d, _ := actors.DeliveryFrom(ctx)
	c, _ := ctx.Value(correlationKey{}).(*Correlation)
	return facts{d, c}
}

func (f facts) fields() []zap.Field {
	fields := make([]zap.Field, 0, 7)
	if d := f.delivery; d.Topic != "" || d.Subscriber != "" {
		fields = append(fields, zap.String("topic", d.Topic), zap.String("subscriber", d.Subscriber),
			zap.Uint64("sequence", d.Sequence), zap.Int("attempt", d.Attempt))
		if d.LetterID != "" {
			fields = append(fields, zap.String("letter", d.LetterID))
		}
	}
	if c := f.correlation; c != nil {
		fields = append(fields, zap.String("correlation", c.CorrelationID), zap.String("event", c.EventID))
	}
	return fields
}
