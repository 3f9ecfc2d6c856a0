// Package telemetry shows a runtime to the tools that people watch services
// with: traces and metrics by the OpenTelemetry API, health and a description
// of the state over HTTP, and logs for hosts that use slog.
//
//	tel, err := telemetry.New(telemetry.Config{TracerProvider: tp, MeterProvider: mp, Latency: true})
//	rt, err := runtime.New(runtime.Config{Name: "shop", Instrument: tel.Instrument()})
//	stop, err := tel.Watch(rt)
//
// It imports the API of OpenTelemetry only: the program chooses SDK and
// exporters, or imports package telemetry/prometheus. Providers are those of
// the [Config]; global ones are never looked at. Without a TracerProvider no
// publication pays for traces, without Latency no handler call for metrics.
//
// # Traces
//
// A publication makes a span "publish <topic>" of kind producer; a batch makes one.
// Its context travels in the event's headers, if it is sampled, and so into dead
// letters. Every attempt of a handler makes a span "process <topic>" of kind
// consumer, with a link to the publication (or, with [Config].Parent, as its
// child), the number of the attempt, and the error. Spans that the handler
// starts, and its publications, are children of that. Names and attributes are
// those of the semantic conventions for messaging; the system is "troupe".
//
// # Metrics
//
// All but the latencies are read from runtime.Snapshot when they are collected,
// once for all. Those of subscribers have the attributes troupe.runtime,
// messaging.destination.name (the topic) and
// messaging.destination.subscription.name:
//
//	messaging.client.consumed.messages  attempts; failed ones with error.type
//	troupe.delivery.outcomes            by troupe.outcome: done, dead_lettered, dropped, filtered; troupe.reason
//	troupe.delivery.retries             attempts beyond the first
//	troupe.delivery.redelivered         dead letters given back
//	troupe.delivery.in_flight, .retry_wait, .parked
//	troupe.mailbox.depth, .capacity     events that wait, and may wait (0 is no limit)
//	troupe.mailbox.age                  seconds that the oldest of them has waited
//	troupe.subscriber.restarts, .pauses
//	troupe.subscriber.state             1 for the state in troupe.state
//	troupe.handler.busy                 seconds with the event in hand
//	troupe.handler.abandoned, .late     handlers given up; events they finished after all
//	troupe.handler.zombies              abandoned handlers that still run
//
// those of topics the first two:
//
//	messaging.client.sent.messages      publications; refused ones with the reason as error.type
//	troupe.topic.unrouted               accepted without a subscriber
//	troupe.topic.publishers_waiting     held back by full mailboxes at this moment
//
// and those of the runtime the first:
//
//	troupe.runtime.running              1, or 0 while it drains and when it is closed
//	troupe.letters.waiting              dead letters to be written
//	troupe.letters.failing              1 if the store fails
//
// With Latency there are two histograms, in seconds, by topic and subscriber:
//
//	messaging.process.duration          of each attempt; failed ones with error.type
//	troupe.mailbox.wait.duration        from publication to the first attempt
//
// # Cardinality
//
// At most [Config].MaxSeries subscribers of a runtime, and as many topics, have
// series of their own. The others are one series of the name "(other)" for each
// topic, and so is what no present subscriber accounts for. A subscriber that
// has stopped keeps its counters until another one needs the place; then they
// are part of "(other)". So the sums over all series are those of the account,
// always, and no counter goes back. Names of events and keys are never
// attributes.
package telemetry
