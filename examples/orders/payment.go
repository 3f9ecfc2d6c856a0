package main

import (
	"context"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/supervisor"
	"github.com/troupe-go/troupe/topics"
)

// payment takes the money for an order.
type payment struct {
	gateway *gateway
	prices  *topics.Topic[PriceAsked]
	paid    *topics.Topic[OrderPaid]
	mails   *topics.Topic[Mail]
}

// config: four orders at a time, those of one customer one after the other, also
// while one of them waits for its next attempt.
func (*payment) config() topics.SubscriberConfig {
	return topics.SubscriberConfig{
		Workers: 4,
		Key:     topics.KeyOf(func(o OrderPlaced) string { return o.Customer }),
		Retry:   supervisor.Retry{MaxAttempts: 3, BaseDelay: 5 * time.Millisecond},
		Timeout: 5 * time.Second,
	}
}

func (p *payment) handle(ctx context.Context, order OrderPlaced, tx *topics.Tx) error {
	price, err := topics.Request[Price](ctx, p.prices, PriceAsked{order.Item})
	if err != nil {
		return err
	}
	if !price.Known {
		// No attempt will change that; a person may.
		return supervisor.PermanentAs("unknown_item", fmt.Errorf("no price for %q", order.Item))
	}
	cents := price.Cents * order.Quantity
	if err := p.gateway.charge(order, cents); err != nil {
		return err
	}
	// Both or none, once this attempt has succeeded.
	if err := p.paid.Stage(tx, OrderPaid{order, cents}); err != nil {
		return err
	}
	return p.mails.Stage(tx, Mail{order.Customer, "receipt for " + order.ID})
}
