package deadlettertest

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/troupe-go/troupe/deadletter"
)

// recorder collects the failures of one case. It stands where a *testing.T
// would, so that a test of the suite can watch it reject broken stores, and
// so that a case that hangs can be left behind. It is safe for concurrent use.
type recorder struct {
	mu     sync.Mutex
	failed []string
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

// The rest are calls of the store that have to succeed.

func (r *recorder) add(s deadletter.Store, letters ...deadletter.Letter) {
	if err := s.Add(context.Background(), letters); err != nil {
		r.fatalf("Add of %d letters: %v", len(letters), err)
	}
}

func (r *recorder) get(s deadletter.Store, id string) deadletter.Letter {
	l, err := s.Get(context.Background(), id)
	if err != nil {
		r.fatalf("Get(%q): %v", id, err)
	}
	return l
}

func (r *recorder) list(s deadletter.Store, q deadletter.Query) deadletter.Page {
	p, err := s.List(context.Background(), q)
	if err != nil {
		r.fatalf("List(%+v): %v", q, err)
	}
	return p
}

func (r *recorder) update(s deadletter.Store, id string, fn func(*deadletter.Letter) error) {
	if err := s.Update(context.Background(), id, fn); err != nil {
		r.fatalf("Update(%q): %v", id, err)
	}
}

func (r *recorder) delete(s deadletter.Store, ids ...string) int {
	n, err := s.Delete(context.Background(), ids...)
	if err != nil {
		r.fatalf("Delete of %d letters: %v", len(ids), err)
	}
	return n
}

// all reads page after page and returns the IDs.
func (r *recorder) all(s deadletter.Store, q deadletter.Query) []string {
	var got []string
	for {
		p := r.list(s, q)
		got = append(got, ids(p.Letters)...)
		if p.Next == "" {
			return got
		}
		if p.Next == q.After || len(p.Letters) == 0 {
			r.fatalf("List(%+v) gives %d letters and Next %q: paging does not advance", q, len(p.Letters), p.Next)
		}
		q.After = p.Next
	}
}
