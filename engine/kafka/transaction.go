package kafka

import (
	"context"
	"crypto/rand"
	"fmt"
	"time"

	"github.com/troupe-go/troupe/engine"
	"github.com/twmb/franz-go/pkg/kgo"
)

// transactor stores batches as transactions, one after the other, which is all that a
// transactional ID can do. Its client is made for the first and again after one that
// has left it unusable.
type transactor struct {
	cfg  *Config
	turn chan struct{} // held by the transaction that runs
	stop chan struct{}

	client *kgo.Client // belongs to who has the turn
}

// transactionTimeout is how long a transaction may hold up consumers whose producer
// has died.
const transactionTimeout = 15 * time.Second

func newTransactor(cfg *Config) *transactor {
	return &transactor{cfg: cfg, turn: make(chan struct{}, 1), stop: make(chan struct{})}
}

// run stores the batch. When ctx ends it returns at once, and the transaction ends by
// itself, most likely by being aborted.
func (t *transactor) run(ctx context.Context, b *batch) error {
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return ended(b.what, ctx)
	case <-t.stop:
		return fmt.Errorf("kafka: %s: %w", b.what, engine.ErrClosed)
	}
	done := make(chan error, 1)
	go func() {
		defer func() { <-t.turn }()
		done <- t.store(ctx, b)
	}()
	select {
	case err := <-done:
		if err != nil && ctx.Err() != nil {
			return ended(b.what, ctx)
		}
		return err
	case <-ctx.Done():
		return ended(b.what, ctx)
	}
}

func (t *transactor) store(ctx context.Context, b *batch) error {
	select {
	case <-t.stop:
		return fmt.Errorf("kafka: %s: %w", b.what, engine.ErrClosed)
	default:
	}
	if t.client == nil {
		// Of its own, so that no other process fences it and it fences none.
		id := t.cfg.Transactions + "-" + rand.Text()
		opts := append(t.cfg.shared(),
			kgo.TransactionalID(id),
			kgo.TransactionTimeout(transactionTimeout),
			kgo.ProducerBatchMaxBytes(int32(t.cfg.MaxRecord)),
			kgo.MaxBufferedBytes(t.cfg.MaxBuffered),
			kgo.ProducerLinger(0),
		)
		client, err := kgo.NewClient(append(opts, t.cfg.Options...)...)
		if err != nil {
			return fmt.Errorf("kafka: configuration: %w", err)
		}
		t.client = client
	}
	err := t.transact(ctx, b)
	if err != nil {
		return fault(b.what, err)
	}
	return nil
}

func (t *transactor) transact(ctx context.Context, b *batch) error {
	if err := t.client.BeginTransaction(); err != nil {
		t.discard()
		return err
	}
	b.produce(ctx, t.client)
	<-b.done // the client answers each when ctx ends, but for those on the wire
	if err := first(b.errs); err != nil {
		t.abort()
		return err
	}
	if err := t.client.EndTransaction(ctx, kgo.TryCommit); err != nil {
		// Whether it was committed is not known; to abort is a no-op if so.
		t.abort()
		return err
	}
	return nil
}

// abort gives it a time of its own: what it is for has ended.
func (t *transactor) abort() {
	ctx, cancel := context.WithTimeout(context.Background(), transactionTimeout)
	defer cancel()
	if t.client.AbortBufferedRecords(ctx) != nil || t.client.EndTransaction(ctx, kgo.TryAbort) != nil {
		t.discard()
	}
}

func (t *transactor) discard() {
	t.client.Close()
	t.client = nil
}

// close waits for the transaction that runs, which Engine.Close lets end first.
func (t *transactor) close() {
	close(t.stop)
	t.turn <- struct{}{}
	if t.client != nil {
		t.discard()
	}
	<-t.turn
}
