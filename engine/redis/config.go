package redis

import (
	"errors"
	"fmt"
	"strings"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/troupe-go/troupe/engine"
)

// Config configures [Open]. The zero value is a server on this machine.
type Config struct {
	// URL is where the server is: redis://user:password@host:6379/0, rediss:// for
	// TLS, unix:///path/to/socket. Empty is redis://127.0.0.1:6379.
	URL string
	// Options is for what a URL cannot say: Sentinel, Cluster, certificates,
	// credentials that change. Instead of URL. Retries are switched off: who publishes
	// again would store again.
	Options *goredis.UniversalOptions
	// Prefix begins all keys. Empty is "troupe".
	Prefix string
	// Shards is over how many streams a new topic is spread, by its records' keys. 0
	// is 1. One stream keeps the order of a publisher whole; more let several
	// consumers work by key at once. On a cluster it must be 1: its nodes do not read
	// streams of each other in one command.
	Shards int
	// Dedup is for how long an ID that is published again is not stored again. 0 is
	// not at all. Each ID is a key of its own while it lasts, of about 100 bytes, and
	// publishing goes at about half the speed.
	Dedup time.Duration
	// Keep is how long records are kept that every group has settled, for groups that
	// come later and begin with engine.FromOldest. 0 is not at all, engine.Forever is
	// until MaxLen.
	Keep time.Duration
	// MaxLen is how many records a shard has, about. The oldest are removed, settled
	// or not: that loses events, when consumers are slow. 0 is as many as the server
	// has memory for, which then refuses more with engine.ErrFull.
	MaxLen int64
	// MaxRecord is how many bytes a record may have with its headers. 0 is 8 MiB: the
	// server does one thing at a time, and everybody waits for a large one.
	MaxRecord int
	// Poll is how soon a consumer that waits sees what another has given back, and how
	// soon a call whose context has ended lets go of its connection. 0 is 100 ms.
	Poll time.Duration
	// Envelope is the form of records as messages. nil is engine.CloudEvents.
	Envelope engine.Envelope
}

const (
	defaultURL       = "redis://127.0.0.1:6379"
	defaultPrefix    = "troupe"
	defaultMaxRecord = 8 << 20
	defaultPoll      = 100 * time.Millisecond

	maxShards = 1024
	maxRecord = 256 << 20 // below the server's 512 MiB for a value, with the headers
)

func (c Config) withDefaults() Config {
	if c.URL == "" && c.Options == nil {
		c.URL = defaultURL
	}
	if c.Prefix == "" {
		c.Prefix = defaultPrefix
	}
	if c.Shards == 0 {
		c.Shards = 1
	}
	if c.MaxRecord == 0 {
		c.MaxRecord = defaultMaxRecord
	}
	if c.Poll == 0 {
		c.Poll = defaultPoll
	}
	if c.Envelope == nil {
		c.Envelope = engine.CloudEvents
	}
	return c
}

func (c Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	faults = append(faults, validAddress(c.URL, c.Options), validPrefix(c.Prefix))
	if c.Shards < 1 || c.Shards > maxShards {
		fault("Shards %d: must be from 1 to %d", c.Shards, maxShards)
	}
	if c.Shards > 1 && isCluster(c.Options) {
		fault("Shards %d: must be 1 on a cluster", c.Shards)
	}
	if c.Dedup < 0 || c.Dedup > 0 && c.Dedup < time.Millisecond {
		fault("Dedup %v: must be 0 or at least 1ms", c.Dedup)
	}
	if c.Keep < 0 {
		fault("Keep %v: must not be negative", c.Keep)
	}
	if c.MaxLen < 0 {
		fault("MaxLen %d: must not be negative", c.MaxLen)
	}
	if c.MaxRecord < 1 || c.MaxRecord > maxRecord {
		fault("MaxRecord %d: must be from 1 to %d", c.MaxRecord, maxRecord)
	}
	if c.Poll < time.Millisecond || c.Poll > time.Second {
		fault("Poll %v: must be from 1ms to 1s", c.Poll)
	}
	return errors.Join(faults...)
}

// validTimeout is that the client waits for longer than the server does where a read
// finds nothing. Else it ends the connection each time, and what the server was handing
// out then comes again only when its lease is over.
func (c Config) validTimeout() error {
	o, err := universal(c.URL, c.Options)
	if err != nil || o.ReadTimeout <= 0 || o.ReadTimeout > 2*c.Poll {
		return nil
	}
	return fmt.Errorf("Options.ReadTimeout %v: must be more than twice Poll, %v, for which reads wait", o.ReadTimeout, c.Poll)
}

// isCluster is when the client makes a connection to a cluster.
func isCluster(o *goredis.UniversalOptions) bool {
	return o != nil && o.MasterName == "" && (o.IsClusterMode || len(o.Addrs) > 1)
}

// validAddress does not repeat the URL, which may have a password.
func validAddress(url string, options *goredis.UniversalOptions) error {
	if options != nil {
		if url != "" {
			return errors.New("URL: must be empty where Options are")
		}
		return nil
	}
	if _, err := goredis.ParseURL(url); err != nil {
		return fmt.Errorf("URL: must be redis://user:password@host:port/db: %s", withoutURL(err))
	}
	return nil
}

// withoutURL is the reason of an error of package net/url, which repeats what it could
// not parse.
func withoutURL(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 && strings.Contains(text, "parse") {
		return text[i+2:]
	}
	return text
}

func validPrefix(prefix string) error {
	if strings.ContainsAny(prefix, "{}") {
		return fmt.Errorf("Prefix %q: must have no braces", prefix)
	}
	return nil
}
