package nats

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"go.uber.org/zap"

	"github.com/troupe-go/troupe/engine"
)

// What is sent to acknowledge. Source: ADR-15 of NATS.
var (
	ack        = []byte("+ACK")
	nak        = []byte("-NAK")
	term       = []byte("+TERM")
	inProgress = []byte("+WPI")
)

// Settle tells the server, and waits for its answer to the last of each consumer, which
// it gives when it has taken note of those before: see [engine.Subscription]. A batch
// costs one round trip, so that a few hundred at a time cost little more than one.
//
// late counts by this process's clock, from when a record has come or Extend has
// returned. A late Ack or Term is still sent, for the server takes it if nobody has
// settled the record since; not so of a partition, where the record may be in other
// hands, and the next must not go out meanwhile.
func (s *Subscription) Settle(ctx context.Context, settled []engine.Settlement) (late int, err error) {
	if len(settled) == 0 {
		return 0, nil
	}
	told := make([]told, 0, len(settled))
	var foreign error
	var back []*Message
	now := time.Now()
	s.mu.Lock()
	for i := range settled {
		m := s.own(settled[i].Delivery)
		if m == nil {
			foreign = s.errorf("Settle: %s", notOurs(settled[i].Delivery))
			continue
		}
		if m.settled {
			if s.closed {
				late++ // it was given back by Close
			}
			continue
		}
		lapsed := now.After(m.until)
		if lapsed {
			late++
			if m.from.serial || settled[i].Verdict == engine.Nack {
				s.unlink(m)
				s.wake()
				continue
			}
		}
		if m.marked && settled[i].Verdict == engine.Nack {
			m.marked = false
			back = append(back, m)
		}
		told = append(told, tell(m, s.payload(&settled[i])))
	}
	s.mu.Unlock()
	if len(told) == 0 {
		return late, foreign
	}
	s.unmark(ctx, back)
	if err := s.tell(ctx, told); err != nil {
		return late, err
	}
	var marked []*Message
	s.mu.Lock()
	for i := range told {
		if m := told[i].m; !m.settled {
			s.unlink(m)
			if m.marked {
				marked = append(marked, m)
			}
		}
	}
	s.wake() // there is room
	s.mu.Unlock()
	s.unmark(ctx, marked)
	return late, foreign
}

// Extend begins the leases anew, with one round trip: see [engine.Subscription].
func (s *Subscription) Extend(ctx context.Context, deliveries []*engine.Delivery) error {
	told := make([]told, 0, len(deliveries))
	var foreign error
	now := time.Now()
	s.mu.Lock()
	for _, d := range deliveries {
		switch m := s.own(d); {
		case m == nil:
			foreign = s.errorf("Extend: %s", notOurs(d))
		case !m.settled && now.Before(m.until):
			told = append(told, tell(m, inProgress))
		}
	}
	s.mu.Unlock()
	if len(told) == 0 {
		return foreign
	}
	if err := s.tell(ctx, told); err != nil {
		return err
	}
	s.mu.Lock()
	for i := range told {
		told[i].m.until = now.Add(s.lease)
	}
	s.mu.Unlock()
	return foreign
}

type told struct {
	m       *Message
	payload []byte
}

func tell(m *Message, payload []byte) told { return told{m, payload} }

func (s *Subscription) own(d *engine.Delivery) *Message {
	if d == nil {
		return nil
	}
	m, _ := d.Message.(*Message)
	if m == nil || m.sub != s {
		return nil
	}
	return m
}

func notOurs(d *engine.Delivery) string {
	if d == nil {
		return "a delivery is nil"
	}
	return fmt.Sprintf("record %s, %s: is not a delivery of this subscription", d.Record.ID, d.Position)
}

// unlink is that m is no longer out. The caller holds mu.
func (s *Subscription) unlink(m *Message) {
	m.settled = true
	m.prev.next, m.next.prev = m.next, m.prev
	m.prev, m.next = nil, nil
	s.outN--
}

// maxReason bounds the reason, which is in an advisory of the server.
const maxReason = 1 << 10

func (s *Subscription) payload(x *engine.Settlement) []byte {
	switch x.Verdict {
	case engine.Nack:
		if x.Delay <= 0 {
			return nak
		}
		return fmt.Appendf(nil, `-NAK {"delay": %d}`, x.Delay.Nanoseconds())
	case engine.Term:
		// An old server takes what has a reason for nothing at all.
		if s.topic.oldTerm || x.Reason == "" {
			return term
		}
		reason := strings.ToValidUTF8(x.Reason[:min(len(x.Reason), maxReason)], "")
		return []byte("+TERM " + strings.Join(strings.Fields(reason), " "))
	}
	return ack
}

// tell sends what is told, in its order, and waits until the server has taken note.
func (s *Subscription) tell(ctx context.Context, all []told) error {
	e := s.topic.e
	if !e.conn.IsConnected() {
		return s.errorf("%w", e.fault(natsgo.ErrDisconnected))
	}
	before := e.conn.Stats().Reconnects
	w := &answers{s: s, done: make(chan struct{})}
	w.box.subject, w.box.answer, w.box.lost = ackSubject, w.answer, w.lost
	e.mail.open(&w.box)
	defer w.box.close()

	// Each consumer answers for itself: the last of each is asked for.
	asks := map[int]bool{len(all) - 1: true}
	if len(s.sources) > 1 {
		seen := map[*source]bool{}
		for i := len(all) - 1; i >= 0; i-- {
			if from := all[i].m.from; !seen[from] {
				seen[from], asks[i] = true, true
			}
		}
	}
	w.left = len(asks)
	for i := range all {
		var err error
		if asks[i] {
			err = e.conn.PublishRequest(all[i].m.Msg.Reply, w.box.reply(i), all[i].payload)
		} else {
			err = e.conn.Publish(all[i].m.Msg.Reply, all[i].payload)
		}
		if err != nil {
			return s.errorf("%w", e.fault(err))
		}
	}
	timeout := time.NewTimer(e.cfg.Timeout)
	defer timeout.Stop()
	select {
	case <-w.done:
	case <-ctx.Done():
		return s.errorf("%w: no answer has come: %w", engine.ErrUnavailable, context.Cause(ctx))
	case <-timeout.C:
		return s.errorf("%w", e.fault(fmt.Errorf("%w: no answer has come in %v", engine.ErrUnavailable, e.cfg.Timeout)))
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil && e.conn.Stats().Reconnects != before {
		// Those that were not asked for may have gone with the connection.
		w.err = fmt.Errorf("%w: the connection was lost meanwhile", engine.ErrUnavailable)
	}
	if w.err != nil {
		return s.errorf("%w", e.fault(w.err))
	}
	return nil
}

// answers awaits those to one tell.
type answers struct {
	s    *Subscription
	box  letterbox
	done chan struct{}

	mu   sync.Mutex
	left int
	err  error
}

func (w *answers) answer(_ int, m *natsgo.Msg) {
	var err error
	if m.Header.Get("Status") == "503" {
		err = natsgo.ErrNoResponders
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = errors.Join(w.err, err)
	if w.left--; w.left == 0 {
		close(w.done)
	}
}

func (w *answers) lost(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left > 0 {
		w.left, w.err = 0, err
		close(w.done)
	}
}

func (s *Subscription) fields(err error) []zap.Field {
	return []zap.Field{zap.String("topic", s.topic.name), zap.String("group", s.cfg.Group), zap.Error(err)}
}

// place is the sequence as marks have it.
func (m *Message) place() string { return strconv.FormatUint(m.Sequence, 10) }
