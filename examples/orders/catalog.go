package main

import (
	"context"
	"sync"
)

// catalog answers what an item costs.
type catalog struct {
	mu    sync.Mutex
	cents map[string]int
}

func newCatalog() *catalog {
	return &catalog{cents: map[string]int{"tea": 450, "kettle": 3900, "teapot": 5250}}
}

func (c *catalog) add(item string, cents int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cents[item] = cents
}

// respond answers a request. An item that is not there is an answer and no failure:
// asking again changes nothing, and the request must not become a dead letter.
func (c *catalog) respond(_ context.Context, ask PriceAsked) (Price, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	cents, known := c.cents[ask.Item]
	return Price{cents, known}, nil
}
