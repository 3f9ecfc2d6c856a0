package deadletter

import (
	"context"
	"time"
)

// Fleet is a [Ledger] that several runtimes share, and through which they know of each
// other: who lives, and who serves which subscriber. A letter can then be redriven from
// any of them, whichever has its subscriber, and what one that has died had in hand is
// found by the others. The store of package postgres is a fleet and passes RunFleet of
// package deadlettertest.
//
// What holds for the methods of Ledger holds for these. Only the store's clock counts:
// those of the members may differ.
type Fleet interface {
	Ledger

	// Attend says that the member lives, for at least lease from now on, and returns
	// the IDs of all that live, in their order; it is one of them. Serves replaces what
	// is known of the member, unless it is nil. A member that does not attend in time
	// is gone, with what it served, until it attends again.
	Attend(ctx context.Context, m Member, lease time.Duration) ([]string, error)
	// Members returns those that live, by their IDs, without what they serve.
	Members(ctx context.Context) ([]Member, error)
	// Serving returns the IDs of the living members that serve it, in their order.
	Serving(ctx context.Context, what Served) ([]string, error)
	// Leave ends a membership now. One that is not there is left without an error.
	Leave(ctx context.Context, member string) error
}

// Member is one runtime of a fleet, from its start to its end.
type Member struct {
	ID string `json:"id"`
	// Runtime is the name of its configuration, Node that of its host, and Build the
	// version of its program.
	Runtime string `json:"runtime,omitempty"`
	Node    string `json:"node,omitempty"`
	Build   string `json:"build,omitempty"`
	// StartedAt is by the clock of the member, SeenAt by that of the store.
	StartedAt time.Time `json:"started_at,omitzero"`
	SeenAt    time.Time `json:"seen_at,omitzero"`
	// Serves says to whom the member can give events; see Fleet.Attend.
	Serves []Served `json:"-"`
}

// Served is a subscriber by its topic, or the pattern that it has subscribed to, and its
// name; without a name it is the topic.
type Served struct {
	Topic      string `json:"topic"`
	Subscriber string `json:"subscriber,omitempty"`
}
