package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-go/troupe/engine"
)

// Topic is an [engine.Topic]: a stream, whose subjects are that of the topic's name, for
// records without a key, and one for each of its partitions, the name with "#" and a
// number. Who publishes to the first by other means is heard.
type Topic struct {
	e        *Engine
	name     string
	stream   string
	subjects []string
	replicas int
	caps     engine.Caps
	limit    int // bytes of a message
	dedup    bool
	oldTerm  bool   // the server knows no reasons, and not what has one
	last     uint64 // the sequence when it was opened

	mu       sync.Mutex
	suspects map[string]uint64 // by consumer: see suspect
}

// recordSlack is what a message has beside what Record.Size counts: the names of
// attributes and what is between them.
const recordSlack = 1 << 10

// Open makes the topic's stream, or checks the one that is there: see [engine.Engine].
// It waits for a cluster that has no leader, as long as ctx, or Config.Timeout, allows.
func (e *Engine) Open(ctx context.Context, topic string) (engine.Topic, error) {
	if e.isClosed() {
		return nil, fmt.Errorf("nats: topic %s: %w", topic, engine.ErrClosed)
	}
	if !validTopic(topic) {
		return nil, fmt.Errorf("nats: topic %q: must be parts of letters, digits, '-' and '_', with dots between them", topic)
	}
	e.mu.Lock()
	t := e.topics[topic]
	e.mu.Unlock()
	if t != nil {
		return t, nil
	}
	t, err := e.openTopic(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("nats: topic %s: %w", topic, err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if other := e.topics[topic]; other != nil {
		return other, nil
	}
	e.topics[topic] = t
	return t, nil
}

func (e *Engine) openTopic(ctx context.Context, topic string) (*Topic, error) {
	name := e.cfg.Prefix + topic
	want := e.streamConfig(name)
	var got jetstream.StreamConfig
	var last uint64
	err := e.patiently(ctx, func(ctx context.Context) error {
		s, err := e.js.Stream(ctx, want.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) && !e.cfg.NoCreate {
			s, err = e.create(ctx, &want)
		}
		if err == nil {
			got, last = s.CachedInfo().Config, s.CachedInfo().State.LastSeq
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	if err := e.check(want, got); err != nil {
		return nil, err
	}
	t := e.topicOf(topic, got)
	t.last = last
	return t, nil
}

func (e *Engine) create(ctx context.Context, want *jetstream.StreamConfig) (jetstream.Stream, error) {
	s, err := e.js.CreateStream(ctx, *want)
	var api *jetstream.APIError
	if e.cfg.Replicas == 0 && want.Replicas > 1 && errors.As(err, &api) && api.ErrorCode == codeNoReplicas {
		want.Replicas = 1 // a name of a cluster, but no JetStream on others
		s, err = e.js.CreateStream(ctx, *want)
	}
	if errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) {
		// Another process was quicker, with what is checked by the caller.
		s, err = e.js.Stream(ctx, want.Name)
	}
	return s, err
}

// streamConfig is what a new topic gets. What is full refuses, and never drops what a
// group has yet to handle.
func (e *Engine) streamConfig(name string) jetstream.StreamConfig {
	c := jetstream.StreamConfig{
		Name:        escapeName(name),
		Description: "Topic " + name + " of Troupe",
		Subjects:    subjects(name, e.cfg.Partitions),
		Retention:   jetstream.LimitsPolicy,
		Discard:     jetstream.DiscardNew,
		Storage:     jetstream.FileStorage,
		MaxMsgs:     -1,
		MaxBytes:    -1,
		MaxMsgSize:  -1,
		Replicas:    max(1, e.cfg.Replicas),
		Duplicates:  DefaultDedup,
	}
	if e.cfg.Replicas == 0 && e.conn.ConnectedClusterName() != "" {
		c.Replicas = 3
	}
	if e.cfg.MaxBytes > 0 {
		c.MaxBytes = e.cfg.MaxBytes
	}
	if e.cfg.MaxRecord > 0 {
		c.MaxMsgSize = int32(e.cfg.MaxRecord + recordSlack)
	}
	if e.cfg.Dedup > 0 {
		c.Duplicates = e.cfg.Dedup
	}
	return c
}

// check compares what is there with what a topic must have, and with what the config
// asks for: what it leaves open is taken as it is.
func (e *Engine) check(want, got jetstream.StreamConfig) error {
	var faults []string
	differs := func(what string, want, got any) {
		faults = append(faults, fmt.Sprintf("%s is %v and not %v", what, got, want))
	}
	if !slices.Equal(slices.Sorted(slices.Values(got.Subjects)), slices.Sorted(slices.Values(want.Subjects))) {
		if n := len(got.Subjects) - 1; n > 0 && slices.Contains(got.Subjects, want.Subjects[0]) && slices.Contains(got.Subjects, want.Subjects[0]+"#0") {
			differs("Partitions", e.cfg.Partitions, n)
		} else {
			differs("its subjects", want.Subjects, got.Subjects)
		}
	}
	if got.Retention != want.Retention {
		differs("its retention", want.Retention, got.Retention)
	}
	if got.Discard != want.Discard && (got.MaxBytes > 0 || got.MaxMsgs > 0) {
		differs("its discard policy", want.Discard, got.Discard)
	}
	// What drops records that no group has settled loses them.
	if got.MaxMsgsPerSubject > 0 {
		differs("its bound for each subject", "none", got.MaxMsgsPerSubject)
	}
	if got.MaxAge > 0 {
		differs("its max_age", "none, as Config.Keep drops only what is settled", got.MaxAge)
	}
	if got.NoAck {
		differs("its no_ack", false, true)
	}
	if got.Sealed {
		differs("its sealed", false, true)
	}
	if e.cfg.Replicas > 0 && got.Replicas != e.cfg.Replicas {
		differs("Replicas", e.cfg.Replicas, got.Replicas)
	}
	if e.cfg.MaxBytes > 0 && got.MaxBytes != e.cfg.MaxBytes {
		differs("MaxBytes", e.cfg.MaxBytes, got.MaxBytes)
	}
	if e.cfg.Dedup > 0 && e.cfg.Dedup != DefaultDedup && got.Duplicates != e.cfg.Dedup {
		differs("Dedup", e.cfg.Dedup, got.Duplicates)
	}
	if len(faults) == 0 {
		return nil
	}
	return fmt.Errorf("%w: stream %s: %s: change the config, or the stream", engine.ErrMismatch, want.Name, strings.Join(faults, "; "))
}

// topicOf reads what the server does for the topic from what it says that it has.
func (e *Engine) topicOf(topic string, got jetstream.StreamConfig) *Topic {
	t := &Topic{
		e: e, name: topic, stream: got.Name, replicas: got.Replicas,
		subjects: subjects(e.cfg.Prefix+topic, e.cfg.Partitions),
		limit:    int(e.conn.MaxPayload()),
		suspects: map[string]uint64{},
		dedup:    e.cfg.Dedup > 0 && got.Duplicates > 0,
		oldTerm:  !atLeast(e.conn.ConnectedServerVersion(), 2, 10, 4),
	}
	if got.MaxMsgSize > 0 {
		t.limit = min(t.limit, int(got.MaxMsgSize))
	}
	durable := got.Storage == jetstream.FileStorage
	t.caps = engine.Caps{
		Durable:     durable,
		PowerSafe:   durable && e.server != nil && e.cfg.Mode == PowerSafe,
		AtLeastOnce: true,
		Groups:      true,
		Ordered:     true,
		KeyOrder:    true,
		FromOldest:  true,
		Nack:        true,
		DelayedNack: true,
		Attempts:    true,
		Lease:       true,
		Lag:         true,
		MaxRecord:   t.limit - recordSlack,
	}
	if t.dedup {
		t.caps.Dedup = got.Duplicates
	}
	return t
}

// Caps says what the server does for this topic, as the server itself says it. Of a
// server that is not in this process it is not known when it writes to the disk, so
// that PowerSafe is false.
func (t *Topic) Caps() engine.Caps { return t.caps }

// Name is the topic's.
func (t *Topic) Name() string { return t.name }

// gone is what has become of a stream from which no answer has come: engine.ErrNoTopic
// if it was removed, else err.
func (t *Topic) gone(err error) error {
	ctx, cancel := context.WithTimeout(t.e.life, attempt)
	defer cancel()
	if _, e := t.e.js.Stream(ctx, t.stream); errors.Is(e, jetstream.ErrStreamNotFound) {
		t.e.mu.Lock()
		delete(t.e.topics, t.name) // the next Open looks again
		t.e.mu.Unlock()
		return t.fault(fmt.Errorf("%w: its stream was removed: open it again: %w", engine.ErrNoTopic, e))
	}
	return err
}

func (t *Topic) fault(err error) error {
	return fmt.Errorf("nats: topic %s: %w", t.name, t.e.fault(err))
}

// atLeast compares a version of three numbers, as 2.10.4, with one.
func atLeast(version string, parts ...int) bool {
	version, _, _ = strings.Cut(version, "-")
	for i, s := range strings.SplitN(version, ".", len(parts)) {
		n := 0
		for _, c := range s {
			if c < '0' || c > '9' {
				break
			}
			n = 10*n + int(c-'0')
		}
		if n != parts[i] {
			return n > parts[i]
		}
	}
	return true
}
