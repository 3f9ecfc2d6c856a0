package redis

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"github.com/troupe-go/troupe/engine"
)

// PubSubConfig configures [OpenPubSub]. The zero value is a server on this machine.
type PubSubConfig struct {
	// URL, Options, Prefix, MaxRecord and Envelope are those of Config. The channel of
	// a topic is PREFIX:TOPIC.
	URL       string
	Options   *goredis.UniversalOptions
	Prefix    string
	MaxRecord int
	Envelope  engine.Envelope
}

// PubSub is fan-out by Redis Pub/Sub. It implements engine.Engine and keeps nothing: a
// record reaches, at most once, those who are subscribed at that moment, each of them
// whatever its group. Settle and Extend do nothing but make room.
//
// A subscriber that is slow makes the server keep what it has not read, until that is
// client-output-buffer-limit pubsub (32 MiB by default). Then the server ends the
// connection, as it does when it restarts, and what is published until the next one is
// lost to this subscriber: Fetch says so with engine.ErrUnavailable, once for each time.
type PubSub struct {
	cfg    Config
	client *client
	closed atomic.Bool
}

var _ engine.Engine = (*PubSub)(nil)

// OpenPubSub connects to a server. Errors are those of [Open].
func OpenPubSub(ctx context.Context, cfg PubSubConfig) (*PubSub, error) {
	c := Config{URL: cfg.URL, Options: cfg.Options, Prefix: cfg.Prefix, MaxRecord: cfg.MaxRecord, Envelope: cfg.Envelope}
	c = c.withDefaults()
	if err := c.validate(); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	conn, _, err := connect(ctx, c.URL, c.Options)
	if err != nil {
		return nil, err
	}
	return &PubSub{cfg: c, client: conn}, nil
}

// Name implements engine.Engine.
func (p *PubSub) Name() string { return "redis-pubsub" }

// Ready implements engine.Engine: whether the server answers.
func (p *PubSub) Ready(ctx context.Context) error {
	if p.closed.Load() {
		return fmt.Errorf("redis: ready: %w", engine.ErrClosed)
	}
	_, err := within(ctx, func() (string, error) { return p.client.Ping(ctx).Result() })
	return fault("ready", err)
}

// Close implements engine.Engine.
func (p *PubSub) Close(context.Context) error {
	if p.closed.Swap(true) {
		return nil
	}
	return p.client.Close()
}

// Open implements engine.Engine. There is nothing to be made.
func (p *PubSub) Open(_ context.Context, topic string) (engine.Topic, error) {
	if p.closed.Load() {
		return nil, fault("topic "+topic, engine.ErrClosed)
	}
	if topic == "" {
		return nil, errors.New("redis: a topic must have a name")
	}
	return &Channel{p: p, name: topic, channel: p.cfg.Prefix + ":" + url.PathEscape(topic)}, nil
}

// Channel is a topic of [PubSub]. It implements engine.Topic.
type Channel struct {
	p       *PubSub
	name    string
	channel string
}

var _ engine.Topic = (*Channel)(nil)

// Caps implements engine.Topic.
func (c *Channel) Caps() engine.Caps {
	return engine.Caps{Ordered: true, MaxRecord: c.p.cfg.MaxRecord}
}

// Publish implements engine.Topic. nil is that the server has handed the record to those
// who listen, which may be nobody.
func (c *Channel) Publish(ctx context.Context, records []engine.Record) []error {
	var errs []error
	fail := func(i int, err error) {
		if errs == nil {
			errs = make([]error, len(records))
		}
		errs[i] = fault("topic "+c.name+": record "+records[i].ID, err)
	}
	var calls []call
	var index []int
	sealer := newSealer(c.p.cfg.Envelope, c.p.cfg.MaxRecord, records)
	for i := range records {
		if c.p.closed.Load() {
			fail(i, engine.ErrClosed)
			continue
		}
		message, err := sealer.seal(&records[i])
		if err != nil {
			fail(i, err)
			continue
		}
		calls = append(calls, call{args: []any{"PUBLISH", c.channel, message}})
		index = append(index, i)
	}
	if len(calls) == 0 {
		return errs
	}
	answers, err := within(ctx, func() ([]*goredis.Cmd, error) { return c.p.client.do(ctx, calls), nil })
	if err != nil {
		for _, i := range index {
			fail(i, errors.Join(engine.ErrUnavailable, err))
		}
		return errs
	}
	for n, a := range answers {
		if a.Err() != nil {
			fail(index[n], a.Err())
		}
	}
	return errs
}

// Subscribe implements engine.Topic. It returns when the server has noted the
// subscription. Errors: engine.ErrUnsupported for KeyOrder and FromOldest.
func (c *Channel) Subscribe(ctx context.Context, cfg engine.SubscribeConfig) (engine.Subscription, error) {
	what := "topic " + c.name
	switch {
	case c.p.closed.Load():
		return nil, fault(what, engine.ErrClosed)
	case cfg.KeyOrder:
		return nil, fault(what, fmt.Errorf("%w: Pub/Sub has no order by key: use redis.Open", engine.ErrUnsupported))
	case cfg.From != engine.FromNow:
		return nil, fault(what, fmt.Errorf("%w: Pub/Sub keeps nothing to begin with: use redis.Open", engine.ErrUnsupported))
	case cfg.MaxInFlight < 0:
		return nil, fmt.Errorf("redis: %s: MaxInFlight %d: must not be negative", what, cfg.MaxInFlight)
	case cfg.MaxInFlight == 0:
		cfg.MaxInFlight = defaultInFlight
	}
	ps := c.p.client.Subscribe(context.Background(), c.channel)
	if _, err := within(ctx, func() (any, error) { return ps.Receive(ctx) }); err != nil {
		_ = ps.Close() // what matters is why
		return nil, fault(what+": subscribe", err)
	}
	l := &listener{
		c: c, limit: cfg.MaxInFlight, ps: ps, what: what,
		got: make(chan heard), room: make(chan struct{}, 1), closed: make(chan struct{}),
		handed: map[*engine.Delivery]struct{}{}, opener: newOpener(c.p.cfg.Envelope),
	}
	l.wg.Go(l.listen)
	return l, nil
}
