package sqlite

import (
	"errors"
	"fmt"
	"time"
)

// What holds unless the config says otherwise.
const (
	DefaultMaxLetterBytes int64 = 16 << 20
	DefaultSweep                = time.Minute
)

// Limits of what a config may say.
const (
	minLetterBytes = 4 << 10
	maxLetterBytes = 512 << 20 // the engine takes rows of a little under 1 GiB
)

// WarnAt is how full a limit is when Retention.OnFill is called.
const WarnAt = 0.8

// Config says where a store is and what it keeps. Only Path is required.
type Config struct {
	// Path is the file. It is made, readable by its owner only, if it is not
	// there; its directory is not made.
	Path string
	// MaxLetterBytes is the largest [deadletter.Letter.Size] the store takes.
	// Zero means DefaultMaxLetterBytes.
	MaxLetterBytes int64
	// Retention says what is given up, and when. Zero keeps everything.
	Retention Retention
	// Sweep is the pause between two looks at what retention gives up and
	// which deleted letters are due. Zero means DefaultSweep.
	Sweep time.Duration
	// OnError is told what goes wrong in the background, in maintenance that
	// nobody waits for; it will be tried again. It must be quick. Nil means
	// nobody is told.
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
	// it has fallen below. It is called by a goroutine of the store and must be
	// quick.
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
		faults = append(faults, fmt.Errorf("sqlite: Config."+format, args...))
	}
	if c.Path == "" {
		fault("Path %q: must name a file", c.Path)
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
