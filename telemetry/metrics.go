package telemetry

import (
	"context"
	"errors"
	"fmt"

	"github.com/troupe-go/troupe/runtime"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
)

const (
	keyRuntime = attribute.Key("troupe.runtime")
	keyOutcome = attribute.Key("troupe.outcome")
	keyReason  = attribute.Key("troupe.reason")
	keyState   = attribute.Key("troupe.state")
)

// instruments are the metrics of the account. They are asynchronous: nothing is
// done until somebody collects them.
type instruments struct {
	all []metric.Observable

	consumed, outcomes, retries, redelivered metric.Int64ObservableCounter
	restarts, pauses, abandoned, late        metric.Int64ObservableCounter
	sent, unrouted                           metric.Int64ObservableCounter

	depth, inFlight, retryWait, parked, capacity, zombies metric.Int64ObservableUpDownCounter
	publishers, letters                                   metric.Int64ObservableUpDownCounter

	age, busy              metric.Float64ObservableGauge
	state, failing, active metric.Int64ObservableGauge
}

func newInstruments(m metric.Meter) (*instruments, error) {
	in := &instruments{}
	var errs []error
	counter := func(to *metric.Int64ObservableCounter, name, unit, what string) {
		c, err := m.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(what))
		*to, in.all, errs = c, append(in.all, c), append(errs, err)
	}
	level := func(to *metric.Int64ObservableUpDownCounter, name, unit, what string) {
		c, err := m.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(what))
		*to, in.all, errs = c, append(in.all, c), append(errs, err)
	}
	seconds := func(to *metric.Float64ObservableGauge, name, what string) {
		c, err := m.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(what))
		*to, in.all, errs = c, append(in.all, c), append(errs, err)
	}
	flag := func(to *metric.Int64ObservableGauge, name, what string) {
		c, err := m.Int64ObservableGauge(name, metric.WithDescription(what))
		*to, in.all, errs = c, append(in.all, c), append(errs, err)
	}
	counter(&in.sent, "messaging.client.sent.messages", "{message}", "Number of messages producer attempted to send to the broker.")
	counter(&in.consumed, "messaging.client.consumed.messages", "{message}", "Number of messages that were delivered to the application.")
	counter(&in.unrouted, "troupe.topic.unrouted", "{event}", "Events accepted without a subscriber.")
	counter(&in.outcomes, "troupe.delivery.outcomes", "{delivery}", "Deliveries that have ended, by outcome and reason.")
	counter(&in.retries, "troupe.delivery.retries", "{attempt}", "Attempts beyond the first.")
	counter(&in.redelivered, "troupe.delivery.redelivered", "{delivery}", "Dead letters given back.")
	counter(&in.restarts, "troupe.subscriber.restarts", "{restart}", "Instances replaced.")
	counter(&in.pauses, "troupe.subscriber.pauses", "{pause}", "Pauses, by an operator or for restarting too often.")
	counter(&in.abandoned, "troupe.handler.abandoned", "{call}", "Handlers and hooks given up because they did not return.")
	counter(&in.late, "troupe.handler.late", "{event}", "Events that abandoned handlers finished after all.")
	level(&in.depth, "troupe.mailbox.depth", "{event}", "Events that wait in mailboxes.")
	level(&in.capacity, "troupe.mailbox.capacity", "{event}", "Events that may wait in mailboxes, 0 without a limit.")
	level(&in.inFlight, "troupe.delivery.in_flight", "{delivery}", "Events in the hands of handlers.")
	level(&in.retryWait, "troupe.delivery.retry_wait", "{delivery}", "Events that wait for their next attempt.")
	level(&in.parked, "troupe.delivery.parked", "{delivery}", "Events on their way into the dead-letter store.")
	level(&in.zombies, "troupe.handler.zombies", "{call}", "Abandoned handlers that still run.")
	level(&in.publishers, "troupe.topic.publishers_waiting", "{publisher}", "Publishers held back by full mailboxes.")
	level(&in.letters, "troupe.letters.waiting", "{letter}", "Dead letters to be written.")
	seconds(&in.age, "troupe.mailbox.age", "How long the oldest event in the mailbox has waited.")
	seconds(&in.busy, "troupe.handler.busy", "How long the event in hand has been there.")
	flag(&in.state, "troupe.subscriber.state", "1 for the state that the subscriber is in.")
	flag(&in.failing, "troupe.letters.failing", "1 if the dead-letter store fails.")
	flag(&in.active, "troupe.runtime.running", "1 if the runtime is running.")
	return in, errors.Join(errs...)
}

// Watch shows the account of rt as metrics, from the next collection on until
// stop is called. A collection takes one snapshot of rt, whatever the number of
// metrics, and costs nobody else anything. Without a MeterProvider it does
// nothing.
//
// Errors: a runtime of that name is being watched.
func (t *Telemetry) Watch(rt *runtime.Runtime) (stop func() error, err error) {
	if t.meter == nil {
		return func() error { return nil }, nil
	}
	name := rt.Name()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.watched[name] {
		return nil, fmt.Errorf("telemetry: watch %s: a runtime of that name is watched already", name)
	}
	w := &watch{in: t.account, rt: rt, series: newSeries(t.cfg.MaxSeries), attr: keyRuntime.String(name)}
	registration, err := t.meter.RegisterCallback(w.collect, t.account.all...)
	if err != nil {
		return nil, fmt.Errorf("telemetry: watch %s: %w", name, err)
	}
	t.watched[name] = true
	return func() error {
		t.mu.Lock()
		delete(t.watched, name)
		t.mu.Unlock()
		return registration.Unregister()
	}, nil
}

// watch is one runtime that is watched.
type watch struct {
	in     *instruments
	rt     *runtime.Runtime
	series *series
	attr   attribute.KeyValue
}

func (w *watch) collect(_ context.Context, o metric.Observer) error {
	snap := w.rt.Snapshot()
	w.runtime(o, snap)
	w.topics(o, snap)
	for _, r := range w.series.rows(snap) {
		w.row(o, r)
	}
	return nil
}

func (w *watch) with(attrs ...attribute.KeyValue) metric.MeasurementOption {
	return metric.WithAttributeSet(attribute.NewSet(append(attrs, w.attr)...))
}

func (w *watch) runtime(o metric.Observer, snap runtime.Snapshot) {
	at := w.with()
	o.ObserveInt64(w.in.active, flagOf(snap.State == runtime.StateRunning), at)
	o.ObserveInt64(w.in.letters, int64(snap.Letters.Waiting), at)
	o.ObserveInt64(w.in.failing, flagOf(snap.Letters.Failing != ""), at)
}

func (w *watch) topics(o metric.Observer, snap runtime.Snapshot) {
	publish := semconv.MessagingOperationName("publish")
	for label, p := range w.series.publications(snap) {
		topic := semconv.MessagingDestinationName(label)
		o.ObserveInt64(w.in.sent, int64(p.Accepted), w.with(topic, system, publish))
		for reason, n := range p.Rejected {
			o.ObserveInt64(w.in.sent, int64(n), w.with(topic, system, publish, semconv.ErrorTypeKey.String(reason)))
		}
		o.ObserveInt64(w.in.unrouted, int64(p.Unrouted), w.with(topic))
		o.ObserveInt64(w.in.publishers, int64(p.Waiting), w.with(topic))
	}
}

func (w *watch) row(o metric.Observer, r row) {
	in, c := w.in, r.counters
	who := []attribute.KeyValue{semconv.MessagingDestinationName(r.topic), semconv.MessagingDestinationSubscriptionName(r.subscriber)}
	with := func(more ...attribute.KeyValue) metric.MeasurementOption { return w.with(append(more, who...)...) }
	at := with()
	o.ObserveInt64(in.consumed, int64(c.done), with(system, process))
	if c.failures > 0 {
		o.ObserveInt64(in.consumed, int64(c.failures), with(system, process, semconv.ErrorTypeOther))
	}
	o.ObserveInt64(in.outcomes, int64(c.done), with(keyOutcome.String("done")))
	for k, n := range c.outcomes {
		attributes := []attribute.KeyValue{keyOutcome.String(k.what)}
		if k.reason != "" {
			attributes = append(attributes, keyReason.String(k.reason))
		}
		o.ObserveInt64(in.outcomes, int64(n), with(attributes...))
	}
	for _, m := range []struct {
		metric metric.Int64ObservableCounter
		n      uint64
	}{
		{in.retries, c.retries}, {in.redelivered, c.redelivered}, {in.restarts, c.restarts},
		{in.pauses, c.pauses}, {in.abandoned, c.abandoned}, {in.late, c.late},
	} {
		o.ObserveInt64(m.metric, int64(m.n), at)
	}
	g := r.gauges
	if g == nil {
		return
	}
	o.ObserveInt64(in.depth, int64(g.queued), at)
	o.ObserveInt64(in.capacity, int64(g.capacity), at)
	o.ObserveInt64(in.inFlight, int64(g.inFlight), at)
	o.ObserveInt64(in.retryWait, int64(g.retryWait), at)
	o.ObserveInt64(in.parked, int64(g.parked), at)
	o.ObserveInt64(in.zombies, int64(g.zombies), at)
	o.ObserveFloat64(in.age, g.oldest.Seconds(), at)
	o.ObserveFloat64(in.busy, g.busy.Seconds(), at)
	if g.state != "" {
		o.ObserveInt64(in.state, 1, with(keyState.String(string(g.state))))
	}
}

func flagOf(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
