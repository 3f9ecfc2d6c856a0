// Package sqlite keeps dead letters in a file: a [deadletter.Ledger] on SQLite
// (modernc.org/sqlite, without cgo) that survives the process and the machine,
// that a second process can read while the server runs or is down, and that
// people can query in SQL.
//
//	store, err := sqlite.Open(sqlite.Config{Path: "letters.db"})
//	rt, err := runtime.New(runtime.Config{DeadLetters: store})
//
// There is one writer; [OpenReadOnly] is for everybody else. What has been
// acknowledged is on the disk (journal in WAL mode, synchronous FULL).
//
// # What queries cost
//
// Totals are exact. Those of topic, subscriber, reason, group and state, in any
// combination, are kept as letters come and go. Other conditions are counted
// when a query is first asked, and remembered until a letter is changed or removed;
// of letters that only come, those that are new are counted:
//
//   - err, payload and free text, a value such as payload.order.id:123, a header,
//     event, causation and corr, three characters or more: the full-text index
//     finds the letters, and each is looked at. Letters are indexed when the store
//     is not busy; those that are not yet are looked at one by one.
//   - age and the other times of failures, and snoozed:no: an index counts them.
//   - node, cause, type, content, gotype, pattern, imported, closed, op, attempts,
//     redrives, size, seq, published, resolved and has: the letters of those blocks
//     are looked at, of 256 letters each, whose summary allows a match. That is quick
//     where few blocks have such letters; a pattern that begins with * they do not know.
//   - anything else, such as payload.total:>100 or -err:timeout: every letter of the
//     topic, subscriber, reason, group and state is looked at. Name one of them where
//     the store is large.
//
// Pages read the newest letters until there are enough of them, so they cost
// little where many letters match, and nothing beyond the count where few do. A
// query that is Quick has its page without the count, if that takes longer, and
// ends after [deadletter.Query.Within] with what it has found.
//
// # The file
//
// Open a copy (see [Store.Backup]) or the file itself with any SQLite from 3.43
// on, best with mode=ro. These names stay; a newer version may add columns and
// tables, and what is not named here may change.
//
//	letters     a view of all letters: seq, id, topic, subscriber, reason,
//	            fingerprint, state, first_failed_at, last_failed_at, published_at,
//	            resolved_at, snoozed_until, purge_at, bytes, attempt_count,
//	            redrive_count, sequence, schema_version, cause, node, build, pattern,
//	            event_id, causation_id, correlation_id, imported_from,
//	            content_type, go_type, payload_error, closed, error, error_types,
//	            panic_value, headers, payload, stack
//	attempts    seq (of the letter), position, number, redrive, started_at,
//	            duration_ns, cause, error
//	redrives    seq (of the letter), position, number, by, operation, started_at,
//	            ended_at, budget, outcome, error, member, errand
//	groups      fingerprint, subscriber, reason, cause, error, error_types, sample,
//	            first_seen, last_seen, redriven_at, note, owner, acknowledged_at,
//	            acknowledged_by
//	operations  id, kind, state, by, why, node, query, created_at, ended_at,
//	            stopped, plan, total, member
//	items       operation, position, letter (its id), state, error, issued_at,
//	            ended_at
//	audit       id, at, by, action, object, query, count, why, operation, error
//	classes     class, topic, subscriber, reason, fingerprint
//	tallies     class, state, n, bytes: how many letters there are
//	counters    name, n: added, deleted, expired, dropped
//
// Times are integers, nanoseconds since 1970 in UTC, and NULL where there is none:
// datetime(last_failed_at / 1000000000, 'unixepoch') shows one. headers,
// error_types and closed are JSON, or a BLOB if they hold what is no UTF-8;
// payload is a BLOB, CAST(payload AS TEXT) shows it. sequence is a signed reading
// of an unsigned number. user_version is the version of the schema.
//
// Who fails most:
//
//	SELECT subscriber, reason, sum(n) AS letters
//	FROM tallies JOIN classes USING (class) WHERE state = 'open'
//	GROUP BY 1, 2 ORDER BY letters DESC LIMIT 10;
//
// The orders that are waiting, of one customer:
//
//	SELECT id, json_extract(CAST(payload AS TEXT), '$.order.id') AS "order",
//	       datetime(last_failed_at / 1000000000, 'unixepoch') AS failed
//	FROM letters
//	WHERE topic = 'orders.placed' AND state = 'open'
//	  AND json_extract(CAST(payload AS TEXT), '$.order.customer.id') = 4711;
//
// How long the attempts of a letter took:
//
//	SELECT a.number, a.duration_ns / 1000000 AS ms, a.error
//	FROM letters l JOIN attempts a USING (seq) WHERE l.id = '01JD3X...' ORDER BY a.position;
//
// Whether the account adds up, which [Store.Verify] asks as well:
//
//	SELECT (SELECT n FROM counters WHERE name = 'added')
//	     - (SELECT sum(n) FROM tallies)
//	     - (SELECT sum(n) FROM counters WHERE name IN ('deleted', 'expired', 'dropped')) AS missing;
//
// The file grows with what is in it, about twice the bytes of letters with short
// payloads; half of that is the full-text index. Room that letters leave is used
// again, and given back to the disk when it is more than an eighth of the file.
package sqlite
