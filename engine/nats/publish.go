package nats

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/troupe-go/troupe/engine"
)

// batch is the records of one Publish.
type batch struct {
	t    *Topic
	box  letterbox
	done chan struct{} // closed when nothing is awaited

	mu      sync.Mutex
	waiting []bool // by record: its answer is awaited
	left    int    // of those, and 1 while more are sent
	errs    []error
	absent  bool // nobody has listened to the subject
	broken  error
}

// Publish sends the records one after the other, in their order, without waiting for
// the acknowledgment of one before the next is sent, and waits for all: see
// [engine.Topic]. At most 4,096 records of an engine are on their way at a time; others
// wait for their turn.
//
// It does not try again: what it returns engine.ErrUnavailable for may be stored, and
// with Config.Dedup it is safe to publish it again. While there is no connection it
// returns that at once. It waits for an acknowledgment until ctx ends, and no longer
// than Config.Timeout.
func (t *Topic) Publish(ctx context.Context, records []engine.Record) []error {
	if len(records) == 0 {
		return nil
	}
	if t.e.server != nil {
		if why := t.e.server.spent(); why != nil {
			return all(len(records), fmt.Errorf("nats: topic %s: %w", t.name, why))
		}
	}
	b := &batch{t: t, done: make(chan struct{}), waiting: make([]bool, len(records)), left: 1}
	b.box.subject, b.box.answer, b.box.lost = t.subjects[0], b.answer, b.lost
	t.e.mail.open(&b.box)
	defer b.box.close()
	b.send(ctx, records)
	b.settle(-1, nil)
	b.await(ctx)
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.absent {
		for i, err := range b.errs {
			if errors.Is(err, natsgo.ErrNoResponders) {
				err = t.gone(err)
				for ; i < len(b.errs); i++ {
					if errors.Is(b.errs[i], natsgo.ErrNoResponders) {
						b.errs[i] = err
					}
				}
				break
			}
		}
	}
	return b.errs
}

func all(n int, err error) []error {
	errs := make([]error, n)
	for i := range errs {
		errs[i] = err
	}
	return errs
}

// send sends the records until one cannot be sent because of what the others cannot be
// sent for, too: those get the same error.
func (b *batch) send(ctx context.Context, records []engine.Record) {
	t := b.t
	for i := range records {
		msg, err := t.seal(&records[i])
		if err != nil {
			b.fault(i, err)
			continue
		}
		select {
		case t.e.window <- struct{}{}:
		default:
			select {
			case t.e.window <- struct{}{}:
			case <-ctx.Done():
				b.rest(i, len(records), t.fault(unavailable(ctx)))
				return
			case <-t.e.life.Done():
				b.rest(i, len(records), t.e.closedFault())
				return
			}
		}
		if err := b.expect(i); err != nil {
			<-t.e.window
			b.rest(i, len(records), err)
			return
		}
		msg.Reply = b.box.reply(i)
		if err := t.e.conn.PublishMsg(msg); err != nil {
			err = t.fault(err)
			b.settle(i, err)
			if errors.Is(err, engine.ErrTooLarge) {
				continue
			}
			b.rest(i+1, len(records), err)
			return
		}
	}
}

// expect begins the wait for record i, unless the batch was lost.
func (b *batch) expect(i int) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken != nil {
		return b.broken
	}
	b.waiting[i] = true
	b.left++
	return nil
}

func unavailable(ctx context.Context) error {
	return fmt.Errorf("%w: no acknowledgment has come: %w", engine.ErrUnavailable, context.Cause(ctx))
}

// seal makes the message of a record.
func (t *Topic) seal(r *engine.Record) (*natsgo.Msg, error) {
	n := len(r.Headers) + 10
	msg := &natsgo.Msg{Subject: t.subjects[partition(r.Key, len(t.subjects))], Header: make(natsgo.Header, n)}
	values := make([]string, 0, n)
	size := len("NATS/1.0\r\n\r\n")
	set := func(name, value string) {
		values = append(values, value)
		msg.Header[name] = values[len(values)-1 : len(values) : len(values)]
		size += len(name) + len(value) + len(": \r\n")
	}
	body, err := t.e.cfg.Envelope.Seal(r, set)
	if err != nil {
		return nil, fmt.Errorf("nats: topic %s: record %s: %w", t.name, r.ID, err)
	}
	if t.dedup {
		set(jetstream.MsgIDHeader, r.ID)
	}
	msg.Data = body
	most := t.caps.MaxRecord
	if size += len(body); size > t.limit {
		most = 0 // many headers
	}
	if n := r.Size(); n > most {
		return nil, fmt.Errorf("nats: topic %s: record %s: %w: it has %d bytes, %d as a message, and %d are allowed: %s", t.name, r.ID, engine.ErrTooLarge, n, size, t.caps.MaxRecord, t.e.advice(engine.ErrTooLarge))
	}
	return msg, nil
}

var errorKey = []byte(`"error"`)

// answer is what the server says of record i.
func (b *batch) answer(i int, m *natsgo.Msg) {
	if i < 0 || i >= len(b.waiting) {
		return
	}
	b.settle(i, b.verdict(m))
}

func (b *batch) verdict(m *natsgo.Msg) error {
	if len(m.Data) == 0 {
		if m.Header.Get("Status") == "503" {
			return b.t.fault(natsgo.ErrNoResponders)
		}
		return b.t.fault(fmt.Errorf("%w: an answer without content", engine.ErrUnavailable))
	}
	// The usual answer is an acknowledgment, which needs no more reading.
	if !bytes.Contains(m.Data, errorKey) {
		return nil
	}
	var said struct {
		Error *jetstream.APIError `json:"error"`
	}
	if err := json.Unmarshal(m.Data, &said); err != nil {
		return b.t.fault(fmt.Errorf("%w: an answer that does not parse: %w", engine.ErrUnavailable, err))
	}
	if said.Error == nil {
		return nil
	}
	return b.t.fault(said.Error)
}

// settle ends the wait for record i, or for the sender if i is -1.
func (b *batch) settle(i int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.settleLocked(i, err)
}

func (b *batch) settleLocked(i int, err error) {
	if i >= 0 {
		if !b.waiting[i] {
			return
		}
		b.waiting[i] = false
		<-b.t.e.window
		if err != nil {
			b.note(i, err)
			b.absent = b.absent || errors.Is(err, natsgo.ErrNoResponders)
		}
	}
	if b.left--; b.left == 0 {
		close(b.done)
	}
}

func (b *batch) note(i int, err error) {
	if b.errs == nil {
		b.errs = make([]error, len(b.waiting))
	}
	b.errs[i] = err
}

func (b *batch) fault(i int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.note(i, err)
}

func (b *batch) rest(from, to int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := from; i < to; i++ {
		b.note(i, err)
	}
}

// lost ends the wait for all that were sent.
func (b *batch) lost(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	err = fmt.Errorf("nats: topic %s: %w", b.t.name, err)
	b.broken = err
	for i, w := range b.waiting {
		if w {
			b.settleLocked(i, err)
		}
	}
}

func (b *batch) await(ctx context.Context) {
	select {
	case <-b.done:
		return
	default:
	}
	timeout := time.NewTimer(b.t.e.cfg.Timeout)
	defer timeout.Stop()
	select {
	case <-b.done:
		return
	case <-ctx.Done():
		b.box.close()
		b.lost(b.t.e.fault(unavailable(ctx)))
	case <-timeout.C:
		b.box.close()
		b.lost(b.t.e.fault(fmt.Errorf("%w: no acknowledgment has come in %v", engine.ErrUnavailable, b.t.e.cfg.Timeout)))
	}
}
