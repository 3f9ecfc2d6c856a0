// Package enginetest holds what an engine.Engine must do, as tests: for every
// capability that an engine says it has, that it does it, and for those that it says it
// has not, that it says so where it is asked.
//
//	func TestMain(m *testing.M) { enginetest.Main(m, open) }
//
//	func TestEngine(t *testing.T) {
//		enginetest.Run(t, enginetest.Harness{Open: open})
//	}
//
// The tests use time as it is, since they talk to servers, and wait for what must
// happen with deadlines that a busy machine does not reach.
package enginetest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/troupe-go/troupe/engine"
)

// Harness is how the suite gets at an engine.
type Harness struct {
	// Variant names what is tested in [CapsFile], such as "NATS JetStream, embedded":
	// an engine may be able to do more in one configuration than in another. Empty
	// keeps no file.
	Variant string
	// Open returns an engine, another one at each call as another process would have
	// it, on the same server. The suite closes it. The processes of the kill tests call
	// it, too, with the environment of the test: what it needs to find the server goes
	// there. With OneProcess it keeps its files in the folder that the variable
	// [Folder] names, where it is set.
	Open func() (engine.Engine, error)
	// Topic makes a name of a topic usable, if that takes anything. Nil does nothing.
	Topic func(t *testing.T, topic string)
	// Restart ends the server and starts it again with what it has stored. Nil leaves
	// out the tests that need it.
	Restart func(t *testing.T)
	// Foreign publishes a body without an envelope. Nil leaves out the test.
	Foreign func(t *testing.T, topic string, body []byte)
	// OneProcess is set for an engine that one process has at a time, as a server
	// inside of it: then there are no tests with several, and what is killed is the
	// server with its consumers.
	OneProcess bool
	// Kills is how many processes are killed. Zero is 5.
	Kills int
	// Lease is what tests of leases use. Zero is 2 s.
	Lease time.Duration
	// Slack is what a server may need for what is said to happen at once, as to see
	// that a consumer has gone. Zero is 20 s.
	Slack time.Duration
}

func (h Harness) withDefaults() Harness {
	if h.Kills == 0 {
		h.Kills = 5
	}
	if h.Lease == 0 {
		h.Lease = 2 * time.Second
	}
	if h.Slack == 0 {
		h.Slack = 20 * time.Second
	}
	return h
}

// Run tests an engine. Each test has topics of its own.
func Run(t *testing.T, h Harness) {
	h = h.withDefaults()
	s := &suite{h: h, run: fmt.Sprintf("t%x", time.Now().UnixNano()&0xffffffffff)}
	if h.OneProcess {
		s.open(t) // for all tests, closed at the end
	}
	for _, part := range []struct {
		name string
		test func(*testing.T, *suite)
	}{
		{"Caps", caps}, {"RoundTrip", roundTrip}, {"Order", order}, {"Batch", batch}, {"TooLarge", tooLarge}, {"Dedup", dedup},
		{"Idempotent", idempotent}, {"Foreign", foreign},
		{"Groups", groups}, {"Share", share}, {"From", from}, {"Position", position}, {"MaxInFlight", maxInFlight},
		{"Waiting", waiting}, {"Lag", lag}, {"Close", closing},
		{"Nack", nack}, {"DelayedNack", delayedNack}, {"Term", term}, {"SettleTwice", settleTwice},
		{"Lease", lease}, {"Extend", extend}, {"Mark", mark},
		{"KeyOrder", keyOrder}, {"Durable", durable}, {"Restart", restart},
		{"Topic", topicTests}, {"Kill", kill},
	} {
		t.Run(part.name, func(t *testing.T) { part.test(t, s) })
	}
}

// suite is what the tests of one Run share.
type suite struct {
	h     Harness
	run   string
	whole engine.Engine // of a harness with OneProcess
}

// open returns an engine that is closed with the test.
func (s *suite) open(t *testing.T) engine.Engine {
	t.Helper()
	if s.whole != nil {
		return s.whole
	}
	e, err := s.h.Open()
	if err != nil {
		t.Fatalf("Open() = %v", err)
	}
	if s.h.OneProcess {
		s.whole = e
	}
	t.Cleanup(func() { closeWithin(t, e.Close) })
	return e
}

func closeWithin(t *testing.T, c func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := c(ctx); err != nil {
		t.Errorf("Close() = %v", err)
	}
}

// name returns a name for a topic that no other test has.
func (s *suite) name(t *testing.T) string {
	name := s.run + "." + strings.ToLower(strings.NewReplacer("/", "-", "#", "-", " ", "-").Replace(t.Name()[strings.Index(t.Name(), "/")+1:]))
	if s.h.Topic != nil {
		s.h.Topic(t, name)
	}
	return name
}

// topic opens a topic of the test's own on an engine of its own.
func (s *suite) topic(t *testing.T) engine.Topic {
	t.Helper()
	return s.opened(t, s.open(t), s.name(t))
}

func (s *suite) opened(t *testing.T, e engine.Engine, name string) engine.Topic {
	t.Helper()
	topic, err := e.Open(s.ctx(t), name)
	if err != nil {
		t.Fatalf("Open(%q) = %v", name, err)
	}
	return topic
}

// ctx ends when a test has taken too long.
func (s *suite) ctx(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	t.Cleanup(cancel)
	return ctx
}

// subscribe joins a group; the test leaves it.
func (s *suite) subscribe(t *testing.T, topic engine.Topic, cfg engine.SubscribeConfig) engine.Subscription {
	t.Helper()
	if cfg.Group == "" {
		cfg.Group = "g"
	}
	if cfg.MaxInFlight == 0 {
		cfg.MaxInFlight = 100
	}
	if cfg.Lease == 0 {
		cfg.Lease = 30 * time.Second
	}
	sub, err := topic.Subscribe(s.ctx(t), cfg)
	if err != nil {
		t.Fatalf("Subscribe(%+v) = %v", cfg, err)
	}
	t.Cleanup(func() { closeWithin(t, sub.Close) })
	return sub
}

// fetch returns the next n records.
func (s *suite) fetch(t *testing.T, sub engine.Subscription, n int) []*engine.Delivery {
	t.Helper()
	var all []*engine.Delivery
	ctx := s.ctx(t)
	for len(all) < n {
		ds, err := sub.Fetch(ctx, n-len(all))
		if err != nil && !engine.Temporary(err) {
			t.Fatalf("Fetch() = %v, after %d of %d", err, len(all), n)
		}
		all = append(all, ds...)
	}
	return all
}

// nothing reports a record that comes within d.
func (s *suite) nothing(t *testing.T, sub engine.Subscription, d time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	for ctx.Err() == nil {
		ds, err := sub.Fetch(ctx, 10)
		if len(ds) > 0 {
			t.Fatalf("Fetch() = %s at %s, want nothing within %v", ds[0].Record.ID, ds[0].Position, d)
		}
		if err != nil && ctx.Err() == nil && !engine.Temporary(err) {
			t.Fatalf("Fetch() = %v", err)
		}
	}
}

func (s *suite) settle(t *testing.T, sub engine.Subscription, v engine.Verdict, ds ...*engine.Delivery) (late int) {
	t.Helper()
	settled := make([]engine.Settlement, len(ds))
	for i, d := range ds {
		settled[i] = engine.Settlement{Delivery: d, Verdict: v, Reason: "test"}
	}
	late, err := sub.Settle(s.ctx(t), settled)
	if err != nil {
		t.Fatalf("Settle() = %v", err)
	}
	return late
}

// publish stores records and fails the test unless all are acknowledged.
func (s *suite) publish(t *testing.T, topic engine.Topic, records ...engine.Record) {
	t.Helper()
	for _, err := range topic.Publish(s.ctx(t), records) {
		if err != nil {
			t.Fatalf("Publish() = %v", err)
		}
	}
}

// record is one with an ID and a key.
func record(id, key string) engine.Record {
	return engine.Record{
		ID: id, Key: key, Source: "/test", Type: "test", Time: time.Now().Truncate(time.Microsecond).UTC(),
		ContentType: "application/json", SchemaVersion: 1, Data: []byte(`{"id":"` + id + `"}`),
	}
}

func records(prefix string, n int, keys int) []engine.Record {
	rs := make([]engine.Record, n)
	for i := range rs {
		rs[i] = record(fmt.Sprintf("%s-%04d", prefix, i), fmt.Sprintf("k%d", i%max(1, keys)))
	}
	return rs
}

func ids(ds []*engine.Delivery) []string {
	all := make([]string, len(ds))
	for i, d := range ds {
		all[i] = d.Record.ID
	}
	return all
}

func idsOf(rs []engine.Record) []string {
	all := make([]string, len(rs))
	for i, r := range rs {
		all[i] = r.ID
	}
	return all
}
