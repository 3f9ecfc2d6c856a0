package watermill

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"sync/atomic"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/troupe-go/troupe/engine"
)

// Subscribe makes a subscriber of the group and subscribes to the topic.
//
// Errors: engine.ErrUnsupported for FromOldest and KeyOrder where Config.Caps does not
// have them; engine.ErrUnavailable with what the subscriber says.
func (t *Topic) Subscribe(ctx context.Context, cfg engine.SubscribeConfig) (engine.Subscription, error) {
	what := fmt.Sprintf("%s: topic %s: group %s", t.e.cfg.Name, t.name, cfg.Group)
	if err := t.e.use("subscribe"); err != nil {
		return nil, err
	}
	switch {
	case cfg.Group == "":
		return nil, fmt.Errorf("%s: subscribe: Group: must not be empty", what)
	case cfg.MaxInFlight < 1:
		return nil, fmt.Errorf("%s: subscribe: MaxInFlight %d: must be positive", what, cfg.MaxInFlight)
	case cfg.From == engine.FromOldest && !t.e.cfg.Caps.FromOldest:
		return nil, fmt.Errorf("%s: subscribe: FromOldest: %w", what, engine.ErrUnsupported)
	case cfg.KeyOrder && !t.e.cfg.Caps.KeyOrder:
		return nil, fmt.Errorf("%s: subscribe: KeyOrder: %w", what, engine.ErrUnsupported)
	}
	s := &Subscription{t: t, what: what, most: cfg.MaxInFlight, open: map[*engine.Delivery]struct{}{}, room: make(chan struct{}, 1)}
	type opened struct {
		sub message.Subscriber
		in  <-chan *message.Message
		err error
	}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	done := make(chan opened, 1)
	go func() {
		var o opened
		if o.sub, o.err = t.e.cfg.Subscriber(cfg.Group, cfg.From); o.err == nil {
			o.in, o.err = o.sub.Subscribe(s.ctx, t.name)
		}
		if o.err != nil && o.sub != nil {
			o.err = errors.Join(o.err, o.sub.Close())
		}
		done <- o
	}()
	var o opened
	select {
	case o = <-done:
	case <-ctx.Done():
		s.cancel()
		go func() { // it ends when it does
			if o := <-done; o.err == nil {
				_ = o.sub.Close()
			}
		}()
		return nil, fmt.Errorf("%s: subscribe: %w: %w", what, engine.ErrUnavailable, context.Cause(ctx))
	}
	if o.err != nil {
		s.cancel()
		return nil, fmt.Errorf("%s: subscribe: %w: %w", what, engine.ErrUnavailable, o.err)
	}
	s.sub, s.in = o.sub, o.in
	t.e.mu.Lock()
	defer t.e.mu.Unlock()
	if t.e.closed {
		s.cancel()
		go o.sub.Close()
		return nil, fmt.Errorf("%s: %w", what, engine.ErrClosed)
	}
	t.e.subs[s] = struct{}{}
	return s, nil
}

// Subscription is a subscriber of a Pub/Sub. It implements engine.Subscription.
type Subscription struct {
	t    *Topic
	what string
	most int
	sub  message.Subscriber
	in   <-chan *message.Message

	ctx    context.Context // ends at Close
	cancel context.CancelFunc
	room   chan struct{} // there may be room for another

	mu   sync.Mutex
	open map[*engine.Delivery]struct{} // not settled

	closing sync.Once
	closed  chan struct{}
	err     error
}

var (
	_ engine.Subscription = (*Subscription)(nil)

	unnamed atomic.Int64
)

// Fetch waits for a message and takes what else is there. Most Pub/Subs give one at a
// time, until it is settled.
func (s *Subscription) Fetch(ctx context.Context, max int) ([]*engine.Delivery, error) {
	if max < 1 {
		return nil, fmt.Errorf("%s: fetch: max %d: must be positive", s.what, max)
	}
	room, err := s.waitRoom(ctx)
	if err != nil {
		return nil, err
	}
	var out []*engine.Delivery
	select {
	case m, ok := <-s.in:
		if !ok {
			return nil, fmt.Errorf("%s: %w: its subscriber has closed the channel", s.what, engine.ErrClosed)
		}
		if out = s.take(out, m); len(out) == 0 {
			return nil, fmt.Errorf("%s: %w", s.what, engine.ErrClosed)
		}
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case <-s.ctx.Done():
		return nil, fmt.Errorf("%s: %w", s.what, engine.ErrClosed)
	}
	for len(out) < min(max, room) {
		select {
		case m, ok := <-s.in:
			if ok {
				out = s.take(out, m)
				continue
			}
		default:
		}
		break
	}
	return out, nil
}

func (s *Subscription) waitRoom(ctx context.Context) (int, error) {
	for {
		if err := context.Cause(ctx); err != nil {
			return 0, err
		}
		if s.ctx.Err() != nil {
			return 0, fmt.Errorf("%s: %w", s.what, engine.ErrClosed)
		}
		s.mu.Lock()
		room := s.most - len(s.open)
		s.mu.Unlock()
		if room > 0 {
			return room, nil
		}
		select {
		case <-s.room:
		case <-ctx.Done():
		case <-s.ctx.Done():
		}
	}
}

// take appends a message to deliveries, or gives it back if the subscription was closed
// meanwhile.
func (s *Subscription) take(out []*engine.Delivery, m *message.Message) []*engine.Delivery {
	d := &engine.Delivery{Message: m, Place: m.UUID}
	if d.Place == "" {
		d.Place = fmt.Sprintf("without a UUID, %d", unnamed.Add(1))
	}
	d.Position = "message " + d.Place
	d.Record, d.Fault = s.t.e.cfg.Envelope.Open(metadata(m), m.Payload)
	if d.Fault != nil {
		d.Record.Data = m.Payload
		d.Record.ID = s.t.name + "/" + d.Place
		if d.Record.Type == "" {
			d.Record.Type = s.t.name
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.open == nil {
		m.Nack()
		return out
	}
	s.open[d] = struct{}{}
	return append(out, d)
}

func metadata(m *message.Message) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for name, value := range m.Metadata {
			if !yield(name, value) {
				return
			}
		}
	}
}

// Settle acknowledges messages. What the Pub/Sub makes of that, and when, it does not
// tell. Delays are left out.
func (s *Subscription) Settle(_ context.Context, settled []engine.Settlement) (late int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range settled {
		d := settled[i].Delivery
		m, ok := d.Message.(*message.Message)
		if !ok {
			return late, fmt.Errorf("%s: settle: a delivery that is not of this subscription", s.what)
		}
		if s.open == nil {
			late++
			continue
		}
		if _, ok := s.open[d]; !ok {
			continue
		}
		delete(s.open, d)
		if settled[i].Verdict == engine.Nack {
			m.Nack()
		} else {
			m.Ack()
		}
	}
	select {
	case s.room <- struct{}{}:
	default:
	}
	return late, nil
}

// Extend does nothing: there are no leases.
func (s *Subscription) Extend(context.Context, []*engine.Delivery) error { return nil }

// Lag returns engine.ErrUnsupported.
func (s *Subscription) Lag(context.Context) (engine.Lag, error) {
	return engine.Lag{}, fmt.Errorf("%s: lag: %w", s.what, engine.ErrUnsupported)
}

// Close gives back what is not settled, and closes the subscriber. It returns when ctx
// ends, where that takes longer.
func (s *Subscription) Close(ctx context.Context) error {
	s.closing.Do(func() {
		s.closed = make(chan struct{})
		s.mu.Lock()
		open := s.open
		s.open = nil
		s.mu.Unlock()
		for d := range open {
			d.Message.(*message.Message).Nack()
		}
		s.cancel()
		s.t.e.mu.Lock()
		delete(s.t.e.subs, s)
		s.t.e.mu.Unlock()
		go func() {
			defer close(s.closed)
			// Some wait at Close for what nobody reads any more.
			read := make(chan struct{})
			go func() {
				defer close(read)
				for m := range s.in {
					m.Nack()
				}
			}()
			s.err = s.sub.Close()
			<-read
		}()
	})
	select {
	case <-s.closed:
		return s.err
	case <-ctx.Done():
		return fmt.Errorf("%s: close: %w", s.what, context.Cause(ctx))
	}
}
