// Package idempotent makes what handlers do to a database count once for each event,
// however often the event is delivered.
//
// Delivery is at least once: after a crash, a lost acknowledgment or a redrive a handler
// sees an event again. A [Handler] notes the ID of each event in the database, in the
// transaction in which it does its work. So either both are committed, and the event is
// passed over when it comes again, or neither is.
//
//	done := idempotent.SQL{}
//	if err := done.Create(ctx, db); err != nil { … }
//	orders.Subscribe("billing", idempotent.Handler(idempotent.SQLTx(db, nil), done,
//		func(ctx context.Context, tx *sql.Tx, o OrderPlaced) error {
//			_, err := tx.ExecContext(ctx, "UPDATE …")
//			return err
//		}))
//
// What the handler does outside of the transaction, an e-mail or a call of another
// service, is still done again.
//
// # Which events are the same
//
// Those with one ID, see actors.Delivery.ID, at one subscriber. An ID is the same on
// every attempt, on every engine, and after a redrive. Events that are published again by
// their publisher are the same only if he gives them the same topics.Meta.ID.
package idempotent
