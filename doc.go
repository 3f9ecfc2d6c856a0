// Package troupe is the map of the module; it has no API.
//
//   - To publish and handle events, use [github.com/troupe-go/troupe/topics] on a
//     runtime of [github.com/troupe-go/troupe/runtime].
//   - To publish by the clock, use topics.Topic.PublishAfter, PublishAt and PublishEvery,
//     the last with what [github.com/troupe-go/troupe/schedule] describes.
//   - To say what a failure leads to, use [github.com/troupe-go/troupe/supervisor].
//   - To put a timeout, a throttle, a circuit breaker and the like around handlers,
//     use [github.com/troupe-go/troupe/middleware].
//   - To trace, measure and probe a runtime, use
//     [github.com/troupe-go/troupe/telemetry] and, for Prometheus,
//     [github.com/troupe-go/troupe/telemetry/prometheus].
//   - To keep dead letters as protobuf or CBOR, use
//     [github.com/troupe-go/troupe/codec/protobuf] or [github.com/troupe-go/troupe/codec/cbor].
//   - To look into dead letters or keep them elsewhere, use
//     [github.com/troupe-go/troupe/deadletter].
//   - To keep a topic's events beyond the process, and share them with others, use
//     an engine: [github.com/troupe-go/troupe/engine] says which there are.
//   - To store what has happened and derive everything from it, use
//     [github.com/troupe-go/troupe/eventstore].
//   - To test handlers together with the runtime, use
//     [github.com/troupe-go/troupe/troupetest].
//   - To tell an actor of your own messages directly, or to supervise several
//     subscribers together, use [github.com/troupe-go/troupe/actors].
//   - To build something else on the lock-free log, use
//     [github.com/troupe-go/troupe/mailbox].
package troupe
