// Package engine is the port between topics and what keeps and carries their events
// beyond the memory of one process: JetStream, Kafka, Redis, RabbitMQ, PostgreSQL. An
// [Engine] is given to topics.Config and that is all that changes for its user:
//
//	e, err := nats.Open(ctx, nats.Config{Folder: "data"})
//	orders, err := topics.Open[OrderPlaced](rt, "orders.placed", topics.Config{Engine: e})
//
// Every engine is a module of its own, which only its users download: engine/nats,
// engine/kafka, engine/redis, engine/rabbitmq, engine/postgres; bridge/watermill makes
// one of any Watermill publisher and subscriber. Package enginetest holds what an
// engine must do, as tests.
//
// # Who does what
//
// An engine stores records, hands each to one consumer of every group, at least once,
// and forgets it when it is settled. It knows nothing of events' types, handlers,
// retries and dead letters: these are the runtime's. The runtime fetches no more than
// a mailbox has room for, so a slow handler costs the engine's room and not the
// process's; it settles a record when its event has an outcome: a dead letter is in
// the store before the engine may forget the record; what is left at a shutdown goes
// back.
//
// # Capabilities
//
// [Caps] are read back from the server where a server may not do what it was asked
// for. The runtime makes up for what is missing where it can, as by waiting in the
// actor where no delayed return is, and refuses the rest when the topic is opened or
// subscribed to, by name.
package engine
