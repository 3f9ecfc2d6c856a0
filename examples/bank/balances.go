package main

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/troupe-go/troupe/eventstore"
)

// Balances is the read model: who has how much, and how much there is in all. It is in
// memory, so each process makes its own of what has happened; its checkpoint is beside
// it, and both change together.
type Balances struct {
	mu sync.Mutex
	at map[string]eventstore.Position
	balances
}

// balances is also what a transaction works on.
type balances struct {
	Cents map[string]int64
	Total int64
}

func newBalances() *Balances {
	return &Balances{at: map[string]eventstore.Position{}, balances: balances{Cents: map[string]int64{}}}
}

// LoadCheckpoint and Transact make it an eventstore.Transactor.
func (b *Balances) LoadCheckpoint(_ context.Context, name string) (eventstore.Position, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.at[name], nil
}

func (b *Balances) Transact(ctx context.Context, name string, from, to eventstore.Position, apply func(context.Context, *balances) error) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if at := b.at[name]; at != from {
		return &eventstore.CheckpointError{Name: name, Expected: from, Actual: at}
	}
	tx := &balances{maps.Clone(b.Cents), b.Total}
	if apply != nil {
		if err := apply(ctx, tx); err != nil {
			return err
		}
	}
	b.balances, b.at[name] = *tx, to
	return nil
}

// projected is the handler of the projection.
func projected(schema *eventstore.Schema[Event]) func(context.Context, *balances, eventstore.Recorded) error {
	return func(_ context.Context, b *balances, rec eventstore.Recorded) error {
		ev, err := schema.Decode(rec.Event)
		if err != nil {
			return err
		}
		var change int64
		switch ev := ev.(type) {
		case Deposited:
			change = ev.Cents
		case Withdrawn:
			change = -ev.Cents
		}
		b.Cents[rec.Stream.ID] += change
		b.Total += change
		return nil
	}
}

// empty is what a rebuild begins with.
func empty(_ context.Context, b *balances) error {
	*b = balances{Cents: map[string]int64{}}
	return nil
}

// IDs returns the accounts, sorted.
func (b *Balances) IDs() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.Cents))
}

func (b *Balances) Of(id string) int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Cents[id]
}

func (b *Balances) Sum() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.Total
}
