package supervisor

import (
	"errors"
	"fmt"
	"time"
)

const (
	// NoRetry as [Retry.MaxAttempts] makes the first failure the last.
	NoRetry = 1
	// Unlimited as [Retry.MaxAttempts] or [Restart.MaxRestarts] sets no limit.
	Unlimited = -1
	// NoJitter as [Retry.Jitter] waits exactly the exponential delay.
	NoJitter = -1.0
	// NoDelay as [Retry.BaseDelay], [Restart.BaseDelay] or the Delay of a
	// [Decision] that a [Decider] returns is no wait at all.
	NoDelay time.Duration = -1
)

// Retry says how often an event is attempted and how long it waits in between.
// The zero value is five attempts, waiting 100 ms, 200 ms, 400 ms and 800 ms less
// a random half at most.
type Retry struct {
	// MaxAttempts counts all attempts, the first included. 0 is 5; [NoRetry] is
	// one attempt, [Unlimited] no limit.
	MaxAttempts int
	// BaseDelay is the wait after the first failure; every further failure of the
	// same event doubles it. 0 is 100 ms; [NoDelay] is no wait.
	BaseDelay time.Duration
	// MaxDelay is the longest wait, never exceeded. 0 is 30 s, or BaseDelay if
	// that is longer.
	MaxDelay time.Duration
	// Jitter is the share of a wait that is random, up to 1. It spreads out
	// retries that failed together. 0 is 0.5; [NoJitter] is none.
	Jitter float64
}

// Delay returns the wait after the given number of failed attempts:
//
//	d = min(MaxDelay, BaseDelay · 2^(attempt-1))
//	d·(1-Jitter) + rnd·d·Jitter
//
// with rnd from [0, 1), such as rand.Float64(); what lies outside is taken as the
// nearer end. The result is never negative and never above MaxDelay, for any
// attempt. It is the equal jitter (or, with Jitter 1, the full jitter) of
// "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
func (r Retry) Delay(attempt int, rnd float64) time.Duration {
	r = r.WithDefaults()
	d := backoff(r.BaseDelay, r.MaxDelay, attempt)
	if !(r.Jitter > 0) || d <= 0 {
		return d
	}
	if !(rnd > 0) { // also NaN
		rnd = 0
	}
	// Written as a cut from d, the result cannot round to above d.
	cut := float64(d) * min(r.Jitter, 1) * (1 - min(rnd, 1))
	if cut >= float64(d) {
		return 0
	}
	return d - time.Duration(cut)
}

// WithDefaults returns r with every zero field replaced by its default. What is
// already set stays, right or wrong; see [Retry.Validate].
func (r Retry) WithDefaults() Retry {
	if r.MaxAttempts == 0 {
		r.MaxAttempts = 5
	}
	if r.BaseDelay == 0 {
		r.BaseDelay = 100 * time.Millisecond
	}
	if r.MaxDelay == 0 {
		r.MaxDelay = max(30*time.Second, r.BaseDelay)
	}
	if r.Jitter == 0 {
		r.Jitter = 0.5
	}
	return r
}

// Validate reports every fault of r with its defaults filled in, joined, or nil.
func (r Retry) Validate() error {
	r = r.WithDefaults()
	var faults []error
	if r.MaxAttempts < 1 && r.MaxAttempts != Unlimited {
		faults = append(faults, fmt.Errorf("Retry.MaxAttempts %d: must be positive or Unlimited", r.MaxAttempts))
	}
	faults = append(faults, validateDelays("Retry", r.BaseDelay, r.MaxDelay)...)
	if !(r.Jitter >= 0 && r.Jitter <= 1) && r.Jitter != NoJitter {
		faults = append(faults, fmt.Errorf("Retry.Jitter %v: must be between 0 and 1, or NoJitter", r.Jitter))
	}
	return errors.Join(faults...)
}

// validateDelays is the rule that Retry and Restart share for their backoff.
func validateDelays(owner string, base, limit time.Duration) []error {
	var faults []error
	if base < 0 && base != NoDelay {
		faults = append(faults, fmt.Errorf("%s.BaseDelay %v: must be positive or NoDelay", owner, base))
	}
	switch {
	case limit < 0:
		faults = append(faults, fmt.Errorf("%s.MaxDelay %v: must be positive", owner, limit))
	case limit < base:
		faults = append(faults, fmt.Errorf("%s.MaxDelay %v: must be at least BaseDelay (%v)", owner, limit, base))
	}
	return faults
}

// attemptsLeft reports whether an event may be tried again after the given
// number of attempts.
func (r Retry) attemptsLeft(attempt int) bool {
	return r.MaxAttempts == Unlimited || attempt < r.MaxAttempts
}
