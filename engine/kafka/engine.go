package kafka

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/troupe-go/troupe/engine"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Engine is a cluster. It implements engine.Engine.
type Engine struct {
	cfg    Config
	client *kgo.Client // publishes, and asks the cluster
	admin  *kadm.Client
	txn    *transactor // nil without Config.Transactions

	mu     sync.Mutex
	closed bool
	topics map[string]*Topic
	subs   map[*Subscription]struct{}
}

var _ engine.Engine = (*Engine)(nil)

// Open connects to a cluster. It returns when a broker has answered.
//
// Errors: a configuration that is wrong, with all that is wrong in it;
// engine.ErrUnavailable if no broker has answered when ctx ended or all of them
// refused; engine.ErrUnauthorized.
func Open(ctx context.Context, cfg Config) (*Engine, error) {
	cfg = cfg.withDefaults()
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	opts := append(cfg.shared(),
		kgo.ProducerBatchMaxBytes(int32(cfg.MaxRecord)),
		kgo.BrokerMaxWriteBytes(int32(max(100<<20, min(cfg.MaxRecord+1<<20, 1<<30)))),
		kgo.MaxBufferedBytes(cfg.MaxBuffered),
		// Publish waits for its records, so to linger would only make it late;
		// what is published at once goes together all the same.
		kgo.ProducerLinger(0),
	)
	client, err := kgo.NewClient(append(opts, cfg.Options...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka: configuration: %w", err)
	}
	if err := bounded(ctx, func() error { return client.Ping(ctx) }); err != nil {
		go client.Close() // which waits for a broker that has accepted and is silent
		return nil, fault("open "+strings.Join(cfg.Seeds, ", "), ping(ctx, err))
	}
	e := &Engine{
		cfg: cfg, client: client, admin: kadm.NewClient(client),
		topics: map[string]*Topic{}, subs: map[*Subscription]struct{}{},
	}
	if cfg.Transactions != "" {
		e.txn = newTransactor(&e.cfg)
	}
	return e, nil
}

// ping adds the cause of ctx, which the client leaves out where it was dialing.
func ping(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && !errors.Is(err, cause) {
		return fmt.Errorf("%w: %w", err, cause)
	}
	return err
}

// bounded returns when ctx ends, also where the client does not: it is in the middle of
// greeting a broker, which has its own time. do must not write to what is read after an
// error.
func bounded(ctx context.Context, do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// Name is kafka.
func (e *Engine) Name() string { return "kafka" }

// Client is the client that publishes, for what the engine does not do. It belongs to
// the engine: do not close it.
func (e *Engine) Client() *kgo.Client { return e.client }

// Ready returns nil if a broker answers and every partition of the topics that are
// open has a leader.
func (e *Engine) Ready(ctx context.Context) error {
	e.mu.Lock()
	closed := e.closed
	names := make([]string, 0, len(e.topics))
	for name := range e.topics {
		names = append(names, name)
	}
	e.mu.Unlock()
	if closed {
		return fmt.Errorf("kafka: ready: %w", engine.ErrClosed)
	}
	if len(names) == 0 {
		return fault("ready", bounded(ctx, func() error { return e.client.Ping(ctx) }))
	}
	slices.Sort(names)
	var details kadm.TopicDetails
	err := bounded(ctx, func() (err error) {
		details, err = e.admin.ListTopics(ctx, names...)
		return err
	})
	if err != nil {
		return fault("ready", ping(ctx, err))
	}
	var faults []error
	for _, name := range names {
		d := details[name]
		if d.Err != nil {
			faults = append(faults, fault("topic "+name, d.Err))
			continue
		}
		for _, p := range d.Partitions.Sorted() {
			if p.Leader < 0 {
				faults = append(faults, fmt.Errorf("kafka: topic %s: partition %d: %w: it has no leader", name, p.Partition, engine.ErrUnavailable))
			}
		}
	}
	return errors.Join(faults...)
}

// Close ends the engine. What is being published and is not acknowledged gets an
// error; a transaction that runs ends first, unless ctx does. When ctx ends, Close
// returns its cause, and the rest of it goes on by itself.
func (e *Engine) Close(ctx context.Context) error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	subs := e.subs
	e.subs = nil
	e.mu.Unlock()

	var faults []error
	for s := range subs {
		faults = append(faults, s.Close(ctx))
	}
	if e.txn != nil {
		faults = append(faults, e.txn.close(ctx))
	}
	// The client waits for what a broker that is silent has been asked.
	err := bounded(ctx, func() error {
		e.client.Close()
		return nil
	})
	if err != nil {
		faults = append(faults, fmt.Errorf("kafka: close: %w", err))
	}
	return errors.Join(faults...)
}

func (e *Engine) use(what string) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return fmt.Errorf("kafka: %s: %w", what, engine.ErrClosed)
	}
	return nil
}
