package sqlite

import (
	"context"
	"fmt"
)

// applicationID marks the file, in its header, as a store of dead letters:
// "TrpD".
const applicationID = 0x54727044

// schemaVersion is what this package writes. It is the user_version of the file.
const schemaVersion = 3

// migrations lead from one version of the schema to the next; the first makes
// it. Each runs in a transaction with the change of user_version. What has been
// released is never edited.
var migrations = [schemaVersion]string{schema1, schema2, schema3}

// The schema is documented in the documentation of the package, for people who
// write queries: what is written there holds, what is only here may change.
//
// Letters are one table, in a row as wide as a letter: splitting the payload off
// costs a second insert for each, a tenth of what an Add takes. What they have
// in common, and queries ask for most, is in classes. One index by class, state
// and ID therefore serves every combination of topic, subscriber, reason, group
// and state, and one row of tallies for each class and state counts them all.
const schema1 = `
CREATE TABLE classes (
	class       INTEGER PRIMARY KEY,
	topic       TEXT NOT NULL,
	subscriber  TEXT NOT NULL,
	reason      TEXT NOT NULL,
	fingerprint TEXT NOT NULL,
	UNIQUE (fingerprint, topic, subscriber, reason)
);
CREATE INDEX classes_topic ON classes (topic);
CREATE INDEX classes_subscriber ON classes (subscriber);
CREATE INDEX classes_reason ON classes (reason);

CREATE TABLE tallies (
	class INTEGER NOT NULL,
	state TEXT NOT NULL,
	n     INTEGER NOT NULL,
	bytes INTEGER NOT NULL,
	PRIMARY KEY (class, state)
) WITHOUT ROWID;

CREATE TABLE letter_rows (
	seq             INTEGER PRIMARY KEY,
	id              TEXT NOT NULL,
	class           INTEGER NOT NULL,
	state           TEXT NOT NULL,
	first_failed_at INTEGER,
	last_failed_at  INTEGER,
	published_at    INTEGER,
	resolved_at     INTEGER,
	snoozed_until   INTEGER,
	purge_at        INTEGER,
	bytes           INTEGER NOT NULL,
	attempt_count   INTEGER NOT NULL,
	redrive_count   INTEGER NOT NULL,
	attempts_kept   INTEGER NOT NULL,
	redrives_kept   INTEGER NOT NULL,
	sequence        INTEGER NOT NULL,
	schema_version  INTEGER NOT NULL,
	cause           TEXT NOT NULL,
	node            TEXT NOT NULL,
	pattern         TEXT NOT NULL,
	event_id        TEXT NOT NULL,
	causation_id    TEXT NOT NULL,
	correlation_id  TEXT NOT NULL,
	imported_from   TEXT NOT NULL,
	content_type    TEXT NOT NULL,
	go_type         TEXT NOT NULL,
	payload_error   TEXT NOT NULL,
	closed          TEXT,
	error           TEXT NOT NULL,
	error_types     TEXT,
	panic_value     TEXT NOT NULL,
	headers         TEXT,
	payload         BLOB,
	stack           TEXT NOT NULL,
	odd_times       BLOB
);
CREATE UNIQUE INDEX letter_rows_id ON letter_rows (id);
CREATE INDEX letter_rows_class ON letter_rows (class, state, id);
CREATE INDEX letter_rows_first ON letter_rows (state, first_failed_at, class);
CREATE INDEX letter_rows_failed ON letter_rows (state, last_failed_at, class);
CREATE INDEX letter_rows_resolved ON letter_rows (resolved_at, class, state) WHERE resolved_at IS NOT NULL;
CREATE INDEX letter_rows_snoozed ON letter_rows (class, snoozed_until) WHERE snoozed_until IS NOT NULL;
CREATE INDEX letter_rows_purge ON letter_rows (purge_at) WHERE purge_at IS NOT NULL;

CREATE TABLE attempts (
	seq         INTEGER NOT NULL,
	position    INTEGER NOT NULL,
	number      INTEGER NOT NULL,
	redrive     INTEGER NOT NULL,
	started_at  INTEGER,
	duration_ns INTEGER NOT NULL,
	cause       TEXT NOT NULL,
	error       TEXT NOT NULL,
	PRIMARY KEY (seq, position)
) WITHOUT ROWID;

CREATE TABLE redrives (
	seq        INTEGER NOT NULL,
	position   INTEGER NOT NULL,
	number     INTEGER NOT NULL,
	by         TEXT NOT NULL,
	operation  TEXT NOT NULL,
	started_at INTEGER,
	ended_at   INTEGER,
	budget     INTEGER NOT NULL,
	outcome    TEXT NOT NULL,
	error      TEXT NOT NULL,
	PRIMARY KEY (seq, position)
) WITHOUT ROWID;

CREATE VIEW letters AS
SELECT l.seq, l.id, c.topic, c.subscriber, c.reason, c.fingerprint, l.state,
	l.first_failed_at, l.last_failed_at, l.published_at, l.resolved_at, l.snoozed_until, l.purge_at,
	l.bytes, l.attempt_count, l.redrive_count, l.sequence, l.schema_version, l.cause, l.node, l.pattern,
	l.event_id, l.causation_id, l.correlation_id, l.imported_from, l.content_type, l.go_type,
	l.payload_error, l.closed, l.error, l.error_types, l.panic_value, l.headers, l.payload, l.stack
FROM letter_rows l JOIN classes c ON c.class = l.class;

CREATE TABLE groups (
	fingerprint     TEXT PRIMARY KEY,
	subscriber      TEXT NOT NULL,
	reason          TEXT NOT NULL,
	cause           TEXT NOT NULL,
	error           TEXT NOT NULL,
	error_types     TEXT,
	sample          TEXT NOT NULL,
	first_seen      INTEGER,
	last_seen       INTEGER,
	redriven_at     INTEGER,
	note            TEXT NOT NULL DEFAULT '',
	owner           TEXT NOT NULL DEFAULT '',
	acknowledged_at INTEGER,
	acknowledged_by TEXT NOT NULL DEFAULT ''
) WITHOUT ROWID;
CREATE INDEX groups_seen ON groups (coalesce(last_seen, -9223372036854775808) DESC, fingerprint);

CREATE VIRTUAL TABLE texts USING fts5 (body, content = '', contentless_delete = 1, detail = none, tokenize = 'trigram case_sensitive 1');
CREATE TABLE stale (seq INTEGER PRIMARY KEY);
CREATE TABLE blocks (
	block     INTEGER PRIMARY KEY,
	low       TEXT NOT NULL,
	high      TEXT NOT NULL,
	first_min INTEGER,
	first_max INTEGER,
	last_min  INTEGER,
	last_max  INTEGER
);

CREATE TABLE counters (
	name TEXT PRIMARY KEY,
	n    INTEGER NOT NULL
) WITHOUT ROWID;
INSERT INTO counters VALUES ('added', 0), ('deleted', 0), ('expired', 0), ('dropped', 0), ('indexed', 0), ('generation', 0);

CREATE TABLE operations (
	id         TEXT PRIMARY KEY,
	kind       TEXT NOT NULL,
	state      TEXT NOT NULL,
	by         TEXT NOT NULL,
	why        TEXT NOT NULL,
	node       TEXT NOT NULL,
	query      TEXT NOT NULL,
	created_at INTEGER,
	ended_at   INTEGER,
	stopped    TEXT NOT NULL,
	plan       BLOB,
	total      INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX operations_state ON operations (state, id);

CREATE TABLE items (
	operation TEXT NOT NULL,
	position  INTEGER NOT NULL,
	letter    TEXT NOT NULL,
	state     TEXT NOT NULL,
	error     TEXT NOT NULL,
	issued_at INTEGER,
	ended_at  INTEGER,
	PRIMARY KEY (operation, position)
) WITHOUT ROWID;
CREATE INDEX items_state ON items (operation, state, position) WHERE state <> 'pending';

CREATE TABLE item_counts (
	operation TEXT NOT NULL,
	state     TEXT NOT NULL,
	n         INTEGER NOT NULL,
	PRIMARY KEY (operation, state)
) WITHOUT ROWID;

CREATE TABLE audit (
	id        TEXT PRIMARY KEY,
	at        INTEGER,
	by        TEXT NOT NULL,
	action    TEXT NOT NULL,
	object    TEXT NOT NULL,
	query     TEXT NOT NULL,
	count     INTEGER NOT NULL,
	why       TEXT NOT NULL,
	operation TEXT NOT NULL,
	error     TEXT NOT NULL
) WITHOUT ROWID;
CREATE TRIGGER audit_stays BEFORE DELETE ON audit BEGIN SELECT raise(ABORT, 'the audit trail stays'); END;
CREATE TRIGGER audit_holds BEFORE UPDATE ON audit BEGIN SELECT raise(ABORT, 'the audit trail stays'); END;
`

// Blocks of blocks, so that a page far back, or of a time long ago, looks at few of
// them; and how often a letter was changed or removed, so that what has been counted
// stays known while letters only come. The full-text index begins again: it has more
// of a letter, see indexed.
const schema2 = `
CREATE TABLE superblocks (
	block     INTEGER PRIMARY KEY,
	low       TEXT NOT NULL,
	high      TEXT NOT NULL,
	first_min INTEGER,
	first_max INTEGER,
	last_min  INTEGER,
	last_max  INTEGER
);
INSERT INTO superblocks SELECT block >> 6, min(low), max(high), min(first_min), max(first_max), min(last_min), max(last_max)
	FROM blocks GROUP BY block >> 6;
INSERT INTO counters VALUES ('rewritten', 0);
DELETE FROM counters WHERE name = 'generation';
INSERT INTO texts (texts) VALUES ('delete-all');
DELETE FROM stale;
UPDATE counters SET n = 0 WHERE name = 'indexed';
`

// Which version of the program failed, and which member of a fleet does what: of letters
// that were imported from there, as a file has one writer. What the letters of a block
// can be, see summary: those of blocks that are there already are made when the store is
// not busy. And those that are snoozed are counted without a look at each.
const schema3 = `
ALTER TABLE letter_rows ADD COLUMN build TEXT NOT NULL DEFAULT '';
ALTER TABLE redrives ADD COLUMN member TEXT NOT NULL DEFAULT '';
ALTER TABLE redrives ADD COLUMN errand TEXT NOT NULL DEFAULT '';
ALTER TABLE operations ADD COLUMN member TEXT NOT NULL DEFAULT '';
DROP VIEW letters;
CREATE VIEW letters AS
SELECT l.seq, l.id, c.topic, c.subscriber, c.reason, c.fingerprint, l.state,
	l.first_failed_at, l.last_failed_at, l.published_at, l.resolved_at, l.snoozed_until, l.purge_at,
	l.bytes, l.attempt_count, l.redrive_count, l.sequence, l.schema_version, l.cause, l.node, l.build, l.pattern,
	l.event_id, l.causation_id, l.correlation_id, l.imported_from, l.content_type, l.go_type,
	l.payload_error, l.closed, l.error, l.error_types, l.panic_value, l.headers, l.payload, l.stack
FROM letter_rows l JOIN classes c ON c.class = l.class;
ALTER TABLE blocks ADD COLUMN summary BLOB;
ALTER TABLE superblocks ADD COLUMN summary BLOB;
DROP INDEX letter_rows_snoozed;
CREATE INDEX letter_rows_snoozed ON letter_rows (class, snoozed_until, state) WHERE snoozed_until IS NOT NULL;
`

// migrate brings the file to schemaVersion, or says why that cannot be.
func migrate(c *conn, path string) error {
	if err := recognize(c, path); err != nil {
		return err
	}
	for {
		version, err := c.number(context.Background(), "PRAGMA user_version")
		if err != nil || version == schemaVersion {
			return err
		}
		if err := step(c, int(version)); err != nil {
			return fmt.Errorf("making version %d of the schema of version %d: %w", version+1, version, err)
		}
	}
}

// step makes version+1 of a version, in one transaction.
func step(c *conn, version int) error {
	// A pragma cannot be set by an argument, and these are numbers of ours.
	script := fmt.Sprintf("BEGIN IMMEDIATE; %s; PRAGMA user_version = %d; PRAGMA application_id = %d; COMMIT",
		migrations[version], version+1, applicationID)
	err := c.script(script)
	if err != nil {
		_ = c.script("ROLLBACK")
	}
	return err
}

// recognize returns an error for a file that is not a store, or of a newer
// version. An empty database is a store that has not been made yet.
func recognize(c *conn, path string) error {
	ctx := context.Background()
	version, err := c.number(ctx, "PRAGMA user_version")
	if err != nil {
		return err
	}
	id, err := c.number(ctx, "PRAGMA application_id")
	if err != nil {
		return err
	}
	tables, err := c.number(ctx, "SELECT count(*) FROM sqlite_schema")
	if err != nil {
		return err
	}
	switch {
	case tables == 0 && version == 0:
		return nil
	case id != applicationID:
		return &Error{Path: path, Fix: "name another file", Err: ErrForeign}
	case version > schemaVersion:
		return &Error{Path: path, Fix: "use the version of the program that wrote it, or a newer one",
			Err: fmt.Errorf("%w: schema %d, and this program knows %d", ErrNewer, version, schemaVersion)}
	}
	return nil
}
