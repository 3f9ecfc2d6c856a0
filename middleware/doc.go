// Package middleware has what is put around handlers: of all subscribers by
// runtime.Config, of one by topics.SubscriberConfig.
//
//	topics.SubscriberConfig{Middleware: []topics.Middleware{
//		middleware.Deduplicate(middleware.DeduplicateConfig{}),
//		middleware.CircuitBreaker(middleware.CircuitConfig{Failures: 3}),
//		middleware.Timeout(5 * time.Second),
//	}}
//
// # Order
//
// The first is outermost, and the runtime's are outside of a subscriber's. Where
// there is no reason for another order:
//
//   - [Correlate], so that all others run with the ids in their context;
//   - [Log], so that it shows what became of the call, whoever decided it;
//   - [Deduplicate], so that a duplicate costs nothing of what follows;
//   - [CircuitBreaker], outside of Throttle, so that an open circuit uses up no
//     tokens, and outside of Timeout, so that it sees a timeout as a failure;
//   - [Throttle], outside of all that measures time, because it waits;
//   - [WarnSlow], so that it sees the handler's own time;
//   - [Timeout];
//   - [InjectFaults], innermost: it stands for the handler.
//
// # State
//
// What Throttle, CircuitBreaker, Deduplicate and InjectFaults remember belongs to
// one subscription: two that are given the same value share nothing, and a
// restart of the instance resets nothing. Throttle and CircuitBreaker have a
// field Shared, for subscriptions that put load on the same thing.
//
// # Failures
//
// None of them recovers a panic or changes a verdict. What they add is a verdict:
// a duplicate is supervisor.Skip, so it is counted as dropped; an event that has
// to wait, for an open circuit or for a throttle that its deadline does not allow
// to wait for, is supervisor.Postpone, so that waiting uses up none of its
// attempts. A configuration that is not valid is an error of Subscribe.
//
// All are safe for concurrent use, so also for the workers of one subscriber.
//
// # Hooks
//
// Before and after a handler are a middleware of one's own: a line before the call
// of next and one after it. What happens to events elsewhere is told to the runtime's
// Observer: Failed on an error, DeadLettered on a dead letter, Dropped on a drop,
// Unrouted on an event without a subscriber, and more. See the examples.
package middleware

import (
	"fmt"

	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// refuse makes err the error of Subscribe; see runtime.Middleware.
func refuse(name string, err error) runtime.Middleware {
	return func(runtime.Next) runtime.Next { panic(fmt.Errorf("middleware.%s: %w", name, err)) }
}

// The verdicts of package supervisor, as words for a log.
const (
	verdictPermanent  = "permanent"
	verdictSkip       = "skip"
	verdictPostpone   = "postpone"
	verdictRetryAfter = "retry_after"
	verdictFinished   = "finished"
)

// verdictOf returns the verdict of err, empty for none. An error whose methods
// panic has none here: supervision looks at it again and reports it.
func verdictOf(err error) (verdict string) {
	defer func() {
		if recover() != nil {
			verdict = ""
		}
	}()
	if err == nil {
		return ""
	}
	switch _, after := supervisor.RetryDelay(err); {
	case after:
		return verdictRetryAfter
	case supervisor.IsPermanent(err):
		return verdictPermanent
	case supervisor.IsSkip(err):
		return verdictSkip
	case supervisor.IsPostponed(err):
		return verdictPostpone
	case supervisor.IsFinished(err):
		return verdictFinished
	}
	return ""
}
