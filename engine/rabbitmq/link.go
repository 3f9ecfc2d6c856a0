package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/troupe-go/troupe/engine"
)

// link is one connection, kept up: run dials again when it is lost. The client's own
// recovery is new and hides that deliveries are lost with their channel; here everybody
// who has a channel sees it die and begins anew.
//
// The engine has two. The server stops reading from a connection that publishes when
// it is short of memory or disk, and acknowledgments, which give it room again, must
// not wait behind that.
type link struct {
	cfg  *Config
	role string // "publish" or "consume"

	mu      sync.Mutex
	conn    *amqp.Connection // nil while it is down
	raw     net.Conn
	err     error         // why it is down
	changed chan struct{} // closed, and another, at each change

	blocked atomic.Pointer[string] // why the server takes no records, nil if it does
	onBlock chan struct{}          // closed while it is blocked; belongs to mu

	stop chan struct{}
	done chan struct{}
}

func newLink(cfg *Config, role string) *link {
	return &link{
		cfg: cfg, role: role,
		err:     fmt.Errorf("%w: not connected yet", engine.ErrUnavailable),
		changed: make(chan struct{}),
		onBlock: make(chan struct{}),
		stop:    make(chan struct{}),
		done:    make(chan struct{}),
	}
}

// dial tries every node once.
func (l *link) dial(ctx context.Context) (*amqp.Connection, net.Conn, error) {
	var faults []error
	for _, u := range l.cfg.urls() {
		conn, raw, err := l.dialOne(ctx, u)
		if err == nil {
			return conn, raw, nil
		}
		faults = append(faults, err)
	}
	return nil, nil, errors.Join(faults...)
}

func (l *link) dialOne(ctx context.Context, u string) (_ *amqp.Connection, _ net.Conn, err error) {
	uri, err := amqp.ParseURI(u)
	if err != nil {
		return nil, nil, errors.New("rabbitmq: URL: cannot be read")
	}
	defer func() {
		if err != nil {
			where := net.JoinHostPort(uri.Host, strconv.Itoa(uri.Port))
			err = fmt.Errorf("rabbitmq: connect to %s as %s: %w", where, uri.Username, told(err))
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, l.cfg.ConnectTimeout)
	defer cancel()
	var raw net.Conn
	keep := func() bool { return true }
	properties := amqp.NewConnectionProperties()
	properties.SetClientConnectionName(l.cfg.ConnectionName + " " + l.role)
	conn, err := amqp.DialConfig(u, amqp.Config{
		Heartbeat:       l.cfg.Heartbeat,
		TLSClientConfig: l.cfg.TLS,
		Properties:      properties,
		Locale:          "en_US",
		Dial: func(network, addr string) (net.Conn, error) {
			var d net.Dialer
			c, err := d.DialContext(ctx, network, addr)
			if err != nil {
				return nil, err
			}
			raw = c
			// The handshake must end with ctx, too; the client takes the deadline
			// away after it.
			keep = context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
			return coalesce(c), nil
		},
	})
	if err != nil {
		if ctx.Err() != nil {
			err = errors.Join(err, context.Cause(ctx))
		}
		return nil, nil, err
	}
	if !keep() {
		_ = raw.Close()
		return nil, nil, ended(ctx, "handshake")
	}
	if err := checkServer(conn.Properties); err != nil {
		_ = conn.CloseDeadline(time.Now().Add(lastWords))
		return nil, nil, err
	}
	return conn, raw, nil
}

// checkServer refuses one that would take our arguments and not do what they say.
// Quorum queues have at-least-once dead-lettering and a TTL since 3.10.
func checkServer(properties amqp.Table) error {
	product, _ := properties["product"].(string)
	version, _ := properties["version"].(string)
	if product != "RabbitMQ" {
		return fmt.Errorf("%w: the server is %q %s: quorum queues need RabbitMQ", engine.ErrUnsupported, product, version)
	}
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	x, errX := strconv.Atoi(major)
	y, errY := strconv.Atoi(minor)
	if errX != nil || errY != nil || x < 3 || x == 3 && y < 10 {
		return fmt.Errorf("%w: RabbitMQ %s: needs 3.10 or later", engine.ErrUnsupported, version)
	}
	return nil
}

// run keeps up the connection that Open has made, until close.
func (l *link) run(conn *amqp.Connection) {
	defer close(l.done)
	for {
		lost := conn.NotifyClose(make(chan *amqp.Error, 1))
		blocks := conn.NotifyBlocked(make(chan amqp.Blocking, 8))
		if !l.watch(lost, blocks) {
			return
		}
		if conn = l.redial(); conn == nil {
			return
		}
	}
}

// watch returns true when the connection is lost, false when the link is closed.
func (l *link) watch(lost <-chan *amqp.Error, blocks <-chan amqp.Blocking) bool {
	for {
		select {
		case <-l.stop:
			return false
		case b, ok := <-blocks:
			if !ok {
				blocks = nil
				continue
			}
			l.block(b)
		case e := <-lost:
			cause := fmt.Errorf("rabbitmq: connection lost: %w", engine.ErrUnavailable)
			if e != nil {
				cause = fmt.Errorf("rabbitmq: connection lost: %w", told(e))
			}
			l.set(nil, nil, cause)
			l.block(amqp.Blocking{})
			return true
		}
	}
}

// block notes what the server says about its room. It tells a connection when that
// publishes next, and reads nothing more from it.
func (l *link) block(b amqp.Blocking) {
	l.mu.Lock()
	defer l.mu.Unlock()
	was := l.blocked.Load() != nil
	switch {
	case b.Active:
		l.blocked.Store(&b.Reason)
		if !was {
			close(l.onBlock)
		}
	case was:
		l.blocked.Store(nil)
		l.onBlock = make(chan struct{})
	}
}

// unblocked returns a context for a call on the connection, which ends when the server
// stops reading from it.
func (l *link) unblocked(ctx context.Context) (context.Context, context.CancelFunc) {
	l.mu.Lock()
	onBlock := l.onBlock
	l.mu.Unlock()
	ctx, cancel := context.WithCancelCause(ctx)
	go func() {
		select {
		case <-onBlock:
			reason := l.blocked.Load()
			if reason == nil {
				reason = new(string)
			}
			cancel(blockedError(*reason))
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// Between attempts to connect.
const (
	firstPause = 50 * time.Millisecond
	lastPause  = 5 * time.Second
)

func (l *link) redial() *amqp.Connection {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-l.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		timer := time.NewTimer(jitter(pause))
		select {
		case <-l.stop:
			timer.Stop()
			return nil
		case <-timer.C:
		}
		conn, raw, err := l.dial(ctx)
		if err != nil {
			l.set(nil, nil, err)
			continue
		}
		if l.set(conn, raw, nil) {
			return conn
		}
		_ = raw.Close()
		return nil
	}
}

// jitter keeps the clients of a server that comes back from arriving at once.
func jitter(d time.Duration) time.Duration { return d/2 + rand.N(d/2+1) }

// set reports whether the link is still open.
func (l *link) set(conn *amqp.Connection, raw net.Conn, err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case <-l.stop:
		return false
	default:
	}
	l.conn, l.raw, l.err = conn, raw, err
	close(l.changed)
	l.changed = make(chan struct{})
	return true
}

// now returns the connection, or why there is none.
func (l *link) now() (*amqp.Connection, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.conn, l.err
}

// next waits for the connection, and returns each reason why there is none once.
func (l *link) next(stop <-chan struct{}) (*amqp.Connection, error) {
	l.mu.Lock()
	conn, changed := l.conn, l.changed
	l.mu.Unlock()
	if conn != nil {
		return conn, nil
	}
	select {
	case <-changed:
		return l.now()
	case <-l.stop:
		return l.now()
	case <-stop:
		return nil, engine.ErrClosed
	}
}

// close ends the connection in order if ctx lets it.
func (l *link) close(ctx context.Context) {
	l.mu.Lock()
	select {
	case <-l.stop:
		l.mu.Unlock()
		return
	default:
	}
	close(l.stop)
	conn, raw := l.conn, l.raw
	l.conn, l.err = nil, fmt.Errorf("rabbitmq: %w", engine.ErrClosed)
	close(l.changed)
	l.changed = make(chan struct{})
	l.mu.Unlock()
	if conn != nil {
		hard := context.AfterFunc(ctx, func() { _ = raw.Close() })
		_ = conn.CloseDeadline(time.Now().Add(2 * lastWords)) // it is closed either way
		hard()
	}
	<-l.done
}
