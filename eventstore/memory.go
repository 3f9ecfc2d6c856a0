package eventstore

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strconv"
	"sync"

	"github.com/troupe-go/troupe/engine"
)

// Memory is a [Store] in the memory of the process, for tests: it ends with it. It keeps
// everything, without bound.
type Memory struct {
	mu          sync.Mutex
	closed      bool
	all         []Recorded // the event at i has position i+1
	streams     map[Stream][]int
	categories  map[string]uint64 // how many events each has
	snapshots   map[snapshotKey]Snapshot
	checkpoints map[string]Position
	// changed is closed when an event is appended, or the store or a follower closed,
	// and replaced.
	changed chan struct{}
}

type snapshotKey struct {
	stream Stream
	schema int
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory {
	return &Memory{
		streams:     map[Stream][]int{},
		categories:  map[string]uint64{},
		snapshots:   map[snapshotKey]Snapshot{},
		checkpoints: map[string]Position{},
		changed:     make(chan struct{}),
	}
}

// enter locks the store, unless it is closed or ctx has ended.
func (m *Memory) enter(ctx context.Context) error {
	if ctx.Err() != nil {
		return fmt.Errorf("eventstore: memory: %w", context.Cause(ctx))
	}
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return fmt.Errorf("eventstore: memory: %w", engine.ErrClosed)
	}
	return nil
}

// wake tells all who wait to look again. m.mu is held.
func (m *Memory) wake() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// Append is that of [Log].
func (m *Memory) Append(ctx context.Context, stream Stream, expected Version, events ...Event) (Appended, error) {
	ready, err := Prepare(stream, expected, events)
	if err != nil {
		return Appended{}, err
	}
	if err := m.enter(ctx); err != nil {
		return Appended{}, err
	}
	defer m.mu.Unlock()
	have := m.streams[stream]
	if actual := Version(len(have)); expected != Any && expected != actual {
		if done, ok := m.appended(have, expected, ready); ok {
			return done, nil
		}
		return Appended{}, &ConflictError{Stream: stream, Expected: expected, Actual: actual}
	}
	for _, ev := range ready {
		have = append(have, len(m.all))
		m.all = append(m.all, Recorded{
			Event: ev.clone(), Stream: stream,
			Version: Version(len(have)), Position: position(len(m.all) + 1),
		})
	}
	m.streams[stream] = have
	m.categories[stream.Category] += uint64(len(ready))
	m.wake()
	return m.at(have, Version(len(have))), nil
}

// appended reports whether these events follow expected already.
func (m *Memory) appended(have []int, expected Version, events []Event) (Appended, bool) {
	last := expected + Version(len(events))
	if last > Version(len(have)) {
		return Appended{}, false
	}
	for i, ev := range events {
		if m.all[have[int(expected)+i]].ID != ev.ID {
			return Appended{}, false
		}
	}
	return m.at(have, last), true
}

func (m *Memory) at(have []int, v Version) Appended {
	return Appended{Version: v, Position: position(have[v-1] + 1)}
}

// Read is that of [Log].
func (m *Memory) Read(ctx context.Context, stream Stream, after Version) iter.Seq2[Recorded, error] {
	return func(yield func(Recorded, error) bool) {
		if err := stream.Validate(); err != nil {
			yield(Recorded{}, err)
			return
		}
		if err := m.enter(ctx); err != nil {
			yield(Recorded{}, err)
			return
		}
		have, all := m.streams[stream], m.all
		m.mu.Unlock()
		// What is in the two slices never changes.
		for _, i := range have[min(max(after, 0), Version(len(have))):] {
			if ctx.Err() != nil {
				yield(Recorded{}, fmt.Errorf("eventstore: memory: %w", context.Cause(ctx)))
				return
			}
			if !yield(all[i].clone(), nil) {
				return
			}
		}
	}
}

// LoadSnapshot is that of [Snapshots].
func (m *Memory) LoadSnapshot(ctx context.Context, stream Stream, schema int) (Snapshot, bool, error) {
	if err := stream.Validate(); err != nil {
		return Snapshot{}, false, err
	}
	if err := m.enter(ctx); err != nil {
		return Snapshot{}, false, err
	}
	defer m.mu.Unlock()
	s, ok := m.snapshots[snapshotKey{stream, schema}]
	s.Data = slices.Clone(s.Data)
	return s, ok, nil
}

// SaveSnapshot is that of [Snapshots].
func (m *Memory) SaveSnapshot(ctx context.Context, s Snapshot) error {
	s, err := s.Prepare()
	if err != nil {
		return err
	}
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	key := snapshotKey{s.Stream, s.Schema}
	if m.snapshots[key].Version < s.Version {
		s.Data = slices.Clone(s.Data)
		m.snapshots[key] = s
	}
	return nil
}

// LoadCheckpoint is that of [Checkpoints].
func (m *Memory) LoadCheckpoint(ctx context.Context, name string) (Position, error) {
	if err := CheckName(name); err != nil {
		return Start, err
	}
	if err := m.enter(ctx); err != nil {
		return Start, err
	}
	defer m.mu.Unlock()
	return m.checkpoints[name], nil
}

// SaveCheckpoint is that of [Checkpoints].
func (m *Memory) SaveCheckpoint(ctx context.Context, name string, from, to Position) error {
	if err := CheckName(name); err != nil {
		return err
	}
	if err := m.enter(ctx); err != nil {
		return err
	}
	defer m.mu.Unlock()
	if at := m.checkpoints[name]; at != from && at != to {
		return &CheckpointError{Name: name, Expected: from, Actual: at}
	}
	m.checkpoints[name] = to
	return nil
}

// Ready is that of [Store].
func (m *Memory) Ready(ctx context.Context) error {
	if err := m.enter(ctx); err != nil {
		return err
	}
	m.mu.Unlock()
	return nil
}

// Close is that of [Store].
func (m *Memory) Close(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		m.wake()
	}
	return nil
}

// position is that of the nth event.
func position(n int) Position { return Position(fmt.Sprintf("%016x", n)) }

// index returns how many events lie before a position and at it.
func (p Position) index() (int, error) {
	if p == Start {
		return 0, nil
	}
	n, err := strconv.ParseInt(string(p), 16, 0)
	if err != nil || len(p) != 16 || n < 1 {
		return 0, fmt.Errorf("position %.40q: must be one of this store", string(p))
	}
	return int(n), nil
}

func (ev Event) clone() Event {
	ev.Data, ev.Metadata = slices.Clone(ev.Data), maps.Clone(ev.Metadata)
	return ev
}

func (r Recorded) clone() Recorded {
	r.Event = r.Event.clone()
	return r
}
