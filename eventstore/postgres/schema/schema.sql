-- Version 1. {s} is the schema.

CREATE TABLE {s}.meta (
	one     boolean PRIMARY KEY DEFAULT true CHECK (one),
	version integer NOT NULL
);

-- What is added to the ids of transactions: more than 0 after a restore into a cluster
-- that counts anew.
CREATE FUNCTION {s}.moved() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 0::bigint';

CREATE FUNCTION {s}.horizon() RETURNS bigint LANGUAGE sql STABLE AS
	'SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + {s}.moved()';

-- Positions are (at, pos), where at is the id of the transaction, as in the log of
-- engine/postgres. A stream's versions come in their order: an Append sees the one
-- before committed, and gets its id after that.
CREATE TABLE {s}.events (
	at             bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint + {s}.moved()),
	pos            bigint GENERATED ALWAYS AS IDENTITY,
	version        bigint NOT NULL,
	time           timestamptz NOT NULL,
	schema_version integer NOT NULL,
	category       text NOT NULL,
	stream         text NOT NULL,
	id             text NOT NULL,
	type           text NOT NULL,
	content_type   text NOT NULL,
	metadata       jsonb,
	data           bytea NOT NULL,
	PRIMARY KEY (at, pos),
	UNIQUE (category, stream, version)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);

CREATE INDEX events_category ON {s}.events (category, at, pos);

CREATE TABLE {s}.snapshots (
	category     text NOT NULL,
	stream       text NOT NULL,
	schema       integer NOT NULL,
	version      bigint NOT NULL,
	time         timestamptz NOT NULL,
	content_type text NOT NULL,
	data         bytea NOT NULL,
	PRIMARY KEY (category, stream, schema)
);

CREATE TABLE {s}.checkpoints (
	name     text PRIMARY KEY,
	position text NOT NULL,
	moved    timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);

-- append stores events at the end of a stream, unless it is not at the expected version
-- (-1 expects none); then ok is false, and version the one it is at, but if what follows
-- the expected one are these very events. That another transaction was quicker is a
-- unique_violation: it can be called again.
CREATE FUNCTION {s}.append(cat text, str text, expected bigint, ids text[], types text[], schemas integer[], contents text[],
	times timestamptz[], metas jsonb[], bodies bytea[], OUT ok boolean, OUT version bigint, OUT at bigint, OUT pos bigint)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	now_at bigint;
	last_at bigint;
	last_pos bigint;
	n integer := cardinality(ids);
BEGIN
	now_at := coalesce((SELECT e.version FROM {s}.events e WHERE e.category = cat AND e.stream = str ORDER BY e.version DESC LIMIT 1), 0);
	append.ok := true;
	IF expected >= 0 AND now_at <> expected THEN
		append.ok := now_at >= expected + n AND ids = ARRAY (SELECT e.id FROM {s}.events e
			WHERE e.category = cat AND e.stream = str AND e.version > expected AND e.version <= expected + n ORDER BY e.version);
		append.version := CASE WHEN append.ok THEN expected + n ELSE now_at END;
		SELECT e.at, e.pos INTO append.at, append.pos FROM {s}.events e
		WHERE e.category = cat AND e.stream = str AND e.version = append.version;
		RETURN;
	END IF;
	WITH put AS (
		INSERT INTO {s}.events (version, time, schema_version, category, stream, id, type, content_type, metadata, data)
		SELECT now_at + u.o, u.time, u.schema, cat, str, u.id, u.type, u.content, u.meta, u.body
		FROM unnest(ids, types, schemas, contents, times, metas, bodies) WITH ORDINALITY AS u (id, type, schema, content, time, meta, body, o)
		ORDER BY u.o RETURNING at, pos)
	SELECT p.at, p.pos INTO last_at, last_pos FROM put p ORDER BY p.pos DESC LIMIT 1;
	append.version := now_at + n;
	append.at := last_at;
	append.pos := last_pos;
END $$;
