package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
	"go.uber.org/zap"

	"github.com/troupe-go/troupe/engine"
)

// marks is the stream of notes that a record is about to be handled, which is made with
// the first of them. The last message of a subject, which names topic, group and
// record, has how often, and the ID of the Mark that wrote it: one whose answer was lost
// is repeated with the same ID, and must not count as a crash.
type marks struct {
	mu     sync.Mutex
	stream jetstream.Stream
}

const (
	// marksName is not a topic's: their names are escaped.
	marksName = "TROUPE.MARKS"
	// marksFor is how long a note is kept of a record that nobody settles.
	marksFor = 30 * 24 * time.Hour
)

func (e *Engine) marksStream(ctx context.Context) (jetstream.Stream, error) {
	e.marks.mu.Lock()
	defer e.marks.mu.Unlock()
	if e.marks.stream != nil {
		return e.marks.stream, nil
	}
	subject := e.cfg.Prefix + marksName
	want := jetstream.StreamConfig{
		Name:              "_" + escapeName(subject),
		Description:       "Notes of Troupe: what was about to be handled, and how often",
		Subjects:          []string{subject + ".>"},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		MaxMsgsPerSubject: 1,
		MaxAge:            marksFor,
		Replicas:          e.streamConfig(subject).Replicas,
	}
	var s jetstream.Stream
	err := e.patiently(ctx, func(ctx context.Context) (err error) {
		s, err = e.js.Stream(ctx, want.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			s, err = e.create(ctx, &want)
		}
		return err
	})
	if err == nil {
		e.marks.stream = s
	}
	return s, err
}

func (s *Subscription) markSubject(m *Message) string {
	return s.topic.e.cfg.Prefix + marksName + "." + s.topic.stream + "." + escapeName(s.cfg.Group) + "." + m.place()
}

// Mark notes that the record is about to be handled: see [engine.Marker]. It costs two
// round trips to the server, and with the first a stream.
func (s *Subscription) Mark(ctx context.Context, d *engine.Delivery) (before int, err error) {
	m := s.own(d)
	if m == nil {
		return 0, s.errorf("Mark: %s", notOurs(d))
	}
	e := s.topic.e
	stream, err := e.marksStream(ctx)
	if err != nil {
		return 0, s.errorf("Mark: %w", err)
	}
	subject := s.markSubject(m)
	s.mu.Lock()
	m.marked = true // or may be
	if m.note == "" {
		m.note = nuid.Next()
	}
	id := m.note
	s.mu.Unlock()
	written := false
	err = e.patiently(ctx, func(ctx context.Context) error {
		last, err := stream.GetLastMsgForSubject(ctx, subject)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			before, err = 0, nil
		} else if err == nil {
			count, by, _ := strings.Cut(string(last.Data), " ")
			before, err = strconv.Atoi(count)
			if written = by == id; written {
				before--
			}
		}
		return err
	})
	if err == nil && !written {
		next := fmt.Appendf(nil, "%d %s", before+1, id)
		err = e.patiently(ctx, func(ctx context.Context) error {
			_, err := e.js.Publish(ctx, subject, next)
			return err
		})
	}
	if err != nil {
		return 0, s.errorf("Mark: %w", err)
	}
	s.mu.Lock()
	m.note = ""
	s.mu.Unlock()
	return before, nil
}

// unmark forgets the notes: of what is given back before it is, since whoever is given
// it may look at once; of what is handled, after. One that stays then is about a record
// that will not come again.
func (s *Subscription) unmark(ctx context.Context, settled []*Message) {
	for _, m := range settled {
		one, cancel := context.WithTimeout(ctx, attempt)
		stream, err := s.topic.e.marksStream(one)
		if err == nil {
			err = stream.Purge(one, jetstream.WithPurgeSubject(s.markSubject(m)))
		}
		cancel()
		if err != nil {
			s.topic.e.log.Warn("a note of a record that is settled stays", append(s.fields(err), zap.Uint64("sequence", m.Sequence))...)
		}
	}
}
