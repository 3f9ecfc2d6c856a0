package engine

import (
	"context"
	"time"
)

// Engine keeps and carries the records of topics. Methods are safe for concurrent
// use. Every call returns soon after its ctx ends.
type Engine interface {
	// Name is what the system is called in logs, traces and errors: nats, kafka.
	Name() string
	// Open makes the topic there, or checks the one that is there. It is
	// idempotent, and the Topics of one name are one topic, in whatever process.
	//
	// Errors: ErrUnavailable, ErrUnauthorized; ErrMismatch for a topic that is
	// there with another configuration, which is left as it is; ErrNoTopic if it
	// is not there and the engine may not make it; ErrClosed.
	Open(ctx context.Context, topic string) (Topic, error)
	// Ready returns nil if the server answers and does its work, else why not.
	Ready(ctx context.Context) error
	// Close ends what the engine has started. Subscriptions should be closed
	// before. It is idempotent.
	Close(ctx context.Context) error
}

// Topic is one topic of an engine. Methods are safe for concurrent use.
type Topic interface {
	// Caps says what the engine does for this topic.
	Caps() Caps
	// Publish stores the records, in their order as far as Caps.Ordered goes. It
	// returns nil when all are acknowledged, so that they survive what Caps says
	// they do. Else it returns an error for each, nil for those acknowledged. One
	// with an error may be stored all the same: the acknowledgment was lost. Give
	// it the same ID again, which an engine with Caps.Dedup stores once.
	//
	// Errors: ErrUnavailable, at once if the engine knows it and else when ctx
	// ends; ErrTooLarge; ErrFull; ErrUnauthorized; ErrNoTopic; ErrClosed; the
	// cause of ctx, together with ErrUnavailable.
	Publish(ctx context.Context, records []Record) []error
	// Subscribe joins a group, which it makes if there is none.
	//
	// Errors: those of Open; ErrUnsupported for what Caps does not have.
	Subscribe(ctx context.Context, cfg SubscribeConfig) (Subscription, error)
}

// Start is where a group begins that has no position yet.
type Start uint8

const (
	// FromNow begins with what is published after Subscribe has returned.
	FromNow Start = iota
	// FromOldest begins with the oldest record that is kept.
	FromOldest
)

// SubscribeConfig describes one consumer of a group.
type SubscribeConfig struct {
	// Group shares the records among its consumers and has a position of its own:
	// each record goes to every group. It is the subscriber's name.
	Group string
	// Consumer tells the consumers of a group apart, also after a restart where
	// the engine has use for that. Empty is one that the engine makes up.
	Consumer string
	// From is for a group that is new. One that has a position keeps it.
	From Start
	// MaxInFlight is how many records this consumer has unsettled at most.
	MaxInFlight int
	// Lease is how long a record may go unsettled before it goes to another
	// consumer, unless Extend is called. An engine that needs none, since it sees
	// a consumer die, does not wait for it.
	Lease time.Duration
	// KeyOrder asks that the records of one key are handed out in the order in
	// which they were stored, none before those before it are settled or with the
	// same consumer, also when a consumer dies or others join. A consumer of one
	// partition, or the only active one, is what engines make of it.
	KeyOrder bool
}

// Subscription is one consumer. Fetch is called by one goroutine at a time; the
// others are safe for concurrent use with it and each other.
type Subscription interface {
	// Fetch waits until there is a record and returns up to max of them. While the
	// consumer has MaxInFlight unsettled it waits for that, too.
	//
	// Errors: the cause of ctx; ErrUnavailable and others that may pass: Fetch may
	// be called again, and goes on when the server is back; ErrClosed, after
	// which it may not.
	Fetch(ctx context.Context, max int) ([]*Delivery, error)
	// Settle says what has become of records. When it returns nil the engine has
	// taken note, as surely as Caps says. An error leaves some or all as they
	// were, and the call may be repeated: settling twice does nothing.
	//
	// late counts those that belong to another consumer by now, or to nobody,
	// since their lease was over or their partition has moved: they will be, or
	// were, delivered again.
	Settle(ctx context.Context, settled []Settlement) (late int, err error)
	// Extend begins the lease of records anew. Engines without leases do nothing.
	Extend(ctx context.Context, deliveries []*Delivery) error
	// Lag returns how far the group is behind, or ErrUnsupported.
	Lag(ctx context.Context) (Lag, error)
	// Close leaves the group. What was fetched and is not settled, and what the
	// consumer has fetched ahead, goes back to the group at once. It is
	// idempotent and makes a Fetch that waits return ErrClosed.
	Close(ctx context.Context) error
}

// Marker is a Subscription whose engine can note, before a record is handled, that it
// is about to be. Records that have been delivered before and not been settled may
// have ended the process that had them: the runtime marks them and handles them one at
// a time, so that the one that does it again is known when it comes the third time.
type Marker interface {
	// Mark notes, durably, that the record is about to be handled, and returns how
	// often that has been noted before. Settle forgets the notes.
	Mark(ctx context.Context, d *Delivery) (before int, err error)
}

// Lag is how far a group is behind.
type Lag struct {
	// Waiting is how many records no consumer has been given.
	Waiting uint64
	// Unsettled is how many consumers have and have not settled.
	Unsettled uint64
}
