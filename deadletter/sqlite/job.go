package sqlite

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/troupe-go/troupe/deadletter"
)

// job is one change, which the writer makes on behalf of a caller.
type job struct {
	// run makes the change within a transaction. An error that is no fault of the
	// file is the caller's alone: run has then written nothing.
	run    func(*tx) error
	weight int // about how many letters it writes
	state  atomic.Int32
	// calls brings functions of the user to the goroutine of the caller, where
	// they may panic without harm to others. returned says whether one came back.
	calls    chan func()
	returned chan bool
	done     chan struct{} // closed when err is set
	err      error
}

// The states of a job. Only one that waits can be given up.
const (
	jobWaits int32 = iota
	jobTaken
	jobGivenUp
)

// errNotDone ends a job whose function did not come back. Its caller is
// panicking.
var errNotDone = errors.New("sqlite: the function did not return")

// call runs fn on the caller's goroutine and waits for it.
func (j *job) call(fn func()) error {
	j.calls <- fn
	if !<-j.returned {
		return errNotDone
	}
	return nil
}

// do has the writer make a change, and returns when it is on the disk. If ctx
// ends while the change still waits, it is not made; later, it is made.
func (s *Store) do(ctx context.Context, weight int, run func(*job, *tx) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	j := &job{weight: weight, calls: make(chan func()), returned: make(chan bool), done: make(chan struct{})}
	j.run = func(t *tx) error { return run(j, t) }
	if err := s.enqueue(ctx, j); err != nil {
		return err
	}
	ended := ctx.Done()
	for {
		select {
		case <-j.done:
			return j.err
		case fn := <-j.calls:
			j.answer(fn)
		case <-ended:
			if j.state.CompareAndSwap(jobWaits, jobGivenUp) {
				return ctx.Err()
			}
			ended = nil // it is being made
		}
	}
}

func (j *job) answer(fn func()) {
	back := false
	defer func() { j.returned <- back }()
	fn()
	back = true
}

func (s *Store) enqueue(ctx context.Context, j *job) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return deadletter.ErrClosed
	}
	if s.readOnly {
		return &Error{Path: s.path, Fix: "ask the server that has it, or open it with Open", Err: ErrReadOnly}
	}
	select {
	case s.jobs <- j:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
