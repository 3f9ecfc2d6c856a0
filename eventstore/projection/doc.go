// Package projection makes read models of what is in an event store: each event is given
// to a handler, in the order of positions, by a supervised subscriber that remembers how
// far it has come.
//
//	balances, err := projection.Open(rt, store, "balances", func(ctx context.Context, ev eventstore.Recorded) error {
//		…
//	}, projection.Config{Categories: []string{"account"}})
//
// # How often a handler sees an event
//
// At least once, and in order. [Open] saves the checkpoint after some events or some
// time, so after a crash the handler sees the events again that came after it: let it be
// idempotent, say by keeping the position beside what it writes. [OpenTx] moves the
// checkpoint in the transaction in which the handler writes: what an event does to the
// read model is then done exactly once.
//
// The same projection may run in several processes. With OpenTx they share the work, and
// each event counts once; with Open each handles all events, and that the other one moves
// the checkpoint is told to the observer.
//
// # What goes wrong
//
// An event that cannot be handled is not skipped, for the read model would be wrong ever
// after: when Config.Retry is at its end, or the handler returns supervisor.Permanent, the
// projection pauses. It is escalated then, which Runtime.Health, Describe and the console
// show with the event and why, and everything else goes on. An operator repairs what is
// wrong and resumes it like any subscriber; the event is then tried again. A store or
// database that is not there for a while, an engine.ErrUnavailable, is no reason to pause.
// A handler that wants to leave out an event returns supervisor.Skip.
package projection
