package postgres

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/engine"
	"github.com/troupe-go/troupe/engine/postgres/internal/text"
)

// Subscribe implements [engine.Topic]. The consumers of a group either all keep order
// by key or none does: ErrMismatch, while some of the other kind have records. Zero
// MaxInFlight is no bound, zero Lease is DefaultLease.
//
// Price of order by key: fetching and settling of a group are one after another, a
// record that waits behind another of its key is a row that is written once more, and
// a key is with one consumer at a time.
func (t *Topic) Subscribe(ctx context.Context, cfg engine.SubscribeConfig) (engine.Subscription, error) {
	op := "subscribe " + cfg.Group + " to " + t.name
	if cfg.Group == "" {
		return nil, fmt.Errorf("postgres: %s: SubscribeConfig.Group: must not be empty", op)
	}
	if cfg.MaxInFlight < 0 || cfg.Lease < 0 {
		return nil, fmt.Errorf("postgres: %s: SubscribeConfig.MaxInFlight %d and Lease %v: must not be negative", op, cfg.MaxInFlight, cfg.Lease)
	}
	if cfg.Lease == 0 {
		cfg.Lease = DefaultLease
	}
	if t.e.life.Err() != nil {
		return nil, closed(op)
	}
	group, err := t.group(ctx, op, cfg)
	if err != nil {
		return nil, Fault(ctx, op, err)
	}
	s := &Subscription{
		topic: t, cfg: cfg, group: group, id: rand.Int64(),
		held: map[int64]*held{}, woken: make(chan struct{}, 1), looking: make(chan struct{}, 1), done: make(chan struct{}),
		fetch:  t.e.sql("SELECT * FROM {s}.fetch($1, $2, $3, $4, $5)"),
		settle: t.e.sql("SELECT had, free FROM {s}.settle($1, $2, $3, $4, $5, $6)"),
	}
	if !t.e.join(t.id, s) {
		return nil, closed(op)
	}
	return s, nil
}

// group makes the group if there is none, and returns its number.
func (t *Topic) group(ctx context.Context, op string, cfg engine.SubscribeConfig) (id int32, err error) {
	err = pgx.BeginFunc(ctx, t.e.pool, func(tx pgx.Tx) error {
		id, err = t.makeGroup(ctx, tx, op, cfg)
		return err
	})
	return id, err
}

func (t *Topic) makeGroup(ctx context.Context, tx pgx.Tx, op string, cfg engine.SubscribeConfig) (id int32, err error) {
	// From now begins below every transaction that is open, one of which may publish
	// after this, and skips what this snapshot sees.
	var keyed bool
	find := func() error {
		return tx.QueryRow(ctx, t.e.sql("SELECT id, keyed FROM {s}.groups WHERE topic = $1 AND name = $2 FOR NO KEY UPDATE"),
			t.id, text.To(cfg.Group)).Scan(&id, &keyed)
	}
	if err = find(); errors.Is(err, pgx.ErrNoRows) {
		values := "0, 0, 0, NULL::pg_snapshot"
		if cfg.From == engine.FromNow {
			values = fmt.Sprintf("{s}.horizon() - 1, %d, pg_snapshot_xmax(pg_current_snapshot())::text::bigint + {s}.moved(), pg_current_snapshot()", int64(afterAll))
		}
		if _, err := tx.Exec(ctx, t.e.sql("INSERT INTO {s}.groups (topic, name, keyed, at, pos, fresh, snapshot) SELECT $1, $2, $3, "+values+
			" ON CONFLICT (topic, name) DO NOTHING"), t.id, text.To(cfg.Group), cfg.KeyOrder); err != nil {
			return 0, err
		}
		err = find()
	}
	if err != nil || keyed == cfg.KeyOrder {
		return id, err
	}
	return id, t.rekey(ctx, tx, op, id, cfg.KeyOrder)
}

// rekey makes a group keep order by key, or not any more.
func (t *Topic) rekey(ctx context.Context, tx pgx.Tx, op string, group int32, keyed bool) error {
	var until *time.Time
	err := tx.QueryRow(ctx, t.e.sql("SELECT max(due) FROM {s}.deliveries WHERE grp = $1 AND holder IS NOT NULL AND due > clock_timestamp()"), group).Scan(&until)
	if err != nil {
		return err
	}
	if until != nil {
		return &Error{
			Op: op, Kind: engine.ErrMismatch,
			Err: fmt.Errorf("the group has consumers whose KeyOrder is %v", !keyed),
			Fix: "close them first; what they have unsettled is theirs until " + until.Format(time.RFC3339),
		}
	}
	var b pgx.Batch
	b.Queue(t.e.sql("UPDATE {s}.groups SET keyed = $2 WHERE id = $1"), group, keyed)
	if keyed {
		b.Queue(t.e.sql(`UPDATE {s}.deliveries d SET holder = NULL, key = hashtextextended(r.key, 0), keyed = $1, parked = true,
				due = CASE WHEN d.holder IS NULL THEN d.due ELSE clock_timestamp() END
			FROM {s}.records r WHERE d.grp = $1 AND r.topic = $2 AND r.at = d.at AND r.pos = d.pos AND r.key <> ''`), group, t.id)
		b.Queue(t.e.sql("SELECT {s}.promote($1, ARRAY (SELECT DISTINCT key FROM {s}.deliveries WHERE grp = $1 AND key IS NOT NULL))"), group)
	} else {
		b.Queue(t.e.sql("UPDATE {s}.deliveries SET key = NULL, keyed = NULL, parked = false WHERE grp = $1"), group)
	}
	return tx.SendBatch(ctx, &b).Close()
}
