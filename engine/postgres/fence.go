package postgres

import (
	"context"
	"fmt"
	"math"
	"time"

	"github.com/jackc/pgx/v5"
)

// A place in the log is made of the id of a transaction, and a restore of a dump into
// another cluster brings ids that this one has yet to give out: what is stored then
// would come before what has been read, and never be seen. refence sees that, and
// moves the ids of what comes from now on beyond all that is there.
//
// Source: watermill issue 576.
func (e *Engine) refence(ctx context.Context) error {
	behind, err := e.behind(ctx, e.pool)
	if err != nil || behind <= 0 {
		return err
	}
	return pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) error {
		// Nobody may write with the old count while the new one comes.
		if _, err := tx.Exec(ctx, e.sql("LOCK TABLE {s}.records, {s}.groups IN EXCLUSIVE MODE")); err != nil {
			return err
		}
		behind, err := e.behind(ctx, tx)
		if err != nil || behind <= 0 {
			return err
		}
		var moved int64
		if err := tx.QueryRow(ctx, e.sql("SELECT {s}.moved()")).Scan(&moved); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, e.sql(fmt.Sprintf(`
			CREATE OR REPLACE FUNCTION {s}.moved() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT %d::bigint';
			UPDATE {s}.groups SET fresh = 0, snapshot = NULL`, moved+behind)), pgx.QueryExecModeSimpleProtocol)
		return err
	})
}

// behind returns by how much the next id of a transaction is not above all places.
func (e *Engine) behind(ctx context.Context, q interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}) (n int64, err error) {
	err = q.QueryRow(ctx, e.sql(`
		SELECT greatest(
			(SELECT coalesce(max(l.at), 0) FROM {s}.topics t, LATERAL (
				SELECT r.at FROM {s}.records r WHERE r.topic = t.id ORDER BY r.at DESC LIMIT 1) l),
			(SELECT coalesce(max(g.at), 0) FROM {s}.groups g))
			+ 1 - (pg_snapshot_xmax(pg_current_snapshot())::text::bigint + {s}.moved())`)).Scan(&n)
	return n, err
}

// Fence is how far back the oldest open transaction holds the records of topics:
// those stored by transactions that are younger are not handed out, so that none of
// them is skipped.
type Fence struct {
	// Held is how many records are stored and cannot be handed out yet.
	Held int64
	// Since is when the oldest transaction of the cluster that writes has begun,
	// zero if there is none but those of the moment.
	Since time.Time
	// PID, User, Application and Query are that transaction's session's, as far as
	// the role may see. PID is 0 for a prepared transaction, whose name is in Query.
	PID         int32
	User        string
	Application string
	Query       string
}

// Fence tells what holds records back. It is for people who ask why a group does not
// get on: a transaction that writes, anywhere in the cluster, and is left open holds
// all topics back until it ends.
func (e *Engine) Fence(ctx context.Context) (Fence, error) {
	var f Fence
	var since *time.Time
	err := e.pool.QueryRow(ctx, e.sql(`
		SELECT (SELECT count(*) FROM {s}.topics t, LATERAL (SELECT FROM {s}.records r WHERE r.topic = t.id AND r.at >= {s}.horizon()) l),
			o.since, coalesce(o.pid, 0), coalesce(o.usr, ''), coalesce(o.app, ''), coalesce(o.query, '')
		FROM (SELECT) one LEFT JOIN LATERAL (
			SELECT a.xact_start AS since, a.pid, a.usename::text AS usr, a.application_name AS app, a.query, age(a.backend_xid) AS age
			FROM pg_stat_activity a WHERE a.backend_xid IS NOT NULL AND a.pid <> pg_backend_pid()
			UNION ALL
			SELECT p.prepared, 0, p.owner::text, '', 'PREPARE TRANSACTION ' || quote_literal(p.gid), age(p.transaction)
			FROM pg_prepared_xacts p
			ORDER BY age DESC LIMIT 1) o ON true`)).Scan(&f.Held, &since, &f.PID, &f.User, &f.Application, &f.Query)
	if since != nil {
		f.Since = *since
	}
	return f, Fault(ctx, "fence", err)
}

// afterAll is a position behind all of a transaction.
const afterAll = math.MaxInt64
