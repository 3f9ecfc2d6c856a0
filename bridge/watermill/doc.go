// Package watermill joins Troupe and Watermill, both ways:
//
//   - [Open] makes an engine.Engine of any Watermill Publisher and Subscriber, with
//     what Watermill's interface can carry: no delays, attempts, leases and lag.
//   - [NewPublisher] and [NewSubscriber] make a Watermill Publisher and Subscriber of
//     any engine.Engine, so that code written for Watermill, its Router among it,
//     shares topics with subscribers of Troupe. They pass Watermill's own suite.
//
// Our own engines do more for less: they hand out many records at a time, where most
// of Watermill's adapters have one in flight.
package watermill
