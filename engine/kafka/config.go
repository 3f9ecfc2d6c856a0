package kafka

import (
	"crypto/tls"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"
	"go.uber.org/zap"
)

const (
	// AtOnce is a Config.CommitEvery with which Settle returns when what it has
	// settled is committed, as far as there is no gap before it.
	AtOnce time.Duration = -1
	// BrokerDefault is what the cluster has configured for new topics.
	BrokerDefault = -1
)

// Config describes a cluster and what is asked of it. Only Seeds is needed.
type Config struct {
	// Seeds are the addresses, host:port, that the cluster is first asked at.
	Seeds []string
	// ClientID is how quotas and logs of the brokers call us; empty is troupe.
	ClientID string
	// TLS is for connections that are encrypted; nil is that they are not.
	TLS *tls.Config
	// SASL is how we say who we are, as kgo's packages plain, scram, oauth and aws
	// make it; nil is not at all.
	SASL sasl.Mechanism

	// Partitions is how many a topic has that Open makes, and the fewest that one
	// has that is there. It bounds how many consumers a group can use. More can be
	// added to a topic later, but then its keys move. 0 is 6; BrokerDefault takes
	// the cluster's and any topic that is there.
	Partitions int
	// Replicas is on how many brokers each partition is that Open makes; 0 is
	// BrokerDefault.
	Replicas int
	// TopicConfig is given to topics that Open makes, as "retention.ms", and what a
	// topic that is there must have.
	TopicConfig map[string]string
	// Existing is that Open makes no topics.
	Existing bool

	// Transactions is what the transactional IDs of this process begin with. If it
	// is not empty, a Publish of several records is a transaction: all are stored or
	// none. Transactions go one after the other, and each costs a few round trips.
	// Consumers see the records when it is committed.
	Transactions string
	// MaxRecord is how many bytes a message may have; 0 is 1,000,012, which is what
	// brokers take by default.
	MaxRecord int
	// MaxBuffered is how many bytes are on their way to brokers at most: Publish
	// waits for room. 0 is 32 MiB.
	MaxBuffered int

	// CommitEvery is how long what is settled may be uncommitted: this much comes
	// again when the process dies. 0 is 100 ms. AtOnce makes Settle wait for it,
	// which is a round trip for each.
	CommitEvery time.Duration
	// MaxUncommitted is how many records of a partition may lie behind one that is
	// not settled, before no more of it is fetched; 0 is 16,384.
	MaxUncommitted int
	// RevokeWait is how long a partition that moves to another consumer waits for
	// what is in hand of this one; 0 is 20 s. Meanwhile this consumer gets nothing
	// new.
	RevokeWait time.Duration
	// SessionTimeout is how long a consumer may be silent before its partitions go
	// to others; 0 is 15 s. Brokers have a least, 6 s by default.
	SessionTimeout time.Duration

	// Envelope is the form of messages; nil is engine.CloudEvents. Attributes of
	// CloudEvents are headers that begin with ce_, as its binding for Kafka says.
	Envelope engine.Envelope
	// Log is where the engine says what operators need to know; nil is nowhere.
	Log *zap.Logger
	// Options are given to every client of the cluster after those that the engine
	// sets, for what Config has no field for. Those of consumer groups would break
	// its guarantees.
	Options []kgo.Opt
}

func (c Config) withDefaults() Config {
	c.ClientID = or(c.ClientID, "troupe")
	c.Partitions = or(c.Partitions, 6)
	c.Replicas = or(c.Replicas, BrokerDefault)
	c.MaxRecord = or(c.MaxRecord, 1_000_012)
	c.MaxBuffered = or(c.MaxBuffered, 32<<20)
	c.CommitEvery = or(c.CommitEvery, 100*time.Millisecond)
	c.MaxUncommitted = or(c.MaxUncommitted, 1<<14)
	c.RevokeWait = or(c.RevokeWait, 20*time.Second)
	c.SessionTimeout = or(c.SessionTimeout, 15*time.Second)
	c.TopicConfig = maps.Clone(c.TopicConfig)
	if c.Envelope == nil {
		c.Envelope = engine.CloudEvents
	}
	if c.Log == nil {
		c.Log = zap.NewNop()
	}
	return c
}

func (c Config) validate() error {
	var faults []error
	fault := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	fault(len(c.Seeds) > 0, "Seeds: must name a broker, as localhost:9092")
	fault(c.Partitions >= 1 && c.Partitions <= 1<<20 || c.Partitions == BrokerDefault, "Partitions %d: must be positive or BrokerDefault", c.Partitions)
	fault(c.Replicas >= 1 && c.Replicas < 1<<15 || c.Replicas == BrokerDefault, "Replicas %d: must be positive or BrokerDefault", c.Replicas)
	fault(c.MaxRecord >= 1<<12 && c.MaxRecord <= 1<<30, "MaxRecord %d: must be from 4 KiB to 1 GiB", c.MaxRecord)
	fault(c.MaxBuffered >= c.MaxRecord, "MaxBuffered %d: must be MaxRecord, %d, at least", c.MaxBuffered, c.MaxRecord)
	fault(c.CommitEvery > 0 || c.CommitEvery == AtOnce, "CommitEvery %v: must be positive or AtOnce", c.CommitEvery)
	fault(c.MaxUncommitted > 0, "MaxUncommitted %d: must be positive", c.MaxUncommitted)
	fault(c.RevokeWait > 0, "RevokeWait %v: must be positive", c.RevokeWait)
	fault(c.SessionTimeout >= time.Second, "SessionTimeout %v: must be a second at least", c.SessionTimeout)
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("kafka: configuration: %w", err)
	}
	return nil
}

func or[T comparable](v, other T) T {
	var zero T
	if v == zero {
		return other
	}
	return v
}

// shared are the options of every client.
func (c *Config) shared() []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Seeds...),
		kgo.ClientID(c.ClientID),
		kgo.SoftwareNameAndVersion("troupe", "0"),
		kgo.WithLogger(logger{c.Log}),
		kgo.MetadataMinAge(250 * time.Millisecond),
		kgo.DialTimeout(5 * time.Second),
	}
	if c.TLS != nil {
		opts = append(opts, kgo.DialTLSConfig(c.TLS))
	}
	if c.SASL != nil {
		opts = append(opts, kgo.SASL(c.SASL))
	}
	return opts
}

// logger gives the client's own log, what is worth a warning in it, to zap.
type logger struct{ log *zap.Logger }

func (l logger) Level() kgo.LogLevel {
	if l.log.Core().Enabled(zap.WarnLevel) {
		return kgo.LogLevelWarn
	}
	return kgo.LogLevelNone
}

func (l logger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	fields := make([]zap.Field, 0, len(keyvals)/2+1)
	for i := 0; i+1 < len(keyvals); i += 2 {
		fields = append(fields, zap.Any(fmt.Sprint(keyvals[i]), keyvals[i+1]))
	}
	log := l.log.Warn
	if level == kgo.LogLevelError {
		log = l.log.Error
	}
	log("kafka client", append(fields, zap.String("said", msg))...)
}
