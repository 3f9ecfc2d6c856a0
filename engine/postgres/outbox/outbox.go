package outbox

import (
	"cmp"
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/postgres"
)

// outboxPrefix is what the name of a topic begins with whose records are on their way.
const outboxPrefix = "outbox."

// Outbox is the transactional outbox of the topics of another engine, as an engine in
// its place: what is published is stored in PostgreSQL, in a transaction of the
// caller's with [Publish], and a relay carries it to the other engine, where
// subscribers are. Methods are safe for concurrent use.
type Outbox struct {
	pg *postgres.Engine
	to engine.Engine
}

var _ engine.Engine = (*Outbox)(nil)

// New puts an outbox in pg before the topics of another engine. Each topic needs an
// [Outbox.Relay], in one process or in many.
//
// Publish stores its events here as well, so that both ways of publishing keep one
// order, and the other engine may be away. FromNow of a subscriber begins with what reaches the
// other engine after Subscribe, which may have been published before.
func New(pg *postgres.Engine, to engine.Engine) *Outbox { return &Outbox{pg, to} }

// Name implements [engine.Engine]. It is that of the engine of subscribers.
func (o *Outbox) Name() string { return o.to.Name() }

// Open implements [engine.Engine]: the topic is opened on both.
func (o *Outbox) Open(ctx context.Context, topic string) (engine.Topic, error) {
	to, err := o.to.Open(ctx, topic)
	if err != nil {
		return nil, err
	}
	from, err := o.pg.Topic(ctx, outboxPrefix+topic)
	if err != nil {
		return nil, err
	}
	return &outboxTopic{to, from}, nil
}

// Ready implements [engine.Engine]: both must be.
func (o *Outbox) Ready(ctx context.Context) error {
	if err := o.pg.Ready(ctx); err != nil {
		return err
	}
	return o.to.Ready(ctx)
}

// Close implements [engine.Engine]. It does nothing: the two engines are those of who
// has opened them.
func (o *Outbox) Close(context.Context) error { return nil }

// outboxTopic is subscribed to there and published on here.
type outboxTopic struct {
	engine.Topic
	from *postgres.Topic
}

// Caps implements [engine.Topic]. Each is what both can do; a repetition is seen as
// long as the other engine sees it, since the relay may repeat.
func (t *outboxTopic) Caps() engine.Caps {
	c, here := t.Topic.Caps(), t.from.Caps()
	c.AtomicBatch = here.AtomicBatch
	c.MaxRecord = min(cmp.Or(c.MaxRecord, here.MaxRecord), here.MaxRecord)
	return c
}

// Publish implements [engine.Topic].
func (t *outboxTopic) Publish(ctx context.Context, records []engine.Record) []error {
	return t.from.Publish(ctx, records)
}

// PublishTx stores the records for the relay; see [postgres.Topic.PublishTx].
func (t *outboxTopic) PublishTx(ctx context.Context, tx pgx.Tx, records ...engine.Record) error {
	if limit := t.Caps().MaxRecord; limit > 0 {
		for i := range records {
			if size := records[i].Size(); size > limit {
				return fmt.Errorf("outbox: %w: record %s of %d bytes, the destination takes %d", engine.ErrTooLarge, records[i].ID, size, limit)
			}
		}
	}
	return t.from.PublishTx(ctx, tx, records...)
}
