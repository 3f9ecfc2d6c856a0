package middleware

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/troupe-go/troupe/runtime"
)

// ErrInjected is the failure that [InjectFaults] makes unless another is given.
var ErrInjected = errors.New("middleware: injected fault")

// FaultConfig describes an [InjectFaults]: which calls it hits, by Every or Rate,
// and what it does to them: the Delay, then Panic or Err. Several kinds of fault are
// several InjectFaults.
type FaultConfig struct {
	// Every hits each call whose number is a multiple of it: 1 is all.
	Every int
	// Rate hits that share of the calls, which ones by Seed.
	Rate float64
	// Seed makes Rate hit the same calls in each run.
	Seed uint64
	// Delay is waited first, or until the context ends, whose cause is then the
	// failure. A fault with nothing else calls the handler after it.
	Delay time.Duration
	// Panic is what is panicked with, if not nil.
	Panic any
	// Err is what is returned. Without Delay and Panic nil is [ErrInjected].
	Err error
	// After lets the handler run first, and hits only calls that have succeeded:
	// the work is done, and will be done again.
	After bool
}

func (c FaultConfig) withDefaults() FaultConfig {
	if c.Err == nil && c.Panic == nil && c.Delay == 0 {
		c.Err = ErrInjected
	}
	return c
}

func (c FaultConfig) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Every < 0 {
		fault("Every %d: must not be negative", c.Every)
	}
	if !(c.Rate >= 0 && c.Rate <= 1) {
		fault("Rate %v: must be between 0 and 1", c.Rate)
	}
	if (c.Every > 0) == (c.Rate > 0) {
		fault("Every %d, Rate %v: one of them must be set", c.Every, c.Rate)
	}
	if c.Delay < 0 {
		fault("Delay %v: must not be negative", c.Delay)
	}
	if c.Err != nil && c.Panic != nil {
		fault("Panic: must not be set together with Err")
	}
	return errors.Join(faults...)
}

// InjectFaults makes calls fail, for tests of what happens then: retries, restarts,
// dead letters, alarms. Calls are numbered from 1 for each subscription, retries
// included, so with one worker it is the same events in each run.
func InjectFaults(cfg FaultConfig) runtime.Middleware {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return refuse("InjectFaults", err)
	}
	return func(next runtime.Next) runtime.Next {
		var calls atomic.Uint64
		return func(ctx context.Context, ev any) error {
			n := calls.Add(1)
			if !cfg.hits(n) {
				return next(ctx, ev)
			}
			if cfg.After {
				if err := next(ctx, ev); err != nil {
					return err
				}
			}
			if err := cfg.strike(ctx); err != nil || cfg.After {
				return err
			}
			return next(ctx, ev)
		}
	}
}

// hits reports whether call n is one of those. A generator for each call needs no
// lock and does not depend on the order in which workers come.
func (c FaultConfig) hits(n uint64) bool {
	if c.Every > 0 {
		return n%uint64(c.Every) == 0
	}
	return rand.New(rand.NewPCG(c.Seed, n)).Float64() < c.Rate
}

func (c FaultConfig) strike(ctx context.Context) error {
	if c.Delay > 0 {
		timer := time.NewTimer(c.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if c.Panic != nil {
		panic(c.Panic)
	}
	return c.Err
}
