package nats

import (
	"context"
	"fmt"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What tests look at from outside.

func (e *Engine) Conn() *natsgo.Conn { return e.conn }

func (e *Engine) Sweep() { e.sweepOnce() }

func (e *Engine) SetKeep(d time.Duration) { e.cfg.Keep = d }

// ClientOf are the options that let another engine use this one's server.
func (e *Engine) ClientOf() []natsgo.Option {
	return []natsgo.Option{natsgo.InProcessServer(e.server)}
}

func (e *Engine) Stored(ctx context.Context, stream string) uint64 {
	s, err := e.js.Stream(ctx, stream)
	if err != nil {
		panic(err)
	}
	return s.CachedInfo().State.Msgs
}

func (e *Engine) Remove(ctx context.Context, stream string) error {
	return e.js.DeleteStream(ctx, stream)
}

func (e *Engine) Restarts() int64 { return e.server.restarts.Load() }

// StopServer ends the server, as a crash of it would; it is started again at once.
func (e *Engine) StopServer() {
	e.server.mu.Lock()
	ns := e.server.ns
	e.server.mu.Unlock()
	ns.Shutdown()
	ns.WaitForShutdown()
}

func (e *Engine) Replicas(ctx context.Context, stream string) int {
	s, err := e.js.Stream(ctx, stream)
	if err != nil {
		panic(err)
	}
	return s.CachedInfo().Config.Replicas
}

// Current reports whether all replicas of the stream have all of it.
func (e *Engine) Current(ctx context.Context, stream string) bool {
	s, err := e.js.Stream(ctx, stream)
	if err != nil || s.CachedInfo().Cluster == nil || len(s.CachedInfo().Cluster.Replicas) < 2 {
		return false
	}
	for _, r := range s.CachedInfo().Cluster.Replicas {
		if !r.Current || r.Offline {
			return false
		}
	}
	return true
}

// Make makes the stream of a topic as somebody else would.
func (e *Engine) Make(ctx context.Context, topic string, c jetstream.StreamConfig) {
	like := e.streamConfig(topic)
	c.Name, c.Subjects = like.Name, like.Subjects
	if _, err := e.js.CreateStream(ctx, c); err != nil {
		panic(err)
	}
}

// Leader is the number of the node, named n and a number, that leads the stream.
func (e *Engine) Leader(ctx context.Context, stream string) (n int) {
	s, err := e.js.Stream(ctx, stream)
	if err != nil {
		panic(err)
	}
	if _, err := fmt.Sscanf(s.CachedInfo().Cluster.Leader, "n%d", &n); err != nil {
		panic(err)
	}
	return n
}
