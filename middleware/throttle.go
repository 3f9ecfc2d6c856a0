package middleware

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
	"golang.org/x/time/rate"
)

// ErrThrottled is why [Throttle] has postponed an event.
var ErrThrottled = errors.New("middleware: throttled")

// ThrottleConfig describes a [Throttle]. Rate is required.
type ThrottleConfig struct {
	// Rate is how many calls there may be in a second, on average. Retries are
	// calls, too.
	Rate float64
	// Burst is how many calls may follow each other at once after a time of rest.
	// Zero is 1, which spaces them evenly.
	Burst int
	// Shared makes the rate one of all subscriptions that this value is given to.
	Shared bool
}

func (c ThrottleConfig) withDefaults() ThrottleConfig {
	if c.Burst == 0 {
		c.Burst = 1
	}
	return c
}

func (c ThrottleConfig) validate() error {
	var faults []error
	if !(c.Rate > 0) || math.IsInf(c.Rate, 1) {
		faults = append(faults, fmt.Errorf("Rate %v: must be positive", c.Rate))
	}
	if c.Burst < 0 {
		faults = append(faults, fmt.Errorf("Burst %d: must not be negative", c.Burst))
	}
	return errors.Join(faults...)
}

// Throttle holds calls to a rate, with a token bucket: one that comes too early
// waits, with the event in hand, so that the mailbox fills and its policy decides.
//
// The wait ends with the context: at a restart, at the deadline of a shutdown, and
// at that of the event. The event is then postponed ([ErrThrottled]), and it is so
// at once if its deadline comes before its turn. None of these waits uses up an
// attempt or loses an event.
//
// Price: a mutex and a reading of the clock for each call, a timer for one that
// waits.
func Throttle(cfg ThrottleConfig) runtime.Middleware {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return refuse("Throttle", err)
	}
	limiter := func() *rate.Limiter { return rate.NewLimiter(rate.Limit(cfg.Rate), cfg.Burst) }
	var shared *rate.Limiter
	if cfg.Shared {
		shared = limiter()
	}
	return func(next runtime.Next) runtime.Next {
		limit := shared
		if limit == nil {
			limit = limiter()
		}
		return func(ctx context.Context, ev any) error {
			if err := turn(ctx, limit); err != nil {
				return err
			}
			return next(ctx, ev)
		}
	}
}

// turn waits for a token. It is not rate.Limiter.Wait because that does not say how
// long the wait would have been.
func turn(ctx context.Context, limit *rate.Limiter) error {
	token := limit.Reserve()
	wait := token.Delay()
	if wait == 0 {
		return nil
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < wait {
		token.Cancel()
		return supervisor.Postpone(ErrThrottled, wait)
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		token.Cancel()
		return supervisor.Postpone(fmt.Errorf("%w: %w", ErrThrottled, context.Cause(ctx)), wait)
	}
}
