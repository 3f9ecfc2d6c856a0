package kafka_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/kafka"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"github.com/twmb/franz-go/pkg/sasl/plain"
)

// wants checks that an error is of its kind and says what it must.
func wants(t *testing.T, err, kind error, says ...string) {
	t.Helper()
	if !errors.Is(err, kind) {
		t.Fatalf("error = %v, want %v", err, kind)
	}
	for _, s := range says {
		if !strings.Contains(err.Error(), s) {
			t.Errorf("error = %v, want it to say %q", err, s)
		}
	}
}

func soon(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 400*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestConfigIsCheckedWhole(t *testing.T) {
	_, err := kafka.Open(within(t), kafka.Config{Partitions: -2, MaxRecord: 1, CommitEvery: -5, SessionTimeout: 1})
	for _, field := range []string{"Seeds", "Partitions", "MaxRecord", "CommitEvery", "SessionTimeout"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("Open = %v, want it to name %s", err, field)
		}
	}
}

func TestOpenUnreachable(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, err = kafka.Open(within(t), kafka.Config{Seeds: []string{addr}})
	wants(t, err, engine.ErrUnavailable, addr, "Seeds")
}

func TestOpenEndsWithItsContext(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // it accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	began := time.Now()
	_, err = kafka.Open(soon(t), kafka.Config{Seeds: []string{l.Addr().String()}})
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Open took %v, its context 400 ms", took)
	}
	wants(t, err, engine.ErrUnavailable)
	wants(t, err, context.DeadlineExceeded)
}

func TestWrongPassword(t *testing.T) {
	c := fake(t, kfake.EnableSASL(), kfake.Superuser("PLAIN", "shop", "right"))
	cfg := configOf(c)
	cfg.SASL = plain.Auth{User: "shop", Pass: "wrong"}.AsMechanism()
	// The fake hangs up, as brokers before Kafka 1.0. Newer ones say why.
	_, err := kafka.Open(within(t), cfg)
	wants(t, err, engine.ErrUnavailable, "do not know the user")
	c.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		resp := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		resp.ErrorCode = kerr.SaslAuthenticationFailed.Code
		return resp, nil, string(r.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes) == "\x00shop\x00wrong"
	})
	_, err = kafka.Open(within(t), cfg)
	wants(t, err, engine.ErrUnauthorized, "Config.SASL")
	cfg.SASL = plain.Auth{User: "shop", Pass: "right"}.AsMechanism()
	publish(t, open(t, start(t, cfg), "t"), event("a", "1"))
}

func TestTLSWhereThereIsNone(t *testing.T) {
	cfg := configOf(fake(t))
	cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := kafka.Open(ctx, cfg)
	wants(t, err, engine.ErrUnavailable, "TLS")
}

func TestRightsAreNamed(t *testing.T) {
	c := fake(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.Superuser("PLAIN", "admin", "admin"), kfake.User("PLAIN", "guest", "guest"))
	admin := configOf(c)
	admin.SASL = plain.Auth{User: "admin", Pass: "admin"}.AsMechanism()
	open(t, start(t, admin), "t")
	cfg := configOf(c)
	cfg.SASL = plain.Auth{User: "guest", Pass: "guest"}.AsMechanism()
	e, err := kafka.Open(within(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close(within(t))
	_, err = e.Open(within(t), "t")
	wants(t, err, engine.ErrUnauthorized, "topic t", "ACL")
}

func TestTopicThatMayNotBeMade(t *testing.T) {
	cfg := configOf(fake(t))
	cfg.Existing = true
	_, err := start(t, cfg).Open(within(t), "orders")
	wants(t, err, engine.ErrNoTopic, "orders", "Existing")
}

func TestTopicName(t *testing.T) {
	e := start(t, configOf(fake(t)))
	for _, name := range []string{"", ".", "a b", "orders/placed", strings.Repeat("x", 250)} {
		if _, err := e.Open(within(t), name); err == nil {
			t.Errorf("Open(%q) = nil", name)
		}
	}
}

func TestTopicOfAnotherConfiguration(t *testing.T) {
	c := fake(t, kfake.SeedTopics(2, "few"))
	if err := c.CreateTopic("compacted", 3, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	if err := c.CreateTopic("short", 3, map[string]string{"retention.ms": "1000"}); err != nil {
		t.Fatal(err)
	}
	cfg := configOf(c)
	e := start(t, cfg)
	_, err := e.Open(within(t), "few")
	wants(t, err, engine.ErrMismatch, "few", "2 partitions", "is 3")
	_, err = e.Open(within(t), "compacted")
	wants(t, err, engine.ErrMismatch, "compact", "newer one of their key")
	cfg.TopicConfig = map[string]string{"retention.ms": "86400000"}
	asked := start(t, cfg)
	_, err = asked.Open(within(t), "short")
	wants(t, err, engine.ErrMismatch, "retention.ms", `"1000"`)
	open(t, asked, "long") // which is made so
	open(t, asked, "long")
	cfg.Partitions, cfg.TopicConfig = kafka.BrokerDefault, map[string]string{"cleanup.policy": "compact"}
	meant := start(t, cfg)
	open(t, meant, "few2")
	open(t, meant, "compacted")
}

func TestReplicasThatAreNotThere(t *testing.T) {
	c := fake(t)
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Err: kerr.InvalidReplicationFactor})
	cfg := configOf(c)
	cfg.Replicas = 5
	_, err := start(t, cfg).Open(within(t), "t")
	wants(t, err, engine.ErrMismatch, "Replicas")
}

func TestOneTopicByManyAtOnce(t *testing.T) {
	e := start(t, configOf(fake(t)))
	errs := make(chan error, 8)
	for range cap(errs) {
		go func() {
			_, err := e.Open(within(t), "t")
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// An outage ends each Publish with its context, and nothing that was said to be stored
// is missing afterwards; consumers go on by themselves.
func TestOutage(t *testing.T) {
	c := fake(t)
	network := &cut{}
	cfg := configOf(c)
	cfg.Options = []kgo.Opt{kgo.Dialer(network.dial)}
	e := start(t, cfg)
	topic := open(t, e, "t")
	s := subscribe(t, topic, engine.SubscribeConfig{From: engine.FromOldest})
	publish(t, topic, event("a", "before"))
	settle(t, s, engine.Ack, 0, fetch(t, s, 1)...)
	network.set(true)
	began := time.Now()
	for _, err := range topic.Publish(soon(t), []engine.Record{event("a", "during"), event("b", "during")}) {
		wants(t, err, engine.ErrUnavailable, "publish to t")
		wants(t, err, context.DeadlineExceeded)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Publish took %v, its context 400 ms", took)
	}
	wants(t, e.Ready(soon(t)), engine.ErrUnavailable)
	_, err := e.Open(soon(t), "other")
	wants(t, err, engine.ErrUnavailable)
	_, err = topic.Subscribe(soon(t), engine.SubscribeConfig{Group: "other", MaxInFlight: 1})
	wants(t, err, engine.ErrUnavailable)
	network.set(false)
	publish(t, topic, event("a", "after"))
	for text := ""; text != "after"; {
		text = texts(fetch(t, s, 1))[0]
	}
	if err := e.Ready(within(t)); err != nil {
		t.Errorf("Ready = %v", err)
	}
}

// What brokers refuse for a while is tried again by itself.
func TestPassingErrors(t *testing.T) {
	c := fake(t)
	e := start(t, configOf(c))
	topic := open(t, e, "t")
	for _, f := range []kfake.Fault{
		{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition, Count: 2},
		{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotEnoughReplicas, Count: 2},
		{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.RequestTimedOut, Count: 1}, // stored, and answered too late
		{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.NotLeaderForPartition, Count: 2},
		{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.NotCoordinator, Count: 2},
		{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.CoordinatorLoadInProgress, Count: 2},
		{Keys: []kmsg.Key{kmsg.OffsetFetch}, Err: kerr.CoordinatorNotAvailable, Count: 1, TopLevel: true},
		{Keys: []kmsg.Key{kmsg.JoinGroup}, Err: kerr.CoordinatorNotAvailable, Count: 1, TopLevel: true},
		{Keys: []kmsg.Key{kmsg.Heartbeat}, Err: kerr.RebalanceInProgress, Count: 1, TopLevel: true},
	} {
		name := fmt.Sprint(f.Keys[0].Name(), " ", f.Err.Message)
		t.Run(name, func(t *testing.T) {
			h := c.Fault(f)
			defer h.Remove()
			group := fmt.Sprint("g", ids.Add(1))
			s := subscribe(t, topic, engine.SubscribeConfig{Group: group})
			publish(t, topic, event("a", name), event("b", name))
			d := fetch(t, s, 2)
			for _, text := range texts(d) {
				if text != name {
					t.Errorf("got %q, want %q", text, name)
				}
			}
			for range 10 { // an error of a commit is told, and passes
				if _, err := s.Settle(within(t), settlements(d)); err != nil && !engine.Temporary(err) {
					t.Fatal(err)
				}
			}
			nothing(t, s)
			if err := s.Close(within(t)); err != nil {
				t.Fatal(err)
			}
			again := subscribe(t, topic, engine.SubscribeConfig{Group: group})
			nothing(t, again)
		})
	}
}

func TestErrorsOfPublish(t *testing.T) {
	c := fake(t)
	e := start(t, configOf(c))
	topic := open(t, e, "t")
	for _, row := range []struct {
		says *kerr.Error
		kind error
	}{
		{kerr.TopicAuthorizationFailed, engine.ErrUnauthorized},
		{kerr.MessageTooLarge, engine.ErrTooLarge},
		{kerr.RecordListTooLarge, engine.ErrTooLarge},
	} {
		h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: row.says})
		errs := topic.Publish(within(t), []engine.Record{event("a", "1")})
		h.Remove()
		wants(t, first(errs), row.kind, "publish to t", row.says.Message)
	}
	publish(t, topic, event("a", "1"))
}

func first(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestErrorsOfFetch(t *testing.T) {
	c := fake(t)
	e := start(t, configOf(c))
	topic := open(t, e, "t")
	s := subscribe(t, topic, engine.SubscribeConfig{})
	h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	publish(t, topic, event("a", "1"))
	_, err := s.Fetch(within(t), 1)
	wants(t, err, engine.ErrUnauthorized, "topic t", "ACL")
	h.Remove()
	ctx := within(t)
	for {
		d, err := s.Fetch(ctx, 1)
		if len(d) == 1 {
			break
		}
		wants(t, err, engine.ErrUnauthorized)
	}
}

// A commit that is refused is told by Settle, until it succeeds.
func TestErrorsOfCommit(t *testing.T) {
	c := fake(t)
	e := start(t, configOf(c))
	topic := open(t, e, "t")
	s := subscribe(t, topic, engine.SubscribeConfig{})
	publish(t, topic, event("a", "1"))
	d := fetch(t, s, 1)
	h := c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.GroupAuthorizationFailed, Count: -1})
	settle(t, s, engine.Ack, 0, d...)
	var err error
	eventually(t, "Settle tells that the commit is refused", func() bool {
		_, err = s.Settle(within(t), settlements(d))
		return err != nil
	})
	wants(t, err, engine.ErrUnauthorized, "commit", "ACL")
	h.Remove()
	eventually(t, "the commit succeeds", func() bool {
		_, err = s.Settle(within(t), settlements(d))
		return err == nil
	})
	sum := int64(0)
	for _, o := range commits(t, e, "t", "g") {
		sum += o.At
	}
	if sum != 1 {
		t.Errorf("committed %d records, want 1", sum)
	}
}

func TestSettleAtOnceIsCommitted(t *testing.T) {
	cfg := configOf(fake(t))
	cfg.Partitions, cfg.CommitEvery = 1, kafka.AtOnce
	e := start(t, cfg)
	topic := open(t, e, "t")
	s := subscribe(t, topic, engine.SubscribeConfig{From: engine.FromOldest})
	publish(t, topic, event("", "1"), event("", "2"), event("", "3"))
	d := fetch(t, s, 3)
	for _, step := range []struct {
		settled int
		want    int64
	}{{0, 1}, {2, 1}, {1, 3}} {
		settle(t, s, engine.Ack, 0, d[step.settled])
		if got := commits(t, e, "t", "g")[0].At; got != step.want {
			t.Errorf("commit = %d after record %d was settled, want %d", got, step.settled, step.want)
		}
	}
}

// A broker that takes no notes has its commits without them.
func TestNotesThatAreTooLarge(t *testing.T) {
	c := fake(t)
	e := start(t, configOf(c))
	topic := open(t, e, "t")
	c.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.OffsetMetadataTooLarge, Group: "t/g", Count: -1, When: func(r kmsg.Request) bool {
		for _, topic := range r.(*kmsg.OffsetCommitRequest).Topics {
			for _, p := range topic.Partitions {
				if p.Metadata != nil && *p.Metadata != "" {
					return true
				}
			}
		}
		return false
	}})
	s := subscribe(t, topic, engine.SubscribeConfig{})
	publish(t, topic, event("a", "1"), event("a", "2"))
	d := fetch(t, s, 2)
	_, _ = s.Settle(within(t), settlements(d[:1]))
	if err := s.Close(within(t)); err != nil {
		t.Fatal(err)
	}
	second := subscribe(t, topic, engine.SubscribeConfig{})
	if got := fetch(t, second, 1)[0]; string(got.Record.Data) != "2" {
		t.Errorf("got %s, want 2", got.Record.Data)
	}
}

func TestUseAfterClose(t *testing.T) {
	e, err := kafka.Open(within(t), configOf(fake(t)))
	if err != nil {
		t.Fatal(err)
	}
	topic := open(t, e, "t")
	s := subscribe(t, topic, engine.SubscribeConfig{})
	if err := errors.Join(e.Close(within(t)), e.Close(within(t))); err != nil {
		t.Fatal(err)
	}
	_, err = e.Open(within(t), "t")
	wants(t, err, engine.ErrClosed)
	wants(t, topic.Publish(within(t), []engine.Record{event("a", "1")})[0], engine.ErrClosed)
	_, err = topic.Subscribe(within(t), engine.SubscribeConfig{Group: "g", MaxInFlight: 1})
	wants(t, err, engine.ErrClosed)
	_, err = s.Fetch(within(t), 1)
	wants(t, err, engine.ErrClosed)
	wants(t, e.Ready(within(t)), engine.ErrClosed)
}

func TestWrongUse(t *testing.T) {
	e := start(t, configOf(fake(t)))
	topic := open(t, e, "t")
	for _, cfg := range []engine.SubscribeConfig{{MaxInFlight: 1}, {Group: "g"}} {
		if _, err := topic.Subscribe(within(t), cfg); err == nil {
			t.Errorf("Subscribe(%+v) = nil", cfg)
		}
	}
	s := subscribe(t, topic, engine.SubscribeConfig{})
	if _, err := s.Fetch(within(t), 0); err == nil {
		t.Error("Fetch of 0 = nil")
	}
	if errs := topic.Publish(within(t), []engine.Record{{Data: []byte("no ID")}}); first(errs) == nil {
		t.Error("Publish without an ID = nil")
	}
	if errs := topic.Publish(within(t), nil); errs != nil {
		t.Errorf("Publish of nothing = %v", errs)
	}
}
