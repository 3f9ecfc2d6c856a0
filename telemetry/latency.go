package telemetry

import (
	"context"
	"sync"
	"time"

	"github.com/troupe-go/troupe/actors"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

// buckets are those that the conventions ask for, and finer ones below: handlers
// in the same process take microseconds.
var buckets = []float64{
	.00001, .0001, .0005, .001, .005, .01, .025, .05, .075, .1, .25, .5, .75, 1, 2.5, 5, 7.5, 10,
}

// latencies are the histograms, with a bound on how many subscribers have their
// own.
type latencies struct {
	process metric.Float64Histogram
	wait    metric.Float64Histogram

	mu   sync.Mutex
	max  int
	seen map[[2]string]*latency
}

func newLatencies(meter metric.Meter, limit int) (*latencies, error) {
	l := &latencies{max: limit, seen: map[[2]string]*latency{}}
	var err error
	if l.process, err = meter.Float64Histogram("messaging.process.duration", metric.WithUnit("s"),
		metric.WithDescription("Duration of processing operation."), metric.WithExplicitBucketBoundaries(buckets...)); err != nil {
		return nil, err
	}
	l.wait, err = meter.Float64Histogram("troupe.mailbox.wait.duration", metric.WithUnit("s"),
		metric.WithDescription("Time from publication to the first attempt."), metric.WithExplicitBucketBoundaries(buckets...))
	return l, err
}

// of returns the latencies of a subscriber. Unlike an account, a name that once
// had a series keeps it: a histogram cannot give its past to another one.
func (l *latencies) of(topic, subscriber string) *latency {
	l.mu.Lock()
	defer l.mu.Unlock()
	key := [2]string{topic, subscriber}
	if len(l.seen) >= l.max && l.seen[key] == nil {
		key = [2]string{other, other}
	}
	h := l.seen[key]
	if h == nil {
		h = &latency{l: l}
		h.wait, h.done = option(key), option(key, system, process)
		h.failed = map[string][]metric.RecordOption{}
		for _, kind := range []string{kindError, kindPanic, kindGoexit} {
			h.failed[kind] = option(key, system, process, semconv.ErrorTypeKey.String(kind))
		}
		l.seen[key] = h
	}
	return h
}

var process = semconv.MessagingOperationName("process")

// option returns attributes that are ready to use. The SDK still looks at each for
// every recording, which is half of the price: there are no more than it takes.
func option(key [2]string, more ...attribute.KeyValue) []metric.RecordOption {
	attrs := append(more, semconv.MessagingDestinationName(key[0]), semconv.MessagingDestinationSubscriptionName(key[1]))
	return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(attrs...))}
}

// latency records the calls of one subscriber.
type latency struct {
	l      *latencies
	wait   []metric.RecordOption
	done   []metric.RecordOption
	failed map[string][]metric.RecordOption
}

// Begin makes latency an actors.Handling.
func (h *latency) Begin(ctx context.Context) context.Context {
	if d, ok := actors.DeliveryFrom(ctx); ok && d.Attempt == 1 && d.LetterID == "" && !d.PublishedAt.IsZero() {
		h.l.wait.Record(ctx, max(0, time.Since(d.PublishedAt)).Seconds(), h.wait...)
	}
	return ctx
}

func (h *latency) End(ctx context.Context, took time.Duration, err error) {
	options := h.done
	if kind := kindOf(err); kind != "" {
		options = h.failed[kind]
	}
	h.l.process.Record(ctx, took.Seconds(), options...)
}
