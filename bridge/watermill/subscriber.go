package watermill

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/troupe-go/troupe/engine"
)

// SubscriberConfig describes the consumers that Subscribe makes.
type SubscriberConfig struct {
	// Group is the group that they are in. It must not be empty.
	Group string
	// From is where the group begins if it is new.
	From engine.Start
	// InFlight is how many messages a channel gives out before it waits for one to be
	// acknowledged; 0 is 1, with which they come in the engine's order, also after a
	// Nack where the engine redelivers at once and first.
	InFlight int
	// KeyOrder is engine.SubscribeConfig.KeyOrder.
	KeyOrder bool
	// NackDelay is after how long a message with a Nack comes again; 0 is at once.
	// Without Caps.DelayedNack it is waited for here.
	NackDelay time.Duration
	// Lease is how long the engine leaves a message with us without hearing of it; 0
	// is 30 s. It is extended while a message is not acknowledged.
	Lease time.Duration
	// Timeout bounds what SubscribeInitialize and Close ask of the engine, and
	// Subscribe; 0 is 30 s.
	Timeout time.Duration
	// Log is where errors that pass go; nil is nowhere.
	Log watermill.LoggerAdapter
}

// Subscriber is a message.Subscriber on an engine. It is safe for concurrent use.
type Subscriber struct {
	cfg    SubscriberConfig
	topics topics

	mu      sync.Mutex
	closed  bool
	closing chan struct{}
	running sync.WaitGroup
}

var (
	_ message.Subscriber           = (*Subscriber)(nil)
	_ message.SubscribeInitializer = (*Subscriber)(nil)
)

// NewSubscriber makes a subscriber on an engine, which stays its owner's.
func NewSubscriber(e engine.Engine, cfg SubscriberConfig) (*Subscriber, error) {
	var faults []error
	fault := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(cfg.Group != "", "Group: must not be empty")
	fault(cfg.InFlight >= 0, "InFlight %d: must not be negative", cfg.InFlight)
	fault(cfg.NackDelay >= 0, "NackDelay %v: must not be negative", cfg.NackDelay)
	fault(cfg.Lease >= 0, "Lease %v: must not be negative", cfg.Lease)
	fault(cfg.Timeout >= 0, "Timeout %v: must not be negative", cfg.Timeout)
	if err := errors.Join(faults...); err != nil {
		return nil, fmt.Errorf("watermill: configuration: %w", err)
	}
	if cfg.InFlight == 0 {
		cfg.InFlight = 1
	}
	if cfg.Lease == 0 {
		cfg.Lease = 30 * time.Second
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = watermill.NopLogger{}
	}
	return &Subscriber{cfg: cfg, topics: topics{e: e, open: map[string]engine.Topic{}}, closing: make(chan struct{})}, nil
}

// SubscribeInitialize makes the group, so that it gets what is published from now on.
func (s *Subscriber) SubscribeInitialize(topic string) error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Timeout)
	defer cancel()
	sub, _, err := s.join(ctx, topic)
	if err != nil {
		return err
	}
	return sub.Close(ctx)
}

// Subscribe joins the group. The channel is closed when ctx ends or Close is called;
// messages that are not acknowledged then go back to the group, and their contexts
// end. What is acknowledged later comes again.
//
// The context of a message is a child of ctx that ends when it is acknowledged.
func (s *Subscriber) Subscribe(ctx context.Context, topic string) (<-chan *message.Message, error) {
	joining, cancel := context.WithTimeout(ctx, s.cfg.Timeout)
	defer cancel()
	sub, caps, err := s.join(joining, topic)
	if err != nil {
		return nil, err
	}
	c := &channel{
		cfg: &s.cfg, sub: sub, delays: caps.DelayedNack, out: make(chan *message.Message),
		fields: watermill.LogFields{"topic": topic, "group": s.cfg.Group}, unsettled: map[*engine.Delivery]struct{}{},
	}
	c.ctx, c.cancel = context.WithCancel(ctx)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		c.cancel()
		return nil, errors.Join(fmt.Errorf("watermill: subscribe to %s: %w", topic, engine.ErrClosed), sub.Close(joining))
	}
	s.running.Go(c.run)
	s.running.Go(func() {
		select {
		case <-s.closing:
			c.cancel()
		case <-c.ctx.Done():
		}
	})
	return c.out, nil
}

func (s *Subscriber) join(ctx context.Context, topic string) (engine.Subscription, engine.Caps, error) {
	s.mu.Lock()
	closed := s.closed
	s.mu.Unlock()
	if closed {
		return nil, engine.Caps{}, fmt.Errorf("watermill: subscribe to %s: %w", topic, engine.ErrClosed)
	}
	t, err := s.topics.get(ctx, topic)
	if err != nil {
		return nil, engine.Caps{}, err
	}
	sub, err := t.Subscribe(ctx, engine.SubscribeConfig{
		Group: s.cfg.Group, From: s.cfg.From, MaxInFlight: s.cfg.InFlight, KeyOrder: s.cfg.KeyOrder, Lease: s.cfg.Lease,
	})
	return sub, t.Caps(), err
}

// Close closes every channel, and waits until what they had is settled and has gone back,
// for SubscriberConfig.Timeout each at most. The engine stays open.
func (s *Subscriber) Close() error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.closing)
	}
	s.mu.Unlock()
	s.running.Wait()
	return nil
}
