package deadletter

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// What a memory store holds unless its config says otherwise.
const (
	DefaultCapacity       = 10_000
	DefaultMaxBytes int64 = 64 << 20
	// What is not letters: operations that have ended, the items of all of them,
	// and entries of the audit trail.
	DefaultMaxOperations = 100
	DefaultMaxItems      = 100_000
	DefaultMaxAudit      = 10_000
)

// minMaxBytes leaves room for one small letter: a store for less would refuse
// everything.
const minMaxBytes = 4 << 10

// MemoryConfig bounds a memory store. The zero value works.
type MemoryConfig struct {
	// Capacity is the number of letters it holds at most. Zero means
	// DefaultCapacity.
	Capacity int
	// MaxBytes is the sum of [Letter.Size] it holds at most, and the most that
	// one letter may have. It is at least 4096. Zero means DefaultMaxBytes.
	MaxBytes int64
	// OnEvict is called with every letter that had to make room, after the
	// change that needed it, by the goroutine that made the change and
	// without any lock held. A panic in it reaches that goroutine, when the
	// change has already been made. Nil means nobody is told; evictions are
	// counted in any case.
	OnEvict func(Letter)

	// MaxAge is how long after it last failed a letter expires, in any state but
	// redriving; a letter without a time counts from when it was added. Zero means
	// that none expires.
	MaxAge time.Duration
	// OnExpire is to letters that expire what OnEvict is to those that make room.
	// It is called by the goroutine whose call of the store comes first when the
	// time is over.
	OnExpire func(Letter)

	// MaxOperations is the number of operations that have ended, MaxItems the
	// number of their items in all, and MaxAudit the number of audit entries that
	// are kept. The newest operation stays in any case. Zero means
	// DefaultMaxOperations, DefaultMaxItems and DefaultMaxAudit.
	MaxOperations, MaxItems, MaxAudit int
}

func (c MemoryConfig) withDefaults() MemoryConfig {
	if c.Capacity == 0 {
		c.Capacity = DefaultCapacity
	}
	if c.MaxBytes == 0 {
		c.MaxBytes = DefaultMaxBytes
	}
	c.MaxOperations = cmp.Or(c.MaxOperations, DefaultMaxOperations)
	c.MaxItems = cmp.Or(c.MaxItems, DefaultMaxItems)
	c.MaxAudit = cmp.Or(c.MaxAudit, DefaultMaxAudit)
	return c
}

func (c MemoryConfig) validate() error {
	var faults []error
	if c.Capacity < 1 {
		faults = append(faults, fmt.Errorf("deadletter: MemoryConfig.Capacity %d: must be at least 1", c.Capacity))
	}
	if c.MaxBytes < minMaxBytes {
		faults = append(faults, fmt.Errorf("deadletter: MemoryConfig.MaxBytes %d: must be at least %d", c.MaxBytes, minMaxBytes))
	}
	if c.MaxAge < 0 {
		faults = append(faults, fmt.Errorf("deadletter: MemoryConfig.MaxAge %v: must not be negative", c.MaxAge))
	}
	for _, f := range []struct {
		name string
		n    int
	}{{"MaxOperations", c.MaxOperations}, {"MaxItems", c.MaxItems}, {"MaxAudit", c.MaxAudit}} {
		if f.n < 1 {
			faults = append(faults, fmt.Errorf("deadletter: MemoryConfig.%s %d: must be at least 1", f.name, f.n))
		}
	}
	return errors.Join(faults...)
}

// MemoryStats counts what has become of a memory store's letters since it was
// made. At every moment Added = Stored + Evicted + Deleted + Expired. [Memory.Account]
// tells more.
type MemoryStats struct {
	// Stored is the number of letters held now, and Bytes the sum of their
	// sizes.
	Stored uint64
	Bytes  int64
	// Added counts the letters taken in; those left out because their ID was
	// already there are not among them.
	Added uint64
	// Evicted counts the letters that had to make room.
	Evicted uint64
	// Deleted counts the letters removed by Delete, and the tombstones that are
	// gone.
	Deleted uint64
	// Expired counts the letters that were older than MaxAge.
	Expired uint64
}
