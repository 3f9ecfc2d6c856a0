package rabbitmq_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/rabbitmq"
)

// serverShortOfMemory: what the server does not take is ErrFull, at once when it is
// known, settling goes on, and publishing goes on when there is memory again.
func serverShortOfMemory(t *testing.T, p *private) {
	e := open(t, rabbitmq.Config{URL: p.url})
	top, err := e.Open(within(t), "alarm")
	if err != nil {
		t.Fatal(err)
	}
	s := subscribe(t, top, engine.SubscribeConfig{})
	publish(t, top, records(0, 4)...)
	held := fetch(t, s, 4)
	p.ctl(t, "set_vm_memory_high_watermark", "0.00001")
	defer p.ctl(t, "set_vm_memory_high_watermark", "0.2")
	// The server tells a connection when it publishes next.
	waiting := make(chan []error, 1)
	go func() { waiting <- top.Publish(within(t), records(4, 5)) }()
	ctx := within(t)
	for e.Ready(ctx) == nil {
		time.Sleep(time.Millisecond)
	}
	err = e.Ready(ctx)
	if !errors.Is(err, engine.ErrFull) || !strings.Contains(err.Error(), "memory") {
		t.Errorf("Ready = %v, want ErrFull, for memory", err)
	}
	begin := time.Now()
	errs := top.Publish(ctx, records(5, 7))
	if errs == nil || !errors.Is(errs[0], engine.ErrFull) || !engine.Temporary(errs[1]) || time.Since(begin) > 5*time.Second {
		t.Errorf("Publish = %v after %v, want ErrFull at once", errs, time.Since(begin))
	}
	settle(t, s, engine.Ack, held...)
	if lag, err := s.Lag(ctx); err != nil || lag.Unsettled != 0 {
		t.Errorf("Lag = %+v, %v", lag, err)
	}
	p.ctl(t, "set_vm_memory_high_watermark", "0.2")
	if errs := <-waiting; errs != nil {
		t.Errorf("the record that waited: %v", errs)
	}
	for e.Ready(ctx) != nil {
		if ctx.Err() != nil {
			t.Fatal("never ready again")
		}
		time.Sleep(time.Millisecond)
	}
	publish(t, top, records(5, 6)...)
	if got := fetch(t, s, 2); ids(got) != "4 5" {
		t.Errorf("got %s, want 4 5", ids(got))
	}
}

// serverTakesLess: the server's own limit closes the channel over one record; the
// engine learns it, and the records beside it may be published again.
func serverTakesLess(t *testing.T, p *private) {
	p.ctl(t, "eval", "application:set_env(rabbit, max_message_size, 1000).")
	defer p.ctl(t, "eval", "application:set_env(rabbit, max_message_size, 134217728).")
	top, err := open(t, rabbitmq.Config{URL: p.url}).Open(within(t), "small")
	if err != nil {
		t.Fatal(err)
	}
	s := subscribe(t, top, engine.SubscribeConfig{})
	rs := records(0, 3)
	rs[1].Data = make([]byte, 2000)
	errs := top.Publish(within(t), rs)
	if errs == nil || !errors.Is(errs[1], engine.ErrTooLarge) || engine.Temporary(errs[1]) {
		t.Fatalf("Publish = %v, want ErrTooLarge for the second", errs)
	}
	if errs[2] != nil && !engine.Temporary(errs[2]) {
		t.Errorf("the record behind it: %v, want nothing that stays", errs[2])
	}
	if got := top.Caps().MaxRecord; got != 1000 {
		t.Errorf("MaxRecord = %d, want 1000", got)
	}
	ctx := within(t)
	for {
		errs := top.Publish(ctx, rs[2:])
		if errs == nil {
			break
		}
		if !engine.Temporary(errs[0]) || ctx.Err() != nil {
			t.Fatalf("Publish after it = %v", errs[0])
		}
		time.Sleep(time.Millisecond)
	}
	for fetch(t, s, 1)[0].Record.ID != "id-2" {
	}
	if errs := top.Publish(ctx, rs[1:2]); !errors.Is(errs[0], engine.ErrTooLarge) {
		t.Errorf("Publish it again = %v, want ErrTooLarge", errs[0])
	}
}

// notAllowed: a user who may connect and no more, and one who may not write.
func notAllowed(t *testing.T, p *private) {
	top, err := open(t, rabbitmq.Config{URL: p.url}).Open(within(t), "private")
	if err != nil {
		t.Fatal(err)
	}
	subscribe(t, top, engine.SubscribeConfig{})
	p.ctl(t, "add_user", "reader", "sesame")
	p.ctl(t, "set_permissions", "reader", "^$", "^$", ".*")
	url := strings.Replace(p.url, "guest:guest", "reader:sesame", 1)
	if _, err := open(t, rabbitmq.Config{URL: url}).Open(within(t), "private"); !errors.Is(err, engine.ErrUnauthorized) {
		t.Errorf("Open = %v, want ErrUnauthorized", err)
	}
	passive, err := open(t, rabbitmq.Config{URL: url, Passive: true}).Open(within(t), "private")
	if err != nil {
		t.Fatal(err)
	}
	if errs := passive.Publish(within(t), records(0, 2)); errs == nil || !errors.Is(errs[0], engine.ErrUnauthorized) {
		t.Errorf("Publish = %v, want ErrUnauthorized", errs)
	}
}

// policyLosesNothing: an operator's policy that lets records expire sends them to
// the unclaimed.
func policyLosesNothing(t *testing.T, p *private) {
	e := open(t, rabbitmq.Config{URL: p.url})
	top, err := e.Open(within(t), "expiring")
	if err != nil {
		t.Fatal(err)
	}
	s := subscribe(t, top, engine.SubscribeConfig{MaxInFlight: 1})
	p.ctl(t, "set_operator_policy", "short", `^troupe\.expiring/mail$`, `{"message-ttl":20}`, "--apply-to", "queues")
	publish(t, top, records(0, 3)...)
	held := fetch(t, s, 1)
	// Those behind it expire, and wait where nobody takes them for granted.
	ctx, cancel := context.WithTimeout(within(t), 20*time.Second)
	defer cancel()
	for {
		lag, err := s.Lag(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if lag.Waiting == 0 {
			break
		}
	}
	p.ctl(t, "clear_operator_policy", "short")
	for claimed := 0; claimed < 2; {
		n, err := e.Claim(ctx, "expiring", "mail")
		if err != nil {
			t.Fatal(err)
		}
		claimed += n
	}
	settle(t, s, engine.Ack, held...)
	first := fetch(t, s, 1)
	settle(t, s, engine.Ack, first...)
	if got := ids(append(first, fetch(t, s, 1)...)); got != "1 2" {
		t.Errorf("claimed %s, want 1 2", got)
	}
}
