package deadlettertest

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// Fleet is a [deadletter.Fleet] of the runtimes of one process, with its letters in
// memory, for tests of what several runtimes do with one store. Make it with
// [NewFleet]. It is safe for concurrent use.
type Fleet struct {
	*deadletter.Memory

	mu      sync.Mutex
	members map[string]*attendance
	away    map[string]bool
}

type attendance struct {
	deadletter.Member
	until time.Time
}

// NewFleet returns a fleet without members, with the letters of m.
func NewFleet(m *deadletter.Memory) *Fleet {
	return &Fleet{Memory: m, members: map[string]*attendance{}, away: map[string]bool{}}
}

// Cut says whether the member cannot attend: Attend and Leave return an error for it, as
// for one that has lost its connection.
func (f *Fleet) Cut(member string, cut bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.away[member] = cut
}

// Attend implements [deadletter.Fleet].
func (f *Fleet) Attend(ctx context.Context, m deadletter.Member, lease time.Duration) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m.ID == "" || lease <= 0 {
		return nil, fmt.Errorf("deadlettertest: attend: member %q for %v: must have an ID, and a lease above 0", m.ID, lease)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away[m.ID] {
		return nil, fmt.Errorf("deadlettertest: member %s is cut off", m.ID)
	}
	now := time.Now()
	m.Serves = slices.Clone(m.Serves)
	if was := f.members[m.ID]; m.Serves == nil && was != nil {
		m.Serves = was.Serves
	}
	m.StartedAt, m.SeenAt = m.StartedAt.Round(0).UTC(), now.UTC()
	f.members[m.ID] = &attendance{m, now.Add(lease)}
	return f.living(now, func(*attendance) bool { return true }), nil
}

// living returns those that live, by ID. The caller holds mu.
func (f *Fleet) living(now time.Time, wanted func(*attendance) bool) (ids []string) {
	for id, a := range f.members {
		if a.until.After(now) && wanted(a) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// Members implements [deadletter.Fleet].
func (f *Fleet) Members(ctx context.Context) (all []deadletter.Member, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, id := range f.living(time.Now(), func(*attendance) bool { return true }) {
		m := f.members[id].Member
		m.Serves = nil
		all = append(all, m)
	}
	return all, nil
}

// Serving implements [deadletter.Fleet].
func (f *Fleet) Serving(ctx context.Context, what deadletter.Served) ([]string, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.living(time.Now(), func(a *attendance) bool { return slices.Contains(a.Serves, what) }), nil
}

// Leave implements [deadletter.Fleet].
func (f *Fleet) Leave(ctx context.Context, member string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away[member] {
		return fmt.Errorf("deadlettertest: member %s is cut off", member)
	}
	delete(f.members, member)
	return nil
}
