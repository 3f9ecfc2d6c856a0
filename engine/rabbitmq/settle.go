package rabbitmq

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/troupe-go/troupe/engine"
)

// Settle tells the server what has become of records. RabbitMQ does not answer an
// acknowledgment: one that is lost with its connection brings its record again, as one
// that is late does. Records that go back at once are at the head of the queue, in
// their order.
//
// A record that goes back for later is published anew, to a queue whose records return
// to the group's after the delay, and acknowledged when the server has confirmed that:
// nothing is lost, and one may be there twice if the process ends in between. It
// returns behind what is in the queue by then, after the next of 1, 2, 5, 10 ms and so
// on that is no shorter than what was asked for.
func (s *subscription) Settle(ctx context.Context, settled []engine.Settlement) (late int, err error) {
	groups := make(map[*session][]engine.Settlement, 1)
	var delayed []engine.Settlement
	var handled []*Message
	for _, v := range settled {
		m, ok := v.Delivery.Message.(*Message)
		if !ok || m.session == nil {
			return late, fmt.Errorf("rabbitmq: topic %s: group %s: settle: %q is no delivery of this engine", s.t.name, s.cfg.Group, v.Delivery.Place)
		}
		if v.Verdict != engine.Nack {
			handled = append(handled, m)
		} else if e := s.forget(ctx, m); e != nil {
			// It would come again as what has ended the process.
			err = errors.Join(err, fmt.Errorf("rabbitmq: topic %s: group %s: settle: its note: %w", s.t.name, s.cfg.Group, e))
			continue
		}
		switch {
		case v.Verdict == engine.Nack && v.Delay > 0:
			delayed = append(delayed, v)
		default:
			groups[m.session] = append(groups[m.session], v)
		}
	}
	if len(delayed) > 0 {
		done, e := s.putOff(ctx, delayed)
		err = errors.Join(err, e)
		for _, v := range done { // now they are as good as handled
			session := v.Delivery.Message.(*Message).session
			groups[session] = append(groups[session], v)
		}
	}
	for session, group := range groups {
		late += session.settle(group)
	}
	_ = s.forget(ctx, handled...) // a note that stays is about a record that does not come again
	return late, err
}

// settle returns how many are not this session's any more.
func (s *session) settle(settled []engine.Settlement) (late int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.IsClosed() {
		for _, v := range settled {
			if s.flight.take(tagOf(v.Delivery)) {
				late++
			}
		}
		return late
	}
	var tags []uint64
	failed := 0
	for _, v := range settled {
		tag := tagOf(v.Delivery)
		if !s.flight.take(tag) {
			continue // it was settled before
		}
		if v.Verdict == engine.Nack {
			if err := s.Nack(tag, false, true); err != nil {
				failed++
			}
			continue
		}
		tags = append(tags, tag)
	}
	// After what goes back, which "all up to" would take with it.
	slices.Sort(tags)
	upTo, single := s.flight.acks(tags)
	if upTo > 0 && s.Ack(upTo, true) != nil {
		failed += len(tags) - len(single)
	}
	for _, tag := range single {
		if s.Ack(tag, false) != nil {
			failed++
		}
	}
	return failed // the channel has just closed
}

func tagOf(d *engine.Delivery) uint64 { return d.Message.(*Message).DeliveryTag }

// putOff publishes copies of records to the queues of their delays and returns those
// that the server has confirmed, as records to acknowledge.
func (s *subscription) putOff(ctx context.Context, settled []engine.Settlement) (done []engine.Settlement, err error) {
	fault := func(e error) {
		if err == nil {
			err = e
		}
	}
	b := newBatch(len(settled))
	for i, v := range settled {
		m := v.Delivery.Message.(*Message)
		if m.session.IsClosed() || !m.session.holds(m.DeliveryTag) {
			// The broker gives it to somebody again: no copy. Or it was settled.
			done = append(done, engine.Settlement{Delivery: v.Delivery})
			continue
		}
		queue, e := s.delayQueue(ctx, v.Delay)
		if e != nil {
			fault(e)
			continue
		}
		b.add(i, outgoing{key: queue, message: again(v.Delivery, m)})
	}
	if b.left == 0 {
		return done, err
	}
	on := slices.Clone(b.open)
	s.t.pub.publish(ctx, b)
	errs := b.results()
	for i, v := range settled {
		switch {
		case !on[i]:
		case errs == nil || errs[i] == nil:
			done = append(done, engine.Settlement{Delivery: v.Delivery})
		default:
			fault(errs[i])
		}
	}
	return done, err
}

func (s *session) holds(tag uint64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.flight
	return tag >= f.base && tag-f.base < uint64(len(f.settled)) && !f.settled[tag-f.base]
}

// again is the message as it was, with what the broker has counted, which begins anew
// for a copy.
func again(d *engine.Delivery, m *Message) amqp.Publishing {
	p := amqp.Publishing{
		Headers:       make(amqp.Table, len(m.Headers)+2),
		DeliveryMode:  amqp.Persistent,
		ContentType:   m.ContentType,
		CorrelationId: m.CorrelationId,
		MessageId:     m.MessageId,
		Timestamp:     m.Timestamp,
		Type:          m.Type,
		AppId:         m.AppId,
		Body:          m.Body,
	}
	for name, value := range m.Headers {
		if !ours(name) {
			p.Headers[name] = value
		}
	}
	p.Headers[headerAttempts] = int64(d.Attempt)
	p.Headers[headerPlace] = d.Place
	return p
}

// delayQueue makes the queue if this process has not yet.
func (s *subscription) delayQueue(ctx context.Context, delay time.Duration) (string, error) {
	rung, err := rungOf(delay)
	if err != nil {
		return "", err
	}
	name := delayQueue(s.queue, rung)
	s.t.mu.Lock()
	there := s.t.delays[name]
	s.t.mu.Unlock()
	if there {
		return name, nil
	}
	conn, err := s.t.e.consume.now()
	if err != nil {
		return "", fmt.Errorf("rabbitmq: topic %s: queue %s: %w", s.t.name, name, err)
	}
	err = await(ctx, "rabbitmq: topic "+s.t.name+": queue "+name, func() error {
		ch, err := conn.Channel()
		if err != nil {
			return err
		}
		defer ch.Close()
		return s.t.e.declareDelay(ch, s.queue, rung)
	})
	if err != nil {
		return "", err
	}
	s.t.mu.Lock()
	s.t.delays[name] = true
	s.t.mu.Unlock()
	return name, nil
}
