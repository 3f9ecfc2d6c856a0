package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/troupe-go/troupe/topics"
)

// payWithin is how long a customer has; days, in other shops.
const payWithin = 500 * time.Millisecond

// deadlines publishes OrderOverdue for orders that are not paid in time.
type deadlines struct {
	overdue *topics.Topic[OrderOverdue]
	mails   *topics.Topic[Mail]

	mu      sync.Mutex
	pending map[string]topics.Scheduled // by order
}

// begin is called before the order is published, so that its payment finds what it
// has to cancel.
func (d *deadlines) begin(ctx context.Context, order OrderPlaced) error {
	due, err := d.overdue.PublishAfter(ctx, payWithin, OrderOverdue{order.ID, order.Customer})
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending[order.ID] = due
	return nil
}

// end forgets the deadline of an order. One that has passed, or was ended before, is
// no failure.
func (d *deadlines) end(order string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.pending[order].Cancel()
	delete(d.pending, order)
}

func (d *deadlines) handlePaid(_ context.Context, paid OrderPaid) error {
	d.end(paid.Order.ID)
	return nil
}

func (d *deadlines) handleOverdue(ctx context.Context, o OrderOverdue) error {
	return d.mails.Publish(ctx, Mail{o.Customer, fmt.Sprintf("please pay for %s", o.ID)})
}
