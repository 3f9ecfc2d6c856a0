package rabbitmq_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/rabbitmq"
)

const patience = 30 * time.Second

// server returns the URL of the RabbitMQ that tests share.
func server(t testing.TB) string {
	t.Helper()
	url := os.Getenv("TROUPE_RABBITMQ")
	if url == "" {
		const how = `TROUPE_RABBITMQ is not set: eval "$(scripts/services start rabbitmq)"`
		if os.Getenv("CI") == "true" {
			t.Fatal(how)
		}
		t.Skip(how)
	}
	return url
}

func timeout() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), patience)
}

func within(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := timeout()
	t.Cleanup(cancel)
	return ctx
}

func open(t testing.TB, cfg rabbitmq.Config) *rabbitmq.Engine {
	t.Helper()
	if cfg.URL == "" {
		cfg.URL = server(t)
	}
	e, err := rabbitmq.Open(within(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(within(t)); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return e
}

// topic opens a topic of the test's own, which is removed after it.
func topic(t testing.TB, e *rabbitmq.Engine) (engine.Topic, string) {
	t.Helper()
	name := strings.ToLower(strings.ReplaceAll(t.Name(), "/", ".")) + "." + rand.Text()[:6]
	remove(t, name)
	top, err := e.Open(within(t), name)
	if err != nil {
		t.Fatal(err)
	}
	return top, name
}

// remove deletes after the test what a topic may have on the server.
func remove(t testing.TB, name string) {
	url := server(t)
	t.Cleanup(func() {
		conn, err := amqp.Dial(url)
		if err != nil {
			t.Logf("removing %s: %v", name, err)
			return
		}
		defer conn.Close()
		ch, err := conn.Channel()
		if err != nil {
			t.Logf("removing %s: %v", name, err)
			return
		}
		exchange := "troupe." + name
		queues := []string{exchange + "//unclaimed"}
		for _, group := range []string{"mail", "audit"} {
			queues = append(queues, exchange+"/"+group)
			for _, delay := range []string{"10ms", "100ms", "200ms", "500ms", "1s"} {
				queues = append(queues, exchange+"/"+group+"//delay."+delay)
			}
		}
		for _, queue := range queues {
			if _, err := ch.QueueDelete(queue, false, false, false); err != nil {
				t.Logf("removing %s: %v", queue, err)
				return
			}
		}
		for _, exchange := range []string{exchange, exchange + "//unclaimed"} {
			if err := ch.ExchangeDelete(exchange, false, false); err != nil {
				t.Logf("removing %s: %v", exchange, err)
				return
			}
		}
	})
}

func subscribe(t testing.TB, top engine.Topic, cfg engine.SubscribeConfig) engine.Subscription {
	t.Helper()
	if cfg.Group == "" {
		cfg.Group = "mail"
	}
	s, err := top.Subscribe(within(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(within(t)); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func records(from, to int) []engine.Record {
	var rs []engine.Record
	for i := from; i < to; i++ {
		rs = append(rs, engine.Record{
			ID: fmt.Sprintf("id-%d", i), Key: fmt.Sprintf("key-%d", i%7), Source: "test", Type: "placed",
			Time: time.Unix(1_700_000_000, int64(i)).UTC(), ContentType: "application/json", SchemaVersion: 2,
			Headers: map[string]string{"n": fmt.Sprint(i)}, Data: fmt.Appendf(nil, "%d", i),
		})
	}
	return rs
}

func publish(t testing.TB, top engine.Topic, rs ...engine.Record) {
	t.Helper()
	for i, err := range top.Publish(within(t), rs) {
		if err != nil {
			t.Fatalf("Publish(%s) = %v", rs[i].ID, err)
		}
	}
}

// fetch returns n deliveries; errors that pass do.
func fetch(t testing.TB, s engine.Subscription, n int) []*engine.Delivery {
	t.Helper()
	ctx := within(t)
	var got []*engine.Delivery
	for len(got) < n {
		ds, err := s.Fetch(ctx, n-len(got))
		if err != nil && !(engine.Temporary(err) && ctx.Err() == nil) {
			t.Fatalf("Fetch after %d of %d: %v", len(got), n, err)
		}
		got = append(got, ds...)
	}
	return got
}

func settle(t testing.TB, s engine.Subscription, v engine.Verdict, ds ...*engine.Delivery) {
	t.Helper()
	var all []engine.Settlement
	for _, d := range ds {
		all = append(all, engine.Settlement{Delivery: d, Verdict: v})
	}
	late, err := s.Settle(within(t), all)
	if err != nil || late != 0 {
		t.Fatalf("Settle = %d, %v, want 0, nil", late, err)
	}
}

func ids(ds []*engine.Delivery) string {
	var b strings.Builder
	for _, d := range ds {
		b.WriteString(strings.TrimPrefix(d.Record.ID, "id-") + " ")
	}
	return strings.TrimSpace(b.String())
}
