// Package kafka carries topics on Apache Kafka, and on what speaks its protocol, by
// franz-go:
//
//	e, err := kafka.Open(ctx, kafka.Config{Seeds: []string{"kafka-1:9092"}, Partitions: 12})
//	orders, err := topics.Open[OrderPlaced](rt, "orders.placed", topics.Config{Engine: e})
//
// A topic is a topic of Kafka, the key of an event is the key of its record, a
// subscriber is the consumer group "topic/subscriber".
//
// # Guarantees
//
// What Publish has acknowledged is on all replicas that are in sync (acks=all); the
// producer is idempotent, so that its own retries store nothing twice and keep the
// order of each partition. The ID travels in a header: an event that is published
// again, by whoever, is stored again.
//
// Every record is delivered at least once to each group. Records are settled in any
// order; what is committed for a partition is the offset before which all is settled,
// never past a gap. What is settled beyond the gap is noted beside the commit, so that
// the next owner of the partition does not get it again; how often the rest has been
// delivered is noted, too, which is where Attempt comes from.
//
// The order of a key is the order of its partition. When a partition moves to another
// consumer, what is in the hands of this one is waited for, for Config.RevokeWait at
// most, and committed before it goes; what is settled later than that counts as late
// and is delivered again by the new owner.
//
// # Giving back
//
// Kafka has no negative acknowledgment. A record with the verdict Nack stays with the
// consumer that had it, in memory, and comes out of its Fetch again after the delay.
// The commit stays before it meanwhile. Under KeyOrder the later records of its key
// that have not been handed out wait behind it, those of other keys pass. It counts in
// MaxInFlight while it waits, for it is in memory: a consumer with MaxInFlight records
// that wait gets nothing else. If the consumer goes, the record goes to the next owner
// of the partition, at once.
//
// # Memory
//
// A consumer holds MaxInFlight records and what the client reads ahead, which is no
// more than 8 MiB for each broker. A partition in which Config.MaxUncommitted records
// lie behind an unsettled one is paused until that is settled.
//
// # What it was verified against
//
// The tests run against kfake, the broker that the authors of franz-go test it with,
// in process and with injected faults; and against a real cluster if TROUPE_KAFKA
// names one.
package kafka
