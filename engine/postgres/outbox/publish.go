package outbox

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/topics"
)

// txTopic is an engine's topic that takes records in a transaction.
type txTopic interface {
	PublishTx(ctx context.Context, tx pgx.Tx, records ...engine.Record) error
}

// Publish publishes events in a transaction of the caller's, which must be of the
// database of the topic's engine, a [postgres.Engine] or an [Outbox]: they are published,
// together with whatever else the transaction has written, if it commits, and never were
// if it does not. Otherwise it is what Publish of the topic is: codec, key, ID, headers,
// what stands around publications. See [postgres.Topic.PublishTx] about order and price,
// and PublishThrough of the topic about what is counted.
//
// It waits for one round trip, whatever the number of events. After an error the
// transaction is to be rolled back.
//
// Errors: those of [postgres.Topic.PublishTx] and of Publish; engine.ErrUnsupported for a
// topic on another engine.
func Publish[T any](ctx context.Context, tx pgx.Tx, to *topics.Topic[T], evs ...T) error {
	return to.PublishThrough(ctx, evs, nil, through(tx))
}

// PublishWith is [Publish] of one event with headers, a time or an ID of the
// caller's, as PublishWith of the topic.
func PublishWith[T any](ctx context.Context, tx pgx.Tx, to *topics.Topic[T], ev T, m topics.Meta) error {
	return to.PublishThrough(ctx, []T{ev}, []topics.Meta{m}, through(tx))
}

func through(tx pgx.Tx) func(ctx context.Context, to engine.Topic, records []engine.Record) error {
	return func(ctx context.Context, to engine.Topic, records []engine.Record) error {
		t, ok := to.(txTopic)
		if !ok {
			return fmt.Errorf("outbox: %w by the engine of the topic: open the topic on engine/postgres, or on outbox.New of its engine", engine.ErrUnsupported)
		}
		return t.PublishTx(ctx, tx, records...)
	}
}
