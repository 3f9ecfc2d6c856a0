package eventstore

import (
	"context"
	"fmt"
	"slices"

	"github.com/troupe-go/troupe/engine"
)

// memoryFollower looks at the events of a [Memory] one after the other. Its fields are
// guarded by the store's mutex.
type memoryFollower struct {
	m          *Memory
	categories []string // empty is all
	next       int      // index of the event to look at
	passed     uint64   // how many of the categories lie before it
	closed     bool
}

// Follow is that of [Log].
func (m *Memory) Follow(ctx context.Context, after Position, categories ...string) (Follower, error) {
	for _, c := range categories {
		if err := CheckCategory(c); err != nil {
			return nil, err
		}
	}
	from, err := after.index()
	if err != nil {
		return nil, fmt.Errorf("eventstore: memory: follow: %w: %w", err, engine.ErrMismatch)
	}
	if err := m.enter(ctx); err != nil {
		return nil, err
	}
	defer m.mu.Unlock()
	if from > len(m.all) {
		return nil, fmt.Errorf("eventstore: memory: follow after %s: the last event is at %s: the checkpoint is of another store: %w", after, position(len(m.all)), engine.ErrMismatch)
	}
	f := &memoryFollower{m: m, categories: slices.Compact(slices.Sorted(slices.Values(categories))), next: from}
	for i := range from {
		if f.wants(&m.all[i]) {
			f.passed++
		}
	}
	return f, nil
}

func (f *memoryFollower) wants(r *Recorded) bool {
	return len(f.categories) == 0 || slices.Contains(f.categories, r.Stream.Category)
}

func (f *memoryFollower) Next(ctx context.Context, most int) ([]Recorded, error) {
	for {
		if err := f.m.enter(ctx); err != nil {
			return nil, err
		}
		if f.closed {
			f.m.mu.Unlock()
			return nil, fmt.Errorf("eventstore: follower: %w", engine.ErrClosed)
		}
		var found []Recorded
		for ; f.next < len(f.m.all) && len(found) < max(most, 1); f.next++ {
			if r := &f.m.all[f.next]; f.wants(r) {
				found = append(found, r.clone())
			}
		}
		f.passed += uint64(len(found))
		changed := f.m.changed
		f.m.mu.Unlock()
		if len(found) > 0 {
			return found, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
		}
	}
}

func (f *memoryFollower) Lag(ctx context.Context) (uint64, error) {
	if err := f.m.enter(ctx); err != nil {
		return 0, err
	}
	defer f.m.mu.Unlock()
	var all uint64
	if len(f.categories) == 0 {
		all = uint64(len(f.m.all))
	}
	for _, c := range f.categories {
		all += f.m.categories[c]
	}
	return all - f.passed, nil
}

func (f *memoryFollower) Close() error {
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	if !f.closed {
		f.closed = true
		if !f.m.closed {
			f.m.wake()
		}
	}
	return nil
}
