package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-go/troupe/engine"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Topic is a topic of the cluster. It implements engine.Topic.
type Topic struct {
	e          *Engine
	name       string
	partitions int
	caps       engine.Caps
}

// Open makes the topic, or checks the one that is there: that it has
// Config.Partitions at least and what Config.TopicConfig says, and that it is not
// compacted unless that says so, for a compacted topic forgets events of a key that
// nobody has handled yet. The check of its configuration is left out where the cluster
// does not let us read it.
func (e *Engine) Open(ctx context.Context, name string) (engine.Topic, error) {
	what := "topic " + name
	if err := e.use(what); err != nil {
		return nil, err
	}
	if err := legal(name); err != nil {
		return nil, fmt.Errorf("kafka: topic %q: %w", name, err)
	}
	var partitions int
	var values map[string]string
	err := bounded(ctx, func() (err error) {
		partitions, values, err = e.openOrMake(ctx, name)
		return err
	})
	if err != nil {
		return nil, fault(what, ping(ctx, err))
	}
	if e.cfg.Partitions != BrokerDefault && partitions < e.cfg.Partitions {
		return nil, fmt.Errorf("kafka: %s: %w: it has %d partitions and Config.Partitions is %d: add some to the topic, which moves keys to others, or ask for fewer",
			what, engine.ErrMismatch, partitions, e.cfg.Partitions)
	}
	if err := e.check(values); err != nil {
		return nil, fmt.Errorf("kafka: %s: %w: %w", what, engine.ErrMismatch, err)
	}
	t := &Topic{e: e, name: name, partitions: partitions, caps: e.caps(partitions, values)}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, fmt.Errorf("kafka: %s: %w", what, engine.ErrClosed)
	}
	if e.topics[name] == nil {
		e.topics[name] = t
	}
	return t, nil
}

// openOrMake returns how many partitions the topic has and its configuration.
func (e *Engine) openOrMake(ctx context.Context, name string) (int, map[string]string, error) {
	partitions, err := e.partitions(ctx, name)
	if errors.Is(err, kerr.UnknownTopicOrPartition) && !e.cfg.Existing {
		if err = e.create(ctx, name); err == nil {
			partitions, err = e.partitions(ctx, name)
		}
	}
	if err != nil {
		return 0, nil, err
	}
	values, err := e.configs(ctx, name)
	return partitions, values, err
}

// legal is what brokers say of names, before they say it.
func legal(name string) error {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"
	switch {
	case name == "" || name == "." || name == ".." || len(name) > 249:
		return errors.New("a topic of Kafka has a name of 1 to 249 letters other than . and ..")
	case strings.Trim(name, letters) != "":
		return errors.New("a topic of Kafka is named with a-z, A-Z, 0-9, dot, underscore and hyphen")
	}
	return nil
}

func (e *Engine) partitions(ctx context.Context, name string) (int, error) {
	details, err := e.admin.ListTopics(ctx, name)
	if err != nil {
		return 0, err
	}
	d, ok := details[name]
	if !ok {
		return 0, kerr.UnknownTopicOrPartition
	}
	return len(d.Partitions), d.Err
}

// create makes the topic; that somebody else has, meanwhile, is as good. It returns
// when brokers tell of it.
func (e *Engine) create(ctx context.Context, name string) error {
	configs := map[string]*string{}
	for k, v := range e.cfg.TopicConfig {
		configs[k] = &v
	}
	_, err := e.admin.CreateTopic(ctx, int32(e.cfg.Partitions), int16(e.cfg.Replicas), configs, name)
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		return err
	}
	for wait := newBackoff(); ; {
		_, err := e.partitions(ctx, name)
		if err == nil || !errors.Is(err, kerr.UnknownTopicOrPartition) && !kerr.IsRetriable(err) {
			return err
		}
		if err := wait.sleep(ctx); err != nil {
			return err
		}
	}
}

// configs returns the topic's configuration, or nil if it is not for us to read.
func (e *Engine) configs(ctx context.Context, name string) (map[string]string, error) {
	described, err := e.admin.DescribeTopicConfigs(ctx, name)
	if err == nil {
		var one kadm.ResourceConfig
		if one, err = described.On(name, nil); err == nil {
			err = one.Err
		}
		if err == nil {
			values := map[string]string{}
			for _, c := range one.Configs {
				values[c.Key] = c.MaybeValue()
			}
			return values, nil
		}
	}
	for _, refused := range []error{kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.UnsupportedVersion} {
		if errors.Is(err, refused) {
			return nil, nil
		}
	}
	return nil, err
}

func (e *Engine) check(values map[string]string) error {
	if values == nil {
		return nil
	}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(e.cfg.TopicConfig)) {
		if want, got := e.cfg.TopicConfig[name], values[name]; got != want {
			faults = append(faults, fmt.Errorf("its %s is %q and Config.TopicConfig says %q", name, got, want))
		}
	}
	if _, asked := e.cfg.TopicConfig[cleanup]; !asked && strings.Contains(values[cleanup], "compact") {
		faults = append(faults, fmt.Errorf("its %s is %q, so events are lost that have a newer one of their key: set it to delete, or say it in Config.TopicConfig if it is meant", cleanup, values[cleanup]))
	}
	return errors.Join(faults...)
}

const cleanup = "cleanup.policy"

// envelopeRoom is what the headers of an envelope, the frame of a record and of its
// batch take of Config.MaxRecord.
const envelopeRoom = 1 << 10

func (e *Engine) caps(partitions int, values map[string]string) engine.Caps {
	most := e.cfg.MaxRecord
	if n, err := strconv.Atoi(values["max.message.bytes"]); err == nil && n > 0 {
		most = min(most, n)
	}
	return engine.Caps{
		Durable: true,
		// A broker acknowledges what its replicas have in memory, unless it is
		// told otherwise.
		PowerSafe:   values["flush.messages"] == "1",
		AtLeastOnce: true,
		Groups:      true,
		Ordered:     partitions == 1,
		KeyOrder:    true,
		FromOldest:  true,
		Nack:        true,
		DelayedNack: true,
		Attempts:    true,
		Lag:         true,
		AtomicBatch: e.txn != nil,
		MaxRecord:   max(most-envelopeRoom, 0),
	}
}

// Caps says what the topic does. Ordered is for topics of one partition. There is no
// Lease: a consumer has its records until it settles them or dies. Attempts counts
// across consumers; what a process was given in the last moments before it died may
// count one too few.
func (t *Topic) Caps() engine.Caps { return t.caps }

// Partitions is how many partitions the topic had when it was opened.
func (t *Topic) Partitions() int { return t.partitions }
