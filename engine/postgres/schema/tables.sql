-- Version 1. {s} is the schema.

CREATE TABLE {s}.meta (
	one     boolean PRIMARY KEY DEFAULT true CHECK (one),
	version integer NOT NULL
);

CREATE TABLE {s}.topics (
	id      integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	name    text NOT NULL UNIQUE,
	keep    interval NOT NULL, -- how long records are kept that every group has settled
	created timestamptz NOT NULL DEFAULT now()
);

-- What is added to the ids of transactions: more than 0 after a restore into a cluster
-- that counts anew. Tables and functions have it as a constant.
CREATE FUNCTION {s}.moved() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT 0::bigint';

-- The log. A reader's place in it is (at, pos), where at is the id of the transaction:
-- pos alone is given out before its transaction commits, so that a lower one can come
-- to light later. pos comes first and at second when a row is made, so order by pos
-- alone skips records even where readers wait for open transactions.
CREATE TABLE {s}.records (
	at             bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint + {s}.moved()),
	pos            bigint GENERATED ALWAYS AS IDENTITY,
	stored         timestamptz NOT NULL DEFAULT now(),
	time           timestamptz,
	topic          integer NOT NULL,
	schema_version integer NOT NULL DEFAULT 0,
	nanos          smallint NOT NULL DEFAULT 0, -- of time, beyond microseconds
	id             text NOT NULL DEFAULT gen_random_uuid()::text,
	key            text NOT NULL DEFAULT '',
	source         text NOT NULL DEFAULT '',
	type           text NOT NULL DEFAULT '',
	content_type   text NOT NULL DEFAULT '',
	headers        jsonb,
	data           bytea NOT NULL DEFAULT '',
	PRIMARY KEY (topic, at, pos),
	UNIQUE (id, topic)
) WITH (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);

-- A group has taken what is up to (at, pos), the last as number taken; of that, what is
-- not settled is in deliveries, none of it below low. One that began with what was new
-- skips what its snapshot saw, below fresh.
CREATE TABLE {s}.groups (
	id       integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	topic    integer NOT NULL REFERENCES {s}.topics,
	at       bigint NOT NULL,
	pos      bigint NOT NULL,
	taken    bigint NOT NULL DEFAULT 0,
	low      bigint NOT NULL DEFAULT 0,
	fresh    bigint NOT NULL DEFAULT 0,
	snapshot pg_snapshot,
	keyed    boolean NOT NULL,
	name     text NOT NULL,
	created  timestamptz NOT NULL DEFAULT now(),
	UNIQUE (topic, name)
) WITH (fillfactor = 10);

-- What a group has taken and not settled.
--
--   held     holder is a consumer, due the end of its lease
--   waiting  no holder, and not before due
--   parked   waiting, behind an unsettled record of the same key
--
-- With a key (a hash of it, in groups that keep order by key), only the first
-- unsettled record of the key may be waiting without being parked.
--
-- No index leads from what is held to its due time, and those who look for leases that
-- are over begin at the group's low: the rows of what has been settled stay in indexes
-- as long as any snapshot of the database is older, and nobody should pass through them.
CREATE TABLE {s}.deliveries (
	n        bigint NOT NULL, -- counts what the group has taken
	at       bigint NOT NULL,
	pos      bigint NOT NULL,
	due      timestamptz NOT NULL,
	holder   bigint,
	key      bigint,
	grp      integer NOT NULL,
	keyed    integer, -- grp if there is a key, so that no other index looks good for finding keys
	attempts integer NOT NULL,
	marks    smallint NOT NULL DEFAULT 0,
	parked   boolean NOT NULL DEFAULT false,
	PRIMARY KEY (grp, n)
) WITH (fillfactor = 90, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000);

CREATE INDEX deliveries_waiting ON {s}.deliveries (grp, due) WHERE holder IS NULL AND NOT parked;
CREATE INDEX deliveries_key ON {s}.deliveries (keyed, key, n) WHERE keyed IS NOT NULL;
