package watermill

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/troupe-go/troupe/engine"
)

// PublisherConfig says how messages become records. The zero value works.
type PublisherConfig struct {
	// Source is the Source of records; empty is "/watermill".
	Source string
	// ContentType is that of payloads whose message has none in its metadata, under
	// content-type: topics of Troupe decode what has that of their codec. Empty is
	// application/json, which is what CloudEvents takes it for, too.
	ContentType string
	// Key returns the key of a message's record; nil is that they have none.
	Key func(*message.Message) string
	// Timeout bounds Publish; 0 is 30 s. So does the context of the first message.
	Timeout time.Duration
}

// Publisher is a message.Publisher on an engine. It is safe for concurrent use.
type Publisher struct {
	e      engine.Engine
	cfg    PublisherConfig
	topics topics

	mu     sync.Mutex
	closed bool
}

var _ message.Publisher = (*Publisher)(nil)

// NewPublisher makes a publisher on an engine, which stays its owner's.
func NewPublisher(e engine.Engine, cfg PublisherConfig) *Publisher {
	if cfg.Source == "" {
		cfg.Source = "/watermill"
	}
	if cfg.ContentType == "" {
		cfg.ContentType = "application/json"
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	return &Publisher{e: e, cfg: cfg, topics: topics{e: e, open: map[string]engine.Topic{}}}
}

// Publish returns nil when the engine has all messages, as surely as its Caps say. The
// UUID of a message is the ID of its record: an engine with Caps.Dedup stores one that
// is published again once.
//
// An error names each message that is not acknowledged, and wraps that of the engine;
// the others are stored, unless the engine has Caps.AtomicBatch.
func (p *Publisher) Publish(topic string, messages ...*message.Message) error {
	p.mu.Lock()
	closed := p.closed
	p.mu.Unlock()
	if closed {
		return fmt.Errorf("watermill: publish to %s: %w", topic, engine.ErrClosed)
	}
	if len(messages) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(messages[0].Context(), p.cfg.Timeout)
	defer cancel()
	t, err := p.topics.get(ctx, topic)
	if err != nil {
		return err
	}
	records := make([]engine.Record, len(messages))
	for i, m := range messages {
		records[i] = recordOf(m, &p.cfg, topic)
	}
	var faults []error
	for i, err := range t.Publish(ctx, records) {
		if err != nil {
			if errors.Is(err, engine.ErrNoTopic) { // it was removed: the next Publish makes it again
				p.topics.forget(topic, t)
			}
			faults = append(faults, fmt.Errorf("watermill: message %s: %w", records[i].ID, err))
		}
	}
	return errors.Join(faults...)
}

// Close makes Publish return engine.ErrClosed. The engine stays open.
func (p *Publisher) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return nil
}

// topics are the topics of an engine that are open.
type topics struct {
	e    engine.Engine
	mu   sync.Mutex
	open map[string]engine.Topic
}

// forget has the next get open the topic again.
func (t *topics) forget(name string, topic engine.Topic) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open[name] == topic {
		delete(t.open, name)
	}
}

func (t *topics) get(ctx context.Context, name string) (engine.Topic, error) {
	t.mu.Lock()
	topic := t.open[name]
	t.mu.Unlock()
	if topic != nil {
		return topic, nil
	}
	topic, err := t.e.Open(ctx, name) // idempotent, if two are at it
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.open[name] = topic
	return topic, nil
}
