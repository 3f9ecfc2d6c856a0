package postgres

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	engine "github.com/troupe-go/troupe/engine/postgres"
)

// What holds unless the config says otherwise.
const (
	DefaultSchema   = "troupe_events"
	DefaultPoll     = time.Second
	DefaultMaxBytes = 16 << 20
	maxBytes        = 256 << 20
	maxSchema       = 48
)

// ListenNone is no session that listens: followers poll.
const ListenNone = engine.ListenNone

// Config says where a database is. URL or Pool is required.
type Config struct {
	// URL is a connection string of pgx, with pool settings.
	URL string
	// Pool is one that the program has already, which Close leaves open.
	Pool *pgxpool.Pool
	// Schema is where tables are, made by Open if it is not there. Empty means
	// DefaultSchema.
	Schema string
	// Listen is the URL of the session that is woken by what others append, past any
	// pooler that gives sessions away, as pgbouncer does. Empty is where URL or Pool
	// leads to, ListenNone is none.
	Listen string
	// Poll is how long a follower goes without looking that nobody wakes. Zero means
	// DefaultPoll.
	Poll time.Duration
	// MaxBytes is how many bytes of data and metadata the events of an Append may have,
	// and a snapshot. Zero means DefaultMaxBytes.
	MaxBytes int
	// OnError is told what goes wrong in the background and is tried again. It must be
	// quick. Nil means nobody is told.
	OnError func(error)
}

func (c Config) withDefaults() Config {
	if c.Schema == "" {
		c.Schema = DefaultSchema
	}
	if c.Poll == 0 {
		c.Poll = DefaultPoll
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
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
	if c.Poll < time.Millisecond {
		fault("Poll %v: must be at least 1ms", c.Poll)
	}
	if c.MaxBytes < 0 || c.MaxBytes > maxBytes {
		fault("MaxBytes %d: must be 1 to %d", c.MaxBytes, maxBytes)
	}
	return errors.Join(faults...)
}
