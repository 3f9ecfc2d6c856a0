package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/postgres"
)

func TestOpenSaysWhatIsWrong(t *testing.T) {
	good := server(t)
	change := func(fn func(u *url.URL)) string {
		u, err := url.Parse(good)
		if err != nil {
			t.Fatal(err)
		}
		fn(u)
		return u.String()
	}
	newer := newSchema(t)
	e := open(t, postgres.Config{URL: good, Schema: newer})
	if _, err := pool(t).Exec(t.Context(), "UPDATE "+newer+".meta SET version = 99"); err != nil {
		t.Fatal(err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	query := func(u *url.URL, k, v string) { q := u.Query(); q.Set(k, v); u.RawQuery = q.Encode() }
	p := pool(t)
	role := newSchema(t) // a name of ours
	if _, err := p.Exec(t.Context(), "CREATE ROLE "+role+" LOGIN PASSWORD 'x'"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Exec(context.Background(), "DROP ROLE "+role) })
	for _, c := range []struct {
		name, url, schema string
		want              error
		says              string
	}{
		{"unreachable", "postgres://postgres@127.0.0.1:1/postgres?sslmode=disable", "", engine.ErrUnavailable, "can be reached"},
		{"password", change(func(u *url.URL) { u.User = url.UserPassword("nobody-of-ours", "wrong") }), "", engine.ErrUnauthorized, "password"},
		{"database", change(func(u *url.URL) { u.Path = "/no_such_database" }), "", engine.ErrNoTopic, "createdb"},
		{"rights", change(func(u *url.URL) { u.User = url.UserPassword(role, "x") }), newSchema(t), engine.ErrUnauthorized, "CREATE on the database"},
		{"read-only", change(func(u *url.URL) { query(u, "default_transaction_read_only", "on") }), newSchema(t), engine.ErrUnavailable, "read-only"},
		{"newer", good, newer, engine.ErrMismatch, "update the program"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			e, err := postgres.Open(ctx, postgres.Config{URL: c.url, Schema: c.schema})
			if err == nil {
				e.Close(ctx)
			}
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("Open = %v\nwant %v that says %q", err, c.want, c.says)
			}
		})
	}
}

func TestAConfigNamesEveryFault(t *testing.T) {
	_, err := postgres.Open(t.Context(), postgres.Config{Schema: "A;", Keep: -5, Poll: -1, Sweep: -1, MaxRecordBytes: -1, Listen: "::"})
	for _, field := range []string{"URL", "Schema", "Keep", "Poll", "Sweep", "MaxRecordBytes", "Listen"} {
		if err == nil || !strings.Contains(err.Error(), "Config."+field) {
			t.Errorf("Open = %v, want a fault of %s", err, field)
		}
	}
}

func TestATopicKeepsItsConfiguration(t *testing.T) {
	cfg := config(t)
	topic(t, open(t, cfg), "orders")
	cfg.Keep = time.Minute
	if _, err := open(t, cfg).Open(t.Context(), "orders"); !errors.Is(err, engine.ErrMismatch) || !strings.Contains(err.Error(), "UPDATE") {
		t.Errorf("Open = %v, want ErrMismatch with its fix", err)
	}
}

func TestAGroupThatIsDroppedSaysSo(t *testing.T) {
	e := open(t, config(t))
	s := subscribe(t, topic(t, e, "orders"), engine.SubscribeConfig{Group: "g"})
	if err := e.DropGroup(t.Context(), "orders", "g"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Fetch(t.Context(), 1); !errors.Is(err, engine.ErrNoTopic) {
		t.Errorf("Fetch = %v, want ErrNoTopic", err)
	}
	if err := e.DropGroup(t.Context(), "orders", "g"); !errors.Is(err, engine.ErrNoTopic) {
		t.Errorf("DropGroup = %v, want ErrNoTopic", err)
	}
}

func TestWhatIsClosedSaysSo(t *testing.T) {
	e := open(t, config(t))
	orders := topic(t, e, "orders")
	s := subscribe(t, orders, engine.SubscribeConfig{Group: "g"})
	ended := make(chan error, 1)
	go func() { _, err := s.Fetch(t.Context(), 1); ended <- err }()
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, openErr := e.Open(t.Context(), "other")
	_, subscribeErr := orders.Subscribe(t.Context(), engine.SubscribeConfig{Group: "g"})
	for what, err := range map[string]error{
		"Fetch": <-ended, "Open": openErr, "Subscribe": subscribeErr, "Ready": e.Ready(t.Context()),
		"Publish": orders.Publish(t.Context(), []engine.Record{record("1", "")})[0],
	} {
		if !errors.Is(err, engine.ErrClosed) {
			t.Errorf("%s = %v, want ErrClosed", what, err)
		}
	}
}

// proxy stands between an engine and its server and can cut what goes through.
type proxy struct {
	net.Listener
	to    string
	mu    sync.Mutex
	conns []net.Conn
	down  bool
}

func newProxy(t *testing.T) (p *proxy, through string) {
	t.Helper()
	u, err := url.Parse(server(t))
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p = &proxy{Listener: l, to: u.Host}
	u.Host = l.Addr().String()
	var work sync.WaitGroup
	work.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", p.to)
			if err != nil || !p.keep(in, out) {
				in.Close()
				if out != nil {
					out.Close()
				}
				continue
			}
			work.Go(func() { io.Copy(in, out); in.Close() })
			work.Go(func() { io.Copy(out, in); out.Close() })
		}
	})
	t.Cleanup(func() { l.Close(); p.cut(true); work.Wait() })
	return p, u.String()
}

func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.down {
		p.conns = append(p.conns, conns...)
	}
	return !p.down
}

func (p *proxy) cut(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// Connections that are cut at any moment, of publishers and consumers: nothing that
// was acknowledged is lost, and nothing waits for a lease.
func TestCutConnectionsLoseNothing(t *testing.T) {
	p, through := newProxy(t)
	cfg := config(t)
	cfg.URL, cfg.Poll = through, 50*time.Millisecond
	e := open(t, cfg)
	orders := topic(t, e, "orders")
	s := subscribe(t, orders, engine.SubscribeConfig{Group: "g", Lease: time.Hour})
	stop := make(chan struct{})
	var work sync.WaitGroup
	var mu sync.Mutex
	acknowledged := map[string]bool{}
	for w := range 3 {
		work.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprintf("%d-%d", w, n)
				for _, err := range orders.Publish(t.Context(), []engine.Record{record(id, "")}) {
					if err != nil && !engine.Temporary(err) {
						t.Errorf("Publish = %v, want one that passes", err)
					}
					if err != nil {
						id = ""
					}
				}
				mu.Lock()
				if id != "" {
					acknowledged[id] = true
				}
				mu.Unlock()
			}
		})
	}
	work.Go(func() {
		for range 8 {
			time.Sleep(time.Duration(100+rand.IntN(300)) * time.Millisecond)
			p.cut(false)
		}
		p.cut(true)
		if err := e.Ready(t.Context()); !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("Ready = %v, want ErrUnavailable", err)
		}
		p.cut(false)
		close(stop)
	})
	seen := map[string]int{}
	missing := func() bool {
		select {
		case <-stop:
		default:
			return true
		}
		mu.Lock()
		defer mu.Unlock()
		for id := range acknowledged {
			if seen[id] == 0 {
				return true
			}
		}
		return false
	}
	for deadline := time.Now().Add(60 * time.Second); missing(); {
		if time.Now().After(deadline) {
			t.Fatal("some that were acknowledged did not come")
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		got, err := s.Fetch(ctx, 20)
		cancel()
		if err != nil && !engine.Temporary(err) && ctx.Err() == nil {
			t.Fatalf("Fetch = %v, want one that passes", err)
		}
		var settled []engine.Settlement
		for _, d := range got {
			seen[d.Record.ID]++
			settled = append(settled, engine.Settlement{Delivery: d})
		}
		for {
			_, err := s.Settle(t.Context(), settled)
			if err == nil {
				break
			}
			if !engine.Temporary(err) {
				t.Fatalf("Settle = %v, want one that passes", err)
			}
		}
	}
	work.Wait()
	for id, n := range seen {
		if n > 1 {
			t.Errorf("%s came %d times, though it was settled", id, n)
		}
	}
	t.Logf("%d acknowledged", len(acknowledged))
}
