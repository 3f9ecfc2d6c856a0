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
	life context.Context // of transactions, which kill ends
	kill context.CancelFunc

	client *kgo.Client // belongs to who has the turn
}

// transactionTimeout is how long a transaction may hold up consumers whose producer
// has died.
const transactionTimeout = 15 * time.Second

func newTransactor(cfg *Config) *transactor {
	t := &transactor{cfg: cfg, turn: make(chan struct{}, 1), stop: make(chan struct{})}
	t.life, t.kill = context.WithCancel(context.Background())
	return t
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
		ctx, cancel := context.WithCancelCause(ctx)
		defer cancel(nil)
		defer context.AfterFunc(t.life, func() { cancel(engine.ErrClosed) })()
		done <- t.store(ctx, b)
	}()
	select {
	case err := <-done:
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ended(b.what, ctx)
		case t.life.Err() != nil:
			return fmt.Errorf("kafka: %s: %w: before it was stored: %w", b.what, engine.ErrClosed, err)
		}
		return err
	case <-t.life.Done():
		return fmt.Errorf("kafka: %s: %w: before it was stored", b.what, engine.ErrClosed)
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
	select {
	case <-b.done: // the client answers each when ctx ends, but for those on the wire
	case <-t.life.Done():
		t.discard() // and those when it is closed
		<-b.done
		return engine.ErrClosed
	}
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
	ctx, cancel := context.WithTimeout(t.life, transactionTimeout)
	defer cancel()
	if t.client.AbortBufferedRecords(ctx) != nil || t.client.EndTransaction(ctx, kgo.TryAbort) != nil {
		t.discard()
	}
}

func (t *transactor) discard() {
	t.client.Close()
	t.client = nil
}

// close waits for the transaction that runs. If ctx ends before, it is ended as if its
// own had, and what remains of it goes on by itself.
func (t *transactor) close(ctx context.Context) error {
	close(t.stop)
	err := bounded(ctx, func() error {
		t.turn <- struct{}{}
		t.end()
		return nil
	})
	if err == nil {
		return nil
	}
	t.kill()
	return fmt.Errorf("kafka: close: a transaction has not ended: %w", err)
}

// end is for who has the turn, and keeps it until it is done.
func (t *transactor) end() {
	t.kill()
	if t.client != nil {
		t.discard()
	}
	<-t.turn
}
