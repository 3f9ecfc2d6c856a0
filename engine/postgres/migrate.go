package postgres

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/troupe-go/troupe/engine"
)

// Migration brings a schema up to date. It is what this engine and our other stores on
// PostgreSQL have in common.
type Migration struct {
	Pool   *pgxpool.Pool
	Schema string // an identifier, without quotes in it
	// Lock names what is migrated: those of one name and schema wait for each other.
	Lock string
	// Steps lead each from the version that is its index to the next, in SQL with the
	// schema as {s}. The first makes the tables, and among them meta with its version.
	Steps []string
}

// Run makes the schema, or does the steps that are missing, in one transaction. Many
// processes may do so at once. It needs one connection of the pool, and no right to
// change anything where nothing is to be done.
//
// Errors: those of pgx; an [*Error] with ErrMismatch for a schema of a newer version.
func (m Migration) Run(ctx context.Context) error {
	version, err := m.version(ctx, m.Pool)
	if err != nil || version == len(m.Steps) {
		return err
	}
	return pgx.BeginFunc(ctx, m.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended($1 || ' ' || $2, 0))", m.Lock, m.Schema); err != nil {
			return err
		}
		// Somebody else may have done it, or a newer program have done more.
		version, err := m.version(ctx, tx)
		if err != nil || version == len(m.Steps) {
			return err
		}
		for ; version < len(m.Steps); version++ {
			if version == 0 {
				// A role without CREATE on the database may find the schema made for it.
				var there bool
				if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", m.Schema).Scan(&there); err != nil {
					return err
				}
				if !there {
					if _, err := tx.Exec(ctx, m.sql("CREATE SCHEMA {s}")); err != nil {
						return err
					}
				}
			}
			if _, err := tx.Exec(ctx, m.sql(m.Steps[version]), pgx.QueryExecModeSimpleProtocol); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, m.sql("INSERT INTO {s}.meta (version) VALUES ($1) ON CONFLICT (one) DO UPDATE SET version = $1"), len(m.Steps))
		return err
	})
}

func (m Migration) sql(text string) string {
	return strings.ReplaceAll(text, "{s}", `"`+m.Schema+`"`)
}

// version returns 0 if there is no schema. It asks first: an error would end the
// transaction, and another connection of the pool may never come while this one waits.
func (m Migration) version(ctx context.Context, q interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}) (version int, err error) {
	var there bool
	err = q.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'meta')", m.Schema).Scan(&there)
	if err != nil || !there {
		return 0, err
	}
	if err := q.QueryRow(ctx, m.sql("SELECT coalesce(max(version), 0) FROM {s}.meta")).Scan(&version); err != nil {
		return 0, err
	}
	if version > len(m.Steps) {
		return 0, &Error{
			Op: "open", Kind: engine.ErrMismatch,
			Err: fmt.Errorf("schema %q is of version %d, this program knows %d", m.Schema, version, len(m.Steps)),
			Fix: "update the program, or give it a schema of its own in Config.Schema",
		}
	}
	return version, nil
}
