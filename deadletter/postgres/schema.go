package postgres

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// schemaVersion is what this package writes.
const schemaVersion = 1

// migrations lead from one version of the schema to the next; the first makes it.
// Each runs in the transaction that changes the version. What has been released is
// never edited.
var migrations = [schemaVersion]string{schema1}

// What letters say is bytes: PostgreSQL's text has no zero and nothing but UTF-8, and
// compares by locale. The view letters shows them as text. doc is the letter without
// its payload as JSON, for the eyes and questions of people; a letter of which JSON
// cannot say all is in odd, as gob. body is what the text search looks in, see indexed.
const schema1 = `
CREATE TABLE letter_rows (
	id              bytea PRIMARY KEY,
	topic           bytea NOT NULL,
	subscriber      bytea NOT NULL,
	reason          bytea NOT NULL,
	fingerprint     bytea NOT NULL,
	state           text NOT NULL,
	first_failed_at bigint,
	last_failed_at  bigint,
	published_at    bigint,
	resolved_at     bigint,
	snoozed_until   bigint,
	purge_at        bigint,
	bytes           bigint NOT NULL,
	attempt_count   bigint NOT NULL,
	redrive_count   bigint NOT NULL,
	error_size      bigint NOT NULL,
	cause           bytea NOT NULL,
	node            bytea NOT NULL,
	build           bytea NOT NULL,
	pattern         bytea NOT NULL,
	event_id        bytea NOT NULL,
	causation_id    bytea NOT NULL,
	correlation_id  bytea NOT NULL,
	imported_from   bytea NOT NULL,
	content_type    bytea NOT NULL,
	go_type         bytea NOT NULL,
	payload         bytea,
	doc             jsonb,
	odd             bytea,
	body            text NOT NULL
);
CREATE INDEX letter_rows_state ON letter_rows (state, id);
CREATE INDEX letter_rows_topic ON letter_rows (topic, state, id);
CREATE INDEX letter_rows_subscriber ON letter_rows (subscriber, state, id);
CREATE INDEX letter_rows_group ON letter_rows (fingerprint, state, id);
CREATE INDEX letter_rows_first ON letter_rows (state, first_failed_at);
CREATE INDEX letter_rows_failed ON letter_rows (last_failed_at, state);
CREATE INDEX letter_rows_resolved ON letter_rows (resolved_at) WHERE resolved_at IS NOT NULL;
CREATE INDEX letter_rows_purge ON letter_rows (purge_at) WHERE purge_at IS NOT NULL;

CREATE FUNCTION legible(b bytea) RETURNS text LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
BEGIN
	RETURN convert_from(b, 'UTF8');
EXCEPTION WHEN others THEN
	RETURN encode(b, 'escape');
END $$;
CREATE VIEW letters AS
SELECT legible(id) AS id, legible(topic) AS topic, legible(subscriber) AS subscriber, legible(reason) AS reason,
	legible(fingerprint) AS fingerprint, state, legible(node) AS node, legible(build) AS build, legible(cause) AS cause,
	to_timestamp(first_failed_at / 1e9) AS first_failed_at, to_timestamp(last_failed_at / 1e9) AS last_failed_at,
	to_timestamp(published_at / 1e9) AS published_at, to_timestamp(resolved_at / 1e9) AS resolved_at,
	to_timestamp(snoozed_until / 1e9) AS snoozed_until, to_timestamp(purge_at / 1e9) AS purge_at,
	bytes, attempt_count, redrive_count, legible(event_id) AS event_id, legible(correlation_id) AS correlation_id,
	legible(content_type) AS content_type, doc->>'error' AS error, legible(payload) AS payload, doc
FROM letter_rows;

CREATE TABLE groups (
	fingerprint     bytea PRIMARY KEY,
	subscriber      bytea NOT NULL,
	reason          bytea NOT NULL,
	cause           bytea NOT NULL,
	error           bytea NOT NULL,
	error_types     bytea,
	sample          bytea NOT NULL,
	first_seen      bigint,
	last_seen       bigint,
	redriven_at     bigint,
	note            bytea NOT NULL DEFAULT '',
	owner           bytea NOT NULL DEFAULT '',
	acknowledged_at bigint,
	acknowledged_by bytea NOT NULL DEFAULT ''
);
CREATE INDEX groups_seen ON groups (coalesce(last_seen, -9223372036854775808) DESC, fingerprint);

CREATE TABLE counters (
	name  text NOT NULL,
	shard integer NOT NULL,
	n     bigint NOT NULL,
	PRIMARY KEY (name, shard)
);

CREATE TABLE operations (
	id         bytea PRIMARY KEY,
	kind       bytea NOT NULL,
	state      text NOT NULL,
	by         bytea NOT NULL,
	why        bytea NOT NULL,
	node       bytea NOT NULL,
	query      bytea NOT NULL,
	created_at bigint,
	ended_at   bigint,
	stopped    bytea NOT NULL,
	plan       bytea,
	total      bigint NOT NULL,
	member     bytea NOT NULL
);
CREATE INDEX operations_state ON operations (state, id);

CREATE TABLE items (
	operation bytea NOT NULL,
	position  bigint NOT NULL,
	letter    bytea NOT NULL,
	state     text NOT NULL,
	error     bytea NOT NULL,
	issued_at bigint,
	ended_at  bigint,
	PRIMARY KEY (operation, position)
);
CREATE INDEX items_state ON items (operation, state, position);

CREATE TABLE audit (
	id        bytea PRIMARY KEY,
	at        bigint,
	by        bytea NOT NULL,
	action    bytea NOT NULL,
	object    bytea NOT NULL,
	query     bytea NOT NULL,
	count     bigint NOT NULL,
	why       bytea NOT NULL,
	operation bytea NOT NULL,
	error     bytea NOT NULL
);
CREATE FUNCTION audit_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
	RAISE EXCEPTION 'the audit trail stays';
END $$;
CREATE TRIGGER audit_stays BEFORE UPDATE OR DELETE OR TRUNCATE ON audit EXECUTE FUNCTION audit_stays();

CREATE TABLE members (
	id         bytea PRIMARY KEY,
	runtime    bytea NOT NULL,
	node       bytea NOT NULL,
	build      bytea NOT NULL,
	started_at bigint,
	seen_at    timestamptz NOT NULL,
	until      timestamptz NOT NULL
);
CREATE TABLE serves (
	topic      bytea NOT NULL,
	subscriber bytea NOT NULL,
	member     bytea NOT NULL REFERENCES members ON DELETE CASCADE,
	PRIMARY KEY (topic, subscriber, member)
);
CREATE INDEX serves_member ON serves (member);

CREATE TABLE troupe_deadletter (version integer NOT NULL);
INSERT INTO troupe_deadletter VALUES (0);
`

// migrationLock is the advisory lock under which schemas are made: "troupeDL".
const migrationLock = 0x74726f757065444c

// migrate brings the schema to schemaVersion, or says why that cannot be. Nodes that
// start at once wait for the first. One that finds the version changes nothing, so
// that its user need not be one who may.
func (s *Store) migrate(ctx context.Context) error {
	version, err := s.version(ctx, s.pool)
	if err != nil || version == schemaVersion {
		return err
	}
	if s.cfg.ReadOnly {
		return s.fault(fmt.Errorf("%w: schema %q has version %d, and this program reads %d", ErrNotMade, s.cfg.Schema, max(version, 0), schemaVersion))
	}
	// The lock is the session's and comes before the transaction: within one, the server
	// may go on with what it knew of the schema before it waited.
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return err
	}
	defer conn.Release()
	if _, err := conn.Exec(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock)); err != nil {
		return err
	}
	defer func() {
		// ctx may have ended; a connection that cannot unlock is closed, which does.
		after, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if _, err := conn.Exec(after, "SELECT pg_advisory_unlock($1)", int64(migrationLock)); err != nil {
			_ = conn.Conn().Close(after)
		}
	}()
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		version, err := s.version(ctx, tx)
		if err != nil || version == schemaVersion {
			return err
		}
		if version < 0 {
			// A role without CREATE on the database may find the schema made for it, and
			// IF NOT EXISTS asks for that right all the same.
			var there bool
			if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", s.cfg.Schema).Scan(&there); err != nil {
				return err
			}
			if !there {
				if _, err := tx.Exec(ctx, "CREATE SCHEMA "+pgx.Identifier{s.cfg.Schema}.Sanitize()); err != nil {
					return err
				}
			}
			version = 0
		}
		for ; version < schemaVersion; version++ {
			if _, err := tx.Exec(ctx, migrations[version]); err != nil {
				return fmt.Errorf("making version %d of the schema: %w", version+1, err)
			}
		}
		if _, err := tx.Exec(ctx, "UPDATE troupe_deadletter SET version = $1", schemaVersion); err != nil {
			return err
		}
		return trigrams(ctx, tx)
	})
}

type querier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// version is that of the schema, -1 if there is none.
func (s *Store) version(ctx context.Context, q querier) (version int, err error) {
	var there bool
	err = q.QueryRow(ctx, "SELECT to_regclass($1) IS NOT NULL", pgx.Identifier{s.cfg.Schema, "troupe_deadletter"}.Sanitize()).Scan(&there)
	if err != nil || !there {
		return -1, err
	}
	if err := q.QueryRow(ctx, "SELECT version FROM troupe_deadletter").Scan(&version); err != nil {
		return 0, err
	}
	if version > schemaVersion {
		return 0, s.fault(fmt.Errorf("%w: schema %d, and this program knows %d", ErrNewer, version, schemaVersion))
	}
	return version, nil
}

// trigrams makes the index for texts, if the extension pg_trgm is there or may be made.
// Without it the search looks at every letter.
func trigrams(ctx context.Context, tx pgx.Tx) error {
	try := func(sql string) error { // in a savepoint
		return pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, sql)
			return err
		})
	}
	var at string
	const where = "SELECT n.nspname FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace WHERE e.extname = 'pg_trgm'"
	err := tx.QueryRow(ctx, where).Scan(&at)
	if noRows(err) {
		if try("CREATE EXTENSION IF NOT EXISTS pg_trgm WITH SCHEMA public") != nil {
			return ctx.Err() // not installed, or not allowed
		}
		err = tx.QueryRow(ctx, where).Scan(&at)
	}
	if err != nil {
		return err
	}
	err = try("CREATE INDEX IF NOT EXISTS letter_rows_body ON letter_rows USING gin (body " + pgx.Identifier{at, "gin_trgm_ops"}.Sanitize() + ")")
	var pe *pgconn.PgError
	if errors.As(err, &pe) && strings.HasPrefix(pe.Code, "42") {
		return nil // its user may not use it
	}
	return err
}
