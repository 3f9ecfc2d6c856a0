package main

import (
	"context"
	"sync"

	"github.com/troupe-go/troupe/topics"
)

// audit sees every event of every topic below "orders", whatever its type.
type audit struct {
	mu   sync.Mutex
	seen map[string]int // by topic
}

func (a *audit) handle(_ context.Context, ev topics.Any) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.seen[ev.Topic]++
	return nil
}
