package supervisor_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/supervisor"
)

// What a handler returns says what becomes of its event.
func Example() {
	errDown := errors.New("card service is down")
	policy := supervisor.Policy{Retry: supervisor.Retry{MaxAttempts: 2, Jitter: supervisor.NoJitter}}
	for _, f := range []supervisor.Failure{
		{Err: errDown, Attempt: 1},
		{Err: errDown, Attempt: 2},
		{Err: supervisor.Permanent(errors.New("card number has 3 digits")), Attempt: 1},
		{Err: supervisor.Skip(errors.New("order was canceled")), Attempt: 1},
		{Err: supervisor.RetryAfter(errors.New("rate limited"), time.Minute), Attempt: 1},
		{Cause: supervisor.CausePanic, Err: &supervisor.PanicError{Value: "nil map"}, Attempt: 1},
	} {
		d := policy.Decision(f, 0)
		fmt.Printf("%v: %v %v %v, actor: %v\n", f.Err, d.Fate, d.Reason, d.Delay, d.Directive)
	}
	// Output:
	// card service is down: retry  100ms, actor: resume
	// card service is down: dead_letter attempts_exhausted 0s, actor: resume
	// card number has 3 digits: dead_letter permanent 0s, actor: resume
	// order was canceled: drop skipped 0s, actor: resume
	// rate limited: retry  1m0s, actor: resume
	// panic: nil map: retry  100ms, actor: restart
}

// A verdict is an error like any other; wrapping it keeps it.
func ExamplePermanent() {
	parse := func(s string) error { return supervisor.Permanent(fmt.Errorf("not a date: %q", s)) }
	err := fmt.Errorf("invoice 7: %w", parse("tomorrow"))
	fmt.Println(err)
	fmt.Println(supervisor.IsPermanent(err))
	// Output:
	// invoice 7: not a date: "tomorrow"
	// true
}

func ExampleRetryAfter() {
	err := supervisor.RetryAfter(errors.New("429 Too Many Requests"), 30*time.Second)
	d, ok := supervisor.RetryDelay(err)
	fmt.Println(err, d, ok)
	// Output: 429 Too Many Requests 30s true
}

// A decider changes a field of the default decision. This one knows that a lost
// connection is the actor's trouble and not the event's.
func ExampleDecider() {
	errLost := errors.New("connection lost")
	policy := supervisor.Policy{
		Retry: supervisor.Retry{MaxAttempts: 2, Jitter: supervisor.NoJitter},
		Decide: func(f supervisor.Failure, d supervisor.Decision) supervisor.Decision {
			if errors.Is(f.Err, errLost) {
				d.Fate = supervisor.FateRetry // even after the last attempt
				d.Directive = supervisor.DirectiveRestart
			}
			return d
		},
	}
	d := policy.Decision(supervisor.Failure{Err: errLost, Attempt: 4}, 0)
	fmt.Println(d.Fate, d.Delay, d.Directive)
	// Output: retry 800ms restart
}

func ExampleRetry_Delay() {
	r := supervisor.Retry{BaseDelay: time.Second, MaxDelay: 5 * time.Second, Jitter: 0.2}
	for attempt := 1; attempt <= 4; attempt++ {
		fmt.Println(r.Delay(attempt, 0), "to", r.Delay(attempt, 1))
	}
	// Output:
	// 800ms to 1s
	// 1.6s to 2s
	// 3.2s to 4s
	// 4s to 5s
}

func ExampleRetry_Validate() {
	r := supervisor.Retry{MaxDelay: 5 * time.Millisecond, Jitter: 2}
	fmt.Println(r.Validate())
	// Output:
	// Retry.MaxDelay 5ms: must be at least BaseDelay (100ms)
	// Retry.Jitter 2: must be between 0 and 1, or NoJitter
}

// Two restarts a minute are allowed; the third starts a pause, and the pauses grow.
func ExampleIntensity() {
	limit := supervisor.NewIntensity(supervisor.Restart{MaxRestarts: 2, Window: time.Minute, Cooldown: 10 * time.Second})
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for range 6 {
		v := limit.Failed(now, supervisor.CausePanic)
		fmt.Println(v.Action, v.Delay)
		now = now.Add(v.Delay)
	}
	// Output:
	// restart 0s
	// restart 0s
	// pause 10s
	// restart 0s
	// restart 0s
	// pause 20s
}

func ExampleStrategy_Affected() {
	children := []string{"database", "cache", "api"}
	for _, s := range []supervisor.Strategy{supervisor.OneForOne, supervisor.AllForOne, supervisor.RestForOne} {
		from, to := s.Affected(len(children), 1)
		fmt.Println(s, children[from:to])
	}
	// Output:
	// one_for_one [cache]
	// all_for_one [database cache api]
	// rest_for_one [cache api]
}

// ErrTimeout is a deadline to everyone who checks for one.
func ExampleFailure() {
	f := supervisor.Failure{Cause: supervisor.CauseTimeout, Err: supervisor.ErrTimeout, Attempt: 1}
	fmt.Println(f.Cause, errors.Is(f.Err, context.DeadlineExceeded))
	// Output: timeout true
}

// A verdict is found through any wrapping. Of several the outermost counts.
func ExamplePermanentAs() {
	invalid := supervisor.PermanentAs("invalid_order", errors.New("no customer"))
	err := fmt.Errorf("bill: %w", invalid)
	d := supervisor.Policy{}.Decision(supervisor.Failure{Err: err}, 0)
	fmt.Println(errors.Is(err, supervisor.ErrPermanent), d.Fate, d.Reason)

	later := supervisor.RetryAfter(err, time.Minute)
	fmt.Println(errors.Is(later, supervisor.ErrPermanent), supervisor.IsPermanent(later))
	var after *supervisor.RetryAfterError
	fmt.Println(errors.As(later, &after), after.Delay)
	// Output:
	// true dead_letter invalid_order
	// true false
	// true 1m0s
}

// What stands before the work can make an event wait, whatever the number of its
// attempt.
func ExamplePostpone() {
	p := supervisor.Policy{Retry: supervisor.Retry{MaxAttempts: 3}}
	for _, err := range []error{
		supervisor.RetryAfter(errors.New("rate limit"), time.Minute),
		supervisor.Postpone(errors.New("circuit open"), time.Minute),
	} {
		d := p.Decision(supervisor.Failure{Err: err, Attempt: 3}, 0)
		fmt.Println(err, "→", d.Fate, d.Delay, "uncharged:", d.Uncharged)
	}
	// Output:
	// rate limit → dead_letter 0s uncharged: false
	// circuit open → retry 1m0s uncharged: true
}
