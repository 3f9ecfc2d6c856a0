package main

import (
	"context"
	"maps"
	"sync"
)

// collector keeps what its subscriber to files.parsed takes of each file. It
// belongs to the program and not to an instance of the subscriber, so a restart
// loses nothing of it. And it is keyed by file, so an event that is delivered
// twice, because the handler failed when the work was done, counts once.
type collector[V any] struct {
	take func(Parsed) V

	mu     sync.Mutex
	byFile map[string]V
}

func collect[V any](take func(Parsed) V) *collector[V] {
	return &collector[V]{take: take, byFile: map[string]V{}}
}

// handle is the handler of the subscriber.
func (c *collector[V]) handle(_ context.Context, p Parsed) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.byFile[p.Path] = c.take(p)
	return nil
}

func (c *collector[V]) all() map[string]V {
	c.mu.Lock()
	defer c.mu.Unlock()
	return maps.Clone(c.byFile)
}
