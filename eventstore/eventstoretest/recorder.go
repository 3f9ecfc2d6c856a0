package eventstoretest

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/troupe-go/troupe/eventstore"
)

// recorder collects the failures of one case, and what it has opened. It stands where a
// *testing.T would, so that a test of the suite can watch it reject broken stores, and so
// that a case that hangs can be left behind. It is safe for concurrent use.
type recorder struct {
	opener Open

	mu     sync.Mutex
	failed []string
	opened []eventstore.Store
}

func (r *recorder) errorf(format string, args ...any) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failed = append(r.failed, fmt.Sprintf(format, args...))
}

// fatalf ends the goroutine that calls it.
func (r *recorder) fatalf(format string, args ...any) {
	r.errorf(format, args...)
	runtime.Goexit()
}

func (r *recorder) failures() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.failed)
}

// guard turns a panic of the store into a failure.
func (r *recorder) guard(fn func()) {
	defer func() {
		if v := recover(); v != nil {
			r.errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	fn()
}

// together calls fn n times at once and waits for all.
func (r *recorder) together(n int, fn func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			r.guard(func() { fn(i) })
		})
	}
	close(start)
	wg.Wait()
}

// closeAll closes what was opened.
func (r *recorder) closeAll() {
	r.mu.Lock()
	opened := r.opened
	r.opened = nil
	r.mu.Unlock()
	for _, s := range opened {
		if err := s.Close(context.Background()); err != nil {
			r.errorf("Close: %v", err)
		}
	}
}

// The rest are calls of the store that have to succeed.

func (r *recorder) open() eventstore.Store {
	s, err := r.opener(context.Background())
	if err != nil {
		r.fatalf("Open: %v", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.opened = append(r.opened, s)
	return s
}

func (r *recorder) append(s eventstore.Store, stream eventstore.Stream, expected eventstore.Version, events ...eventstore.Event) eventstore.Appended {
	done, err := s.Append(context.Background(), stream, expected, events...)
	if err != nil {
		r.fatalf("Append of %d events to %s, expecting %d: %v", len(events), stream, expected, err)
	}
	return done
}

func (r *recorder) read(s eventstore.Store, stream eventstore.Stream, after eventstore.Version) []eventstore.Recorded {
	var all []eventstore.Recorded
	for ev, err := range s.Read(context.Background(), stream, after) {
		if err != nil {
			r.fatalf("Read of %s after %d: %v", stream, after, err)
		}
		all = append(all, ev)
	}
	return all
}

func (r *recorder) follow(s eventstore.Store, after eventstore.Position, categories ...string) eventstore.Follower {
	f, err := s.Follow(context.Background(), after, categories...)
	if err != nil {
		r.fatalf("Follow of %q after %q: %v", categories, after, err)
	}
	return f
}

// next returns the next n events.
func (r *recorder) next(f eventstore.Follower, n int) []eventstore.Recorded {
	var all []eventstore.Recorded
	for len(all) < n {
		some, err := f.Next(context.Background(), n-len(all))
		if err != nil {
			r.fatalf("Next, with %d of %d events: %v", len(all), n, err)
		}
		if len(some) == 0 || len(some) > n-len(all) {
			r.fatalf("Next(%d) gives %d events", n-len(all), len(some))
		}
		all = append(all, some...)
	}
	return all
}

func (r *recorder) lag(f eventstore.Follower) uint64 {
	n, err := f.Lag(context.Background())
	if err != nil {
		r.fatalf("Lag: %v", err)
	}
	return n
}

func (r *recorder) saveSnapshot(s eventstore.Store, snap eventstore.Snapshot) {
	if err := s.SaveSnapshot(context.Background(), snap); err != nil {
		r.fatalf("SaveSnapshot of %s at %d: %v", snap.Stream, snap.Version, err)
	}
}

func (r *recorder) loadSnapshot(s eventstore.Store, stream eventstore.Stream, schema int) (eventstore.Snapshot, bool) {
	snap, ok, err := s.LoadSnapshot(context.Background(), stream, schema)
	if err != nil {
		r.fatalf("LoadSnapshot of %s: %v", stream, err)
	}
	return snap, ok
}

func (r *recorder) checkpoint(s eventstore.Store, name string) eventstore.Position {
	p, err := s.LoadCheckpoint(context.Background(), name)
	if err != nil {
		r.fatalf("LoadCheckpoint of %q: %v", name, err)
	}
	return p
}

func (r *recorder) saveCheckpoint(s eventstore.Store, name string, from, to eventstore.Position) {
	if err := s.SaveCheckpoint(context.Background(), name, from, to); err != nil {
		r.fatalf("SaveCheckpoint of %q from %q to %q: %v", name, from, to, err)
	}
}
