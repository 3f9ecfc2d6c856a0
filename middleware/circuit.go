package middleware

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/sony/gobreaker/v2"
	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// ErrCircuitOpen is why [CircuitBreaker] has postponed an event.
var ErrCircuitOpen = errors.New("middleware: circuit open")

// The states of a circuit.
const (
	CircuitClosed   = "closed"    // calls go through
	CircuitOpen     = "open"      // no call goes through
	CircuitHalfOpen = "half_open" // a few calls go through, to see
)

// CircuitConfig describes a [CircuitBreaker]. The zero value works.
type CircuitConfig struct {
	// Failures is how many failures in a row open the circuit; with Ratio, in a row
	// within Window. Zero is 3. It should be less than Retry.MaxAttempts, so that the
	// first event of an outage is not lost to it.
	Failures int
	// Ratio is the share of failures among the calls of the last Window that opens
	// it, too, once these are MinCalls. Zero looks at Failures only.
	Ratio float64
	// MinCalls is how many calls Ratio needs. Zero is 20.
	MinCalls int
	// Window is what Ratio looks back on. Zero is 1 min.
	Window time.Duration
	// OpenFor is how long the circuit stays open before it is tried again. Zero is
	// 30 s.
	OpenFor time.Duration
	// Probes is how many calls may try it at a time, and how many of these must
	// succeed in a row to close it. Zero is 1.
	Probes int
	// Patience is how long after the circuit has opened a failed try is not held
	// against its event: that is postponed, with the error of the try. After it,
	// tries are charged, because it may be the event that is to blame: at the head of
	// the line it alone keeps the circuit open. So this is how long an outage may be
	// that makes no dead letters, and how long such an event holds up others. Zero is
	// 5 min, [NoPatience] is none.
	Patience time.Duration
	// Counts says whether an error is a failure of what the circuit protects. One
	// that is not counts for nothing. Nil is every error but those with a verdict
	// of supervisor.Permanent, Skip or Postpone: they are about the event.
	Counts func(error) bool
	// OnChange is told, if set, by a call that goes or went through here, with
	// nothing locked. What it does is part of that call, a panic included.
	OnChange func(CircuitChange)
	// Shared makes the circuit one of all subscriptions that this value is given
	// to, such as those that call the same service.
	Shared bool
}

// NoPatience as CircuitConfig.Patience charges every try.
const NoPatience time.Duration = -1

// CircuitChange is a circuit that has changed its state.
type CircuitChange struct {
	// Topic and Subscriber are those of the call that found or caused it.
	Topic, Subscriber string
	From, To          string
	At                time.Time
}

func (c CircuitConfig) withDefaults() CircuitConfig {
	if c.Failures == 0 {
		c.Failures = 3
	}
	if c.MinCalls == 0 {
		c.MinCalls = 20
	}
	if c.Window == 0 {
		c.Window = time.Minute
	}
	if c.OpenFor == 0 {
		c.OpenFor = 30 * time.Second
	}
	if c.Probes == 0 {
		c.Probes = 1
	}
	if c.Patience == 0 {
		c.Patience = 5 * time.Minute
	}
	return c
}

func (c CircuitConfig) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	if c.Failures < 0 || c.Failures > maxCalls {
		fault("Failures %d: must be between 0 and %d", c.Failures, maxCalls)
	}
	if !(c.Ratio >= 0 && c.Ratio <= 1) {
		fault("Ratio %v: must be between 0 and 1", c.Ratio)
	}
	if c.MinCalls < 0 || c.MinCalls > maxCalls {
		fault("MinCalls %d: must be between 0 and %d", c.MinCalls, maxCalls)
	}
	if c.Window < 0 {
		fault("Window %v: must not be negative", c.Window)
	}
	if c.OpenFor < 0 {
		fault("OpenFor %v: must not be negative", c.OpenFor)
	}
	if c.Probes < 0 || c.Probes > maxCalls {
		fault("Probes %d: must be between 0 and %d", c.Probes, maxCalls)
	}
	if c.Patience < 0 && c.Patience != NoPatience {
		fault("Patience %v: must not be negative, or NoPatience", c.Patience)
	}
	return errors.Join(faults...)
}

// maxCalls bounds what gobreaker counts in 32 bits.
const maxCalls = 1 << 30

// CircuitBreaker stops calling a handler that fails again and again, because what
// it needs is down, and tries again later. A panic, a Goexit and a missed deadline
// are failures like an error.
//
// While the circuit is open, events wait: each that comes is postponed until it is
// tried again ([ErrCircuitOpen]), which uses up none of its attempts. Nor does a try
// that fails, for as long as Patience, unless it panics. So an outage of that length
// makes no dead letters of healthy events. Under topics.Ordered it is the event at
// the head of the line that waits, and publishers feel it when the mailbox is full.
//
// The failures that open the circuit are charged like any other. A call whose
// context ends before it returns counts then, as a failure if by a deadline, else
// not at all, so a deaf handler does not keep the circuit from being tried.
//
// Price: two times a mutex, a reading of the clock and a few allocations for each
// call.
func CircuitBreaker(cfg CircuitConfig) runtime.Middleware {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return refuse("CircuitBreaker", err)
	}
	var shared *circuit
	if cfg.Shared {
		shared = newCircuit(cfg)
	}
	return func(next runtime.Next) runtime.Next {
		c := shared
		if c == nil {
			c = newCircuit(cfg)
		}
		return func(ctx context.Context, ev any) error { return c.call(ctx, ev, next) }
	}
}

// circuit is a breaker of gobreaker's in its form of two steps: the other form
// recovers panics, and a Goexit would occupy the place of a probe for ever.
type circuit struct {
	cfg     CircuitConfig
	breaker *gobreaker.TwoStepCircuitBreaker[struct{}]
	born    time.Time
	until   atomic.Int64 // when an open circuit is tried again, in nanoseconds since born
	since   atomic.Int64 // when it has left the state closed, the same; zero in it

	mu      sync.Mutex
	changes []CircuitChange // not told yet
}

// What a call was to the breaker, which must not run code of the user's: it would
// under its lock.
var (
	errCounts  = errors.New("counts as a failure")
	errIgnored = errors.New("counts for nothing")
)

func newCircuit(cfg CircuitConfig) *circuit {
	c := &circuit{cfg: cfg, born: time.Now()}
	s := gobreaker.Settings{
		MaxRequests: uint32(cfg.Probes),
		Timeout:     cfg.OpenFor,
		ReadyToTrip: func(n gobreaker.Counts) bool {
			calls := n.TotalSuccesses + n.TotalFailures
			return n.ConsecutiveFailures >= uint32(cfg.Failures) ||
				cfg.Ratio > 0 && calls >= uint32(cfg.MinCalls) && float64(n.TotalFailures) >= cfg.Ratio*float64(calls)
		},
		IsExcluded:    func(err error) bool { return err == errIgnored },
		OnStateChange: func(_ string, from, to gobreaker.State) { c.changed(stateName(from), stateName(to)) },
	}
	if cfg.Ratio > 0 {
		s.Interval, s.BucketPeriod = cfg.Window, max(cfg.Window/10, 1)
	}
	c.breaker = gobreaker.NewTwoStepCircuitBreaker[struct{}](s)
	return c
}

func stateName(s gobreaker.State) string {
	switch s {
	case gobreaker.StateClosed:
		return CircuitClosed
	case gobreaker.StateHalfOpen:
		return CircuitHalfOpen
	}
	return CircuitOpen
}

func (c *circuit) call(ctx context.Context, ev any, next runtime.Next) error {
	report, err := c.breaker.Allow()
	if err != nil {
		c.tell(ctx)
		if errors.Is(err, gobreaker.ErrOpenState) {
			return supervisor.Postpone(ErrCircuitOpen, c.wait())
		}
		return supervisor.Postpone(ErrCircuitOpen, 0) // others are trying: a backoff
	}
	opened := c.since.Load()
	var once sync.Once
	stop := context.AfterFunc(ctx, func() {
		once.Do(func() { report(c.ended(ctx)) })
	})
	outcome := errCounts // of a panic or a Goexit
	defer func() {
		stop()
		once.Do(func() { report(outcome) })
		c.tell(ctx)
	}()
	c.tell(ctx)
	err = next(ctx, ev)
	outcome = c.judge(ctx, err)
	if outcome == errCounts && opened != 0 && time.Since(c.born)-time.Duration(opened) < c.cfg.Patience {
		return supervisor.Postpone(err, c.wait())
	}
	return err
}

// wait is how long it is until an open circuit is tried again. One that a failed try
// is about to open is counted from now. The breaker lets go after, not at, its time.
func (c *circuit) wait() time.Duration {
	wait := time.Duration(c.until.Load()) - time.Since(c.born)
	if wait <= 0 {
		wait = c.cfg.OpenFor
	}
	return wait + time.Microsecond
}

// ended is what a call counts for whose context has ended.
//
// It runs on a goroutine of its own, so it calls no method of a cause, which may be
// an error of the user's.
func (c *circuit) ended(ctx context.Context) error {
	if ctx.Err() == context.DeadlineExceeded || context.Cause(ctx) == supervisor.ErrHung {
		return errCounts
	}
	return errIgnored // restarted or shut down: not the handler's doing
}

func (c *circuit) judge(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return c.ended(ctx)
	case c.cfg.Counts != nil && !c.cfg.Counts(err):
		return errIgnored
	case c.cfg.Counts == nil && verdictOf(err) != "" && verdictOf(err) != verdictRetryAfter:
		return errIgnored
	}
	return errCounts
}

// changed is called by the breaker, under its lock.
func (c *circuit) changed(from, to string) {
	now := time.Now()
	switch to {
	case CircuitOpen:
		c.until.Store(int64(now.Sub(c.born) + c.cfg.OpenFor))
		c.since.CompareAndSwap(0, max(int64(now.Sub(c.born)), 1))
	case CircuitClosed:
		c.since.Store(0)
	}
	if c.cfg.OnChange != nil {
		c.mu.Lock()
		c.changes = append(c.changes, CircuitChange{From: from, To: to, At: now})
		c.mu.Unlock()
	}
}

// tell tells of changes.
func (c *circuit) tell(ctx context.Context) {
	if c.cfg.OnChange == nil {
		return
	}
	c.mu.Lock()
	changes := c.changes
	c.changes = nil
	c.mu.Unlock()
	if len(changes) == 0 {
		return
	}
	d, _ := actors.DeliveryFrom(ctx)
	for _, change := range changes {
		change.Topic, change.Subscriber = d.Topic, d.Subscriber
		c.cfg.OnChange(change)
	}
}
