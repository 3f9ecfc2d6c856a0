// Package aggregate decides what happens to things whose histories are in an event
// store: a command for an account is handled on what has happened to it, and what the
// decision is becomes part of its history, or is refused.
//
//	accounts, err := aggregate.Open(rt, store, aggregate.Config[Account, Command, Event]{
//		Category: "account", Schema: schema,
//		Decide: func(ctx context.Context, a Account, c Command) ([]Event, error) { … },
//		Evolve: func(a Account, ev Event) Account { … },
//	})
//	done, err := accounts.Execute(ctx, "4711", Withdraw{Cents: 500})
//
// # How a command is handled
//
// Commands are messages to supervised actors: a topic, commands.account, whose one
// subscriber, the aggregate, has several workers and a key, the ID. So of one thing one
// command at a time is handled in a process, in the order in which they came, and those
// of others at the same time. Its state is loaded from the store, from its newest
// snapshot on, and kept until nothing has come for it for a while. Decide says what
// happens, the store appends it at the version that Decide has seen, and Evolve makes the
// next state of it. If another process was faster, what it has appended is read, and
// Decide asked again.
//
// # What goes wrong
//
// An error of Decide is the answer to the command, which is done. A panic in Decide or
// Evolve, and a store that does not work, are failures of the actor: the state is
// forgotten and loaded again, the actor restarted after a panic, and the command tried
// again as SubscriberConfig.Retry says. At the end of that it is a dead letter, and who
// waits for it is told. It can be given back: a command that has been appended before,
// since only the answer of the store was lost, is not appended again. That is found by
// the IDs of commands, which are in the metadata of events as their causation, and
// costs reading the stream; so only commands that have been tried before, that were given
// back, or whose ID comes from the caller pay for it.
package aggregate
