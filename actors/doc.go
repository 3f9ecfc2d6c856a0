// Package actors runs handlers as supervised actors on protoactor-go.
//
// protoactor-go carries identity, the tree, system messages and scheduling.
// What becomes of an event is decided here: an actor is a [Cell] that reads a
// mailbox of this project in batches, keeps the event in hand until it has an
// outcome, retries it, and hands it to a [Sink] when no attempt can handle it.
//
// Use package topics to subscribe to events. Use [Spawn] for an actor of your
// own that is told messages directly.
//
// # What an actor does with itself
//
// An actor made by Spawn, or by topics.Spawn, finds what it needs in the context
// of its handler and hooks: [Self]; [SpawnChild] and [Child]; [Watch]; [After],
// [Every] and [CancelTimer]; [Become]; [Stash] and [UnstashAll]. What a watch or
// timer has to say is a message of the actor's own type, in its own mailbox and
// account. A [Router] is told messages on behalf of several actors.
//
// # Two axes
//
// A failure is answered twice, by the pure decisions of package supervisor:
// once for the event (retry, dead letter, drop) and once for the actor (resume,
// restart, stop, escalate). The answer for the event is carried out by the
// cell. The answer for the actor travels up protoactor-go's tree as a failure,
// and the [Group] above decides whether and when to restart whom.
//
// # Ownership
//
// One goroutine at a time runs a cell: the one that moved its box from idle or
// dormant to running. It owns the loop and everything in it. What others need
// to see is copied under Cell.mu at checkpoints. A handler that does not come
// back is abandoned: its loop is marked gone, a new loop is made from the last
// checkpoint, and the old goroutine ends itself when it returns, without
// touching anything but its own loop.
package actors
