// Package redis keeps topics in Redis, 7.0 or newer.
//
// [Open] is for Redis Streams, with consumer groups: at least once, with leases, counts
// of attempts and delayed returns. [OpenPubSub] is for Redis Pub/Sub: at-most-once
// fan-out to those who listen, which keeps nothing and settles nothing. Both are an
// engine.Engine:
//
//	e, err := redis.Open(ctx, redis.Config{URL: "redis://:secret@localhost:6379"})
//	orders, err := topics.Open[OrderPlaced](rt, "orders.placed", topics.Config{Engine: e})
//
// # What survives
//
// That is up to the server. Engine.Server says what was read from it when the engine
// was opened, and engine.Caps follows from it:
//
//   - appendonly yes, appendfsync always: an acknowledged record survives the end of
//     the server and the loss of power. Durable and PowerSafe.
//   - appendonly yes, appendfsync everysec: it survives the end of our processes and an
//     orderly restart of the server. When the server crashes, what it has acknowledged
//     in the last two seconds at most can be gone: it answers before it writes while an
//     fsync is under way. So neither Durable nor PowerSafe.
//   - otherwise what snapshots do not have is gone with the server. Neither.
//
// A server that does not let CONFIG be read is taken to be none of these. Replicas and
// a failover to them lose what was not replicated, whatever the settings.
//
// # In the server
//
// A topic is one stream, or Config.Shards of them, at PREFIX:{TOPIC/SHARD}. An entry has
// one field, e: the line troupe/1, a line for each header, an empty line, and the data.
// Entries of others may have a field for each header and one for the data instead: XADD
// troupe:{orders/0} * data '{}' ce-specversion 1.0
// ce-id 7 ce-type orders ce-source /shell. Beside it are :returned:GROUP, a sorted set of
// what was given back and when it is due; :marks:GROUP; :owner:GROUP and :members:GROUP,
// for order by key; :id:ID, for Config.Dedup; and :meta.
//
// What was given back belongs to the consumer (returned) of its group until it is due,
// so that XPENDING shows it, and that a sorted set which is lost is made again.
//
// # What is removed
//
// What every group has settled is trimmed, about once a second, in whole nodes of the
// stream (a hundred entries or so), unless Config.Keep keeps it. What a group has not
// settled is never removed but by Config.MaxLen. So a group that nobody consumes any more
// makes the stream grow: end it with XGROUP DESTROY.
//
// # What it logs
//
// Nothing. The client, go-redis, writes to standard error when it cannot connect;
// SetLogger of that package is for that.
package redis
