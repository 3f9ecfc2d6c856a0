package postgres

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// What holds unless the config says otherwise.
const (
	DefaultSchema                       = "troupe"
	DefaultKeep                         = time.Hour
	DefaultPoll                         = time.Second
	DefaultMaxRecordBytes               = 1 << 20
	DefaultSweep                        = 10 * time.Second
	DefaultLease                        = 30 * time.Second
	maxRecordBytes                      = 256 << 20 // a row of a little under 1 GiB is what the server takes
	maxSchema                           = 48        // of the 63 bytes of an identifier
	KeepNothing           time.Duration = -1        // records go as soon as every group has settled them
	ListenNone                          = "none"    // no session that listens: polling alone
)

// Config says where a database is and how topics are kept in it. URL or Pool is
// required.
type Config struct {
	// URL is a connection string of pgx, with pool settings:
	// "postgres://app@db:5432/shop?pool_max_conns=8".
	URL string
	// Pool is one that the program has already, which Close leaves open.
	Pool *pgxpool.Pool
	// Listen is the URL of the session that is woken by what others publish. It
	// must lead to the server itself: a pooler that gives a session away after
	// each transaction, as pgbouncer does, forgets that it listens. Empty is where
	// URL or Pool leads to, ListenNone is none.
	Listen string
	// Schema is where tables and functions are, made by Open if it is not there.
	// Empty means DefaultSchema.
	Schema string
	// Keep is how long records of a topic are kept after they were stored, also
	// those that every group has settled: so long an ID is stored once, and so far
	// back goes a new group from the oldest. What a group has not settled is kept
	// as long as that takes, what no group is there for is not kept beyond. Zero
	// means DefaultKeep; KeepNothing is as short as can be. It is the topic's from
	// its first Open on.
	Keep time.Duration
	// Poll is how long a consumer goes without looking that nobody wakes. Zero
	// means DefaultPoll.
	Poll time.Duration
	// Sweep is the pause between two looks at what can be deleted. Zero means
	// DefaultSweep.
	Sweep time.Duration
	// MaxRecordBytes is the largest engine.Record.Size that is taken. Zero means
	// DefaultMaxRecordBytes.
	MaxRecordBytes int
	// OnError is told what goes wrong in the background and is tried again: the
	// session that listens is lost, records cannot be deleted. It must be quick.
	// Nil means nobody is told.
	OnError func(error)
}

func (c Config) withDefaults() Config {
	if c.Schema == "" {
		c.Schema = DefaultSchema
	}
	if c.Keep == 0 {
		c.Keep = DefaultKeep
	}
	if c.Poll == 0 {
		c.Poll = DefaultPoll
	}
	if c.Sweep == 0 {
		c.Sweep = DefaultSweep
	}
	if c.MaxRecordBytes == 0 {
		c.MaxRecordBytes = DefaultMaxRecordBytes
	}
	if c.OnError == nil {
		c.OnError = func(error) {}
	}
	return c
}

func (c Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("postgres: Config."+format, args...))
	}
	switch {
	case c.URL == "" && c.Pool == nil:
		fault("URL %q: must name a database, or Pool be set", c.URL)
	case c.URL != "" && c.Pool != nil:
		fault("Pool: must be nil if there is a URL")
	case c.URL != "":
		if _, err := pgxpool.ParseConfig(c.URL); err != nil {
			fault("URL: %w", err)
		}
	}
	if c.Listen != "" && c.Listen != ListenNone {
		if _, err := pgx.ParseConfig(c.Listen); err != nil {
			fault("Listen: %w", err)
		}
	}
	if len(c.Schema) > maxSchema || strings.ContainsFunc(c.Schema, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_'
	}) {
		fault("Schema %q: must be at most %d of a-z, 0-9 and _", c.Schema, maxSchema)
	}
	if c.Keep < 0 && c.Keep != KeepNothing {
		fault("Keep %v: must not be negative, or be KeepNothing", c.Keep)
	}
	if c.Poll < time.Millisecond {
		fault("Poll %v: must be at least 1ms", c.Poll)
	}
	if c.Sweep < time.Millisecond {
		fault("Sweep %v: must be at least 1ms", c.Sweep)
	}
	if c.MaxRecordBytes < 0 || c.MaxRecordBytes > maxRecordBytes {
		fault("MaxRecordBytes %d: must be 1 to %d", c.MaxRecordBytes, maxRecordBytes)
	}
	return errors.Join(faults...)
}

// keep is Keep as the database has it.
func (c *Config) keep() time.Duration { return max(0, c.Keep) }
