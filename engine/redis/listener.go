package redis

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/troupe-go/troupe/engine"
)

// heard is a message, or why there was none for a while.
type heard struct {
	payload string
	err     error
}

// listener is a subscription of Pub/Sub. One goroutine reads, no more than one message
// ahead; Close ends it and waits for it.
type listener struct {
	c     *Channel
	what  string
	limit int
	ps    *goredis.PubSub

	got    chan heard
	room   chan struct{}
	closed chan struct{}
	once   sync.Once
	wg     sync.WaitGroup

	// Of Fetch.
	n       uint64 // names deliveries
	trouble error
	opener  *opener

	mu     sync.Mutex
	handed map[*engine.Delivery]struct{}
}

func (l *listener) isClosed() bool {
	select {
	case <-l.closed:
		return true
	default:
		return false
	}
}

func (l *listener) listen() {
	lost := false
	pause := minPause
	for {
		m, err := l.ps.Receive(context.Background())
		if l.isClosed() {
			return
		}
		if err != nil {
			if !lost && !l.pass(heard{err: fmt.Errorf("%w: what is published until it is back is lost: %w", engine.ErrUnavailable, err)}) {
				return
			}
			lost = true
			if !l.sleep(pause) {
				return
			}
			pause = min(maxPause, 2*pause)
			continue
		}
		lost, pause = false, minPause
		if m, ok := m.(*goredis.Message); ok && !l.pass(heard{payload: m.Payload}) {
			return
		}
	}
}

func (l *listener) pass(h heard) bool {
	select {
	case l.got <- h:
		return true
	case <-l.closed:
		return false
	}
}

func (l *listener) sleep(d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-l.closed:
		return false
	}
}

// Fetch implements engine.Subscription.
func (l *listener) Fetch(ctx context.Context, max int) ([]*engine.Delivery, error) {
	if max < 1 {
		return nil, fmt.Errorf("redis: %s: fetch of %d: must be at least 1", l.what, max)
	}
	if err := l.trouble; err != nil {
		l.trouble = nil
		return nil, fault(l.what, err)
	}
	var all []*engine.Delivery
	for l.free() == 0 {
		select {
		case <-l.room:
		case <-l.closed:
			return nil, fault(l.what, engine.ErrClosed)
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
	max = min(max, l.free())
	for len(all) < max {
		var h heard
		if len(all) > 0 {
			// The reader is a step behind while there is more; it is not waited for.
			select {
			case h = <-l.got:
			default:
				return l.hand(all), nil
			}
		} else {
			if ctx.Err() != nil {
				return nil, context.Cause(ctx)
			}
			select {
			case h = <-l.got:
			case <-l.closed:
				return nil, fault(l.what, engine.ErrClosed)
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		}
		if h.err != nil {
			if len(all) == 0 {
				return nil, fault(l.what, h.err)
			}
			l.trouble = h.err
			break
		}
		l.n++
		d := &engine.Delivery{
			Place: strconv.FormatUint(l.n, 10), Position: "channel " + l.c.channel, Message: &Message{Stream: l.c.channel},
		}
		l.opener.message(d, h.payload)
		all = append(all, d)
	}
	return l.hand(all), nil
}

func (l *listener) hand(all []*engine.Delivery) []*engine.Delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range all {
		l.handed[d] = struct{}{}
	}
	return all
}

func (l *listener) free() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, l.limit-len(l.handed))
}

// Settle implements engine.Subscription. It makes room for as many, and tells the server
// nothing: what was given back does not come again.
func (l *listener) Settle(_ context.Context, settled []engine.Settlement) (late int, err error) {
	l.mu.Lock()
	for _, s := range settled {
		delete(l.handed, s.Delivery)
	}
	l.mu.Unlock()
	select {
	case l.room <- struct{}{}:
	default:
	}
	return 0, nil
}

// Extend implements engine.Subscription: there are no leases.
func (l *listener) Extend(context.Context, []*engine.Delivery) error { return nil }

// Lag implements engine.Subscription: what nobody keeps nobody can count.
func (l *listener) Lag(context.Context) (engine.Lag, error) {
	return engine.Lag{}, fault(l.what+": lag", engine.ErrUnsupported)
}

// Close implements engine.Subscription.
func (l *listener) Close(ctx context.Context) error {
	var err error
	l.once.Do(func() {
		close(l.closed)
		err = l.ps.Close()
	})
	_, stopped := within(ctx, func() (struct{}, error) {
		l.wg.Wait()
		return struct{}{}, nil
	})
	if stopped != nil {
		return fault(l.what+": close", stopped)
	}
	return fault(l.what+": close", err)
}
