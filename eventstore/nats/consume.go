package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// message is one of the stream as a consumer gets it.
type message struct {
	subject string
	seq     uint64 // in the stream
	number  uint64 // in the consumer, from 1
	header  natsgo.Header
	data    []byte
}

// consumer reads the stream in its order from one place on, by a consumer of the server
// that needs no acknowledgments. Its messages are numbered, so that one that was lost with
// a connection is noticed.
type consumer struct {
	s    *Store
	cons jetstream.Consumer
	it   jetstream.MessagesContext
	last uint64 // number of the last message
}

// consume makes one. ctx bounds this call only.
func (s *Store) consume(ctx context.Context, from uint64, subjects ...string) (*consumer, error) {
	cfg := jetstream.ConsumerConfig{
		AckPolicy: jetstream.AckNonePolicy, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1),
		FilterSubjects: subjects, InactiveThreshold: 5 * time.Minute, MemoryStorage: true, Replicas: 1,
	}
	cons, err := s.stream.CreateConsumer(ctx, cfg)
	if err != nil {
		return nil, err
	}
	it, err := cons.Messages(jetstream.PullMaxMessages(512), jetstream.PullExpiry(10*time.Second), jetstream.PullHeartbeat(500*time.Millisecond))
	c := &consumer{s: s, cons: cons, it: it}
	if err != nil {
		c.end()
		return nil, err
	}
	return c, nil
}

// next waits for a message. After an error of its own the consumer is of no use any more.
func (c *consumer) next(ctx context.Context) (message, error) {
	m, err := c.it.Next(jetstream.NextContext(ctx))
	// The request for messages may have come before the consumer was ready, in a cluster, or
	// the server is slow. The iterator asks again; who does not hear anything then has lost
	// the server, or the consumer.
	for missed := 0; errors.Is(err, jetstream.ErrNoHeartbeat) && missed < 5; missed++ {
		m, err = c.it.Next(jetstream.NextContext(ctx))
	}
	if err != nil {
		return message{}, err
	}
	meta, err := m.Metadata()
	if err != nil {
		return message{}, err
	}
	if c.last++; meta.Sequence.Consumer != c.last {
		return message{}, fmt.Errorf("message %d of a consumer follows %d: %w", meta.Sequence.Consumer, c.last-1, natsgo.ErrDisconnected)
	}
	return message{m.Subject(), meta.Sequence.Stream, meta.Sequence.Consumer, m.Headers(), m.Data()}, nil
}

// waiting returns how many messages there are after the nth.
func (c *consumer) waiting(ctx context.Context, n uint64) (uint64, error) {
	info, err := c.cons.Info(ctx)
	if err != nil {
		return 0, err
	}
	return info.NumPending + info.Delivered.Consumer - n, nil
}

// end forgets the consumer; the server would, later.
func (c *consumer) end() {
	if c.it != nil {
		c.it.Stop()
	}
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if conn := c.s.js.Conn(); conn.IsConnected() {
		_ = c.s.stream.DeleteConsumer(ctx, c.cons.CachedInfo().Name) // InactiveThreshold
	}
}
