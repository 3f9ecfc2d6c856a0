package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
)

// follower hands out what one goroutine, the reader, takes from a consumer, and makes
// another one of when that is lost.
type follower struct {
	s        *Store
	subjects []string
	ready    chan followed
	failed   chan error // has the newest error that nobody was told
	quit     chan struct{}
	once     sync.Once
	work     sync.WaitGroup

	mu   sync.Mutex
	cons *consumer // the reader's, nil while there is none
	// given is the number in cons of the last event that Next has returned, and early how
	// many of an older consumer wait in ready.
	given uint64
	early uint64
}

// followed is an event and where it comes from.
type followed struct {
	ev     eventstore.Recorded
	cons   *consumer
	number uint64
	err    error // the message is no event: the follower goes no further
}

// readAhead is how many events wait for Next.
const readAhead = 512

// Follow is that of eventstore.Log.
func (s *Store) Follow(ctx context.Context, after eventstore.Position, categories ...string) (eventstore.Follower, error) {
	f := &follower{s: s, ready: make(chan followed, readAhead), failed: make(chan error, 1), quit: make(chan struct{})}
	for _, c := range slices.Compact(slices.Sorted(slices.Values(categories))) {
		if err := eventstore.CheckCategory(c); err != nil {
			return nil, err
		}
		f.subjects = append(f.subjects, s.cfg.Name+"."+c+".*")
	}
	if len(f.subjects) == 0 {
		f.subjects = []string{s.cfg.Name + ".*.*"}
	}
	seq, err := sequence(after)
	if err != nil {
		return nil, fmt.Errorf("eventstore/nats: follow: %w", err)
	}
	ctx, done, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	info, err := s.stream.Info(ctx)
	if err != nil {
		return nil, s.fault(ctx, "follow", err)
	}
	if seq > info.State.LastSeq {
		return nil, fmt.Errorf("eventstore/nats: follow after %s: the last event is at %s: the checkpoint is of another store, or this one was restored from an older copy: %w", after, position(info.State.LastSeq), engine.ErrMismatch)
	}
	c, err := s.consume(ctx, seq+1, f.subjects...)
	if err != nil {
		return nil, s.fault(ctx, "follow", err)
	}
	f.cons = c
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		c.end()
		return nil, s.closedFault()
	}
	s.followers[f] = struct{}{}
	s.mu.Unlock()
	f.work.Go(func() { f.read(c, seq) })
	return f, nil
}

// read is the reader. last is the sequence after which it begins.
func (f *follower) read(c *consumer, last uint64) {
	ctx, cancel := context.WithCancel(f.s.life)
	defer cancel()
	go func() {
		select {
		case <-f.quit:
			cancel()
		case <-ctx.Done():
		}
	}()
	for errs := 0; ; {
		var err error
		for c != nil {
			var m message
			if m, err = c.next(ctx); err != nil {
				break
			}
			errs = 0
			one := followed{cons: c, number: m.number}
			one.ev, one.err = f.s.unseal(m.subject, m.seq, m.header, m.data)
			select {
			case f.ready <- one:
				last = m.seq
			case <-ctx.Done():
			}
			if one.err != nil {
				<-ctx.Done() // Next has told, or will
			}
		}
		if c != nil {
			f.replace(nil)
			c.end()
		}
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			f.tell(f.s.fault(ctx, "follow", err))
		}
		errs++
		timer := time.NewTimer(min(50*time.Millisecond<<min(errs, 6), 2*time.Second))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		step, done := f.s.bounded(ctx)
		if c, err = f.s.consume(step, last+1, f.subjects...); err != nil {
			c = nil
			f.tell(f.s.fault(ctx, "follow", err))
		} else {
			f.replace(c)
		}
		done()
	}
}

// replace notes the reader's new consumer.
func (f *follower) replace(c *consumer) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.cons, f.given, f.early = c, 0, uint64(len(f.ready))
}

// tell keeps an error for Next.
func (f *follower) tell(err error) {
	select {
	case <-f.failed:
	default:
	}
	select {
	case f.failed <- err:
	default:
	}
}

// Next is that of eventstore.Follower. An error of the connection is told once and then
// waited out.
func (f *follower) Next(ctx context.Context, most int) ([]eventstore.Recorded, error) {
	if err := f.ended(); err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, fmt.Errorf("eventstore/nats: next: %w", context.Cause(ctx))
	}
	var first followed
	select {
	case first = <-f.ready:
	default:
		select {
		case first = <-f.ready:
		case err := <-f.failed:
			return nil, err
		case <-f.quit:
			return nil, f.ended()
		case <-f.s.life.Done():
			return nil, f.ended()
		case <-ctx.Done():
			return nil, fmt.Errorf("eventstore/nats: next: %w", context.Cause(ctx))
		}
	}
	some := []eventstore.Recorded{}
	for one := first; ; {
		if one.err != nil {
			if len(some) == 0 {
				f.ready <- one // nobody else writes any more
				return nil, one.err
			}
			f.ready <- one
			return some, nil
		}
		some = append(some, one.ev)
		f.mu.Lock()
		if one.cons == f.cons {
			f.given = one.number
		} else if f.early > 0 {
			f.early--
		}
		f.mu.Unlock()
		if len(some) >= most {
			return some, nil
		}
		select {
		case one = <-f.ready:
		default:
			return some, nil
		}
	}
}

// ended returns an error if the follower or its store is closed.
func (f *follower) ended() error {
	select {
	case <-f.quit:
		if !f.s.isClosed() {
			return fmt.Errorf("eventstore/nats: follower: %w", engine.ErrClosed)
		}
	case <-f.s.life.Done():
	default:
		return nil
	}
	return f.s.closedFault()
}

// Lag is that of eventstore.Follower. While the connection is lost it is an error.
func (f *follower) Lag(ctx context.Context) (uint64, error) {
	if err := f.ended(); err != nil {
		return 0, err
	}
	ctx, done, err := f.s.enter(ctx)
	if err != nil {
		return 0, err
	}
	defer done()
	f.mu.Lock()
	c, given, early := f.cons, f.given, f.early
	f.mu.Unlock()
	if c == nil {
		return 0, fmt.Errorf("eventstore/nats: lag: the follower has lost its server: %w", engine.ErrUnavailable)
	}
	n, err := c.waiting(ctx, given)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		// The server was restarted, and forgets those that need no acknowledgments. The
		// reader would notice later.
		c.it.Stop()
		return 0, fmt.Errorf("eventstore/nats: lag: the server has forgotten the follower, which begins again: %w: %w", engine.ErrUnavailable, err)
	}
	if err != nil {
		return 0, f.s.fault(ctx, "lag", err)
	}
	return n + early, nil
}

// Close is that of eventstore.Follower.
func (f *follower) Close() error {
	f.once.Do(func() {
		close(f.quit)
		f.s.mu.Lock()
		delete(f.s.followers, f)
		f.s.mu.Unlock()
	})
	f.work.Wait()
	return nil
}
