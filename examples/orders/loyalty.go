package main

import (
	"context"
	"sync"

	"github.com/troupe-go/troupe/topics"
)

// loyalty gives a voucher for each large order. What its filter does not want never
// reaches it, and is counted.
type loyalty struct {
	mu       sync.Mutex
	vouchers map[string]string // the customer, by order
}

func (*loyalty) config() topics.SubscriberConfig {
	return topics.SubscriberConfig{Filter: topics.Where(func(p OrderPaid) bool { return p.Cents >= 100_00 })}
}

func (l *loyalty) handle(_ context.Context, p OrderPaid) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.vouchers[p.Order.ID] = p.Order.Customer
	return nil
}

func (l *loyalty) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.vouchers)
}
