-- What consumers do, each in one round trip. The settings stand because plans are made
-- while tables are empty and are kept while they grow: every access has its index.

CREATE FUNCTION {s}.horizon() RETURNS bigint LANGUAGE sql STABLE AS
	'SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + {s}.moved()';

-- promote lets the first unsettled record of each key be taken, if nobody holds it.
CREATE FUNCTION {s}.promote(g integer, keys bigint[]) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
	free integer;
BEGIN
	UPDATE {s}.deliveries d SET parked = false
	WHERE d.grp = g AND d.n = ANY (ARRAY (
		SELECT first.n FROM unnest(keys) k, LATERAL (SELECT f.n, f.holder, f.parked FROM {s}.deliveries f
			WHERE f.keyed = g AND f.key = k ORDER BY f.n LIMIT 1) first
		WHERE first.parked AND first.holder IS NULL));
	GET DIAGNOSTICS free = ROW_COUNT;
	RETURN free;
END $$;

-- expire takes records from consumers whose lease is over. Where order by key is kept,
-- what the same one has of the same key goes along, or it would be overtaken.
CREATE FUNCTION {s}.expire(g integer) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
	t timestamptz := clock_timestamp();
	gr {s}.groups;
	lost bigint[];
	keys bigint[];
	lowest bigint;
BEGIN
	SELECT * INTO gr FROM {s}.groups WHERE id = g;
	SELECT array_agg(e.n), array_agg(DISTINCT e.key) FILTER (WHERE e.key IS NOT NULL) INTO lost, keys
	FROM (SELECT d.n, d.key FROM {s}.deliveries d
		WHERE d.grp = g AND d.n >= gr.low AND d.holder IS NOT NULL AND d.due < t FOR UPDATE SKIP LOCKED) e;
	IF keys IS NOT NULL THEN
		UPDATE {s}.deliveries d SET holder = NULL, due = t, parked = true
		WHERE d.keyed = g AND d.key = ANY (keys) AND d.holder IN
			(SELECT h.holder FROM {s}.deliveries h WHERE h.grp = g AND h.n = ANY (lost) AND h.key = d.key);
		PERFORM {s}.promote(g, keys);
	END IF;
	IF lost IS NOT NULL THEN
		UPDATE {s}.deliveries d SET holder = NULL, due = t WHERE d.grp = g AND d.n = ANY (lost) AND d.holder IS NOT NULL;
	END IF;
	SELECT d.n INTO lowest FROM {s}.deliveries d WHERE d.grp = g AND d.n >= gr.low ORDER BY d.n LIMIT 1;
	lowest := coalesce(lowest, gr.taken + 1); -- taken as it was before
	UPDATE {s}.groups u SET low = lowest WHERE u.id = g AND u.low < lowest;
END $$;

-- give_back takes from a consumer what it has, but for what it knows of. seen is false
-- for what has never reached it.
CREATE FUNCTION {s}.give_back(g integer, c bigint, known bigint[], seen boolean) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
	gr {s}.groups;
	keys bigint[];
	given integer;
BEGIN
	SELECT * INTO gr FROM {s}.groups WHERE id = g FOR NO KEY UPDATE;
	WITH given AS (
		UPDATE {s}.deliveries d SET holder = NULL, due = clock_timestamp(), marks = 0, parked = d.key IS NOT NULL,
			attempts = d.attempts - (NOT seen)::integer
		WHERE d.grp = g AND d.n >= gr.low AND d.holder = c AND NOT d.n = ANY (known) RETURNING d.key)
	SELECT count(*), array_agg(DISTINCT given.key) FILTER (WHERE given.key IS NOT NULL) INTO given, keys FROM given;
	IF keys IS NOT NULL THEN
		PERFORM {s}.promote(g, keys);
	END IF;
	RETURN given;
END $$;

-- fetch hands up to most records to consumer c: first what waits to be delivered again
-- and is due, then what comes next in the log, below the horizon: what is above it could
-- still be overtaken by a transaction that is open. If there is none, it returns one
-- row with n -1, attempts 1 if there is something above the horizon, and in at the
-- milliseconds until something is due, -1 if nothing is.
CREATE FUNCTION {s}.fetch(g integer, c bigint, most integer, lease interval, sweep boolean)
RETURNS TABLE (n bigint, pos bigint, at bigint, attempts integer, id text, key text, source text, type text, "time" timestamptz,
	nanos smallint, content_type text, schema_version integer, headers jsonb, data bytea)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
#variable_conflict use_column
DECLARE
	gr {s}.groups;
	t timestamptz;
	got integer := 0;
	part integer;
	take bigint[];
	keys bigint[];
	edge bigint;
	before bigint;
BEGIN
	-- A lease or a position that a crash of the server takes back is a record that is
	-- delivered again, so nobody has to wait for the disk.
	PERFORM set_config('synchronous_commit', 'off', true);
	SELECT * INTO gr FROM {s}.groups WHERE id = g;
	IF gr.keyed THEN
		SELECT * INTO gr FROM {s}.groups WHERE id = g FOR NO KEY UPDATE;
	END IF;
	IF gr.id IS NULL THEN
		RAISE EXCEPTION 'group % was dropped', g USING ERRCODE = 'TRG01';
	END IF;
	IF sweep THEN
		PERFORM {s}.expire(g);
	END IF;
	t := clock_timestamp();

	SELECT array_agg(w.n), array_agg(DISTINCT w.key) FILTER (WHERE w.key IS NOT NULL) INTO take, keys
	FROM (SELECT d.n, d.key FROM {s}.deliveries d WHERE d.grp = g AND d.holder IS NULL AND NOT d.parked AND d.due <= t
		ORDER BY d.due LIMIT most FOR UPDATE SKIP LOCKED) w;
	IF take IS NOT NULL THEN
		IF keys IS NOT NULL AND cardinality(take) < most THEN
			-- What follows of their keys, if nobody else has some of it.
			take := take || ARRAY (SELECT p.n FROM unnest(keys) k, LATERAL (
				SELECT d.n, bool_and(d.due <= t) OVER (ORDER BY d.n) AS ripe FROM (
					SELECT f.n, f.due FROM {s}.deliveries f WHERE f.keyed = g AND f.key = k AND f.parked
					ORDER BY f.n LIMIT most) d) p
				WHERE p.ripe AND NOT EXISTS (SELECT FROM {s}.deliveries h WHERE h.keyed = g AND h.key = k AND h.holder <> c)
				ORDER BY p.n LIMIT most - cardinality(take));
		END IF;
		RETURN QUERY WITH mine AS (
			UPDATE {s}.deliveries d SET holder = c, due = t + lease, attempts = d.attempts + 1, parked = false
			WHERE d.grp = g AND d.n = ANY (take) RETURNING d.n, d.pos, d.at, d.attempts)
		SELECT m.n, r.pos, r.at, m.attempts, r.id, r.key, r.source, r.type, r.time, r.nanos, r.content_type, r.schema_version, r.headers, r.data
		FROM mine m JOIN {s}.records r ON r.topic = gr.topic AND r.at = m.at AND r.pos = m.pos ORDER BY m.n;
		GET DIAGNOSTICS got = ROW_COUNT;
	END IF;

	IF got < most THEN
		IF NOT gr.keyed THEN
			SELECT * INTO gr FROM {s}.groups WHERE id = g FOR NO KEY UPDATE;
		END IF;
		-- More than once only if what was read was parked.
		FOR round IN 1..8 LOOP
			before := gr.taken;
			-- Not later than the snapshot that the records are read with.
			edge := {s}.horizon();
			RETURN QUERY WITH next AS MATERIALIZED (
				SELECT r.*, gr.taken + row_number() OVER (ORDER BY r.at, r.pos) AS n,
					CASE WHEN gr.keyed AND r.key <> '' THEN hashtextextended(r.key, 0) END AS hash
				FROM {s}.records r
				WHERE r.topic = gr.topic AND (r.at, r.pos) > (gr.at, gr.pos) AND r.at < edge
					AND (r.at >= gr.fresh OR NOT pg_visible_in_snapshot((r.at - {s}.moved())::text::xid8, gr.snapshot))
				ORDER BY r.at, r.pos LIMIT most - got),
			told AS MATERIALIZED (
				SELECT x.*, x.hash IS NOT NULL AND EXISTS (SELECT FROM {s}.deliveries d
					WHERE d.keyed = g AND d.key = x.hash AND d.holder IS DISTINCT FROM c) AS blocked
				FROM next x),
			put AS (
				INSERT INTO {s}.deliveries (n, at, pos, due, holder, key, grp, keyed, attempts, parked)
				SELECT x.n, x.at, x.pos, CASE WHEN x.blocked THEN t ELSE t + lease END, CASE WHEN NOT x.blocked THEN c END,
					x.hash, g, CASE WHEN x.hash IS NOT NULL THEN g END, (NOT x.blocked)::integer, x.blocked FROM told x),
			moved AS (
				UPDATE {s}.groups u SET at = l.at, pos = l.pos, taken = l.n
				FROM (SELECT x.at, x.pos, x.n FROM next x ORDER BY x.n DESC LIMIT 1) l WHERE u.id = g)
			SELECT x.n, x.pos, x.at, 1, x.id, x.key, x.source, x.type, x.time, x.nanos, x.content_type, x.schema_version, x.headers, x.data
			FROM told x WHERE NOT x.blocked ORDER BY x.n;
			GET DIAGNOSTICS part = ROW_COUNT;
			got := got + part;
			EXIT WHEN got > 0 OR NOT gr.keyed;
			SELECT * INTO gr FROM {s}.groups WHERE id = g;
			EXIT WHEN gr.taken = before;
		END LOOP;
	END IF;

	IF got = 0 THEN
		RETURN QUERY SELECT -1::bigint, 0::bigint,
			coalesce((SELECT greatest(0, ceil(extract(epoch FROM d.due - t) * 1000))::bigint FROM {s}.deliveries d
				WHERE d.grp = g AND d.holder IS NULL AND NOT d.parked ORDER BY d.due LIMIT 1), -1),
			(gr.taken <> before OR EXISTS (SELECT FROM {s}.records r
				WHERE r.topic = gr.topic AND (r.at, r.pos) > (gr.at, gr.pos) AND r.at >= edge
					AND (r.at >= gr.fresh OR NOT pg_visible_in_snapshot((r.at - {s}.moved())::text::xid8, gr.snapshot))))::integer,
			''::text, ''::text, ''::text, ''::text, NULL::timestamptz, 0::smallint, ''::text, 0, NULL::jsonb, ''::bytea;
	END IF;
END $$;

-- settle forgets what is done, and gives back what is not, if consumer c still has it
-- from that attempt. It returns how many it had, and how many records others can take
-- now. delay is in microseconds, by the place in back.
CREATE FUNCTION {s}.settle(g integer, c bigint, attempt integer, done bigint[], back bigint[], delay bigint[], OUT had integer, OUT free integer)
LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
	ordered boolean;
	keys bigint[];
	more bigint[];
BEGIN
	had := 0;
	free := 0;
	SELECT keyed INTO ordered FROM {s}.groups WHERE id = g;
	IF ordered THEN
		PERFORM FROM {s}.groups WHERE id = g FOR NO KEY UPDATE;
		WITH gone AS (
			DELETE FROM {s}.deliveries d
			WHERE d.grp = g AND d.n = ANY (done) AND d.holder = c AND d.attempts = attempt RETURNING d.key)
		SELECT count(*), array_agg(DISTINCT gone.key) FILTER (WHERE gone.key IS NOT NULL) INTO had, keys FROM gone;
	ELSE
		DELETE FROM {s}.deliveries d WHERE d.grp = g AND d.n = ANY (done) AND d.holder = c AND d.attempts = attempt;
		GET DIAGNOSTICS had = ROW_COUNT;
	END IF;
	IF cardinality(back) > 0 THEN
		WITH given AS (
			UPDATE {s}.deliveries d SET holder = NULL, due = clock_timestamp() + delay[array_position(back, d.n)] * interval '1 microsecond',
				marks = 0, parked = d.key IS NOT NULL
			WHERE d.grp = g AND d.n = ANY (back) AND d.holder = c AND d.attempts = attempt RETURNING d.key)
		SELECT count(*), array_agg(DISTINCT given.key) FILTER (WHERE given.key IS NOT NULL) INTO free, more FROM given;
		had := had + free;
		keys := keys || more;
	END IF;
	IF keys IS NOT NULL THEN
		free := free + {s}.promote(g, keys);
	END IF;
END $$;

CREATE FUNCTION {s}.extend(g integer, c bigint, attempt integer, held bigint[], lease interval) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
	had integer;
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
	UPDATE {s}.deliveries d SET due = clock_timestamp() + lease
	WHERE d.grp = g AND d.n = ANY (held) AND d.holder = c AND d.attempts = attempt;
	GET DIAGNOSTICS had = ROW_COUNT;
	RETURN had;
END $$;

-- clean deletes up to most of the oldest records of a topic that every group has
-- settled and whose time is over.
CREATE FUNCTION {s}.clean(tp integer, most integer) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
	old timestamptz;
	last_at bigint := 9223372036854775807;
	last_pos bigint := 9223372036854775807;
	gr record;
	gone integer;
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
	SELECT clock_timestamp() - keep INTO old FROM {s}.topics WHERE id = tp;
	FOR gr IN SELECT id, at, pos, low FROM {s}.groups WHERE topic = tp LOOP
		IF (gr.at, gr.pos) < (last_at, last_pos) THEN
			last_at := gr.at;
			last_pos := gr.pos;
		END IF;
		-- Taken in the order of the log, so the first is the oldest.
		SELECT f.at, f.pos - 1 INTO gr.at, gr.pos FROM {s}.deliveries f WHERE f.grp = gr.id AND f.n >= gr.low ORDER BY f.n LIMIT 1;
		IF FOUND AND (gr.at, gr.pos) < (last_at, last_pos) THEN
			last_at := gr.at;
			last_pos := gr.pos;
		END IF;
	END LOOP;
	DELETE FROM {s}.records r USING (
		SELECT o.at, o.pos, o.stored FROM {s}.records o
		WHERE o.topic = tp AND (o.at, o.pos) <= (last_at, last_pos) ORDER BY o.at, o.pos LIMIT most) o
	WHERE r.topic = tp AND r.at = o.at AND r.pos = o.pos AND o.stored < old;
	GET DIAGNOSTICS gone = ROW_COUNT;
	RETURN gone;
END $$;

-- publish is for people, triggers and programs without an engine of ours.
CREATE FUNCTION {s}.publish(topic text, data bytea, key text DEFAULT '', headers jsonb DEFAULT NULL, id text DEFAULT gen_random_uuid()::text)
RETURNS void LANGUAGE plpgsql AS $$
DECLARE
	tp integer;
BEGIN
	SELECT t.id INTO tp FROM {s}.topics t WHERE t.name = publish.topic;
	IF tp IS NULL THEN
		RAISE EXCEPTION 'topic % is not there: open it first', publish.topic USING ERRCODE = 'TRG02';
	END IF;
	INSERT INTO {s}.records (topic, id, key, type, time, headers, data)
	VALUES (tp, publish.id, publish.key, publish.topic, clock_timestamp(), publish.headers, publish.data)
	ON CONFLICT ON CONSTRAINT records_id_topic_key DO NOTHING;
	PERFORM pg_notify('{channel}', tp::text);
END $$;

-- What people read.
CREATE VIEW {s}.events AS
	SELECT t.name AS topic, r.at, r.pos, r.id, r.key, r.type, r.source, r.time, r.stored, r.content_type,
		r.schema_version, r.headers, r.data
	FROM {s}.records r JOIN {s}.topics t ON t.id = r.topic;

CREATE VIEW {s}.unsettled AS
	SELECT t.name AS topic, g.name AS "group", r.id, r.key, d.at, d.pos, d.attempts, d.marks,
		CASE WHEN d.parked THEN 'parked' WHEN d.holder IS NULL THEN 'waiting' ELSE 'held' END AS state, d.holder, d.due
	FROM {s}.deliveries d JOIN {s}.groups g ON g.id = d.grp JOIN {s}.topics t ON t.id = g.topic
		JOIN {s}.records r ON r.topic = g.topic AND r.at = d.at AND r.pos = d.pos;
