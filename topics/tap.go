package topics

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupe-go/troupe/mailbox"
	"github.com/troupe-go/troupe/runtime"
	"github.com/troupe-go/troupe/supervisor"
)

// EveryNth wants one in n of the events that it is asked about, the first one among
// them. In an [And] it comes last, since a filter is asked only if those before it
// want the event.
func EveryNth(n int) Filter { return Filter{kind: filterNth, n: n} }

// Tap looks at what is published on the topics that match the pattern, such as
// ">": one in every events of them. It is for debugging, and in nobody's way: of more
// than 1024 events that wait, the oldest is dropped and counted, look is never
// called twice for an event, and what it makes of it concerns nobody.
//
// Otherwise it is [SubscribePattern] with [Any]; Unsubscribe ends it. Errors also are
// those of every, which must be at least 1.
func Tap(rt *runtime.Runtime, pattern, name string, every int, look func(ctx context.Context, ev Any)) (*Subscription, error) {
	if look == nil {
		return nil, subscribeError(pattern, name, errors.New("look: must not be nil"))
	}
	return SubscribePattern(rt, pattern, name, func(ctx context.Context, ev Any) error {
		look(ctx, ev)
		return nil
	}, SubscriberConfig{
		Capacity: 1024, Overflow: mailbox.DropOldest, Filter: EveryNth(every),
		Retry: supervisor.Retry{MaxAttempts: supervisor.NoRetry},
		Decide: func(_ supervisor.Failure, d supervisor.Decision) supervisor.Decision {
			d.Fate, d.Reason = supervisor.FateDrop, ""
			return d
		},
	})
}

// nth returns the filter of EveryNth for one subscription.
func nth[T any](n int) (func(T, *mailbox.Meta) bool, error) {
	if n < 1 {
		return nil, fmt.Errorf("EveryNth(%d): must be at least 1", n)
	}
	asked := 0
	return func(T, *mailbox.Meta) bool { // one call at a time
		wanted := asked%n == 0
		asked++
		return wanted
	}, nil
}
