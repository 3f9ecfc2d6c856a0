package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"unsafe"

	"github.com/troupe-go/troupe/engine"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Publish stores the records. Those of one key, and without keys those of a topic of
// one partition, are in their order. With Config.Transactions several are stored
// together or not at all, and have the same error then.
//
// It waits, until ctx ends, while brokers cannot be reached, and for room when
// Config.MaxBuffered bytes are on their way. A record that was on its way to a broker
// when ctx ended has an error and may be stored all the same.
func (t *Topic) Publish(ctx context.Context, records []engine.Record) []error {
	if len(records) == 0 {
		return nil
	}
	what := "publish to " + t.name
	if err := t.e.use(what); err != nil {
		return all(len(records), err)
	}
	b := newBatch(what, t, len(records))
	for i := range records {
		err := b.sealer.seal(&records[i], &b.messages[i])
		if err == nil && records[i].Size() > t.caps.MaxRecord {
			err = fmt.Errorf("%w: it has %d bytes and may have %d (raise max.message.bytes of the topic and Config.MaxRecord, or keep what is large elsewhere)",
				engine.ErrTooLarge, records[i].Size(), t.caps.MaxRecord)
		}
		if err != nil {
			b.fail(i, fmt.Errorf("kafka: %s: event %q: %w", what, records[i].ID, err))
		}
	}
	if t.e.txn != nil && len(records) > 1 {
		if b.errs != nil { // all or none
			return all(len(records), first(b.errs))
		}
		if err := t.e.txn.run(ctx, b); err != nil {
			return all(len(records), err)
		}
		return nil
	}
	b.produce(ctx, t.e.client)
	errs := b.wait(ctx)
	if errs == nil {
		b.free()
	}
	return errs
}

// batch is one Publish. It outlives the call if ctx ends before the brokers answer.
type batch struct {
	what     string
	sealer   sealer
	messages []kgo.Record
	promise  func(*kgo.Record, error) // settled
	done     chan struct{}            // closed when none is left

	mu    sync.Mutex
	left  int
	acked []bool  // by message
	errs  []error // nil, or one for each message
}

// batches are for one Publish after another: messages and their headers are larger than
// small records are themselves, and would be cleared and collected each time.
var batches = sync.Pool{New: func() any {
	b := &batch{}
	b.sealer.set, b.promise = b.sealer.header, b.settled
	return b
}}

// Larger ones are not kept.
const (
	maxKeptMessages = 4096
	maxKeptBytes    = 1 << 20
)

func newBatch(what string, t *Topic, n int) *batch {
	b := batches.Get().(*batch)
	b.what, b.done, b.errs = what, make(chan struct{}), nil
	b.messages = slices.Grow(b.messages[:0], n)[:n]
	b.acked = slices.Grow(b.acked[:0], n)[:n]
	clear(b.acked)
	s := &b.sealer
	s.envelope, s.topic = t.e.cfg.Envelope, t.name
	s.headers = slices.Grow(s.headers[:0], 8*n)
	s.bytes = slices.Grow(s.bytes[:0], 128*n)
	return b
}

// free lets another Publish have the batch. The client must have answered for every
// message, so that they are ours again, and without an error.
func (b *batch) free() {
	if cap(b.messages) > maxKeptMessages || cap(b.sealer.bytes) > maxKeptBytes || cap(b.sealer.headers) > 16*maxKeptMessages {
		return
	}
	clear(b.messages) // which have the records' data
	clear(b.sealer.headers)
	b.sealer.envelope = nil
	batches.Put(b)
}

func (b *batch) fail(i int, err error) {
	if b.errs == nil {
		b.errs = make([]error, len(b.messages))
	}
	b.errs[i] = err
}

// produce gives the messages that have no error yet to the client.
func (b *batch) produce(ctx context.Context, client *kgo.Client) {
	b.left = len(b.messages)
	refused := slices.Clone(b.errs) // b.errs belongs to the client's goroutines from here
	for i := range b.messages {
		if refused != nil && refused[i] != nil {
			b.answer(i, nil)
			continue
		}
		client.Produce(ctx, &b.messages[i], b.promise)
	}
}

// settled is called once for each message, in no order. Which one it is tells its
// place in the array, so that no closure is needed for each.
func (b *batch) settled(m *kgo.Record, err error) {
	base := uintptr(unsafe.Pointer(unsafe.SliceData(b.messages)))
	i := int((uintptr(unsafe.Pointer(m)) - base) / unsafe.Sizeof(kgo.Record{}))
	b.answer(i, err)
}

func (b *batch) answer(i int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.fail(i, fault(b.what, err))
	} else {
		b.acked[i] = true
	}
	if b.left--; b.left == 0 {
		close(b.done)
	}
}

// wait returns what has become of each message; those without an answer when ctx ends
// have its cause.
func (b *batch) wait(ctx context.Context) []error {
	select {
	case <-b.done:
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.left == 0 && b.errs == nil {
		return nil
	}
	errs := make([]error, len(b.messages)) // b.errs may still be written to
	copy(errs, b.errs)
	for i, err := range errs {
		if err == nil && !b.acked[i] || errors.Is(err, engine.ErrUnavailable) && ctx.Err() != nil {
			errs[i] = ended(b.what, ctx)
		}
	}
	return errs
}

func all(n int, err error) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

func first(errs []error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
