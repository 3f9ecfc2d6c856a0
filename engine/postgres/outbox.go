package postgres

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/troupe-go/troupe/engine"
)

// OutboxConfig describes how an [Outbox] is carried away. The zero value is usable.
type OutboxConfig struct {
	// Batch is how many records are published at once. Zero is 500.
	Batch int
	// Retry is the pause before what the destination did not take for now is tried
	// again. Zero is a second.
	Retry time.Duration
	// Refused is told of a record that the destination does not take for good, as one
	// that is too large for it. If it returns nil, the record is done with: it is in
	// the dead-letter store, say. Nil, or an error, ends Relay with the record where it
	// is, so that a person can look.
	Refused func(ctx context.Context, r engine.Record, err error) error
}

// Outbox is the transactional outbox of a topic of another engine: PublishTx stores
// records together with what a transaction writes, Relay publishes them there. Methods
// are safe for concurrent use.
type Outbox struct {
	topic *Topic
	to    engine.Topic
	cfg   OutboxConfig
	group int32
}

// outboxGroup is the group whose place in the log is how far the relay is.
const outboxGroup = "troupe.relay"

// Outbox opens the outbox for a topic of another engine. name is what it is called
// here, most simply as the topic there; it must not be the name of a topic that is used
// otherwise.
func (e *Engine) Outbox(ctx context.Context, name string, to engine.Topic, cfg OutboxConfig) (*Outbox, error) {
	if cfg.Batch < 0 || cfg.Retry < 0 {
		return nil, fmt.Errorf("postgres: OutboxConfig.Batch %d and Retry %v: must not be negative", cfg.Batch, cfg.Retry)
	}
	if cfg.Batch == 0 {
		cfg.Batch = 500
	}
	if cfg.Retry == 0 {
		cfg.Retry = time.Second
	}
	t, err := e.Topic(ctx, name)
	if err != nil {
		return nil, err
	}
	o := &Outbox{topic: t, to: to, cfg: cfg}
	op := "outbox " + name
	o.group, err = t.group(ctx, op, engine.SubscribeConfig{Group: outboxGroup, From: engine.FromOldest})
	return o, Fault(ctx, op, err)
}

// Topic is where the records are kept until they are published, and for Config.Keep
// after. Others may subscribe to it as well.
func (o *Outbox) Topic() *Topic { return o.topic }

// Relay publishes what transactions have committed, in an order in which none comes
// before one that it could have known of, until ctx ends, and returns the cause; it is
// what a supervisor restarts. Of all processes that call it, one at a time does the
// work.
//
// A record is published again if the process ends, or the destination fails, before
// its publication is noted: it has the same ID, which an engine with Caps.Dedup stores
// once. Nothing is published after a record that the destination does not take, but
// what went with it in a batch.
//
// Errors: the cause of ctx; what the destination said of a record that it refuses for
// good; ErrClosed. What passes is tried again, and told to Config.OnError.
func (o *Outbox) Relay(ctx context.Context) error {
	r := &relay{Outbox: o, woken: make(chan struct{}, 1), done: make(chan struct{})}
	op := "relay " + o.topic.name
	if !o.topic.e.join(o.topic.id, r) {
		return closed(op)
	}
	defer o.topic.e.leave(o.topic.id, r)
	for {
		err := r.hold(ctx)
		var refused *refusal
		switch {
		case context.Cause(ctx) != nil:
			return context.Cause(ctx)
		case o.topic.e.life.Err() != nil:
			return closed(op)
		case errors.As(err, &refused):
			return fmt.Errorf("postgres: %s: record %s: %w", op, refused.id, refused.err)
		case err != nil:
			o.topic.e.cfg.OnError(Fault(ctx, op, err))
			r.wait(ctx, o.cfg.Retry)
		default:
			r.wait(ctx, o.topic.e.cfg.Poll) // another process has it
		}
	}
}

// relay is one run of Relay.
type relay struct {
	*Outbox
	woken chan struct{}
	done  chan struct{}
	shut  sync.Once
}

func (r *relay) wake() {
	select {
	case r.woken <- struct{}{}:
	default:
	}
}

func (r *relay) stop() { r.shut.Do(func() { close(r.done) }) }

func (r *relay) wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-r.done:
	case <-r.woken:
	case <-t.C:
	}
}

// refusal is a record that the destination does not take for good.
type refusal struct {
	id  string
	err error
}

func (r *refusal) Error() string { return r.err.Error() }

// place is how far the relay is.
type place struct{ at, pos int64 }

// hold does the work if it gets the lock for it, which ends with the session. It is
// what keeps two from doing the same work; that none does harm to the other is up to
// move.
func (r *relay) hold(ctx context.Context) error {
	c, err := r.topic.e.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer c.Release()
	var mine bool
	lock := fmt.Sprintf("troupe relay %s %d", r.topic.e.cfg.Schema, r.group)
	if err := c.QueryRow(ctx, "SELECT pg_try_advisory_lock(hashtextextended($1, 0))", lock).Scan(&mine); err != nil || !mine {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if _, err := c.Exec(ctx, "SELECT pg_advisory_unlock(hashtextextended($1, 0))", lock); err != nil {
			c.Conn().Close(ctx) // the pool does not keep it
		}
	}()
	pause := fencePause
	for {
		n, behind, err := r.carry(ctx, c)
		select {
		case <-r.done:
			return nil
		default:
		}
		if err != nil {
			return err
		}
		switch {
		case n > 0:
			pause = fencePause
		case behind:
			r.wait(ctx, pause)
			pause = min(2*pause, maxFencePause)
		default:
			pause = fencePause
			r.wait(ctx, r.topic.e.cfg.Poll)
		}
		if err := context.Cause(ctx); err != nil {
			return err
		}
	}
}

// carry publishes a batch and returns how many records there were.
func (r *relay) carry(ctx context.Context, c *pgxpool.Conn) (n int, behind bool, err error) {
	from, list, behind, err := r.read(ctx, c)
	if err != nil || len(list) == 0 {
		return 0, behind, err
	}
	records := make([]engine.Record, len(list))
	for i := range list {
		records[i] = list[i].record
	}
	errs := r.to.Publish(ctx, records)
	done := 0
	for done < len(list) && (errs == nil || errs[done] == nil) {
		done++
	}
	var failed error
	if done < len(list) {
		failed = errs[done]
		if len(list) > 1 && !engine.Temporary(failed) {
			// In a batch that is stored whole or not at all, it may be another's fault.
			done, failed = r.oneByOne(ctx, records)
		} else if !engine.Temporary(failed) {
			if failed = r.refuse(ctx, records[0], failed); failed == nil {
				done = 1
			}
		}
	}
	if done > 0 {
		if err := r.move(ctx, c, from, list[done-1]); err != nil {
			return 0, false, err
		}
	}
	return done, false, failed
}

func (r *relay) oneByOne(ctx context.Context, records []engine.Record) (done int, err error) {
	for i := range records {
		err := errors.Join(r.to.Publish(ctx, records[i:i+1])...)
		if err != nil && !engine.Temporary(err) {
			err = r.refuse(ctx, records[i], err)
		}
		if err != nil {
			return i, err
		}
	}
	return len(records), nil
}

// refuse returns nil if the record is done with.
func (r *relay) refuse(ctx context.Context, record engine.Record, err error) error {
	if cause := context.Cause(ctx); cause != nil || errors.Is(err, engine.ErrClosed) {
		return err // the destination says nothing about the record
	}
	if r.cfg.Refused == nil {
		return &refusal{record.ID, err}
	}
	if err := r.cfg.Refused(ctx, record, err); err != nil {
		return &refusal{record.ID, err}
	}
	return nil
}

func (r *relay) read(ctx context.Context, c *pgxpool.Conn) (from place, list []row, behind bool, err error) {
	e := r.topic.e
	if err := c.QueryRow(ctx, e.sql("SELECT at, pos FROM {s}.groups WHERE id = $1"), r.group).Scan(&from.at, &from.pos); err != nil {
		return from, nil, false, err
	}
	rows, err := c.Query(ctx, e.sql(`SELECT 0::bigint, r.pos, r.at, 1, r.id, r.key, r.source, r.type, r.time, r.nanos, r.content_type, r.schema_version, r.headers, r.data
		FROM {s}.records r WHERE r.topic = $1 AND (r.at, r.pos) > ($2, $3) AND r.at < {s}.horizon() ORDER BY r.at, r.pos LIMIT $4`),
		r.topic.id, from.at, from.pos, r.cfg.Batch)
	if err != nil {
		return from, nil, false, err
	}
	defer rows.Close()
	for rows.Next() {
		x, err := scan(rows)
		if err != nil {
			return from, nil, false, err
		}
		list = append(list, x)
	}
	if err := rows.Err(); err != nil || len(list) > 0 {
		return from, list, false, err
	}
	err = c.QueryRow(ctx, e.sql("SELECT EXISTS (SELECT FROM {s}.records r WHERE r.topic = $1 AND (r.at, r.pos) > ($2, $3))"),
		r.topic.id, from.at, from.pos).Scan(&behind)
	return from, nil, behind, err
}

var errMoved = errors.New("another process relays as well")

// move notes what has been published, unless somebody else has done so.
func (r *relay) move(ctx context.Context, c *pgxpool.Conn, from place, to row) error {
	tag, err := c.Exec(ctx, r.topic.e.sql("UPDATE {s}.groups SET at = $2, pos = $3 WHERE id = $1 AND at = $4 AND pos = $5"),
		r.group, to.at, to.pos, from.at, from.pos)
	if err == nil && tag.RowsAffected() == 0 {
		return errMoved
	}
	return err
}
