package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/deadletter"
)

// gone is how long a member that no longer lives is remembered, for people who look into
// the table.
const gone = time.Hour

// Attend implements [deadletter.Fleet]. What a member serves is written when it is
// given; else a call changes one row.
func (s *Store) Attend(ctx context.Context, m deadletter.Member, lease time.Duration) (alive []string, err error) {
	if m.ID == "" || lease <= 0 {
		return nil, fmt.Errorf("postgres: attend: member %q for %v: must have an ID, and a lease above 0", m.ID, lease)
	}
	err = s.write(ctx, false, func(t *tx) error {
		var b pgx.Batch
		b.Queue("DELETE FROM members WHERE until < clock_timestamp() - make_interval(secs => $1)", gone.Seconds())
		b.Queue(`INSERT INTO members (id, runtime, node, build, started_at, seen_at, until)
			VALUES ($1, $2, $3, $4, $5, clock_timestamp(), clock_timestamp() + make_interval(secs => $6))
			ON CONFLICT (id) DO UPDATE SET runtime = excluded.runtime, node = excluded.node, build = excluded.build,
			started_at = excluded.started_at, seen_at = excluded.seen_at, until = excluded.until`,
			raw(m.ID), raw(m.Runtime), raw(m.Node), raw(m.Build), stamp(m.StartedAt), lease.Seconds())
		if m.Serves != nil {
			topics, names := make([][]byte, len(m.Serves)), make([][]byte, len(m.Serves))
			for i, at := range m.Serves {
				topics[i], names[i] = raw(at.Topic), raw(at.Subscriber)
			}
			b.Queue(`DELETE FROM serves WHERE member = $1 AND (topic, subscriber) NOT IN (SELECT * FROM unnest($2::bytea[], $3::bytea[]))`, raw(m.ID), topics, names)
			b.Queue(`INSERT INTO serves (topic, subscriber, member) SELECT DISTINCT topic, subscriber, $1::bytea
				FROM unnest($2::bytea[], $3::bytea[]) AS served (topic, subscriber) ON CONFLICT DO NOTHING`, raw(m.ID), topics, names)
		}
		if err := t.SendBatch(ctx, &b).Close(); err != nil {
			return err
		}
		alive, err = ids(ctx, t, "SELECT id FROM members WHERE until > clock_timestamp() ORDER BY id")
		return err
	})
	return alive, err
}

// Members implements [deadletter.Fleet].
func (s *Store) Members(ctx context.Context) (all []deadletter.Member, err error) {
	err = s.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "SELECT id, runtime, node, build, started_at, seen_at FROM members WHERE until > clock_timestamp() ORDER BY id")
		if err != nil {
			return err
		}
		all, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (m deadletter.Member, err error) {
			var id, runtime, node, build []byte
			var started *int64
			err = row.Scan(&id, &runtime, &node, &build, &started, &m.SeenAt)
			m.ID, m.Runtime, m.Node, m.Build = string(id), string(runtime), string(node), string(build)
			m.StartedAt, m.SeenAt = timeOf(started), m.SeenAt.UTC()
			return m, err
		})
		return err
	})
	return all, err
}

// Serving implements [deadletter.Fleet].
func (s *Store) Serving(ctx context.Context, what deadletter.Served) (members []string, err error) {
	err = s.read(ctx, func(tx pgx.Tx) error {
		members, err = ids(ctx, tx, `SELECT id FROM members JOIN serves ON member = id
			WHERE topic = $1 AND subscriber = $2 AND until > clock_timestamp() ORDER BY id`, raw(what.Topic), raw(what.Subscriber))
		return err
	})
	return members, err
}

// Leave implements [deadletter.Fleet].
func (s *Store) Leave(ctx context.Context, member string) error {
	return s.write(ctx, false, func(t *tx) error {
		_, err := t.Exec(ctx, "DELETE FROM members WHERE id = $1", raw(member))
		return err
	})
}

func ids(ctx context.Context, tx pgx.Tx, sql string, args ...any) ([]string, error) {
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var id []byte
		err := row.Scan(&id)
		return string(id), err
	})
}
