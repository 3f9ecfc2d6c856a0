package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-go/troupe/engine"
)

// Subscription is an [engine.Subscription] and an [engine.Marker].
//
// It asks the server for as many records as Fetch has room for, and for the next of
// them when half have come. What has come before Fetch was called again is kept, its
// lease with it, and given back when Fetch is not called for as long as a lease.
type Subscription struct {
	topic   *Topic
	cfg     engine.SubscribeConfig
	lease   time.Duration
	sources []*source
	signal  chan struct{} // something has changed for Fetch
	quit    chan struct{} // closed by Close

	mu       sync.Mutex
	buffer   []arrival // that have come and are not out
	out      Message   // the ring of those that are out
	outN     int
	fetching bool
	fetched  time.Time // when Fetch has returned last
	minding  bool
	fault    error // that may pass
	over     error // that does not
	closed   bool
}

// arrival is a message that has come.
type arrival struct {
	msg  *natsgo.Msg
	from *source
	at   time.Time // when its lease has begun
}

var (
	_ engine.Subscription = (*Subscription)(nil)
	_ engine.Marker       = (*Subscription)(nil)
)

const (
	// tick is how often a Fetch that waits looks after what it waits for.
	tick = 500 * time.Millisecond
	// minAsked is what is asked for at least where MaxInFlight allows it: requests
	// have a price of their own.
	minAsked = 32
)

func (t *Topic) subscription(cfg engine.SubscribeConfig, consumers []jetstream.Consumer) (*Subscription, error) {
	s := &Subscription{
		topic: t, cfg: cfg, lease: cfg.Lease,
		signal: make(chan struct{}, 1), quit: make(chan struct{}),
		fetched: time.Now(),
	}
	s.out.prev, s.out.next = &s.out, &s.out
	for _, c := range consumers {
		src, err := s.source(c)
		if err != nil {
			return nil, errors.Join(s.errorf("%w", t.e.fault(err)), s.Close(context.Background()))
		}
		s.sources = append(s.sources, src)
	}
	e := t.e
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, e.closedFault()
	}
	e.subs[s] = struct{}{}
	return s, nil
}

func (s *Subscription) errorf(format string, args ...any) error {
	return fmt.Errorf("nats: topic %s: group %s: "+format, append([]any{s.topic.name, s.cfg.Group}, args...)...)
}

func (s *Subscription) wake() {
	select {
	case s.signal <- struct{}{}:
	default:
	}
}

// Fetch returns what has come, or waits for it: see [engine.Subscription]. Without a
// connection, or while the group's leader does not answer, it returns
// engine.ErrUnavailable after half a second, so that calling it again and again is no
// busy loop. When the group was removed it returns engine.ErrNoTopic, and must not be
// called again.
func (s *Subscription) Fetch(ctx context.Context, limit int) ([]*engine.Delivery, error) {
	if limit < 1 {
		return nil, s.errorf("Fetch of %d: must be 1 or more", limit)
	}
	s.mu.Lock()
	s.fetching = true
	defer func() {
		s.fetching, s.fetched = false, time.Now()
		s.mu.Unlock()
	}()
	var ticks *time.Timer
	for {
		switch {
		case s.closed:
			return nil, s.errorf("%w", engine.ErrClosed)
		case s.over != nil:
			return nil, s.over
		case ctx.Err() != nil:
			return nil, context.Cause(ctx)
		}
		s.ask(limit)
		if got := s.take(limit); len(got) > 0 {
			if s.closed { // meanwhile
				continue
			}
			return got, nil
		}
		if ticks == nil {
			ticks = time.NewTimer(tick)
			defer ticks.Stop()
		}
		s.mu.Unlock()
		ticked := false
		select {
		case <-s.signal:
		case <-s.quit:
		case <-ctx.Done():
		case <-ticks.C:
			ticked = true
		}
		s.mu.Lock()
		if ticked {
			if err := s.ails(); err != nil && len(s.buffer) == 0 {
				return nil, err
			}
			ticks.Reset(tick)
		}
	}
}

// ask keeps as many records asked for as there is room for. The caller holds mu.
func (s *Subscription) ask(limit int) {
	free := s.cfg.MaxInFlight - s.outN
	if free <= 0 {
		return
	}
	room := min(max(limit, minAsked), free)
	now := time.Time{}
	for _, src := range s.sources {
		most, have := room, len(s.buffer)+src.asked
		if src.serial {
			most, have = serialAhead, src.asked
		}
		if 2*have > most || have == most {
			continue
		}
		if !src.until.IsZero() {
			if now.IsZero() {
				now = time.Now()
			}
			if now.Before(src.until) {
				continue
			}
			src.until = time.Time{}
		}
		src.pull(most - have)
	}
}

// take hands out what has come. The caller holds mu, which is released in between.
func (s *Subscription) take(limit int) []*engine.Delivery {
	n := min(limit, len(s.buffer), s.cfg.MaxInFlight-s.outN)
	if n <= 0 {
		return nil
	}
	some := s.buffer[:n:n]
	if s.buffer = s.buffer[n:]; len(s.buffer) == 0 {
		s.buffer = nil
	}
	s.mu.Unlock()
	got := make([]*engine.Delivery, 0, n)
	now := time.Now()
	for i := range some {
		if now.Sub(some[i].at) >= s.lease {
			continue // another consumer has it, or will
		}
		m, err := s.open(some[i])
		if err != nil {
			s.topic.e.log.Error("a message cannot be acknowledged", s.fields(err)...)
			continue
		}
		got = append(got, &m.d)
	}
	s.mu.Lock()
	for _, d := range got {
		m := d.Message.(*Message)
		m.prev, m.next = s.out.prev, &s.out
		m.prev.next, m.next.prev = m, m
		s.outN++
	}
	if s.closed {
		s.giveBack()
		return nil
	}
	return got
}

// ails looks after requests that nobody answers, and returns why nothing comes if that
// lasts. The caller holds mu.
func (s *Subscription) ails() error {
	if !s.topic.e.conn.IsConnected() {
		return s.errorf("%w", s.topic.e.fault(natsgo.ErrDisconnected))
	}
	now := time.Now()
	for _, src := range s.sources {
		if src.asked == 0 || now.Sub(src.heard) < silence {
			continue
		}
		src.asked, src.heard = 0, now
		if src.misses++; src.misses > 1 {
			return s.errorf("%w", s.topic.e.fault(fmt.Errorf("%w: nothing was heard of requests for %v", engine.ErrUnavailable, silence)))
		}
	}
	err := s.fault
	s.fault = nil
	if errors.Is(err, natsgo.ErrNoResponders) {
		s.mu.Unlock()
		gone := s.missing()
		s.mu.Lock()
		if gone != nil {
			s.over = gone
			return gone
		}
	}
	return err
}

// missing returns an error if a consumer, or the stream, is not there.
func (s *Subscription) missing() error {
	ctx, cancel := context.WithTimeout(s.topic.e.life, attempt)
	defer cancel()
	for _, src := range s.sources {
		_, err := src.consumer.Info(ctx)
		if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
			return s.topic.gone(s.errorf("%w: its consumer was removed: subscribe again: %w", engine.ErrNoTopic, err))
		}
	}
	return nil
}

// lost is that the connection was lost, or is there again: the server knows of no
// request.
func (s *Subscription) lost() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, src := range s.sources {
		src.asked, src.misses, src.until = 0, 0, time.Time{}
	}
	s.wake()
}

// mind looks after what has come and is not fetched. The caller holds mu.
func (s *Subscription) mind() {
	if s.minding || s.closed {
		return
	}
	s.minding = true
	time.AfterFunc(s.lease/3, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.minding = false
		if s.closed || len(s.buffer) == 0 {
			return
		}
		now := time.Now()
		if !s.fetching && now.Sub(s.fetched) >= s.lease {
			for _, a := range s.buffer {
				_ = s.topic.e.conn.Publish(a.msg.Reply, nak)
			}
			s.buffer = nil
			return
		}
		for i := range s.buffer {
			a := &s.buffer[i]
			if now.Sub(a.at) >= s.lease/4 && now.Sub(a.at) < s.lease {
				if s.topic.e.conn.Publish(a.msg.Reply, inProgress) == nil {
					a.at = now
				}
			}
		}
		s.mind()
	})
}

// Lag returns how far the group is behind, all of its consumers together. It asks the
// server.
func (s *Subscription) Lag(ctx context.Context) (engine.Lag, error) {
	var lag engine.Lag
	for _, src := range s.sources {
		err := s.topic.e.patiently(ctx, func(ctx context.Context) error {
			info, err := src.consumer.Info(ctx)
			if err == nil {
				lag.Waiting += info.NumPending
				lag.Unsettled += uint64(info.NumAckPending)
			}
			return err
		})
		if err != nil {
			return engine.Lag{}, s.errorf("%w", err)
		}
	}
	return lag, nil
}

// Close gives back what is out and what has come, for others to have at once, in its
// order. An error is that the server could not be told: they come when their leases
// end.
func (s *Subscription) Close(ctx context.Context) error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	close(s.quit)
	s.mu.Unlock()

	e := s.topic.e
	e.mu.Lock()
	delete(e.subs, s)
	e.mu.Unlock()
	// What is on its way comes until the server has taken note, and arrived gives
	// it back.
	for _, src := range s.sources {
		_ = src.inbox.Drain()
	}
	err := s.flush(ctx)
	s.mu.Lock()
	marked := s.giveBack()
	s.mu.Unlock()
	s.unmark(ctx, marked) // they have not ended the process
	if e2 := s.flush(ctx); err == nil {
		err = e2
	}
	if err != nil {
		return s.errorf("closed, but what it has comes again only when its lease ends: %w", e.fault(err))
	}
	return nil
}

func (s *Subscription) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	return s.topic.e.conn.FlushWithContext(ctx)
}

// giveBack returns everything, and which of that was marked. The caller holds mu.
func (s *Subscription) giveBack() (marked []*Message) {
	type item struct {
		seq   uint64
		reply string
	}
	var all []item
	for m := s.out.next; m != &s.out; m = m.next {
		m.settled = true
		if m.marked {
			marked = append(marked, m)
		}
		if time.Now().Before(m.until) {
			all = append(all, item{m.Sequence, m.Msg.Reply})
		}
	}
	s.out.prev, s.out.next, s.outN = &s.out, &s.out, 0
	for _, a := range s.buffer {
		if at, err := parseReply(a.msg.Reply); err == nil {
			all = append(all, item{at.stream, a.msg.Reply})
		}
	}
	s.buffer = nil
	slices.SortFunc(all, func(a, b item) int {
		if a.seq < b.seq {
			return -1
		}
		return 1
	})
	for _, it := range all {
		_ = s.topic.e.conn.Publish(it.reply, nak)
	}
	return marked
}
