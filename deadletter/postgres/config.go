package postgres

import (
	"errors"
	"fmt"
	"time"
)

// What holds unless the config says otherwise.
const (
	DefaultSchema               = "troupe"
	DefaultMaxLetterBytes int64 = 16 << 20
	DefaultSweep                = time.Minute
	DefaultConns                = 8
)

// Limits of what a config may say.
const (
	minLetterBytes = 4 << 10
	maxLetterBytes = 256 << 20 // a value has at most 1 GB, and JSON writes four bytes for three
)

// WarnAt is how full a limit is when Retention.OnFill is called.
const WarnAt = 0.8

// Config says where a store is and what it keeps. Only URL is required.
type Config struct {
	// URL is the database, as libpq reads it: postgres://user:password@host/database,
	// or keywords and values.
	URL string
	// Schema has the tables. It is made if it is not there. Empty is DefaultSchema.
	Schema string
	// ReadOnly opens what is there for reading, as on a replica: nothing is made,
	// every change is ErrReadOnly, and retention is left to others.
	ReadOnly bool
	// Conns is how many connections the store has at most. Zero means DefaultConns.
	Conns int
	// MaxLetterBytes is the largest [deadletter.Letter.Size] the store takes.
	// Zero means DefaultMaxLetterBytes.
	MaxLetterBytes int64
	// Retention says what is given up, and when. Zero keeps everything. Nodes that
	// share a store should agree: each does what its own says.
	Retention Retention
	// Sweep is the pause between two looks at what retention gives up and
	// which deleted letters are due. Of the nodes that look at the same time one
	// does the work. Zero means DefaultSweep.
	Sweep time.Duration
	// OnError is told what goes wrong in the background; it will be tried again. It
	// must be quick. Nil means nobody is told.
	OnError func(error)
}

// Retention bounds what a store keeps. A letter that is being redriven is never
// given up. Letters that nothing is left to do about go first, then the oldest;
// the oldest is the one with the lowest ID.
type Retention struct {
	// MaxAge is how long after its last failure a letter is kept. Zero means
	// forever. Letters that go are counted in Account.Expired.
	MaxAge time.Duration
	// MaxCount and MaxBytes bound the letters of each topic, and Topics has
	// bounds of their own for some. Bytes are the sum of Letter.Size. Zero means
	// no bound. Letters that go are counted in Account.Dropped.
	MaxCount int64
	MaxBytes int64
	Topics   map[string]Bounds
	// OnFill is called when a topic has more than WarnAt of a bound, once until
	// it has fallen below, by the node that looks. It is called by a goroutine of
	// the store and must be quick.
	OnFill func(Fill)
}

// Bounds are those of one topic. Zero means no bound.
type Bounds struct {
	MaxCount int64
	MaxBytes int64
}

// Fill says how full a topic's share of the store is.
type Fill struct {
	Topic string
	Count int64
	Bytes int64
	// Bounds are those that apply, Fraction the part of the fuller one.
	Bounds   Bounds
	Fraction float64
}

func (c Config) withDefaults() Config {
	if c.Schema == "" {
		c.Schema = DefaultSchema
	}
	if c.Conns == 0 {
		c.Conns = DefaultConns
	}
	if c.MaxLetterBytes == 0 {
		c.MaxLetterBytes = DefaultMaxLetterBytes
	}
	if c.Sweep == 0 {
		c.Sweep = DefaultSweep
	}
	return c
}

func (c Config) validate() error {
	var faults []error
	fault := func(format string, args ...any) {
		faults = append(faults, fmt.Errorf("postgres: Config."+format, args...))
	}
	if c.URL == "" {
		fault("URL %q: must name a database, as postgres://user:password@host/database", c.URL)
	}
	if len(c.Schema) > 63 {
		fault("Schema %q: must have at most 63 bytes", c.Schema)
	}
	if c.Conns < 1 || c.Conns > 1000 {
		fault("Conns %d: must be 1 to 1000", c.Conns)
	}
	if c.MaxLetterBytes < minLetterBytes || c.MaxLetterBytes > maxLetterBytes {
		fault("MaxLetterBytes %d: must be %d to %d", c.MaxLetterBytes, minLetterBytes, maxLetterBytes)
	}
	if c.Sweep < 0 {
		fault("Sweep %v: must not be negative", c.Sweep)
	}
	if c.Retention.MaxAge < 0 {
		fault("Retention.MaxAge %v: must not be negative", c.Retention.MaxAge)
	}
	bounds := func(field string, b Bounds) {
		if b.MaxCount < 0 {
			fault("%sMaxCount %d: must not be negative", field, b.MaxCount)
		}
		if b.MaxBytes < 0 {
			fault("%sMaxBytes %d: must not be negative", field, b.MaxBytes)
		}
	}
	bounds("Retention.", Bounds{c.Retention.MaxCount, c.Retention.MaxBytes})
	for topic, b := range c.Retention.Topics {
		bounds(fmt.Sprintf("Retention.Topics[%q].", topic), b)
	}
	return errors.Join(faults...)
}

// of returns the bounds of a topic.
func (r *Retention) of(topic string) Bounds {
	if b, ok := r.Topics[topic]; ok {
		return b
	}
	return Bounds{r.MaxCount, r.MaxBytes}
}

func (r *Retention) bounded() bool { return r.MaxCount > 0 || r.MaxBytes > 0 || len(r.Topics) > 0 }

// fraction returns how much of the fuller bound is used.
func (b Bounds) fraction(count, bytes int64) float64 {
	var f float64
	if b.MaxCount > 0 {
		f = float64(count) / float64(b.MaxCount)
	}
	if b.MaxBytes > 0 {
		f = max(f, float64(bytes)/float64(b.MaxBytes))
	}
	return f
}
