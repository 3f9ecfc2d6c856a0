// Package postgres keeps topics in PostgreSQL (13 or newer): an [engine.Engine] on pgx for
// those who have a database already.
//
//	e, err := postgres.Open(ctx, postgres.Config{URL: "postgres://app@db/shop"})
//	orders, err := topics.Open[OrderPlaced](rt, "orders.placed", topics.Config{Engine: e})
//
// # What it does
//
// Records of all topics are rows of one log, which nothing is written to twice. A group
// has a place in it and a narrow row for each record that it has taken and not settled,
// with its lease; so a record costs each group an insert and a delete of a few dozen
// bytes, and looking for work never passes through what is done, whatever the vacuum
// has not got to.
//
// A place is (transaction, record), and a group reads below the oldest transaction of
// the cluster that is open: what commits late is not skipped. That is the price, too: a
// transaction that writes, in any database of the cluster, and stays open holds
// deliveries back until it ends. [Engine.Fence] names it. A dump that is restored into
// another cluster goes on after the first Open there, which should come before anything
// is published.
//
// An ID is stored once as long as its record is kept, which is for Config.Keep and until
// every group has settled it. A group that nobody needs any more keeps everything:
// [Engine.DropGroup]. Fetching does not wait for the disk of the server; what its crash
// takes back is delivered again.
//
// Consumers are woken by LISTEN and NOTIFY, which needs a session of its own: behind
// pgbouncer in transaction mode give Config.Listen the server's own URL, or ListenNone,
// and add default_query_exec_mode=exec to Config.URL if it is older than 1.21.
//
// Attributes of events are columns, by the names of CloudEvents, so there is no
// envelope and no message that cannot be opened.
//
// # In a transaction of your own
//
// [Topic.PublishTx] takes records in a transaction of the caller's. Package outbox does so
// for events of topics, and carries what is published so to any other engine.
//
// # In SQL
//
// The view events shows the log, the view unsettled what groups have in hand; triggers
// and other programs publish with
//
//	SELECT troupe.publish('orders.placed', convert_to('{"id":1}', 'UTF8'), key => 'customer 7');
package postgres
