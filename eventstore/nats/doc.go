// Package nats is an event store on JetStream: of a server in this process, which is the
// default and opens no port, of an external one, or of a cluster.
//
//	store, err := nats.Open(ctx, nats.Config{Folder: "data"})
//	store, err := nats.Open(ctx, nats.Config{URL: "nats://nats:4222"})
//
// # How events are stored
//
// A store is one stream, with a subject for each stream of events:
// <Name>.<category>.<ID>, in which the ID has "=" and two hexadecimal digits for each byte
// that is no letter, digit, '-' or '_'. Messages are CloudEvents 1.0 in binary mode, with
// the version of the event in ce-streamversion and its metadata in headers that begin with
// "meta-"; what a header cannot hold is percent-encoded. Append is a publication that
// expects the last sequence of the subject; of several events, an atomic batch. Positions
// are sequences. Snapshots and checkpoints are in two buckets of the key-value store, each
// replaced only if it is what was read.
//
// Atomic batches exist since server 2.12. Older ones take no notice of what they do not
// know and would store the events one by one: Open refuses them.
//
// # What is durable
//
// What a server in this process has acknowledged survives that the process is killed; with
// Config.PowerSafe, also the loss of power, at the price of the disk's own time for each
// Append. Without, the disk has it after a second. Nothing in the stream can be deleted by
// its users.
package nats
