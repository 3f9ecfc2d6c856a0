package rabbitmq

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/troupe-go/troupe/engine"
)

// marks are the notes that a record is about to be handled, in a stream that all
// groups of Config.Prefix share: the one thing of RabbitMQ's that can be read and is
// still there. Who notes something reads the stream up to its own note, so that of two
// who note the same record one knows of the other. What was read is remembered.
//
// The counts of the broker do not do: they are of all that a consumer had been sent,
// not of what it had in hand.
//
// A note has an ID, which it keeps when it is stored again since nobody knows whether
// it was: one that failed must not count as a crash.
//
// noted and next belong to who has the turn.
type marks struct {
	queue string
	turn  chan struct{}
	noted map[string]map[string]struct{} // by record: IDs of notes that nothing has taken back
	next  int64                          // the offset after the last that was read
}

const (
	noteMark   = "mark"
	noteForget = "forget"
	// How much of notes the server keeps, and for how long. It drops whole segments,
	// the oldest first. A note has about 200 bytes.
	marksBytes   = 16 << 20
	marksSegment = 1 << 20
	marksAge     = "30D"
	// marksPrefetch is how many notes the server sends ahead.
	marksPrefetch = 512
	// marksPatience is how long the server may send no note while one is known to be
	// there: the stream may have been deleted and made again, which has other offsets.
	marksPatience = 10 * time.Second
)

// errNoMarks is that somebody has deleted the stream.
var errNoMarks = errors.New("the stream of notes is gone")

func newMarks(prefix string) *marks {
	m := &marks{queue: prefix + "//marks", turn: make(chan struct{}, 1)}
	m.begin()
	return m
}

// begin forgets what was read: the stream may be another one.
func (m *marks) begin() { m.noted, m.next = map[string]map[string]struct{}{}, 0 }

// prepareMarks reports whether there is the stream, which it makes if there is none.
// Without one, a server or its operator does not let us have it: it is no error.
func (e *Engine) prepareMarks(conn *amqp.Connection) (bool, error) {
	try := func(declare func(*amqp.Channel) error) error {
		ch, err := conn.Channel()
		if err != nil {
			return err
		}
		defer ch.Close()
		return declare(ch)
	}
	// One that is there is taken as it is.
	err := try(func(ch *amqp.Channel) error {
		_, err := ch.QueueDeclarePassive(e.marks.queue, true, false, false, false, amqp.Table{"x-queue-type": "stream"})
		return err
	})
	var said *amqp.Error
	if errors.As(err, &said) && said.Code == amqp.NotFound && !e.cfg.Passive {
		args := amqp.Table{
			"x-queue-type":                    "stream",
			"x-max-length-bytes":              int64(marksBytes),
			"x-stream-max-segment-size-bytes": int64(marksSegment),
			"x-max-age":                       marksAge,
		}
		if e.cfg.Replicas > 0 {
			args["x-initial-cluster-size"] = int32(e.cfg.Replicas)
		}
		err = try(func(ch *amqp.Channel) error {
			_, err := ch.QueueDeclare(e.marks.queue, true, false, false, false, args)
			return err
		})
	}
	if errors.As(err, &said) {
		switch said.Code {
		case amqp.NotFound, amqp.AccessRefused, amqp.PreconditionFailed, amqp.NotImplemented:
			return false, nil
		}
	}
	return err == nil, err
}

// marker is a subscription whose server keeps notes.
type marker struct{ *subscription }

var _ engine.Marker = marker{}

// Mark notes that the record is about to be handled: see [engine.Marker]. It costs a
// confirm and reading the notes that this process has not read, of all groups with the
// same Config.Prefix; the first time, all that the server has, 16 MiB at most. The notes
// survive the server as far as streams do: it does not wait for its disks, and in a
// cluster they are on most of its nodes.
//
// Errors: those of Topic.Publish.
func (s marker) Mark(ctx context.Context, d *engine.Delivery) (before int, err error) {
	what := fmt.Sprintf("rabbitmq: topic %s: group %s: mark %s", s.t.name, s.cfg.Group, d.Place)
	m, ok := d.Message.(*Message)
	if !ok || m.session == nil {
		return 0, fmt.Errorf("%s: is no delivery of this engine", what)
	}
	conn, err := s.t.e.consume.now()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", what, err)
	}
	n := new(atomic.Int64) // await may return before its function
	err = await(ctx, what, func() error {
		all := s.t.e.marks
		select {
		case all.turn <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		defer func() { <-all.turn }()
		id := rand.Text()
		if !m.note.CompareAndSwap(nil, &id) {
			id = *m.note.Load()
		}
		m.marked.Store(true)
		s.mu.Lock()
		s.noted[m] = struct{}{}
		s.mu.Unlock()
		if err := s.note(ctx, newNote(noteMark, s.noteKey(m), id)); err != nil {
			if errors.Is(err, errNoMarks) { // the next call finds another
				all.begin()
				_, e := s.t.e.prepareMarks(conn)
				err = errors.Join(err, e)
			}
			return err
		}
		before, err := all.read(ctx, conn, id)
		n.Store(int64(before))
		return err
	})
	if err != nil {
		return 0, err
	}
	m.note.Store(nil) // not before it is known
	return int(n.Load()), nil
}

// forget takes back the notes of records. What was not noted needs nothing.
func (s *subscription) forget(ctx context.Context, of ...*Message) error {
	var notes []amqp.Publishing
	for _, m := range of {
		if m.marked.Load() {
			notes = append(notes, newNote(noteForget, s.noteKey(m), rand.Text()))
		}
	}
	if len(notes) == 0 {
		return nil
	}
	if err := s.note(ctx, notes...); err != nil && !errors.Is(err, errNoMarks) {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, m := range of {
		m.marked.Store(false)
		delete(s.noted, m)
	}
	return nil
}

// forgetAll is for a subscription that is closed: what it gives back in order was not the
// end of its process.
func (s *subscription) forgetAll(ctx context.Context) {
	s.mu.Lock()
	all := slices.Collect(maps.Keys(s.noted))
	s.mu.Unlock()
	_ = s.forget(ctx, all...) // or it is a suspect
}

func (s *subscription) noteKey(m *Message) string { return s.queue + " " + placeOf(&m.Delivery) }

func newNote(what, key, id string) amqp.Publishing {
	return amqp.Publishing{
		Headers: amqp.Table{headerPlace: id}, DeliveryMode: amqp.Persistent,
		ContentType: "text/plain", MessageId: id, Type: what, Body: []byte(key),
	}
}

// note stores notes, confirmed.
func (s *subscription) note(ctx context.Context, notes ...amqp.Publishing) error {
	b := newBatch(len(notes))
	for i, n := range notes {
		b.add(i, outgoing{key: s.t.e.marks.queue, message: n})
	}
	s.t.pub.publish(ctx, b)
	return errors.Join(b.results()...)
}

// read reads what is new up to the note with the ID, which is there, and returns how
// many there were of the same record before it.
func (m *marks) read(ctx context.Context, conn *amqp.Connection, id string) (before int, err error) {
	defer func() {
		if err != nil {
			m.begin()
		}
	}()
	ch, err := conn.Channel()
	if err != nil {
		return 0, err
	}
	defer ch.Close()
	if err := ch.Qos(marksPrefetch, 0, false); err != nil {
		return 0, err
	}
	notes, err := ch.Consume(m.queue, "", false, false, false, false, amqp.Table{"x-stream-offset": m.next})
	if err != nil {
		return 0, err
	}
	patience := time.NewTimer(marksPatience)
	defer patience.Stop()
	for n := 1; ; n++ {
		select {
		case <-patience.C:
			return 0, fmt.Errorf("%w: %s: no note for %v", engine.ErrUnavailable, m.queue, marksPatience)
		case d, ok := <-notes:
			if !ok {
				return 0, fmt.Errorf("%w: the server has ended the reading of %s", engine.ErrUnavailable, m.queue)
			}
			patience.Reset(marksPatience)
			key := string(d.Body)
			if offset := int64(integer(d.Headers["x-stream-offset"])); offset >= m.next {
				m.next = offset + 1
				switch d.Type {
				case noteMark:
					if m.noted[key] == nil {
						m.noted[key] = map[string]struct{}{}
					}
					m.noted[key][d.MessageId] = struct{}{}
				case noteForget:
					delete(m.noted, key)
				}
			}
			if d.MessageId == id {
				return len(m.noted[key]) - 1, nil
			}
			if n%(marksPrefetch/4) == 0 {
				if err := d.Ack(true); err != nil {
					return 0, err
				}
			}
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}
