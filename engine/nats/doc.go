// Package nats keeps topics in NATS JetStream: in a server inside this process, with its
// files in a folder and no port open, or in a server or cluster elsewhere:
//
//	e, err := nats.Open(ctx, nats.Config{Folder: "data"})
//	e, err := nats.Open(ctx, nats.Config{URL: "nats://a,nats://b,nats://c"})
//
// Nothing else changes for topics.
//
// # What is kept, and for how long
//
// A topic is a stream, a group of subscribers is a durable consumer of it. A record that
// was acknowledged stays until every group has settled it, and [Config].Keep longer, for
// groups that come later. It is never given up before: a topic that is full, for a group
// is behind, refuses with engine.ErrFull.
//
// With [ProcessSafe], the default, an acknowledged record survives the end of the
// process, in whatever way. With [PowerSafe] it survives the loss of power, for the
// price of the disk's time for each. In a cluster it survives the loss of nodes.
//
// With ProcessSafe and PowerSafe alike the server writes ten times a second, later where
// the disk is busy, what was settled: when the process with the server is killed, what
// was settled in the last moment comes again.
//
// # Two windows
//
// Config.Dedup is for how long an ID that is published again is stored once. It is kept
// by the server in memory and built again from what is stored when it starts, so that
// with NoKeep the IDs of records that were given up are forgotten then.
//
// SubscribeConfig.Lease is after how long a record goes to another consumer. A consumer
// whose process is killed cannot say so: its records come again after their leases.
//
// # Where others listen
//
// The subject of a topic is its name, with Config.Prefix before it, and for its
// partitions with "#" and their numbers behind it; streams and consumers have the same
// names with "_" for dots. The nats command and clients in other languages see the
// events as CloudEvents in binary mode.
package nats
