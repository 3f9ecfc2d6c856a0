package nats

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/troupe-go/troupe/engine"
)

// Engine is an [engine.Engine] on JetStream, with one connection, and with a server in
// this process unless Config.URL names one. Methods are safe for concurrent use.
type Engine struct {
	cfg    Config
	log    *zap.Logger
	server *embedded // nil with Config.URL
	conn   *natsgo.Conn
	js     jetstream.JetStream
	mail   *mail
	denied denials
	marks  marks
	window chan struct{} // a place for each record that waits for its acknowledgment

	mu     sync.Mutex
	topics map[string]*Topic
	subs   map[*Subscription]struct{}
	closed bool
	life   context.Context // until Close
	end    context.CancelFunc
	work   sync.WaitGroup
}

var _ engine.Engine = (*Engine)(nil)

// inFlight is how many records wait for their acknowledgments at most. The server
// refuses what goes beyond 10,000 for one stream.
const inFlight = 4096

// attempt is how long one request to JetStream may take: while a cluster elects a
// leader nobody answers, and the next attempt is what finds the new one.
const attempt = time.Second

// Open connects to the server at cfg.URL, or starts one in this process, with its
// files in cfg.Folder. It returns when the server answers; a node of a cluster need not
// have found the others, for which the opening of topics waits.
//
// Errors: every fault of the config at once; engine.ErrUnavailable if nobody answers at
// cfg.URL within cfg.Timeout or ctx; engine.ErrUnauthorized; engine.ErrInUse if another
// process has the folder; engine.ErrFull if the disk is.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	e := &Engine{
		cfg: cfg, log: cfg.Log,
		topics: map[string]*Topic{}, subs: map[*Subscription]struct{}{},
		window: make(chan struct{}, inFlight),
	}
	if cfg.embedded() {
		b, err := startEmbedded(cfg)
		if err != nil {
			return nil, err
		}
		e.server = b
	}
	if err := e.connect(ctx); err != nil {
		if e.server != nil {
			e.server.stop()
		}
		return nil, err
	}
	if e.server != nil {
		e.server.watched(e.mail.fail)
	}
	e.life, e.end = context.WithCancel(context.Background())
	e.work.Go(e.sweep)
	return e, nil
}

// Name is "nats".
func (e *Engine) Name() string { return "nats" }

// where is the server for people, without its password.
func (e *Engine) where() string {
	if e.server != nil {
		return "folder " + e.cfg.Folder
	}
	var all []string
	for one := range strings.SplitSeq(e.cfg.URL, ",") {
		u, err := url.Parse(strings.TrimSpace(one))
		if err != nil {
			all = append(all, "a URL that does not parse")
			continue
		}
		all = append(all, u.Redacted())
	}
	return strings.Join(all, ",")
}

// Ready returns nil if the server answers and JetStream does its work.
//
// Errors: engine.ErrUnavailable, engine.ErrFull, engine.ErrUnauthorized,
// engine.ErrClosed.
func (e *Engine) Ready(ctx context.Context) error {
	if e.isClosed() {
		return e.closedFault()
	}
	if e.server != nil {
		if why := e.server.spent(); why != nil {
			return fmt.Errorf("nats: %w", why)
		}
	}
	if !e.conn.IsConnected() {
		return e.fault(natsgo.ErrDisconnected)
	}
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	if _, err := e.js.AccountInfo(ctx); err != nil {
		return e.fault(err)
	}
	return nil
}

// Close ends subscriptions that are open, giving back what they have, the connection,
// and the server in this process. Records whose acknowledgment is awaited get an error.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	var open []*Subscription
	for s := range e.subs {
		open = append(open, s)
	}
	e.mu.Unlock()

	var faults []error
	for _, s := range open {
		faults = append(faults, s.Close(ctx))
	}
	e.end()
	e.work.Wait()
	e.mail.fail(e.closedFault())
	e.conn.Close()
	if e.server != nil {
		e.server.stop()
	}
	return errors.Join(faults...)
}

func (e *Engine) isClosed() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.closed
}

func (e *Engine) closedFault() error { return fmt.Errorf("nats: %s: %w", e.where(), engine.ErrClosed) }

// patiently calls f until it succeeds or says something that will not pass, with a
// moment for each attempt and ctx, or Config.Timeout, for all.
func (e *Engine) patiently(ctx context.Context, f func(context.Context) error) error {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, e.cfg.Timeout)
		defer cancel()
	}
	denied := e.denied.count()
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		one, cancel := context.WithTimeout(ctx, attempt)
		err := f(one)
		cancel()
		if err == nil {
			return nil
		}
		if fresh := e.denied.since(denied); fresh != nil {
			return e.fault(fresh)
		}
		if k := kind(err); k != engine.ErrUnavailable || e.isClosed() {
			return e.fault(err)
		}
		select {
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(err, cause) {
				err = fmt.Errorf("%w: %w", cause, err)
			}
			return e.fault(err)
		case <-time.After(pause):
		}
	}
}
