// Package postgres keeps the dead letters of a fleet in a PostgreSQL database: a
// [deadletter.Ledger] that any number of processes share (PostgreSQL 13 or later).
//
//	store, err := postgres.Open(ctx, postgres.Config{URL: "postgres://user:password@host/database"})
//	rt, err := runtime.New(runtime.Config{Name: "node-7", DeadLetters: store})
//
// Every node writes to one store, and a console or command line over it shows the
// letters of all: [deadletter.Letter.Node] says whose each is. What one changes the
// others see at once. A letter is locked while it is changed, so two operators cannot
// redrive the same one. [Open] makes the schema, under an advisory lock, and a user who
// may do no more than SELECT, INSERT, UPDATE and DELETE can open one that is made.
//
// The runtimes that share a store are a [deadletter.Fleet]: a redrive from any of them
// reaches the subscriber wherever it lives, what a member that has died had in hand is
// found by the others, and every console shows and steers the operations of all. Each
// writes one row a second.
//
// What has been acknowledged is committed; it survives what the server's
// synchronous_commit and its replicas say it does. A connection that is lost is made
// again for the next call. When it is lost during a commit nobody knows what has become
// of it: Add and Record may be repeated, and leave out what is there.
//
// # What queries cost
//
// Totals are exact, and counted at every call: PostgreSQL keeps no count of its own, and
// one kept in a row would make all nodes wait for each other. A query that is Quick
// leaves the total out but where it asks for states alone.
//
//   - state, topic, subscriber and group, alone or together: an index counts them, in a
//     time that grows with how many there are.
//   - other names, ages and times, sizes and counts: the letters of the above are read,
//     in the database.
//   - err, payload and free text: with the extension pg_trgm, which Open makes if it
//     may, an index finds the letters that have each word of three characters or more;
//     without it every letter's text is read. What is found comes to this process,
//     which looks at it again.
//   - anything else, such as payload.order.id or header.tenant, and a negation of it or
//     of a text: every letter that the rest of the query selects comes to this process.
//     Name a topic, a subscriber, a group or a time where the store is large.
//
// # For people
//
// The view letters shows what letters say as text, and doc is all of a letter but its
// payload as JSON; it is NULL for one with text that is no UTF-8. These names stay:
//
//	letters  id, topic, subscriber, reason, fingerprint, state, node, cause,
//	         first_failed_at, last_failed_at, published_at, resolved_at, snoozed_until,
//	         purge_at, bytes, attempt_count, redrive_count, event_id, correlation_id,
//	         content_type, error, payload, doc
//
// Which nodes fail most:
//
//	SELECT node, subscriber, count(*) FROM troupe.letters WHERE state = 'open' GROUP BY 1, 2 ORDER BY 3 DESC;
//
// The tables behind it may change with the version, which troupe_deadletter has.
package postgres
