package deadletter

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// changeStep is how many letters Change replaces under one lock.
const changeStep = 256

// Change implements [Ledger].
func (m *Memory) Change(ctx context.Context, ids []string, fn func(*Letter) error) ([]error, error) {
	results := make([]error, len(ids))
	fail := func(from int, err error) ([]error, error) {
		for i := from; i < len(ids); i++ {
			results[i] = err
		}
		return results, err
	}
	first := make(map[string]int, len(ids))
	if err := ctx.Err(); err != nil {
		return fail(0, err)
	}
	if err := acquire(ctx, m.updating); err != nil {
		return fail(0, err)
	}
	var evicted []*entry
	defer func() {
		<-m.updating
		m.report(evicted)
	}()
	m.expire()
	for from := 0; from < len(ids); from += changeStep {
		if err := ctx.Err(); err != nil {
			return fail(from, err)
		}
		step := ids[from:min(from+changeStep, len(ids))]
		var err error
		evicted, err = m.changeStep(step, from, results, first, fn, evicted)
		if err != nil {
			return fail(from, err)
		}
		for i, id := range step {
			results[from+i] = results[first[id]]
		}
	}
	return results, nil
}

// changeStep changes the letters of ids, which stand at from in the whole, and
// notes in first where each ID has come for the first time.
func (m *Memory) changeStep(ids []string, from int, results []error, first map[string]int, fn func(*Letter) error, evicted []*entry) ([]*entry, error) {
	type change struct {
		old, new *entry
		at       int
	}
	var changes []change
	m.mu.RLock()
	if m.closed {
		m.mu.RUnlock()
		return evicted, ErrClosed
	}
	for i, id := range ids {
		if _, again := first[id]; again {
			continue
		}
		first[id] = from + i
		if e := m.byID[id]; e != nil {
			changes = append(changes, change{old: e, at: from + i})
		} else {
			results[from+i] = fmt.Errorf("%w: letter %q", ErrNotFound, id)
		}
	}
	m.mu.RUnlock()
	for i := range changes {
		c := &changes[i]
		c.new, results[c.at] = m.changed(c.old, c.at, fn)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return evicted, ErrClosed
	}
	for _, c := range changes {
		if c.new != nil {
			evicted, results[c.at] = m.replace(c.old, c.new, evicted)
		}
	}
	m.groups.forget()
	return evicted, nil
}

// IDs implements [Ledger].
func (m *Memory) IDs(ctx context.Context, q Query) ([]string, error) {
	entries, err := m.selected(ctx, q)
	if err != nil {
		return nil, err
	}
	ids := make([]string, len(entries))
	for i, e := range entries {
		ids[i] = e.letter.ID
	}
	slices.Sort(ids)
	return ids, nil
}

// Timeline implements [Ledger].
func (m *Memory) Timeline(ctx context.Context, q Query, from, until time.Time, spans int) ([]Span, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t, err := NewTimeline(from, until, spans)
	if err != nil {
		return nil, err
	}
	entries, err := m.selected(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		t.Add(e.letter.LastFailedAt, e.letter.ResolvedAt())
	}
	return t.Spans(), nil
}

// selected returns all entries that q selects, whatever its After and Limit.
func (m *Memory) selected(ctx context.Context, q Query) ([]*entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	q.After, q.Limit = "", 0
	q = q.AsOf(time.Now())
	if err := q.Validate(); err != nil {
		return nil, err
	}
	m.expire()
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	f := newFilter(m.seed, q)
	var found []*entry
	for _, set := range m.sets(q) {
		for _, chunk := range set.chunks {
			for i := range chunk {
				if f.all || f.selects(&chunk[i]) {
					found = append(found, chunk[i].entry)
				}
			}
		}
	}
	return found, nil
}

// Account implements [Ledger].
func (m *Memory) Account(ctx context.Context) (Account, error) {
	if err := ctx.Err(); err != nil {
		return Account{}, err
	}
	m.expire()
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return Account{}, ErrClosed
	}
	count := func(s State) int64 { return int64(m.set(s).n) }
	a := Account{
		Added: int64(m.stats.Added), Open: count(StateOpen), Redriving: count(StateRedriving),
		Resolved: count(StateResolved), Archived: count(StateArchived),
		Deleted: count(StateDeleted) + int64(m.stats.Deleted),
		Expired: int64(m.stats.Expired), Dropped: int64(m.stats.Evicted),
		Bytes: m.stats.Bytes,
		Fill:  max(float64(m.stats.Stored)/float64(m.cfg.Capacity), float64(m.stats.Bytes)/float64(m.cfg.MaxBytes)),
	}
	for _, chunk := range m.set(StateOpen).chunks {
		for i := range chunk {
			if f := chunk[i].letter.FirstFailedAt; !f.IsZero() && (a.Oldest.IsZero() || f.Before(a.Oldest)) {
				a.Oldest = f
			}
		}
	}
	return a, nil
}
