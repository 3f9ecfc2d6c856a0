-- What consumers do, each in one round trip. The settings stand because plans are made
-- while tables are empty and are kept while they grow: every access has its index.

CREATE FUNCTION {s}.horizon() RETURNS bigint LANGUAGE sql STABLE AS
	'SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint + {s}.moved()';

-- promote lets the first unsettled record of each key be taken, if nobody holds it.
CREATE FUNCTION {s}.promote(g integer, keys bigint[]) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
	n integer;
BEGIN
	UPDATE {s}.deliveries d SET parked = false
	FROM (SELECT DISTINCT k FROM unnest(keys) k WHERE k IS NOT NULL) ks,
		LATERAL (SELECT f.pos, f.holder, f.parked FROM {s}.deliveries f
			WHERE f.grp = g AND f.key = ks.k ORDER BY f.at, f.pos LIMIT 1) first
	WHERE d.grp = g AND d.pos = first.pos AND first.parked AND first.holder IS NULL;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END $$;

-- give_back takes records from who holds them: those whose lease is over, or those of
-- one consumer but for what it knows of. Where order by key is kept, what the same
-- holder has of the same key goes along, or its successor would be overtaken.
CREATE FUNCTION {s}.expire(g integer, ordered boolean) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
	t timestamptz := clock_timestamp();
	lost bigint[];
	keys bigint[];
BEGIN
	SELECT array_agg(e.pos), array_agg(DISTINCT e.key) FILTER (WHERE e.key IS NOT NULL) INTO lost, keys
	FROM (SELECT d.pos, d.key FROM {s}.deliveries d
		WHERE d.grp = g AND d.holder IS NOT NULL AND d.due < t FOR UPDATE SKIP LOCKED) e;
	IF lost IS NULL THEN
		RETURN 0;
	END IF;
	IF ordered AND keys IS NOT NULL THEN
		UPDATE {s}.deliveries d SET holder = NULL, due = t, parked = true
		WHERE d.grp = g AND d.key = ANY (keys) AND d.holder IN
			(SELECT h.holder FROM {s}.deliveries h WHERE h.grp = g AND h.pos = ANY (lost) AND h.key = d.key);
		PERFORM {s}.promote(g, keys);
	END IF;
	UPDATE {s}.deliveries d SET holder = NULL, due = t WHERE d.grp = g AND d.pos = ANY (lost) AND d.holder IS NOT NULL;
	RETURN cardinality(lost);
END $$;

CREATE FUNCTION {s}.give_back(g integer, c bigint, known bigint[], took_back boolean) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
	keys bigint[];
	n integer;
BEGIN
	PERFORM FROM {s}.groups WHERE id = g FOR NO KEY UPDATE;
	WITH given AS (
		UPDATE {s}.deliveries d SET holder = NULL, due = clock_timestamp(), marks = 0, parked = d.key IS NOT NULL,
			attempts = d.attempts - took_back::integer
		WHERE d.grp = g AND d.holder = c AND NOT d.pos = ANY (known) RETURNING d.key)
	SELECT count(*), array_agg(DISTINCT given.key) INTO n, keys FROM given;
	PERFORM {s}.promote(g, keys);
	RETURN n;
END $$;

-- fetch hands up to n records to consumer c: first what waits to be delivered again and
-- is due, then what comes next in the log, below the horizon: what is above it could
-- still be overtaken by a transaction that is open. If there is none, it returns one
-- row with pos -1, attempts 1 if there is something above the horizon, and in at the
-- milliseconds until something is due, -1 if nothing is.
CREATE FUNCTION {s}.fetch(g integer, c bigint, n integer, lease interval, sweep boolean)
RETURNS TABLE (pos bigint, at bigint, attempts integer, id text, key text, source text, type text, "time" timestamptz,
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
		PERFORM {s}.expire(g, gr.keyed);
	END IF;
	t := clock_timestamp();

	SELECT array_agg(w.pos), array_agg(DISTINCT w.key) FILTER (WHERE w.key IS NOT NULL) INTO take, keys
	FROM (SELECT d.pos, d.key FROM {s}.deliveries d WHERE d.grp = g AND d.holder IS NULL AND NOT d.parked AND d.due <= t
		ORDER BY d.due LIMIT n FOR UPDATE SKIP LOCKED) w;
	IF take IS NOT NULL THEN
		IF keys IS NOT NULL AND cardinality(take) < n THEN
			-- What follows of their keys, if nobody else has some of it.
			take := take || ARRAY (SELECT p.pos FROM unnest(keys) k, LATERAL (
				SELECT d.pos, d.at, bool_and(d.due <= t) OVER (ORDER BY d.at, d.pos) AS ripe FROM (
					SELECT f.pos, f.at, f.due FROM {s}.deliveries f WHERE f.grp = g AND f.key = k AND f.parked
					ORDER BY f.at, f.pos LIMIT n) d) p
				WHERE p.ripe AND NOT EXISTS (SELECT FROM {s}.deliveries h WHERE h.grp = g AND h.key = k AND h.holder <> c)
				ORDER BY p.at, p.pos LIMIT n - cardinality(take));
		END IF;
		RETURN QUERY WITH mine AS (
			UPDATE {s}.deliveries d SET holder = c, due = t + lease, attempts = d.attempts + 1, parked = false
			WHERE d.grp = g AND d.pos = ANY (take) RETURNING d.pos, d.at, d.attempts)
		SELECT r.pos, r.at, m.attempts, r.id, r.key, r.source, r.type, r.time, r.nanos, r.content_type, r.schema_version, r.headers, r.data
		FROM mine m JOIN {s}.records r ON r.topic = gr.topic AND r.at = m.at AND r.pos = m.pos ORDER BY r.at, r.pos;
		GET DIAGNOSTICS got = ROW_COUNT;
	END IF;

	IF got < n THEN
		IF NOT gr.keyed THEN
			SELECT * INTO gr FROM {s}.groups WHERE id = g FOR NO KEY UPDATE;
		END IF;
		-- More than once only if what was read was parked.
		FOR round IN 1..8 LOOP
			before := gr.pos;
			-- Not later than the snapshot that the records are read with.
			edge := {s}.horizon();
			RETURN QUERY WITH next AS MATERIALIZED (
				SELECT r.*, CASE WHEN gr.keyed AND r.key <> '' THEN hashtextextended(r.key, 0) END AS hash
				FROM {s}.records r
				WHERE r.topic = gr.topic AND (r.at, r.pos) > (gr.at, gr.pos) AND r.at < edge
					AND (r.at >= gr.fresh OR NOT pg_visible_in_snapshot((r.at - {s}.moved())::text::xid8, gr.snapshot))
				ORDER BY r.at, r.pos LIMIT n - got),
			told AS MATERIALIZED (
				SELECT x.*, x.hash IS NOT NULL AND EXISTS (SELECT FROM {s}.deliveries d
					WHERE d.grp = g AND d.key = x.hash AND d.holder IS DISTINCT FROM c) AS blocked
				FROM next x),
			put AS (
				INSERT INTO {s}.deliveries (at, pos, due, holder, key, grp, attempts, parked)
				SELECT x.at, x.pos, CASE WHEN x.blocked THEN t ELSE t + lease END, CASE WHEN NOT x.blocked THEN c END,
					x.hash, g, (NOT x.blocked)::integer, x.blocked FROM told x),
			moved AS (
				UPDATE {s}.groups u SET at = l.at, pos = l.pos
				FROM (SELECT x.at, x.pos FROM next x ORDER BY x.at DESC, x.pos DESC LIMIT 1) l WHERE u.id = g)
			SELECT x.pos, x.at, 1, x.id, x.key, x.source, x.type, x.time, x.nanos, x.content_type, x.schema_version, x.headers, x.data
			FROM told x WHERE NOT x.blocked ORDER BY x.at, x.pos;
			GET DIAGNOSTICS part = ROW_COUNT;
			got := got + part;
			EXIT WHEN got > 0 OR NOT gr.keyed;
			SELECT * INTO gr FROM {s}.groups WHERE id = g;
			EXIT WHEN gr.pos = before;
		END LOOP;
	END IF;

	IF got = 0 THEN
		RETURN QUERY SELECT -1::bigint,
			coalesce((SELECT greatest(0, ceil(extract(epoch FROM d.due - t) * 1000))::bigint FROM {s}.deliveries d
				WHERE d.grp = g AND d.holder IS NULL AND NOT d.parked ORDER BY d.due LIMIT 1), -1),
			(gr.pos <> before OR EXISTS (SELECT FROM {s}.records r
				WHERE r.topic = gr.topic AND (r.at, r.pos) > (gr.at, gr.pos) AND r.at >= edge
					AND (r.at >= gr.fresh OR NOT pg_visible_in_snapshot((r.at - {s}.moved())::text::xid8, gr.snapshot))))::integer,
			''::text, ''::text, ''::text, ''::text, NULL::timestamptz, 0::smallint, ''::text, 0, NULL::jsonb, ''::bytea;
	END IF;
END $$;

-- settle forgets what is done, and gives back what is not, if consumer c still has it
-- from the attempt that is named. It returns how many it had, and how many records
-- others can now take.
CREATE FUNCTION {s}.settle(g integer, c bigint, done bigint[], done_try integer[], back bigint[], back_try integer[], delay bigint[],
	OUT had integer, OUT free integer)
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
	END IF;
	IF cardinality(done) > 0 THEN
		WITH gone AS (
			DELETE FROM {s}.deliveries d USING unnest(done, done_try) u (pos, try)
			WHERE d.grp = g AND d.pos = u.pos AND d.holder = c AND d.attempts = u.try RETURNING d.key)
		SELECT count(*), array_agg(DISTINCT gone.key) FILTER (WHERE gone.key IS NOT NULL) INTO had, keys FROM gone;
	END IF;
	IF cardinality(back) > 0 THEN
		WITH given AS (
			UPDATE {s}.deliveries d SET holder = NULL, due = clock_timestamp() + u.delay * interval '1 microsecond',
				marks = 0, parked = d.key IS NOT NULL
			FROM unnest(back, back_try, delay) u (pos, try, delay)
			WHERE d.grp = g AND d.pos = u.pos AND d.holder = c AND d.attempts = u.try RETURNING d.key)
		SELECT count(*), array_agg(DISTINCT given.key) FILTER (WHERE given.key IS NOT NULL) INTO free, more FROM given;
		had := had + free;
		keys := keys || more;
	END IF;
	IF keys IS NOT NULL THEN
		free := free + {s}.promote(g, keys);
	END IF;
END $$;

CREATE FUNCTION {s}.extend(g integer, c bigint, held bigint[], held_try integer[], lease interval) RETURNS integer LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET jit = off
AS $$
DECLARE
	n integer;
BEGIN
	PERFORM set_config('synchronous_commit', 'off', true);
	UPDATE {s}.deliveries d SET due = clock_timestamp() + lease FROM unnest(held, held_try) u (pos, try)
	WHERE d.grp = g AND d.pos = u.pos AND d.holder = c AND d.attempts = u.try;
	GET DIAGNOSTICS n = ROW_COUNT;
	RETURN n;
END $$;

-- clean deletes up to n of the oldest records of a topic that every group has settled
-- and whose time is over.
CREATE FUNCTION {s}.clean(tp integer, n integer) RETURNS integer LANGUAGE plpgsql
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
	FOR gr IN SELECT id, at, pos FROM {s}.groups WHERE topic = tp LOOP
		IF (gr.at, gr.pos) < (last_at, last_pos) THEN
			last_at := gr.at;
			last_pos := gr.pos;
		END IF;
		SELECT f.at, f.pos - 1 INTO gr.at, gr.pos FROM {s}.deliveries f WHERE f.grp = gr.id ORDER BY f.at, f.pos LIMIT 1;
		IF FOUND AND (gr.at, gr.pos) < (last_at, last_pos) THEN
			last_at := gr.at;
			last_pos := gr.pos;
		END IF;
	END LOOP;
	DELETE FROM {s}.records r USING (
		SELECT o.at, o.pos, o.stored FROM {s}.records o
		WHERE o.topic = tp AND (o.at, o.pos) <= (last_at, last_pos) ORDER BY o.at, o.pos LIMIT n) o
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
	ON CONFLICT ON CONSTRAINT records_topic_id_key DO NOTHING;
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
