package main

import (
	"context"
	"time"

	"github.com/troupe-go/troupe/middleware"
	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// shipment hands parcels to the carrier, in the order of payment.
type shipment struct {
	shipped *topics.Topic[OrderShipped]
}

// config: the carrier's library panics at every ninth call. The instance is
// replaced, and the order attempted again.
func (*shipment) config() topics.SubscriberConfig {
	return topics.SubscriberConfig{
		Retry: supervisor.Retry{BaseDelay: time.Millisecond},
		// There is no state to lose, and attempts are limited by Retry.
		Restart: supervisor.Restart{MaxRestarts: supervisor.Unlimited},
		Middleware: []topics.Middleware{
			middleware.Deduplicate(middleware.DeduplicateConfig{
				Key: func(_ context.Context, ev any) string { return ev.(OrderPaid).Order.ID },
			}),
			middleware.InjectFaults(middleware.FaultConfig{Every: 9, Panic: "carrier: index out of range"}),
		},
	}
}

func (s *shipment) handle(ctx context.Context, paid OrderPaid) error {
	return s.shipped.Publish(ctx, OrderShipped{paid.Order.ID, paid.Order.Customer})
}
