package nats_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/eventstore"
	"github.com/troupe-go/troupe/eventstore/nats"
)

// wire dials connections that lose what they carry.
type wire struct {
	deaf, mute atomic.Bool // what comes, what goes is lost

	mu    sync.Mutex
	conns []net.Conn
}

func (w *wire) Dial(network, address string) (net.Conn, error) {
	c, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = append(w.conns, c)
	return &wired{c, w}, nil
}

// mend cuts what is connected; the next connection loses nothing.
func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.deaf.Store(false)
	w.mute.Store(false)
	for _, c := range w.conns {
		c.Close()
	}
	w.conns = nil
}

type wired struct {
	net.Conn
	w *wire
}

func (c *wired) Read(p []byte) (int, error) {
	for {
		n, err := c.Conn.Read(p)
		if err != nil || !c.w.deaf.Load() {
			return n, err
		}
	}
}

func (c *wired) Write(p []byte) (int, error) {
	if c.w.mute.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

// TestAppendWhoseAnswerIsLost: the server stores the events, or never hears of them, and
// the connection is made again. Append ends long before its context, with the events
// stored once.
func TestAppendWhoseAnswerIsLost(t *testing.T) {
	t.Parallel()
	ns := start(t, t.TempDir(), func(o *server.Options) { o.DontListen, o.Host, o.Port = false, "127.0.0.1", server.RANDOM_PORT })
	for _, c := range []struct {
		name     string
		expected eventstore.Version
		events   int
		stored   bool
	}{
		{"a batch that is stored", 1, 3, true}, {"one that is stored", 1, 1, true}, {"a batch under Any that is stored", eventstore.Any, 3, true},
		{"a batch that is lost", 1, 3, false}, {"one that is lost", 1, 1, false}, {"a batch under Any that is lost", eventstore.Any, 3, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := &wire{}
			s := open(t, nats.Config{URL: ns.ClientURL(), Timeout: 4 * time.Second, Client: []natsgo.Option{
				natsgo.SetCustomDialer(w), natsgo.ReconnectWait(10 * time.Millisecond), natsgo.ReconnectJitter(0, 0),
			}})
			look := open(t, nats.Config{URL: ns.ClientURL(), Timeout: time.Minute})
			stream := eventstore.Stream{Category: "lost", ID: c.name}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			if _, err := s.Append(ctx, stream, 0, event("first")); err != nil { // and it knows the head
				t.Fatal(err)
			}
			var events []eventstore.Event
			for i := range c.events {
				events = append(events, event(fmt.Sprint(i)))
			}
			w.deaf.Store(c.stored)
			w.mute.Store(!c.stored)
			type result struct {
				done eventstore.Appended
				err  error
			}
			results := make(chan result, 1)
			go func() {
				done, err := s.Append(ctx, stream, c.expected, events...)
				results <- result{done, err}
			}()
			count := func() (n int) {
				for _, err := range look.Read(ctx, stream, 1) {
					if err != nil {
						t.Fatal(err)
					}
					n++
				}
				return n
			}
			for c.stored && count() < c.events {
				time.Sleep(time.Millisecond)
			}
			if !c.stored {
				time.Sleep(50 * time.Millisecond) // most likely it is on its way; it is right in any case
			}
			w.mend()
			got := <-results
			if want := eventstore.Version(1 + c.events); got.err != nil || got.done.Version != want {
				t.Errorf("Append = %+v, %v, want version %d", got.done, got.err, want)
			}
			if n := count(); n != c.events {
				t.Errorf("%d events are stored, want %d", n, c.events)
			}
		})
	}
}

// TestAppendThatNobodyAnswers ends with its context, and says what kind of error it is.
func TestAppendThatNobodyAnswers(t *testing.T) {
	t.Parallel()
	ns := start(t, t.TempDir(), func(o *server.Options) { o.DontListen, o.Host, o.Port = false, "127.0.0.1", server.RANDOM_PORT })
	w := &wire{}
	s := open(t, nats.Config{URL: ns.ClientURL(), Timeout: time.Second, Client: []natsgo.Option{natsgo.SetCustomDialer(w)}})
	if _, err := s.Append(t.Context(), account, 0, event("first")); err != nil {
		t.Fatal(err)
	}
	w.mute.Store(true)
	defer w.mend()
	ctx, cancel := context.WithTimeout(t.Context(), 1200*time.Millisecond)
	defer cancel()
	if _, err := s.Append(ctx, account, 1, event("a"), event("b")); !errors.Is(err, engine.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Append = %v, want ErrUnavailable and the end of its context", err)
	}
}
