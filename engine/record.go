package engine

import "time"

// Record is an event on its way: what is stored.
type Record struct {
	// ID names the event. It is never empty: engines use it to store an event once
	// that is published twice.
	ID string
	// Key puts events into order and into partitions. Empty is no key.
	Key string
	// Source says who has published it, as a URI reference: the runtime's name.
	Source string
	// Type is what the event is, as its publisher calls it: the topic.
	Type string
	// Time is when it was published.
	Time time.Time
	// ContentType and SchemaVersion say how Data is encoded.
	ContentType   string
	SchemaVersion int
	// Headers travel with it. Names are in lower case.
	Headers map[string]string
	// Data is the event, encoded.
	Data []byte
}

// Delivery is a record in the hands of a consumer.
type Delivery struct {
	Record Record
	// Attempt counts how often the group has been given the record, from 1. 0 is
	// that the engine cannot tell.
	Attempt int
	// Position is the place of the record in the engine's words, for people:
	// "partition 3, offset 17".
	Position string
	// Place identifies the record in its topic, and nothing else does: two
	// deliveries of the same stored record have the same Place.
	Place string
	// Fault says why the message is not one that the envelope can open. Record
	// then has its bytes as Data, and an ID that the engine makes up from Place.
	Fault error
	// Message is the engine's own: a jetstream.Msg, a *kgo.Record.
	Message any
}

// Verdict is what has become of a record.
type Verdict uint8

const (
	// Ack is that it was handled, or needs no handling: it may be forgotten.
	Ack Verdict = iota
	// Nack gives it back, to be delivered again after Settlement.Delay. Where
	// Caps.DelayedNack is missing it comes back at once.
	Nack
	// Term is that it can not be handled and is in the dead-letter store: it may
	// be forgotten. Settlement.Reason is for the engine's own record of that.
	Term
)

// Settlement is the end of a delivery.
type Settlement struct {
	Delivery *Delivery
	Verdict  Verdict
	Delay    time.Duration
	Reason   string
}
