// Package outbox publishes events in transactions of the caller's: the transactional
// outbox on PostgreSQL. A topic on engine/postgres needs no more than [Publish]. For one
// on another engine, [New] takes that engine's place: it stores what is published, and
// [Outbox.Relay] carries it there, as a subscriber of the runtime.
//
//	box := outbox.New(pg, nats) // engines that are open
//	orders, err := topics.Open[OrderPlaced](rt, "orders.placed", topics.Config{Engine: box})
//	relay, err := box.Relay(rt, "orders.placed") // in any process that should do the work
//
//	err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
//		if _, err := tx.Exec(ctx, "INSERT INTO orders ..."); err != nil {
//			return err
//		}
//		return outbox.Publish(ctx, tx, orders, OrderPlaced{ID: 1})
//	})
//
// It is a package of its own so that the engine, and what else is built on it, does not
// link the runtime.
package outbox
