package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/troupe-go/troupe/engine"
)

// Message is what Delivery.Message is: the client's delivery, and where it belongs.
type Message struct {
	amqp.Delivery
	session *session
	marked  atomic.Bool            // a note of it may be with the server
	note    atomic.Pointer[string] // the ID of one of which nobody knows whether it is
}

// session is a consumer on a channel of its own. It ends with the channel: what it had
// unsettled is with the group again.
type session struct {
	*channel
	deliveries <-chan amqp.Delivery

	mu     sync.Mutex // sending what has become of tags, in one order
	flight *flight
}

// subscription is one consumer of a group. run keeps a session and moves what comes
// into ready, which is no more than the prefetch: the server sends nothing while
// MaxInFlight are unsettled.
type subscription struct {
	t     *Topic
	cfg   engine.SubscribeConfig
	queue string

	mu      sync.Mutex
	session *session // nil while there is none
	ready   []*Message
	fault   error                 // what Fetch has to say next
	noted   map[*Message]struct{} // marked and not settled
	closed  bool
	wake    chan struct{} // has one when there is news for Fetch

	stop chan struct{}
	done chan struct{}
}

const (
	defaultInFlight = 256
	maxInFlight     = 65535 // AMQP's prefetch has 16 bits
)

// Subscribe makes the group's queue, binds it, and begins to consume. What it returns is
// an engine.Marker where the server has the stream for the notes of crashes, or lets the
// user make it.
func (t *Topic) Subscribe(ctx context.Context, cfg engine.SubscribeConfig) (engine.Subscription, error) {
	queue, err := t.names.group(cfg.Group)
	if err != nil {
		return nil, err
	}
	what := fmt.Sprintf("rabbitmq: topic %s: group %s", t.name, cfg.Group)
	if cfg.From == engine.FromOldest {
		return nil, fmt.Errorf("%s: FromOldest: RabbitMQ has no records from before the group: %w", what, engine.ErrUnsupported)
	}
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = defaultInFlight
	}
	if cfg.MaxInFlight < 1 || cfg.MaxInFlight > maxInFlight {
		return nil, fmt.Errorf("%s: MaxInFlight %d: must be 1 to %d: %w", what, cfg.MaxInFlight, maxInFlight, engine.ErrUnsupported)
	}
	if t.e.isClosed() {
		return nil, fmt.Errorf("%s: %w", what, engine.ErrClosed)
	}
	conn, err := t.e.consume.now()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", what, err)
	}
	s := &subscription{
		t: t, cfg: cfg, queue: queue, noted: map[*Message]struct{}{},
		wake: make(chan struct{}, 1), stop: make(chan struct{}), done: make(chan struct{}),
	}
	var marks atomic.Bool
	err = await(ctx, what, func() error {
		has, err := t.e.prepareMarks(conn)
		if err != nil {
			return err
		}
		marks.Store(has)
		session, err := s.join(conn)
		if err != nil {
			return err
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if ctx.Err() != nil { // nobody waits for it
			go session.Close()
			return context.Cause(ctx)
		}
		s.session = session
		return nil
	})
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.session != nil { // it came as ctx ended
			go s.session.Close()
		}
		return nil, err
	}
	go s.run(s.session)
	if marks.Load() {
		return marker{s}, nil
	}
	return s, nil
}

// join makes a session. It makes the queue, too, since the server may have lost it.
func (s *subscription) join(conn *amqp.Connection) (_ *session, err error) {
	raw, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	ch := wrap(raw)
	defer func() {
		if err != nil {
			_ = raw.Close()
		}
	}()
	if err := s.t.e.declareTopic(raw, s.t.names); err != nil {
		return nil, err
	}
	if err := s.t.e.declareGroup(raw, s.t.names, s.queue, s.cfg.KeyOrder); err != nil {
		return nil, err
	}
	if err := raw.Qos(s.cfg.MaxInFlight, 0, false); err != nil {
		return nil, err
	}
	deliveries, err := raw.Consume(s.queue, s.cfg.Consumer, false, false, false, false, nil)
	if err != nil {
		return nil, err
	}
	return &session{channel: ch, deliveries: deliveries, flight: newFlight()}, nil
}

func (s *subscription) run(session *session) {
	defer close(s.done)
	for {
		if session != nil {
			s.pump(session)
			s.drop(session)
			session = nil
		}
		select {
		case <-s.stop:
			return
		default:
		}
		conn, err := s.t.e.consume.next(s.stop)
		if err != nil {
			if errors.Is(err, engine.ErrClosed) {
				s.end()
				return
			}
			s.say(err)
			continue
		}
		if session, err = s.join(conn); err != nil {
			session = nil
			s.say(fmt.Errorf("rabbitmq: topic %s: group %s: %w", s.t.name, s.cfg.Group, s.passes(told(err))))
			pause(s.stop)
			continue
		}
		s.mu.Lock()
		s.session = session
		s.mu.Unlock()
	}
}

// pump moves deliveries until their channel or the subscription ends.
func (s *subscription) pump(session *session) {
	for {
		select {
		case d, ok := <-session.deliveries:
			if !ok {
				return
			}
			session.mu.Lock()
			session.flight.add(d.DeliveryTag)
			session.mu.Unlock()
			s.mu.Lock()
			s.ready = append(s.ready, &Message{Delivery: d, session: session})
			if len(s.ready) == 1 {
				s.news()
			}
			s.mu.Unlock()
		case <-s.stop:
			return
		}
	}
}

// drop ends a session. What Fetch has not taken is the group's again.
func (s *subscription) drop(session *session) {
	canceled := !session.IsClosed() // the queue is gone, or we close
	_ = session.Close()
	reason := session.reason()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.session, s.ready = nil, nil
	if s.closed {
		return
	}
	if canceled {
		reason = fmt.Errorf("%w: the server has ended the consumer: its queue was deleted or moved, or a record was unsettled for longer than consumer_timeout (RabbitMQ 4.3)", engine.ErrUnavailable)
	}
	s.fault = fmt.Errorf("rabbitmq: topic %s: group %s: %w", s.t.name, s.cfg.Group, s.passes(reason))
	s.news()
}

// passes is for a queue that is not there though we make it: it was deleted meanwhile,
// and is made again with the next session.
func (s *subscription) passes(err error) error {
	if s.t.e.cfg.Passive || !errors.Is(err, engine.ErrNoTopic) {
		return err
	}
	return fmt.Errorf("%w: the queue was deleted, and is made again: %s", engine.ErrUnavailable, err.Error())
}

func (s *subscription) say(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = err
	s.news()
}

// end is for an engine that is closed before its subscriptions.
func (s *subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.news()
}

// news is called with mu.
func (s *subscription) news() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// Fetch waits for records. While there is no connection it says so once for each
// attempt that has failed, and waits for the next.
func (s *subscription) Fetch(ctx context.Context, n int) ([]*engine.Delivery, error) {
	for {
		messages, err := s.take(max(n, 1))
		if err != nil {
			return nil, err
		}
		if len(messages) > 0 {
			deliveries := make([]*engine.Delivery, len(messages))
			for i, m := range messages {
				deliveries[i] = s.open(m)
			}
			return deliveries, nil
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

func (s *subscription) take(n int) ([]*Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		s.news() // for the next call
		return nil, fmt.Errorf("rabbitmq: topic %s: group %s: %w", s.t.name, s.cfg.Group, engine.ErrClosed)
	}
	if err := s.fault; err != nil {
		s.fault = nil
		return nil, err
	}
	if len(s.ready) <= n {
		taken := s.ready
		s.ready = nil
		return taken, nil
	}
	taken := s.ready[:n:n]
	s.ready = s.ready[n:]
	return taken, nil
}

// open makes a record of a message.
func (s *subscription) open(m *Message) *engine.Delivery {
	d := &engine.Delivery{
		Attempt:  attempt(&m.Delivery),
		Position: s.queue + ", delivery " + strconv.FormatUint(m.DeliveryTag, 10),
		Place:    placeOf(&m.Delivery),
		Message:  m,
	}
	d.Record, d.Fault = s.t.e.cfg.Envelope.Open(headersOf(&m.Delivery), m.Body)
	if d.Fault != nil {
		d.Record.Data, d.Record.ContentType = m.Body, m.ContentType
		d.Record.ID = d.Place
	}
	return d
}

// Extend does nothing: RabbitMQ has no leases, but its consumer_timeout, which nothing
// extends.
func (s *subscription) Extend(context.Context, []*engine.Delivery) error { return nil }

// Lag counts the records in the group's queue, without those that were put off. What
// other consumers have unsettled RabbitMQ does not say here: Unsettled is this one's.
func (s *subscription) Lag(ctx context.Context) (engine.Lag, error) {
	what := fmt.Sprintf("rabbitmq: topic %s: group %s: lag", s.t.name, s.cfg.Group)
	conn, err := s.t.e.consume.now()
	if err != nil {
		return engine.Lag{}, fmt.Errorf("%s: %w", what, err)
	}
	waiting := make(chan int, 1)
	err = await(ctx, what, func() error {
		ch, err := conn.Channel()
		if err != nil {
			return err
		}
		defer ch.Close()
		q, err := ch.QueueDeclarePassive(s.queue, true, false, false, false, nil)
		waiting <- q.Messages
		return err
	})
	if err != nil {
		return engine.Lag{}, err
	}
	s.mu.Lock()
	session := s.session
	s.mu.Unlock()
	lag := engine.Lag{Waiting: uint64(<-waiting)}
	if session != nil {
		session.mu.Lock()
		lag.Unsettled = uint64(session.flight.open)
		session.mu.Unlock()
	}
	return lag, nil
}

// Close closes the channel, which gives back at once all that is unsettled. Notes of it
// are forgotten before, if the server takes that.
func (s *subscription) Close(ctx context.Context) error {
	s.forgetAll(ctx)
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stop)
		s.news()
	}
	s.mu.Unlock()
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		return ended(ctx, fmt.Sprintf("rabbitmq: topic %s: group %s: close", s.t.name, s.cfg.Group))
	}
}
