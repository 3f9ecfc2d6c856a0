package nats

import (
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/troupe-go/troupe/engine"
)

// What holds unless the config says otherwise.
const (
	DefaultSyncInterval       = time.Second
	DefaultMaxStore     int64 = 8 << 30
	DefaultMaxRecord          = 1 << 20
	DefaultPartitions         = 8
	DefaultDedup              = 2 * time.Minute
	DefaultKeep               = 24 * time.Hour
	DefaultTimeout            = 10 * time.Second
)

// NoDedup and NoKeep are for Config.Dedup and Config.Keep.
const (
	NoDedup time.Duration = -1
	NoKeep  time.Duration = -1
)

const (
	maxMaxRecord  = 64 << 20 // the protocol's own
	maxPartitions = 256
	maxReplicas   = 5
)

// Mode is what of an embedded server survives.
type Mode uint8

const (
	// ProcessSafe acknowledges a record when it is written to the file: it
	// survives the process, killed at any moment. The disk has it after
	// Config.SyncInterval, so the loss of power, or a crash of the operating
	// system, takes what was acknowledged in that time. The server's own interval
	// is 2 minutes; BenchmarkModes in engine/nats/bench compares it with a second.
	ProcessSafe Mode = iota
	// PowerSafe acknowledges a record when the disk has it. The server waits for
	// the disk for each by itself, however many come together, so that a disk's
	// time to sync bounds what can be published: BenchmarkModes says it of yours.
	PowerSafe
)

// Config says where the records are. Only Folder or URL is required.
type Config struct {
	// URL is of the server, or of several of a cluster with commas between them.
	// User and password may stand in it; see Client for other credentials. Empty
	// is a server in this process.
	URL string
	// Folder has the files of the server in this process. It is made, readable by
	// its owner only, if it is not there. Only one process can have it at a time.
	Folder string

	// Mode, SyncInterval, MaxStore, Listen and Cluster are of the server in this
	// process; with URL they are that server's own.
	Mode Mode
	// SyncInterval is how long the disk may be without what is acknowledged, with
	// ProcessSafe. Zero means DefaultSyncInterval.
	SyncInterval time.Duration
	// MaxStore is how many bytes all topics may have. Publish returns
	// engine.ErrFull then. Zero means DefaultMaxStore.
	MaxStore int64
	// Listen is the address on which others may connect: "127.0.0.1:4222". They
	// need no credentials, unless Server asks for them. Empty opens no port.
	Listen string
	// Cluster makes the server a node of a cluster. Zero is none.
	Cluster Cluster

	// Server, if it is not nil, may change what the server in this process is
	// started with, as users, TLS and the authentication of nodes of a cluster.
	Server func(*server.Options)

	// Client is given to the connection: credentials, TLS. What concerns the life
	// of the connection is the engine's.
	Client []natsgo.Option
	// Prefix is put before topics, in subjects and names of streams, to tell
	// several programs on one server apart: "shop.". Empty is none.
	Prefix string

	// Replicas is how many nodes of a cluster have each record. Zero means 3 where
	// the server is in a cluster and 1 where it is not.
	Replicas int
	// Partitions is how many records of a topic one group with
	// engine.SubscribeConfig.KeyOrder can have in hand at a time, those of one key
	// in one partition. It belongs to the topic and cannot be changed later. Zero
	// means DefaultPartitions.
	Partitions int
	// Dedup is for how long an ID is known, so that an event that is published
	// again is not stored again. NoDedup saves its price, which BenchmarkOurs and
	// BenchmarkOursNoDedup in engine/nats/bench give. Zero means DefaultDedup.
	Dedup time.Duration
	// MaxBytes is how many bytes a topic may have. Publish returns engine.ErrFull
	// then. Zero is no bound but MaxStore, or the server's own.
	MaxBytes int64
	// MaxRecord is how many bytes a record may have with its headers. With URL it
	// can only be less than what the server allows. Zero means DefaultMaxRecord,
	// or what the server allows.
	MaxRecord int
	// Keep is how long records are kept that every group has settled, for groups
	// that come later and begin with the oldest. They are given up before, oldest
	// first, when more than half of MaxBytes or MaxStore is used. What a group has
	// not settled is never given up. Zero means DefaultKeep.
	Keep time.Duration
	// NoCreate refuses a topic that is not there with engine.ErrNoTopic.
	NoCreate bool

	// Timeout bounds Open and other calls whose ctx has no deadline, and how long
	// Publish waits for an acknowledgment. Zero means DefaultTimeout.
	Timeout time.Duration
	// Envelope is the form of messages. Nil is engine.CloudEvents.
	Envelope engine.Envelope
	// Log is told of connections, of the server in this process, and of what goes
	// wrong where nobody waits for it. Nil is silent.
	Log *zap.Logger
}

// Cluster makes servers in several processes, or in one, one server: Config.Replicas
// of them have each record, and the others go on when one is lost, as long as more
// than half are there. An odd number of nodes is usual, 3 or 5.
type Cluster struct {
	// Name is the cluster's, the same on all nodes.
	Name string
	// Node is this one's name, the same after a restart.
	Node string
	// Listen is the address on which the other nodes reach this one.
	Listen string
	// Peers are the addresses of all nodes, which may include this one.
	Peers []string
}

func (c *Cluster) on() bool {
	return c.Name != "" || c.Node != "" || c.Listen != "" || len(c.Peers) > 0
}

func (c Config) embedded() bool { return c.URL == "" }

func (c Config) withDefaults() Config {
	set := func(d *time.Duration, def time.Duration) {
		if *d == 0 {
			*d = def
		}
	}
	set(&c.Dedup, DefaultDedup)
	set(&c.Keep, DefaultKeep)
	set(&c.Timeout, DefaultTimeout)
	if c.Partitions == 0 {
		c.Partitions = DefaultPartitions
	}
	if c.embedded() {
		set(&c.SyncInterval, DefaultSyncInterval)
		if c.MaxStore == 0 {
			c.MaxStore = DefaultMaxStore
		}
		if c.MaxRecord == 0 {
			c.MaxRecord = DefaultMaxRecord
		}
	}
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
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("nats: Config."+format, args...))
	}
	address := func(field, a string, required bool) {
		if a == "" && !required {
			return
		}
		if _, _, err := net.SplitHostPort(a); err != nil {
			fault(`%s %q: must be an address as "127.0.0.1:4222"`, field, a)
		}
	}
	switch {
	case c.URL == "" && c.Folder == "":
		fault("Folder: must name a folder for the server in this process, or URL a server")
	case c.URL != "":
		own := func(field string, set bool) {
			if set {
				fault("%s: is for the server in this process; with URL it is in that server's configuration", field)
			}
		}
		own("Folder", c.Folder != "")
		own("Mode", c.Mode != ProcessSafe)
		own("SyncInterval", c.SyncInterval != 0)
		own("MaxStore", c.MaxStore != 0)
		own("Listen", c.Listen != "")
		own("Cluster", c.Cluster.on())
		own("Server", c.Server != nil)
	default:
		if c.Mode > PowerSafe {
			fault("Mode %d: must be ProcessSafe or PowerSafe", c.Mode)
		}
		if c.SyncInterval < time.Millisecond {
			fault("SyncInterval %v: must be a millisecond or more", c.SyncInterval)
		}
		if c.MaxStore < 1<<20 {
			fault("MaxStore %d: must be 1 MiB or more", c.MaxStore)
		}
		address("Listen", c.Listen, false)
	}
	if c.Cluster.on() {
		if c.Cluster.Name == "" {
			fault("Cluster.Name: must not be empty")
		}
		if c.Cluster.Node == "" {
			fault("Cluster.Node: must not be empty")
		}
		address("Cluster.Listen", c.Cluster.Listen, true)
		for _, p := range c.Cluster.Peers {
			address("Cluster.Peers", p, true)
		}
	}
	if !validPrefix(c.Prefix) {
		fault("Prefix %q: must be of letters, digits, '-', '_', and dots, as topics are", c.Prefix)
	}
	if c.Replicas < 0 || c.Replicas > maxReplicas {
		fault("Replicas %d: must be 1 to %d", c.Replicas, maxReplicas)
	}
	if c.Partitions < 1 || c.Partitions > maxPartitions {
		fault("Partitions %d: must be 1 to %d", c.Partitions, maxPartitions)
	}
	if c.Dedup < 100*time.Millisecond && c.Dedup != NoDedup {
		fault("Dedup %v: must be 100 ms or more, or NoDedup", c.Dedup)
	}
	if c.MaxBytes < 0 {
		fault("MaxBytes %d: must not be negative", c.MaxBytes)
	}
	if c.MaxRecord != 0 && (c.MaxRecord < 4<<10 || c.MaxRecord > maxMaxRecord) {
		fault("MaxRecord %d: must be 4 KiB to 64 MiB", c.MaxRecord)
	}
	if c.Keep < 0 && c.Keep != NoKeep {
		fault("Keep %v: must not be negative, but for NoKeep", c.Keep)
	}
	if c.Timeout < time.Second {
		fault("Timeout %v: must be a second or more", c.Timeout)
	}
	return errors.Join(faults...)
}
