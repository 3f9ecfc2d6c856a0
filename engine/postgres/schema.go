package postgres

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/troupe-go/troupe/engine"
)

//go:embed schema/tables.sql
var tablesSQL string

//go:embed schema/functions.sql
var functionsSQL string

// schemaVersion is that of the tables and functions this package has. A change of
// theirs raises it, and adds to migrations what leads there.
const schemaVersion = 1

// migrations leads from the version that is its index to the next. The first makes a
// schema where there is none.
var migrations = [schemaVersion]string{tablesSQL + functionsSQL}

// migrate makes the schema, or brings it up to date. Many processes may do so at once.
func (e *Engine) migrate(ctx context.Context) error {
	version, err := e.version(ctx)
	if err != nil || version == schemaVersion {
		return err
	}
	return pgx.BeginFunc(ctx, e.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('troupe migrate ' || $1, 0))", e.cfg.Schema); err != nil {
			return err
		}
		// Somebody else may have done it, or a newer program have done more.
		version, err := e.version(ctx)
		if err != nil {
			return err
		}
		for ; version < schemaVersion; version++ {
			if version == 0 {
				// A role without CREATE on the database may find the schema made for it.
				var there bool
				if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", e.cfg.Schema).Scan(&there); err != nil {
					return err
				}
				if !there {
					if _, err := tx.Exec(ctx, e.sql("CREATE SCHEMA {s}")); err != nil {
						return err
					}
				}
			}
			if _, err := tx.Exec(ctx, e.sql(migrations[version]), pgx.QueryExecModeSimpleProtocol); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, e.sql("INSERT INTO {s}.meta (version) VALUES ($1) ON CONFLICT (one) DO UPDATE SET version = $1"), schemaVersion)
		return err
	})
}

// version returns 0 if there is no schema.
func (e *Engine) version(ctx context.Context) (version int, err error) {
	err = e.pool.QueryRow(ctx, e.sql("SELECT version FROM {s}.meta")).Scan(&version)
	var said *pgconn.PgError
	if errors.As(err, &said) && (said.Code == "42P01" || said.Code == "3F000") || errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err == nil && version > schemaVersion {
		return 0, &Error{
			Op: "open", Kind: engine.ErrMismatch,
			Err: fmt.Errorf("schema %q is of version %d, this program knows %d", e.cfg.Schema, version, schemaVersion),
			Fix: "update the program, or give it a schema of its own in Config.Schema",
		}
	}
	return version, err
}

// sql puts the names of the schema and of its channel in. Config.validate has seen to
// it that they need no quotes inside.
func (e *Engine) sql(text string) string {
	return strings.NewReplacer("{s}", `"`+e.cfg.Schema+`"`, "{channel}", e.channel()).Replace(text)
}

// channel is that of NOTIFY. Its payload is the number of a topic.
func (e *Engine) channel() string { return "troupe_" + e.cfg.Schema }
