package telemetry_test

import (
	"context"
	"sync/atomic"

	"github.com/troupe-go/troupe/deadletter"
)

// brokenStore takes no letters until it is mended.
type brokenStore struct {
	deadletter.Store
	works atomic.Bool
}

func (s *brokenStore) mend() {
	s.works.Store(true)
}

func (s *brokenStore) Add(ctx context.Context, letters []deadletter.Letter) error {
	if !s.works.Load() {
		return errStore
	}
	return s.Store.Add(ctx, letters)
}

func newBrokenStore() *brokenStore {
	memory, err := deadletter.NewMemory(deadletter.MemoryConfig{})
	if err != nil {
		panic(err)
	}
	return &brokenStore{Store: memory}
}
