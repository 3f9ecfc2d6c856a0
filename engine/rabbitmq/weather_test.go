package rabbitmq_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/rabbitmq"
)

func TestOpenErrors(t *testing.T) {
	url := server(t)
	wrong := strings.Replace(url, "guest:guest", "guest:sesame", 1)
	mute, err := net.Listen("tcp", "127.0.0.1:0") // accepts and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	free.Close()
	for _, c := range []struct {
		name string
		cfg  rabbitmq.Config
		want error
	}{
		{"nobody there", rabbitmq.Config{URL: "amqp://u:sesame@" + free.Addr().String()}, engine.ErrUnavailable},
		{"says nothing", rabbitmq.Config{URL: "amqp://u:sesame@" + mute.Addr().String(), ConnectTimeout: 100 * time.Millisecond}, engine.ErrUnavailable},
		{"wrong password", rabbitmq.Config{URL: wrong}, engine.ErrUnauthorized},
		{"no such virtual host", rabbitmq.Config{URL: url + "nowhere"}, engine.ErrUnauthorized},
		{"no URL", rabbitmq.Config{}, nil},
		{"no AMQP", rabbitmq.Config{URL: "http://u:sesame@localhost"}, nil},
		{"many faults", rabbitmq.Config{URL: url, Window: -1, MaxRecord: -1, MaxUnclaimed: -2, MaxBacklog: -1, Replicas: -1, Heartbeat: 1, ConnectTimeout: -1}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := rabbitmq.Open(within(t), c.cfg)
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("Open = %v, want %v", err, c.want)
			}
			if strings.Contains(err.Error(), "sesame") {
				t.Errorf("Open = %v: tells the password", err)
			}
			t.Log(err)
		})
	}
	// The second node of a cluster answers.
	e := open(t, rabbitmq.Config{URL: "amqp://" + free.Addr().String() + ", " + url})
	if err := e.Ready(within(t)); err != nil {
		t.Errorf("Ready = %v", err)
	}
	ctx, cancel := context.WithCancel(within(t))
	cancel()
	if _, err := rabbitmq.Open(ctx, rabbitmq.Config{URL: url}); !errors.Is(err, context.Canceled) {
		t.Errorf("Open with a ctx that has ended = %v", err)
	}
}

func TestAnotherConfigurationIsRefused(t *testing.T) {
	e := open(t, rabbitmq.Config{})
	top, name := topic(t, e)
	subscribe(t, top, engine.SubscribeConfig{})
	if _, err := top.Subscribe(within(t), engine.SubscribeConfig{Group: "mail", KeyOrder: true}); !errors.Is(err, engine.ErrMismatch) {
		t.Errorf("Subscribe with KeyOrder to a group without = %v, want ErrMismatch", err)
	}
	other := open(t, rabbitmq.Config{MaxUnclaimed: 7})
	if _, err := other.Open(within(t), name); !errors.Is(err, engine.ErrMismatch) {
		t.Errorf("Open with another MaxUnclaimed = %v, want ErrMismatch", err)
	} else {
		t.Log(err)
	}
	if _, err := top.Subscribe(within(t), engine.SubscribeConfig{Group: "audit", From: engine.FromOldest}); !errors.Is(err, engine.ErrUnsupported) {
		t.Errorf("FromOldest = %v, want ErrUnsupported", err)
	}
	if _, err := top.Subscribe(within(t), engine.SubscribeConfig{Group: "audit", MaxInFlight: 70_000}); !errors.Is(err, engine.ErrUnsupported) {
		t.Errorf("MaxInFlight 70000 = %v, want ErrUnsupported", err)
	}
	if _, err := e.Open(within(t), strings.Repeat("x", 250)); err == nil {
		t.Error("a name of 250 bytes was taken")
	}
	// What was refused has done no harm.
	publish(t, top, records(0, 1)...)
}

func TestPassiveMakesNothing(t *testing.T) {
	passive := open(t, rabbitmq.Config{Passive: true})
	if _, err := passive.Open(within(t), "not.there"); !errors.Is(err, engine.ErrNoTopic) {
		t.Errorf("Open = %v, want ErrNoTopic", err)
	}
	top, name := topic(t, open(t, rabbitmq.Config{}))
	mine, err := passive.Open(within(t), name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mine.Subscribe(within(t), engine.SubscribeConfig{Group: "mail"}); !errors.Is(err, engine.ErrNoTopic) {
		t.Errorf("Subscribe = %v, want ErrNoTopic", err)
	}
	s := subscribe(t, top, engine.SubscribeConfig{})
	publish(t, mine, records(0, 1)...)
	fetch(t, s, 1)
}

func TestForeignMessages(t *testing.T) {
	top, name := topic(t, open(t, rabbitmq.Config{}))
	s := subscribe(t, top, engine.SubscribeConfig{})
	raw := rawChannel(t)
	for _, p := range []amqp.Publishing{
		{Body: []byte("plain"), ContentType: "text/plain", Headers: amqp.Table{"Number": int32(7)}},
		{Body: []byte("other"), Headers: amqp.Table{"cloudEvents_specversion": "1.0", "cloudEvents_id": "a", "cloudEvents_source": "/s", "cloudEvents_type": "t", "cloudEvents_mine": "x"}},
		{Body: []byte("wrong"), Headers: amqp.Table{"cloudEvents:specversion": "1.0", "cloudEvents:id": "b", "cloudEvents:time": "noon"}},
	} {
		if err := raw.Publish("troupe."+name, "", false, false, p); err != nil {
			t.Fatal(err)
		}
	}
	ds := fetch(t, s, 3)
	d := ds[0]
	if !errors.Is(d.Fault, engine.ErrNotSealed) || string(d.Record.Data) != "plain" || d.Record.ID == "" ||
		d.Record.ContentType != "text/plain" || d.Record.Headers["number"] != "7" || d.Attempt != 1 {
		t.Errorf("a plain message = %+v", d)
	}
	if d := ds[1]; d.Fault != nil || d.Record.ID != "a" || d.Record.Type != "t" || d.Record.Headers["ce-mine"] != "x" {
		t.Errorf("with the other prefix = %+v", d)
	}
	if d := ds[2]; d.Fault == nil || string(d.Record.Data) != "wrong" || d.Record.ID != d.Place {
		t.Errorf("with a fault = %+v", d)
	}
	settle(t, s, engine.Nack, ds[0])
	if again := fetch(t, s, 1)[0]; again.Place != d.Place || again.Attempt != 2 {
		t.Errorf("again = %+v, want attempt 2 at %s", again, d.Place)
	} else {
		settle(t, s, engine.Term, again, ds[1], ds[2])
	}
}

func TestConfirmsLost(t *testing.T) {
	p := newProxy(t, server(t))
	e := open(t, rabbitmq.Config{})
	top, name := topic(t, e)
	s := subscribe(t, top, engine.SubscribeConfig{})
	far, err := open(t, rabbitmq.Config{URL: p.url}).Open(within(t), name)
	if err != nil {
		t.Fatal(err)
	}
	p.set(func() { p.silent = true })
	result := make(chan []error, 1)
	go func() { result <- far.Publish(within(t), records(0, 10)) }()
	first := fetch(t, s, 10) // they are stored
	p.cut()
	for i, err := range <-result {
		if !errors.Is(err, engine.ErrUnavailable) {
			t.Errorf("record %d: %v, want ErrUnavailable", i, err)
		}
	}
	p.set(func() { p.silent = false })
	ctx := within(t)
	for { // it comes back by itself, and says that it is away at once until then
		errs := far.Publish(ctx, records(0, 10))
		if errs == nil {
			break
		}
		for _, err := range errs {
			if !engine.Temporary(err) || ctx.Err() != nil {
				t.Fatalf("Publish = %v, want one that passes", err)
			}
		}
		time.Sleep(time.Millisecond)
	}
	second := fetch(t, s, 10)
	if want := "0 1 2 3 4 5 6 7 8 9"; ids(first) != want || ids(second) != want {
		t.Errorf("stored %s and %s", ids(first), ids(second))
	}
}

func TestConnectionOfConsumerLost(t *testing.T) {
	p := newProxy(t, server(t))
	top, _ := topic(t, open(t, rabbitmq.Config{URL: p.url}))
	s := subscribe(t, top, engine.SubscribeConfig{MaxInFlight: 8})
	publish(t, top, records(0, 8)...)
	ds := fetch(t, s, 4)
	p.cut()
	var again []*engine.Delivery
	for len(again) < 8 { // what had come before the cut may still be handed out
		if d := fetch(t, s, 1)[0]; d.Attempt == 2 {
			again = append(again, d)
		}
	}
	if ids(again) != "0 1 2 3 4 5 6 7" {
		t.Errorf("after the cut: %s", ids(again))
	}
	var settled []engine.Settlement
	for _, d := range ds {
		settled = append(settled, engine.Settlement{Delivery: d})
	}
	settled[3].Verdict, settled[3].Delay = engine.Nack, time.Second
	if late, err := s.Settle(within(t), settled); late != 4 || err != nil {
		t.Errorf("Settle what was lost = %d, %v, want 4, nil", late, err)
	}
	if late, err := s.Settle(within(t), settled); late != 0 || err != nil {
		t.Errorf("Settle it again = %d, %v, want 0, nil", late, err)
	}
	settle(t, s, engine.Ack, again...)
	settle(t, s, engine.Ack, again...) // does nothing
	if lag, err := s.Lag(within(t)); err != nil || lag != (engine.Lag{}) {
		t.Errorf("Lag = %+v, %v", lag, err)
	}
}

// TestSilentServer holds every call to its ctx while the server does not answer.
func TestSilentServer(t *testing.T) {
	p := newProxy(t, server(t))
	e := open(t, rabbitmq.Config{URL: p.url})
	top, _ := topic(t, e)
	s, err := top.Subscribe(within(t), engine.SubscribeConfig{Group: "mail"})
	if err != nil {
		t.Fatal(err)
	}
	publish(t, top, records(0, 1)...)
	d := fetch(t, s, 1)[0]
	p.set(func() { p.silent, p.deaf = true, true })
	for _, c := range []struct {
		name string
		call func(context.Context) error
	}{
		{"Publish", func(ctx context.Context) error { return top.Publish(ctx, records(1, 2))[0] }},
		{"Publish much", func(ctx context.Context) error {
			rs := records(1, 20)
			for i := range rs {
				rs[i].Data = make([]byte, 2<<20) // more than sockets have room for
			}
			return top.Publish(ctx, rs)[0]
		}},
		{"Publish behind", func(ctx context.Context) error { return top.Publish(ctx, records(1, 2))[0] }},
		{"Subscribe", func(ctx context.Context) error {
			_, err := top.Subscribe(ctx, engine.SubscribeConfig{Group: "audit"})
			return err
		}},
		{"Settle", func(ctx context.Context) error {
			_, err := s.Settle(ctx, []engine.Settlement{{Delivery: d, Verdict: engine.Nack, Delay: time.Second}})
			return err
		}},
		{"Lag", func(ctx context.Context) error { _, err := s.Lag(ctx); return err }},
		{"Ready", e.Ready},
		{"Open", func(ctx context.Context) error { _, err := e.Open(ctx, "silent.other"); return err }},
		{"Close", s.Close},
	} {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		begin := time.Now()
		err := c.call(ctx)
		if took := time.Since(begin); took > 5*time.Second {
			t.Errorf("%s took %v with a ctx of 50ms", c.name, took)
		}
		if !errors.Is(err, engine.ErrUnavailable) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s = %v, want ErrUnavailable and the deadline", c.name, err)
		}
		cancel()
	}
	remove(t, "silent.other")
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := e.Close(ctx); err != nil {
		t.Errorf("Close = %v", err)
	}
	if err := top.Publish(within(t), records(0, 1))[0]; !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Publish after Close = %v, want ErrClosed", err)
	}
}

func TestClosed(t *testing.T) {
	e := open(t, rabbitmq.Config{})
	top, _ := topic(t, e)
	s := subscribe(t, top, engine.SubscribeConfig{})
	other := subscribe(t, top, engine.SubscribeConfig{Group: "audit"})
	publish(t, top, records(0, 2)...)
	fetch(t, other, 2)
	waits := make(chan error, 1)
	held := fetch(t, s, 2)
	settle(t, s, engine.Ack, held[0])
	go func() { _, err := s.Fetch(within(t), 1); waits <- err }()
	if err := s.Close(within(t)); err != nil {
		t.Fatal(err)
	}
	if err := <-waits; !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Fetch that waits = %v, want ErrClosed", err)
	}
	if _, err := s.Fetch(within(t), 1); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Fetch after Close = %v, want ErrClosed", err)
	}
	next := subscribe(t, top, engine.SubscribeConfig{})
	if d := fetch(t, next, 1)[0]; d.Record.ID != "id-1" || d.Attempt != 2 {
		t.Errorf("after Close: %s, attempt %d, want id-1, 2", d.Record.ID, d.Attempt)
	}
	if late, err := s.Settle(within(t), []engine.Settlement{{Delivery: held[1]}}); late != 1 || err != nil {
		t.Errorf("Settle after Close = %d, %v, want 1 late", late, err)
	}
	if err := e.Close(within(t)); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Open(within(t), "x"); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Open after Close = %v, want ErrClosed", err)
	}
	if err := e.Ready(within(t)); !errors.Is(err, engine.ErrClosed) {
		t.Errorf("Ready after Close = %v, want ErrClosed", err)
	}
	ctx := within(t)
	for { // the subscription sees it
		_, err := next.Fetch(ctx, 1)
		if errors.Is(err, engine.ErrClosed) {
			break
		}
		if ctx.Err() != nil || err == nil {
			t.Fatalf("Fetch after the engine is closed = %v, want ErrClosed", err)
		}
	}
}

// TestQueueDeleted: somebody deletes the queue of a group that is consumed. The consumer
// says so, makes it again, and has what is published from then on.
func TestQueueDeleted(t *testing.T) {
	top, name := topic(t, open(t, rabbitmq.Config{}))
	s := subscribe(t, top, engine.SubscribeConfig{})
	publish(t, top, records(0, 2)...)
	held := fetch(t, s, 2)
	deleteQueue(t, "troupe."+name+"/mail")
	if _, err := s.Fetch(within(t), 1); !errors.Is(err, engine.ErrUnavailable) {
		t.Errorf("Fetch = %v, want ErrUnavailable", err)
	}
	if late, err := s.Settle(within(t), []engine.Settlement{{Delivery: held[0]}}); late != 1 || err != nil {
		t.Errorf("Settle = %d, %v, want 1 late", late, err)
	}
	ctx := within(t)
	for i := 2; ; i++ { // what comes before it has joined again is with the unclaimed
		publish(t, top, records(i, i+1)...)
		short, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
		ds, err := s.Fetch(short, 1)
		cancel()
		if err == nil && len(ds) > 0 {
			if ds[0].Attempt != 1 {
				t.Errorf("attempt %d, want 1", ds[0].Attempt)
			}
			return
		}
		if ctx.Err() != nil {
			t.Fatalf("Fetch = %v: it never joined again", err)
		}
	}
}
