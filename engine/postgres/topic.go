package postgres

import (
	"sync"

	"github.com/troupe-go/troupe/engine"
)

// Topic is one topic. Methods are safe for concurrent use.
type Topic struct {
	e    *Engine
	name string
	id   int32

	// Publications that wait to be stored together.
	mu      sync.Mutex
	queue   []*publication
	writers int
}

var _ engine.Topic = (*Topic)(nil)

func newTopic(e *Engine, name string, id int32) *Topic { return &Topic{e: e, name: name, id: id} }

// Caps implements [engine.Topic]. Durable and power-safe it is as the server says:
// with fsync or synchronous_commit off it is not, and what an engine should do about
// that is leave it to those who have set it.
func (t *Topic) Caps() engine.Caps {
	return engine.Caps{
		Durable: true, PowerSafe: true, AtLeastOnce: true, Groups: true, Ordered: true, KeyOrder: true,
		FromOldest: true, Nack: true, DelayedNack: true, Attempts: true, Lease: true, Lag: true,
		Dedup: engine.Forever, AtomicBatch: true, MaxRecord: t.e.cfg.MaxRecordBytes,
	}
}
