package redis

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"sync/atomic"

	goredis "github.com/redis/go-redis/v9"

	"github.com/troupe-go/troupe/engine"
)

// Engine keeps topics in Redis Streams. It implements engine.Engine. It has no goroutines
// but those of calls, and of the client's connections.
type Engine struct {
	cfg    Config
	client *client
	server Server
	closed atomic.Bool
}

var _ engine.Engine = (*Engine)(nil)

// Open connects to a server and reads what it does. It makes nothing there.
//
// Errors: a fault of the configuration, by field; engine.ErrUnavailable and
// ErrUnauthorized; ErrUnsupported for a server before 7.0, and for one that removes
// streams when its memory is full (maxmemory-policy allkeys-…).
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	if err := cfg.validTimeout(); err != nil {
		return nil, fmt.Errorf("redis: %w", err)
	}
	c, server, err := connect(ctx, cfg.URL, cfg.Options)
	if err != nil {
		return nil, err
	}
	if server.mayEvict() {
		return nil, errors.Join(fmt.Errorf(
			"redis: open: %w: the server removes topics when its memory is full (maxmemory-policy %s): set noeviction",
			engine.ErrUnsupported, server.Eviction), c.Close())
	}
	return &Engine{cfg: cfg, client: c, server: server}, nil
}

func connect(ctx context.Context, url string, options *goredis.UniversalOptions) (*client, Server, error) {
	c, err := dial(url, options)
	if err != nil {
		return nil, Server{}, fmt.Errorf("redis: open: %s", withoutURL(err))
	}
	server, err := readServer(ctx, c)
	if err != nil {
		_ = c.Close() // what matters is why
		return nil, server, fault("open", err)
	}
	return c, server, nil
}

// Name implements engine.Engine.
func (e *Engine) Name() string { return "redis" }

// Server returns what was read from the server when the engine was opened.
func (e *Engine) Server() Server { return e.server }

// Ready implements engine.Engine: whether the server answers, has loaded its data and can
// write its append only file.
func (e *Engine) Ready(ctx context.Context) error {
	if e.closed.Load() {
		return fmt.Errorf("redis: ready: %w", engine.ErrClosed)
	}
	return fault("ready", ready(ctx, e.client))
}

// Close implements engine.Engine. It ends the connections, so that what still waits
// returns an error.
func (e *Engine) Close(context.Context) error {
	if e.closed.Swap(true) {
		return nil
	}
	return e.client.Close()
}

// Open implements engine.Engine. It makes a new topic with Config.Shards, which it keeps;
// its streams are made by the first record or group.
func (e *Engine) Open(ctx context.Context, topic string) (engine.Topic, error) {
	what := "topic " + topic
	if e.closed.Load() {
		return nil, fault(what, engine.ErrClosed)
	}
	if topic == "" {
		return nil, errors.New("redis: a topic must have a name")
	}
	t := &Topic{e: e, name: topic}
	for i := range e.cfg.Shards {
		t.streams = append(t.streams, streamKey(e.cfg.Prefix, topic, i))
	}
	shards, err := t.agree(ctx, "shards", strconv.Itoa(e.cfg.Shards))
	if err != nil {
		return nil, fault(what, err)
	}
	if shards != strconv.Itoa(e.cfg.Shards) {
		return nil, fault(what, fmt.Errorf("%w: it has %s shards, and Config.Shards is %d", engine.ErrMismatch, shards, e.cfg.Shards))
	}
	// Something else may be there under the name.
	kind, err := within(ctx, func() (string, error) { return e.client.Type(ctx, t.streams[0]).Result() })
	if err != nil {
		return nil, fault(what, err)
	}
	if kind != "none" && kind != "stream" {
		return nil, fault(what, fmt.Errorf("%w: the key %s is a %s: choose another Prefix", engine.ErrMismatch, t.streams[0], kind))
	}
	return t, nil
}

// streamKey has its braces for a cluster, where the keys of a shard must be on one node.
func streamKey(prefix, topic string, shard int) string {
	return prefix + ":{" + url.PathEscape(topic) + "/" + strconv.Itoa(shard) + "}"
}
