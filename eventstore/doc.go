// Package eventstore is the port between programs that keep what has happened, instead
// of what is, and the databases that keep it for them: JetStream (eventstore/nats),
// PostgreSQL, and for tests the memory of the process ([NewMemory]).
//
//	opened, err := schema.Encode(Opened{Owner: "jane"})
//	done, err := store.Append(ctx, account, eventstore.NoStream, opened)
//	for ev, err := range store.Read(ctx, account, 0) { … }
//
// Events are bytes with metadata here; a [Schema] makes them of a program's types and
// reads what older versions of the program have written. Package eventstoretest holds
// what a store must do, as tests. On top of this package stand eventstore/aggregate,
// which decides what happens next, and eventstore/projection, which makes read models of
// what has happened.
//
// # Streams, versions, positions
//
// A [Stream] is the history of one thing: an account. Its events have the versions 1, 2,
// 3, … without a gap, and who appends says which version he has seen last: if it is
// another by now he gets a [ConflictError] and nothing is stored. This is the one thing
// that keeps two processes from deciding on the same state.
//
// Streams of one kind are a category. Over all streams of some categories, or of all,
// events have positions, and a [Follower] hands them out in that order: what is there,
// then what is appended, each once. All followers see the same order, and nothing
// appears later before something that has been handed out.
//
// Nothing is ever changed or deleted. What must be forgotten must not be in an event, or
// be encrypted with a key that can be.
package eventstore
