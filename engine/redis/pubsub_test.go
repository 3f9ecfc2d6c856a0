package redis_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/enginetest"
	"github.com/troupe-go/troupe/engine/redis"
)

func openPubSub(t testing.TB, url string) *redis.PubSub {
	t.Helper()
	e, err := redis.OpenPubSub(t.Context(), redis.PubSubConfig{URL: url})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(context.Background()); err != nil {
			t.Error(err)
		}
	})
	return e
}

func TestPubSubSuite(t *testing.T) {
	url := shared(t)
	c := client(t, url)
	enginetest.Run(t, enginetest.Harness{
		Variant: "Redis Pub/Sub",
		Open: func() (engine.Engine, error) {
			return redis.OpenPubSub(context.Background(), redis.PubSubConfig{URL: url})
		},
		Foreign: func(t *testing.T, topic string, body []byte) {
			if err := c.Publish(t.Context(), "troupe:"+topic, body).Err(); err != nil {
				t.Fatal(err)
			}
		},
	})
}

func TestPubSubReachesAllWhoListenAndKeepsNothing(t *testing.T) {
	p, _ := topic(t, openPubSub(t, shared(t)))
	if c := p.Caps(); c.AtLeastOnce || c.Groups || c.Durable || c.Lag || c.Nack || c.FromOldest || !c.Ordered {
		t.Errorf("Caps = %+v", c)
	}
	publish(t, p, record("before"))
	a := subscribe(t, p, engine.SubscribeConfig{Group: "g"})
	b := subscribe(t, p, engine.SubscribeConfig{Group: "g"})
	want := numbered(0, 500)
	want[3].Headers = map[string]string{"x": "a\nb"}
	want[4].Data = []byte("\n\n")
	want[5].Data = []byte{}
	var wg sync.WaitGroup
	for _, s := range []engine.Subscription{a, b} {
		wg.Go(func() {
			var got []*engine.Delivery
			ctx, cancel := context.WithTimeout(t.Context(), patience)
			defer cancel()
			for len(got) < len(want) {
				all, err := s.Fetch(ctx, 100)
				if err != nil {
					t.Errorf("Fetch: %v", err)
					return
				}
				settle(t, s, engine.Nack, 0, all...) // which nobody hears
				got = append(got, all...)
			}
			if !slices.Equal(ids(got), idsOf(want)) {
				t.Errorf("got %d records in another order", len(got))
			}
			if h := got[3].Record.Headers["x"]; h != "a\nb" || string(got[4].Record.Data) != "\n\n" || len(got[5].Record.Data) != 0 {
				t.Errorf("header %q, data %q and %q", h, got[4].Record.Data, got[5].Record.Data)
			}
			nothing(t, s, 50*time.Millisecond)
		})
	}
	for batch := range slices.Chunk(want, 50) {
		publish(t, p, batch...)
	}
	wg.Wait()
}

func TestPubSubHasNoMoreThanMaxInFlight(t *testing.T) {
	p, _ := topic(t, openPubSub(t, shared(t)))
	s := subscribe(t, p, engine.SubscribeConfig{Group: "g", MaxInFlight: 3})
	publish(t, p, numbered(0, 10)...)
	got := fetch(t, s, 3)
	nothing(t, s, 50*time.Millisecond)
	settle(t, s, engine.Ack, 0, got[0])
	if d := fetch(t, s, 1); d[0].Record.ID != "r00003" {
		t.Errorf("got %v", ids(d))
	}
	for name, cfg := range map[string]engine.SubscribeConfig{
		"order by key": {Group: "g", KeyOrder: true}, "keeps nothing": {Group: "g", From: engine.FromOldest},
	} {
		_, err := p.Subscribe(t.Context(), cfg)
		is(t, err, engine.ErrUnsupported, name, "redis.Open")
	}
	large := record("large")
	large.Data = make([]byte, 9<<20)
	is(t, p.Publish(t.Context(), []engine.Record{large})[0], engine.ErrTooLarge, "large")
}

// A server that restarts is told once, and the subscription goes on.
func TestPubSubSaysThatItMayHaveLostSome(t *testing.T) {
	srv := startServer(t)
	e := openPubSub(t, srv.url())
	p, _ := topic(t, e)
	s := subscribe(t, p, engine.SubscribeConfig{Group: "g"})
	publish(t, p, record("a"))
	settle(t, s, engine.Ack, 0, fetch(t, s, 1)...)
	srv.end(syscall.SIGKILL)
	_, err := s.Fetch(t.Context(), 1)
	is(t, err, engine.ErrUnavailable, "is lost")
	is(t, p.Publish(t.Context(), numbered(0, 1))[0], engine.ErrUnavailable)
	is(t, e.Ready(t.Context()), engine.ErrUnavailable)
	srv.start()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() {
		for ctx.Err() == nil { // until it listens again
			_ = p.Publish(ctx, []engine.Record{record("back")})
			time.Sleep(10 * time.Millisecond)
		}
	}()
	got, err := s.Fetch(ctx, 1)
	if err != nil || got[0].Record.ID != "back" {
		t.Fatalf("Fetch = %v, %v, want what is published now", ids(got), err)
	}
}

func TestPubSubClose(t *testing.T) {
	p, _ := topic(t, openPubSub(t, shared(t)))
	s := subscribe(t, p, engine.SubscribeConfig{Group: "g"})
	done := make(chan error, 1)
	go func() {
		_, err := s.Fetch(t.Context(), 1)
		done <- err
	}()
	if err := errors.Join(s.Close(t.Context()), s.Close(t.Context())); err != nil {
		t.Fatal(err)
	}
	is(t, <-done, engine.ErrClosed)
	if _, err := s.Lag(t.Context()); !errors.Is(err, engine.ErrUnsupported) || !strings.Contains(err.Error(), "lag") {
		t.Errorf("Lag: %v", err)
	}
}
