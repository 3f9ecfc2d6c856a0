package engine

import "time"

// Caps is what an engine does for a topic. enginetest holds an engine to each, to
// those that it has and to those that it says it has not.
type Caps struct {
	// Durable is that what was acknowledged survives the end of every process of
	// ours and, of a server of its own, of the server.
	Durable bool `json:"durable"`
	// PowerSafe is that it survives the loss of power, too.
	PowerSafe bool `json:"power_safe"`
	// AtLeastOnce is that a record comes again until it is settled. Without, what
	// is published reaches those who listen at that moment: fan-out.
	AtLeastOnce bool `json:"at_least_once"`
	// Groups is that several consumers share the records of a group.
	Groups bool `json:"groups"`
	// Ordered is that one consumer of a group gets records in the order in which
	// one publisher has stored them, but for those that come again.
	Ordered bool `json:"ordered"`
	// KeyOrder is SubscribeConfig.KeyOrder.
	KeyOrder bool `json:"key_order"`
	// FromOldest is that a new group can begin with what was there before.
	FromOldest bool `json:"from_oldest"`
	// Nack is that a record can be given back before its lease ends, and
	// DelayedNack that this can be for later.
	Nack        bool `json:"nack"`
	DelayedNack bool `json:"delayed_nack"`
	// Attempts is that Delivery.Attempt is known.
	Attempts bool `json:"attempts"`
	// Lease is that a record goes to another consumer when it goes unsettled for
	// so long. Without, when its consumer is gone.
	Lease bool `json:"lease"`
	// Lag is Subscription.Lag.
	Lag bool `json:"lag"`
	// Dedup is for how long an ID that is published again is not stored again; 0
	// is not at all, Forever is as long as the record is there.
	Dedup time.Duration `json:"dedup"`
	// AtomicBatch is that Publish stores all of its records or none.
	AtomicBatch bool `json:"atomic_batch"`
	// MaxRecord is how many bytes a record may have with its headers; 0 is not
	// known.
	MaxRecord int `json:"max_record"`
}

// Forever is longer than anything is kept.
const Forever = time.Duration(1<<63 - 1)
