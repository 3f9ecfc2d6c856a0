package rabbitmq

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/troupe-go/troupe/engine"
)

// Topic is a fanout exchange and the queues of its groups.
type Topic struct {
	e     *Engine
	name  string
	names names
	pub   *publisher

	maxRecord atomic.Int64 // Config.MaxRecord, or what the server has said since

	mu     sync.Mutex
	delays map[string]bool // the delay queues that are there
}

// Caps is what quorum queues do. Records are on the disks of a majority of the queue's
// nodes before they are confirmed. There is no FromOldest, since RabbitMQ copies a
// record into the queues that are there when it comes; see Engine.Claim for those that
// came when there was none. There is no lease: a record goes to another consumer when
// its own is gone, or after the server's consumer_timeout, 30 minutes.
func (t *Topic) Caps() engine.Caps {
	return engine.Caps{
		Durable: true, PowerSafe: true, AtLeastOnce: true,
		Groups: true, Ordered: true, KeyOrder: true,
		Nack: true, DelayedNack: true, Attempts: true, Lag: true,
		MaxRecord: int(t.maxRecord.Load()),
	}
}

// Publish sends the records and waits until the server has confirmed each. Records of
// calls that follow each other are stored in that order.
func (t *Topic) Publish(ctx context.Context, records []engine.Record) []error {
	b := newBatch(len(records))
	for i := range records {
		place := t.pub.nonce + "-" + strconv.FormatUint(t.pub.seq.Add(1), 36)
		message, err := t.seal(&records[i], place)
		if err != nil {
			b.failed(i, err)
			continue
		}
		b.add(i, outgoing{exchange: t.names.exchange, message: message})
	}
	if b.left > 0 {
		t.pub.publish(ctx, b)
	}
	return b.results()
}

// results is called when the batch is over.
func (b *batch) results() []error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.over = true
	return b.errs
}

func (t *Topic) closed() error { return fmt.Errorf("rabbitmq: topic %s: %w", t.name, engine.ErrClosed) }

// blocked is why the server takes nothing now.
func (t *Topic) blocked() error {
	if reason := t.e.publish.blocked.Load(); reason != nil {
		return fmt.Errorf("rabbitmq: topic %s: %w", t.name, blockedError(*reason))
	}
	return nil
}

// unroutable is what the server returned.
func (t *Topic) unroutable(o *outgoing) error {
	if o.exchange == "" && o.key == t.e.marks.queue {
		return fmt.Errorf("rabbitmq: queue %s: %w: %w", o.key, engine.ErrUnavailable, errNoMarks)
	}
	if o.exchange == "" {
		t.mu.Lock()
		delete(t.delays, o.key) // somebody has deleted it: the next one makes it again
		t.mu.Unlock()
		return fmt.Errorf("rabbitmq: topic %s: queue %s is gone: %w", t.name, o.key, engine.ErrUnavailable)
	}
	return fmt.Errorf("rabbitmq: topic %s: no group takes it: subscribe first, or set Config.MaxUnclaimed to keep what comes before: %w",
		t.name, engine.ErrNoTopic)
}
