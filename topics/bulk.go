package topics

import (
	"context"
	"errors"

	"github.com/troupe-go/troupe/actors"
	"github.com/troupe-go/troupe/runtime"
)

// BatchHandler handles several events at a time, in their order; see
// [Topic.SubscribeBatch]. The slice is the handler's own, to keep or to change.
type BatchHandler[T any] = func(ctx context.Context, batch []T) error

// BatchConfig says when a batch begins.
type BatchConfig = actors.BatchConfig

// BatchError is what a handler of batches returns to name the events that have
// failed; the others are done.
type BatchError = actors.BatchError

// DeliveriesFrom returns the facts of every event of the batch that ctx belongs to,
// in its order, while [DeliveryFrom] knows the first one. Call it before the handler
// returns.
func DeliveriesFrom(ctx context.Context) []Delivery { return actors.DeliveriesFrom(ctx) }

// SubscribeBatch adds a subscriber that is given several events at a time. A batch
// begins when Batch.Size events wait, or the oldest has waited for Batch.Period, or
// no more fit in the mailbox; at once with what is there when the subscriber drains
// or the runtime shuts down, which wait for it. Until then its events wait in the
// mailbox like any others; beside them, there is one batch in hand for each worker.
//
// nil means that all are done. A [BatchError] names those that failed, and the others
// are done. After any other failure, a panic or a missed deadline, the batch is
// attempted again whole, with the same events in the same order, as often as Retry
// says, 5 times if that is without limit. Then, and at once after supervisor.Permanent,
// it is taken apart: halves are attempted, and halves of halves that fail, until the
// culprits are alone. An event that is alone has all its attempts from then on, so
// only a culprit becomes a dead letter, with those in company in its history. A batch
// that hangs is taken apart into single events. supervisor.Skip drops the whole batch,
// and supervisor.RetryAfter says when it, or the first part of it, comes again.
//
// Timeout and Grace are for one call, whatever the number of events. What Ordered,
// Parked, Key and Workers promise holds, with a batch in the place of an event:
// under Ordered nothing overtakes a batch or part of one that waits, and with Key
// a batch may have several events of a key, in their order, and no other worker has
// any of it meanwhile. A dead letter that is sent back comes alone. MaxParked counts
// events.
//
// Failures and retries are counted, and told to an observer, once for a batch, with
// its first event and Event.Count, and once for each event that a BatchError names;
// everything else once for each event. Otherwise it is [Topic.Subscribe].
func (t *Topic[T]) SubscribeBatch(name string, handle BatchHandler[T], cfg ...SubscriberConfig) (*Subscription, error) {
	if handle == nil {
		return nil, t.subscribeError(name, errors.New("handler: must not be nil"))
	}
	return t.subscribe(name, actors.CellConfig[T]{ReceiveBatch: handle}, optional(cfg))
}

// SubscribeBatchFactory is SubscribeBatch for a subscriber with state; see
// [Topic.SubscribeFactory].
func (t *Topic[T]) SubscribeBatchFactory(name string, factory func() Behavior[[]T], cfg ...SubscriberConfig) (*Subscription, error) {
	if factory == nil {
		return nil, t.subscribeError(name, errors.New("factory: must not be nil"))
	}
	return t.subscribe(name, actors.CellConfig[T]{BatchFactory: factory}, optional(cfg))
}

// SubscribePatternBatch is [Topic.SubscribeBatch] for every topic whose name matches
// the pattern; see [SubscribePattern]. A batch may have events of several topics;
// [DeliveriesFrom] tells them.
func SubscribePatternBatch[T any](rt *runtime.Runtime, pattern, name string, handle BatchHandler[T], cfg ...SubscriberConfig) (*Subscription, error) {
	if handle == nil {
		return nil, subscribeError(pattern, name, errors.New("handler: must not be nil"))
	}
	return subscribePattern(rt, pattern, name, actors.CellConfig[T]{ReceiveBatch: handle}, optional(cfg))
}

// SubscribePatternBatchFactory is SubscribePatternBatch for a subscriber with state.
func SubscribePatternBatchFactory[T any](rt *runtime.Runtime, pattern, name string, factory func() Behavior[[]T], cfg ...SubscriberConfig) (*Subscription, error) {
	if factory == nil {
		return nil, subscribeError(pattern, name, errors.New("factory: must not be nil"))
	}
	return subscribePattern(rt, pattern, name, actors.CellConfig[T]{BatchFactory: factory}, optional(cfg))
}
