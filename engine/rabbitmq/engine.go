package rabbitmq

import (
	"context"
	"fmt"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/troupe-go/troupe/engine"
)

// Engine is a RabbitMQ server or cluster. Make it with [Open]. Its methods are safe for
// concurrent use.
type Engine struct {
	cfg     Config
	publish *link
	consume *link
	marks   *marks

	mu     sync.Mutex
	closed bool
	topics map[string]*Topic
}

var _ engine.Engine = (*Engine)(nil)

// Open connects, twice: to publish and to consume. It returns when the server has let
// us in, or why it has not.
//
// Errors: those of the configuration; engine.ErrUnavailable if no node can be reached
// before ctx or Config.ConnectTimeout ends; engine.ErrUnauthorized for a wrong password
// or virtual host; engine.ErrUnsupported for a server that is no RabbitMQ, or older
// than 3.10. A connection that is lost later is made again, for as long as it takes.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	e := &Engine{cfg: cfg, topics: map[string]*Topic{}, marks: newMarks(cfg.Prefix)}
	e.publish, e.consume = newLink(&e.cfg, "publish"), newLink(&e.cfg, "consume")
	for _, l := range []*link{e.publish, e.consume} {
		conn, raw, err := l.dial(ctx)
		if err != nil {
			if l == e.consume {
				e.publish.close(ctx)
			}
			return nil, err
		}
		l.set(conn, raw, nil)
		go l.run(conn)
	}
	return e, nil
}

// Name returns "rabbitmq".
func (e *Engine) Name() string { return "rabbitmq" }

// Open makes the topic's exchange, and where it keeps what no group takes; or checks
// that they are there as the configuration says.
func (e *Engine) Open(ctx context.Context, topic string) (engine.Topic, error) {
	names, err := e.names(topic)
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	t, closed := e.topics[topic], e.closed
	e.mu.Unlock()
	if closed {
		return nil, fmt.Errorf("rabbitmq: topic %s: %w", topic, engine.ErrClosed)
	}
	if t != nil {
		return t, nil
	}
	t = &Topic{e: e, name: topic, names: names, delays: map[string]bool{}}
	t.maxRecord.Store(int64(e.cfg.MaxRecord))
	t.pub = newPublisher(t)
	conn, err := e.publish.now()
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: topic %s: %w", topic, err)
	}
	ctx, cancel := e.publish.unblocked(ctx)
	defer cancel()
	var ch *channel
	err = await(ctx, "rabbitmq: topic "+topic, func() (err error) {
		c, err := t.prepare(conn)
		if err != nil {
			return err
		}
		if ctx.Err() != nil { // nobody waits for it
			_ = c.Close()
			return context.Cause(ctx)
		}
		ch = c
		return nil
	})
	if err != nil {
		return nil, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed || e.topics[topic] != nil {
		go ch.Close()
		if e.closed {
			return nil, fmt.Errorf("rabbitmq: topic %s: %w", topic, engine.ErrClosed)
		}
		return e.topics[topic], nil
	}
	t.pub.state(nil)
	go t.pub.run(ch)
	e.topics[topic] = t
	return t, nil
}

// Ready asks the server for something on both connections.
func (e *Engine) Ready(ctx context.Context) error {
	ctx, cancel := e.publish.unblocked(ctx)
	defer cancel()
	for _, l := range []*link{e.publish, e.consume} {
		conn, err := l.now()
		if err != nil {
			return err
		}
		err = await(ctx, "rabbitmq: "+l.role, func() error {
			ch, err := conn.Channel()
			if err != nil {
				return err
			}
			return ch.Close()
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func blockedError(reason string) error {
	return fmt.Errorf("the server takes no records now: %s: %w", reason, engine.ErrFull)
}

// Close ends the topics, whose calls of Publish that wait return, and the connections.
// Records that were published and not confirmed by then have an error, and may be
// stored. It is idempotent.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	closed := e.closed
	e.closed = true
	topics := e.topics
	e.topics = nil
	e.mu.Unlock()
	if closed {
		return nil
	}
	for _, t := range topics {
		close(t.pub.stop)
	}
	e.publish.close(ctx)
	e.consume.close(ctx)
	for _, t := range topics {
		<-t.pub.done
	}
	return nil
}

func (e *Engine) isClosed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

// pause is between attempts at something that has failed while the connection is there.
func pause(stop <-chan struct{}) {
	timer := time.NewTimer(jitter(time.Second))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-stop:
	}
}

// prepare opens a channel to publish on. It makes the topic, since a server that has
// lost its data has it no more.
func (t *Topic) prepare(conn *amqp.Connection) (*channel, error) {
	raw, err := conn.Channel()
	if err != nil {
		return nil, err
	}
	ch := wrap(raw)
	if err := t.e.declareTopic(raw, t.names); err != nil {
		_ = raw.Close()
		return nil, err
	}
	if err := ch.confirming(t.e.cfg.Window); err != nil {
		_ = raw.Close()
		return nil, err
	}
	return ch, nil
}

// openChannel waits for the connection.
func (t *Topic) openChannel(stop <-chan struct{}) (*channel, error) {
	conn, err := t.e.publish.next(stop)
	if err != nil {
		return nil, err
	}
	ch, err := t.prepare(conn)
	if err != nil {
		return nil, fmt.Errorf("rabbitmq: topic %s: %w", t.name, told(err))
	}
	return ch, nil
}
