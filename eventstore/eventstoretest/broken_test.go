package eventstoretest_test

import (
	"context"
	"errors"
	"iter"
	"runtime"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
)

// broken is a memory store with a bug of one's choice.
type broken struct {
	*eventstore.Memory
	bug string
}

func (s *broken) Append(ctx context.Context, stream eventstore.Stream, expected eventstore.Version, events ...eventstore.Event) (done eventstore.Appended, err error) {
	switch s.bug {
	case "Append ignores the version":
		expected = eventstore.Any
	case "Append one by one":
		for i := range events {
			if i > 0 {
				time.Sleep(100 * time.Microsecond) // so that somebody is likely to look in between
			}
			if done, err = s.Memory.Append(ctx, stream, expected, events[i]); err != nil {
				return done, err
			}
			if expected != eventstore.Any {
				expected++
			}
		}
		if len(events) > 0 {
			return done, nil
		}
	case "Append checks, then appends":
		var at eventstore.Version
		for ev, err := range s.Memory.Read(ctx, stream, 0) {
			if err != nil {
				return done, err
			}
			at = ev.Version
		}
		for range 20 {
			runtime.Gosched() // invites the others in
		}
		if expected >= 0 && expected == at {
			expected = eventstore.Any
		}
	case "Append makes new IDs":
		events = append([]eventstore.Event(nil), events...)
		for i := range events {
			events[i].ID = ""
		}
	case "categories are without case":
		if stream.Category == "Account" {
			stream.Category = "account"
		}
	case "keeps the first byte of a large event":
		events = append([]eventstore.Event(nil), events...)
		for i := range events {
			if len(events[i].Data) > 64<<10 {
				events[i].Data = events[i].Data[:1]
			}
		}
	case "forgets metadata":
		events = append([]eventstore.Event(nil), events...)
		for i := range events {
			events[i].Metadata = nil
		}
	}
	done, err = s.Memory.Append(ctx, stream, expected, events...)
	if conflict, ok := errors.AsType[*eventstore.ConflictError](err); ok && s.bug == "a conflict does not say the version" {
		conflict.Actual = 0
	}
	if s.bug == "Append returns no position" {
		done.Position = eventstore.Start
	}
	return done, err
}

func (s *broken) Read(ctx context.Context, stream eventstore.Stream, after eventstore.Version) iter.Seq2[eventstore.Recorded, error] {
	return func(yield func(eventstore.Recorded, error) bool) {
		n := 0
		for ev, err := range s.Memory.Read(ctx, stream, after) {
			if n++; n > 1000 && s.bug == "Read gives one page" {
				return
			}
			if !yield(ev, err) {
				return
			}
		}
	}
}

func (s *broken) Follow(ctx context.Context, after eventstore.Position, categories ...string) (eventstore.Follower, error) {
	f, err := s.Memory.Follow(ctx, after, categories...)
	if err != nil {
		if s.bug == "Follow takes any position" && errors.Is(err, engine.ErrMismatch) {
			return s.Memory.Follow(ctx, eventstore.Start, categories...)
		}
		return nil, err
	}
	return &brokenFollower{Follower: f, s: s}, nil
}

type brokenFollower struct {
	eventstore.Follower
	s    *broken
	n    int
	last eventstore.Recorded
}

func (f *brokenFollower) Next(ctx context.Context, max int) ([]eventstore.Recorded, error) {
	if f.s.bug == "Next gives all there is" {
		max = 1 << 20
	}
	some, err := f.Follower.Next(ctx, max)
	if f.n++; f.n%3 == 2 && err == nil {
		switch f.s.bug {
		case "leaves out an event":
			some = some[1:]
		case "gives an event twice":
			some = append([]eventstore.Recorded{f.last}, some[1:]...)
		case "takes what it does not give":
			if _, limited := ctx.Deadline(); limited {
				<-ctx.Done()
				return nil, context.Cause(ctx)
			}
		}
	}
	if len(some) > 0 {
		f.last = some[len(some)-1]
	}
	return some, err
}

func (f *brokenFollower) Close() error {
	if f.s.bug == "Close of a follower does nothing" {
		return nil
	}
	return f.Follower.Close()
}

func (f *brokenFollower) Lag(ctx context.Context) (uint64, error) {
	n, err := f.Follower.Lag(ctx)
	if f.s.bug == "Lag is one too many" {
		n++
	}
	return n, err
}

func (s *broken) LoadSnapshot(ctx context.Context, stream eventstore.Stream, schema int) (eventstore.Snapshot, bool, error) {
	snap, ok, err := s.Memory.LoadSnapshot(ctx, stream, schema)
	if !ok && err == nil && s.bug == "gives snapshots of newer schemas" {
		return s.Memory.LoadSnapshot(ctx, stream, schema+1)
	}
	return snap, ok, err
}

func (s *broken) SaveSnapshot(ctx context.Context, snap eventstore.Snapshot) error {
	if s.bug == "an older snapshot takes the place of a newer" {
		if old, ok, _ := s.Memory.LoadSnapshot(ctx, snap.Stream, snap.Schema); ok && snap.Version < old.Version {
			snap.Version = old.Version + 1
		}
	}
	return s.Memory.SaveSnapshot(ctx, snap)
}

func (s *broken) SaveCheckpoint(ctx context.Context, name string, from, to eventstore.Position) error {
	if s.bug == "SaveCheckpoint overwrites" {
		if at, err := s.Memory.LoadCheckpoint(ctx, name); err == nil {
			from = at
		}
	}
	return s.Memory.SaveCheckpoint(ctx, name, from, to)
}

func (s *broken) Ready(ctx context.Context) error {
	if s.bug == "Ready is always ready" {
		return nil
	}
	return s.Memory.Ready(ctx)
}
