package nats

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/zap"

	"github.com/troupe-go/troupe/engine"
)

const (
	reconnectWait   = 100 * time.Millisecond
	reconnectJitter = 100 * time.Millisecond
	pingEvery       = 5 * time.Second // two that are not answered are a connection lost
)

// connect makes the connection, which then stays until Close: it is made again however
// often it is lost and however long that lasts.
func (e *Engine) connect(ctx context.Context) error {
	options := append([]natsgo.Option{}, e.cfg.Client...)
	options = append(options,
		natsgo.Name("troupe"),
		natsgo.MaxReconnects(-1),
		natsgo.ReconnectWait(reconnectWait),
		natsgo.ReconnectJitter(reconnectJitter, reconnectJitter),
		// A record that waits in a buffer of the client is one that nobody has:
		// without, Publish says at once that there is no connection.
		natsgo.ReconnectBufSize(-1),
		natsgo.RetryOnFailedConnect(false),
		natsgo.IgnoreAuthErrorAbort(), // credentials may be put right
		natsgo.PingInterval(pingEvery),
		natsgo.MaxPingsOutstanding(2),
		natsgo.Timeout(2*time.Second),
		natsgo.DisconnectErrHandler(func(_ *natsgo.Conn, err error) { e.disconnected(err) }),
		natsgo.ReconnectHandler(func(*natsgo.Conn) { e.reconnected() }),
		natsgo.ErrorHandler(func(_ *natsgo.Conn, _ *natsgo.Subscription, err error) { e.failed(err) }),
	)
	target := e.cfg.URL
	if e.server != nil {
		target = ""
		options = append(options, natsgo.InProcessServer(e.server))
	}
	end, cancel := context.WithTimeout(ctx, e.cfg.Timeout)
	defer cancel()
	for {
		conn, err := natsgo.Connect(target, options...)
		if err == nil {
			return e.begin(conn)
		}
		k := kind(err)
		if k == nil && !errors.Is(err, natsgo.ErrInvalidConnection) {
			k = engine.ErrUnavailable // what a dial, or TLS, says
		}
		fault := fmt.Errorf("nats: %s: %w", e.where(), err)
		if k != nil {
			fault = fmt.Errorf("nats: %w: %s: %w", k, e.advice(k), err)
		}
		if k != engine.ErrUnavailable {
			return fault
		}
		select {
		case <-end.Done():
			if ctx.Err() != nil {
				fault = fmt.Errorf("%w: %w", fault, context.Cause(ctx))
			}
			return fault
		case <-time.After(reconnectWait):
		}
	}
}

func (e *Engine) begin(conn *natsgo.Conn) error {
	e.conn = conn
	js, err := jetstream.New(conn)
	if err == nil {
		e.js = js
		e.mail, err = newMail(conn)
	}
	if err != nil {
		conn.Close()
		return fmt.Errorf("nats: %s: %w", e.where(), err)
	}
	return nil
}

func (e *Engine) disconnected(err error) {
	if e.isClosed() {
		return
	}
	e.log.Warn("connection lost", zap.String("server", e.where()), zap.Error(err))
	e.mail.fail(fmt.Errorf("nats: %w: the connection to %s was lost: what was on its way may be stored: %w", engine.ErrUnavailable, e.where(), natsgo.ErrDisconnected))
	e.each((*Subscription).lost)
}

func (e *Engine) reconnected() {
	e.log.Info("connected again", zap.String("server", e.where()))
	e.each((*Subscription).lost)
}

// each calls f with the subscriptions.
func (e *Engine) each(f func(*Subscription)) {
	e.mu.Lock()
	var all []*Subscription
	for s := range e.subs {
		all = append(all, s)
	}
	e.mu.Unlock()
	for _, s := range all {
		f(s)
	}
}

// failed is told what the server says of its own accord.
func (e *Engine) failed(err error) {
	if errors.Is(err, natsgo.ErrPermissionViolation) {
		e.denied.add(err)
		e.mail.deny(e.fault(fmt.Errorf("nats: %w", err)))
		e.log.Error("the server does not allow this", zap.String("server", e.where()), zap.Error(err))
		return
	}
	e.log.Warn("connection", zap.String("server", e.where()), zap.Error(err))
}

// denials are what the server has not allowed. It does not say to which request that
// is the answer, which then has none.
type denials struct {
	mu   sync.Mutex
	n    int
	last error
}

func (d *denials) add(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.n++
	d.last = err
}

func (d *denials) count() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.n
}

// since returns the last denial if there was one after count has returned n.
func (d *denials) since(n int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.n > n {
		return d.last
	}
	return nil
}
