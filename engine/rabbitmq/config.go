package rabbitmq

import (
	"crypto/tls"
	"errors"
	"fmt"
	"strings"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/troupe-go/troupe/engine"
)

// NoUnclaimed is the MaxUnclaimed of who wants an error for what no group takes.
const NoUnclaimed = -1

// Config describes the server and what the engine makes there. The zero value of each
// field but URL works.
type Config struct {
	// URL says where the server is and who we are: amqp://user:password@host:5672/vhost,
	// or amqps:// for TLS. Several, with commas between, are the nodes of one cluster
	// and are tried in turn.
	URL string
	// TLS is for amqps://; nil trusts what the system trusts.
	TLS *tls.Config
	// Prefix begins the name of every exchange and queue. Empty is "troupe.".
	Prefix string
	// Envelope is the form of messages; nil is engine.CloudEvents.
	Envelope engine.Envelope
	// Window is how many records of one topic are with the server and not yet
	// confirmed at most; 0 is 1024. It bounds the memory that publishing takes.
	Window int
	// MaxRecord is how many bytes a record may have; 0 is 16 MiB, which every server
	// takes that does not say otherwise (max_message_size). If the server takes less
	// the engine learns of it from the first record that is refused.
	MaxRecord int
	// MaxUnclaimed is how many records a topic keeps that were published before it
	// had any group; 0 is 100 000. See Engine.Claim. When they are as many Publish
	// returns engine.ErrFull. With NoUnclaimed it returns engine.ErrNoTopic at once
	// when there is no group.
	MaxUnclaimed int
	// MaxBacklog is how many records may wait for a group before Publish returns
	// engine.ErrFull; 0 is as many as the server has room for. RabbitMQ may go over
	// it by as many as are on their way.
	MaxBacklog int
	// Replicas is on how many nodes of a cluster a queue is when it is made; 0 is
	// what the server does by itself: three, or as many as there are.
	Replicas int
	// Passive makes nothing on the server, for a user who may not: a topic or group
	// that is not there is engine.ErrNoTopic. Delayed retries need their queues, too.
	Passive bool
	// Heartbeat is how often each side tells the other that it lives; one that is
	// silent for twice as long is taken for dead. 0 is 10 s.
	Heartbeat time.Duration
	// ConnectTimeout bounds one attempt to connect; 0 is 5 s.
	ConnectTimeout time.Duration
	// ConnectionName is what the server's tools show; empty is "troupe".
	ConnectionName string
}

func (c Config) withDefaults() Config {
	set(&c.Prefix, "troupe.")
	if c.Envelope == nil {
		c.Envelope = engine.CloudEvents
	}
	set(&c.Window, 1024)
	set(&c.MaxRecord, 16<<20)
	set(&c.MaxUnclaimed, 100_000)
	set(&c.Heartbeat, 10*time.Second)
	set(&c.ConnectTimeout, 5*time.Second)
	set(&c.ConnectionName, "troupe")
	return c
}

func set[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (c Config) validate() error {
	var faults []error
	fault := func(field string, value any, rule string) {
		faults = append(faults, fmt.Errorf("%s %v: %s", field, value, rule))
	}
	if c.URL == "" {
		faults = append(faults, errors.New("URL: is missing: give amqp://user:password@host:5672/"))
	} else {
		for i, u := range c.urls() {
			// What it says of the URL may have the password in it.
			if _, err := amqp.ParseURI(u); err != nil {
				fault("URL", fmt.Sprintf("number %d", i+1), "must be amqp://user:password@host:5672/vhost")
			}
		}
	}
	if c.Window < 1 || c.Window > 1<<20 {
		fault("Window", c.Window, "must be 1 to 1048576")
	}
	if c.MaxRecord < 1 {
		fault("MaxRecord", c.MaxRecord, "must be positive")
	}
	if c.MaxUnclaimed < 1 && c.MaxUnclaimed != NoUnclaimed {
		fault("MaxUnclaimed", c.MaxUnclaimed, "must be positive or NoUnclaimed")
	}
	if c.MaxBacklog < 0 {
		fault("MaxBacklog", c.MaxBacklog, "must not be negative")
	}
	if c.Replicas < 0 {
		fault("Replicas", c.Replicas, "must not be negative")
	}
	if c.Heartbeat < time.Second {
		fault("Heartbeat", c.Heartbeat, "must be at least 1s")
	}
	if c.ConnectTimeout < 0 {
		fault("ConnectTimeout", c.ConnectTimeout, "must not be negative")
	}
	if err := errors.Join(faults...); err != nil {
		return fmt.Errorf("rabbitmq: config: %w", err)
	}
	return nil
}

func (c Config) urls() []string {
	var urls []string
	for u := range strings.SplitSeq(c.URL, ",") {
		urls = append(urls, strings.TrimSpace(u))
	}
	return urls
}
