package deadletter

import (
	"context"
	"fmt"
	"hash/maphash"
	"sync"
)

// Memory is a [Store] in the memory of the process, bounded by the number of
// letters and by their bytes. Its letters end with the process.
//
// When it is full, a new letter takes the place of the oldest resolved one; of
// the oldest open one if none is resolved; and only if there is no other, of
// one that is being redriven. Evictions are counted and reported to OnEvict.
// The oldest letter is the one with the lowest ID.
//
// Memory is safe for concurrent use. Methods wait for no more than the work of
// other calls; only Update can wait long, for the function of another Update,
// and it gives up when its ctx ends. Add, Get, Update, Delete and each
// eviction cost O(log n) or little more; so does List if the query names
// nothing but a state, otherwise it looks at every letter for the total (about
// 0.1 ms at 10,000 letters).
type Memory struct {
	cfg  MemoryConfig
	seed maphash.Seed // of the keys

	// updating is held by the one Update that runs. It is apart from mu so
	// that the caller's function stops nobody else, and a channel so that
	// waiting for it can end with a ctx.
	updating chan struct{}

	mu     sync.RWMutex
	closed bool
	byID   map[string]*entry
	// One ordered set per state, in the order in which they are evicted.
	resolved, open, redriving index
	stats                     MemoryStats
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store, or an error that names every fault of the
// config.
func NewMemory(cfg MemoryConfig) (*Memory, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	return &Memory{
		cfg:      cfg,
		seed:     maphash.MakeSeed(),
		updating: make(chan struct{}, 1),
		byID:     make(map[string]*entry),
	}, nil
}

// Add implements [Store]. A letter that is larger than MaxBytes by itself is
// refused with ErrTooLarge. If the batch is larger than the store, letters of
// the batch make room for those behind them.
func (m *Memory) Add(ctx context.Context, letters []Letter) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	entries := make([]*entry, len(letters))
	for i, l := range letters {
		e, err := m.entry(l)
		if err != nil {
			return &LetterError{Index: i, ID: l.ID, Err: err}
		}
		entries[i] = e
	}
	evicted, err := m.add(entries)
	m.report(evicted)
	return err
}

func (m *Memory) add(entries []*entry) (evicted []*entry, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	for _, e := range entries {
		if m.byID[e.letter.ID] != nil {
			continue
		}
		evicted = m.makeRoom(e.size, evicted)
		m.put(e)
		m.stats.Added++
	}
	return evicted, nil
}

// Get implements [Store].
func (m *Memory) Get(ctx context.Context, id string) (Letter, error) {
	e, err := m.get(ctx, id)
	if err != nil {
		return Letter{}, err
	}
	return e.letter.Clone(), nil
}

func (m *Memory) get(ctx context.Context, id string) (*entry, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, ErrClosed
	}
	e := m.byID[id]
	if e == nil {
		return nil, fmt.Errorf("%w: %q", ErrNotFound, id)
	}
	return e, nil
}

// List implements [Store].
func (m *Memory) List(ctx context.Context, q Query) (Page, error) {
	if err := ctx.Err(); err != nil {
		return Page{}, err
	}
	if err := q.Validate(); err != nil {
		return Page{}, err
	}
	// One more than asked for tells whether there is a next page.
	found, total, err := m.find(q, q.limit()+1)
	if err != nil {
		return Page{}, err
	}
	page := Page{Total: total}
	if len(found) > q.limit() {
		found = found[:q.limit()]
		page.Next = found[len(found)-1].letter.ID
	}
	page.Letters = make([]Letter, len(found))
	for i, e := range found {
		page.Letters[i] = e.letter.Clone()
	}
	return page, nil
}

// find returns the first limit entries behind q.After, and how many there are
// on all pages.
func (m *Memory) find(q Query, limit int) (found []*entry, total int, err error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if m.closed {
		return nil, 0, ErrClosed
	}
	f := newFilter(m.seed, q)
	sets := m.sets(q.State)
	readers := make([]indexReader, len(sets))
	for i, set := range sets {
		readers[i] = set.before(q.After)
		total += set.count(f)
	}
	for len(found) < min(limit, total) {
		newest := -1
		for i := range readers {
			e := readers[i].entry
			if e != nil && (newest < 0 || e.letter.ID > readers[newest].entry.letter.ID) {
				newest = i
			}
		}
		if newest < 0 {
			break
		}
		if s := &readers[newest].slot; f.selects(s) {
			found = append(found, s.entry)
		}
		readers[newest].next()
	}
	return found, total, nil
}

// Update implements [Store]. fn runs without a lock that other methods need,
// but a nested Update waits until its ctx ends.
func (m *Memory) Update(ctx context.Context, id string, fn func(*Letter) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case m.updating <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	evicted, err := m.update(ctx, id, fn)
	m.report(evicted)
	return err
}

func (m *Memory) update(ctx context.Context, id string, fn func(*Letter) error) (evicted []*entry, err error) {
	defer func() { <-m.updating }()
	old, err := m.get(ctx, id)
	if err != nil {
		return nil, err
	}
	l := old.letter.Clone()
	if err := fn(&l); err != nil {
		return nil, fmt.Errorf("deadletter: update of %q: %w", id, err)
	}
	changed, err := m.entry(l)
	if err == nil && l.ID != id {
		err = fmt.Errorf("%w: ID %q: must not change", ErrInvalidLetter, l.ID)
	}
	if err != nil {
		return nil, &LetterError{ID: id, Err: err}
	}

	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, ErrClosed
	}
	// Only an Update replaces entries, and this is the only one: another
	// entry here means the letter went away, and perhaps came back.
	if m.byID[id] != old {
		return nil, fmt.Errorf("%w: %q", ErrNotFound, id)
	}
	m.take(old)
	evicted = m.makeRoom(changed.size, nil)
	m.put(changed)
	return evicted, nil
}

// Delete implements [Store].
func (m *Memory) Delete(ctx context.Context, ids ...string) (int, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0, ErrClosed
	}
	n := 0
	for _, id := range ids {
		if e := m.byID[id]; e != nil {
			m.take(e)
			m.stats.Deleted++
			n++
		}
	}
	return n, nil
}

// Stats returns the counters as they are at one moment.
func (m *Memory) Stats() MemoryStats {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.stats
}

// Close makes every later call but Stats return ErrClosed. It always returns
// nil, and may be called again.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// entry copies a letter in, or says why the store cannot take it.
func (m *Memory) entry(l Letter) (*entry, error) {
	if err := l.Validate(); err != nil {
		return nil, err
	}
	e := &entry{letter: l.Normalize(), keys: keysOf(m.seed, l.Topic, l.Subscriber, l.Reason, l.Fingerprint)}
	e.size = e.letter.Size()
	if e.size > m.cfg.MaxBytes {
		return nil, fmt.Errorf("%w: %d bytes in a store of %d", ErrTooLarge, e.size, m.cfg.MaxBytes)
	}
	return e, nil
}

// makeRoom evicts until one more letter of that size fits, and appends what it
// evicted. The caller holds mu, and has made sure that size fits at all.
func (m *Memory) makeRoom(size int64, evicted []*entry) []*entry {
	for m.stats.Stored >= uint64(m.cfg.Capacity) || m.stats.Bytes > m.cfg.MaxBytes-size {
		var e *entry
		for _, set := range m.sets("") {
			if e = set.first(); e != nil {
				break
			}
		}
		m.take(e)
		m.stats.Evicted++
		if m.cfg.OnEvict != nil {
			evicted = append(evicted, e)
		}
	}
	return evicted
}

func (m *Memory) report(evicted []*entry) {
	for _, e := range evicted {
		// A copy: a List that began earlier may still be reading the entry.
		m.cfg.OnEvict(e.letter.Clone())
	}
}

func (m *Memory) put(e *entry) {
	m.byID[e.letter.ID] = e
	m.sets(e.letter.State)[0].insert(e)
	m.stats.Stored++
	m.stats.Bytes += e.size
}

func (m *Memory) take(e *entry) {
	delete(m.byID, e.letter.ID)
	m.sets(e.letter.State)[0].remove(e)
	m.stats.Stored--
	m.stats.Bytes -= e.size
}

// sets returns the set of that state, or all in the order of eviction.
func (m *Memory) sets(s State) []*index {
	switch s {
	case StateResolved:
		return []*index{&m.resolved}
	case StateOpen:
		return []*index{&m.open}
	case StateRedriving:
		return []*index{&m.redriving}
	}
	return []*index{&m.resolved, &m.open, &m.redriving}
}
