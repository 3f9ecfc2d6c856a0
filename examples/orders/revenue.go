package main

import (
	"context"
	"sync"
	"time"

	"github.com/troupe-go/troupe/topics"
)

// revenue is a read model: what questions about sales are answered from. It keeps
// orders and not sums, so that an event that comes twice counts once.
type revenue struct {
	mu   sync.Mutex
	paid map[string]OrderPaid // by order
}

// config: one write for up to 16 orders, at the latest 20 ms after the first.
func (*revenue) config() topics.SubscriberConfig {
	return topics.SubscriberConfig{Batch: topics.BatchConfig{Size: 16, Period: 20 * time.Millisecond}}
}

// handle stands for one statement of a database with a row for each event.
func (r *revenue) handle(_ context.Context, batch []OrderPaid) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, p := range batch {
		r.paid[p.Order.ID] = p
	}
	return nil
}

// byItem returns the cents that each item has brought in.
func (r *revenue) byItem() map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	sums := map[string]int{}
	for _, p := range r.paid {
		sums[p.Order.Item] += p.Cents
	}
	return sums
}
