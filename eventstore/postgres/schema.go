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
	"github.com/troupe-go/troupe/engine/postgres"
)

//go:embed schema/schema.sql
var schemaSQL string

// schemaVersion is that of the tables this package has.
const schemaVersion = 1

var migrations = [schemaVersion]string{schemaSQL}

// migrate makes the schema, or brings it up to date. Many processes may do so at once.
func (s *Store) migrate(ctx context.Context) error {
	version, err := s.version(ctx)
	if err != nil || version == schemaVersion {
		return err
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock(hashtextextended('troupe migrate events ' || $1, 0))", s.cfg.Schema); err != nil {
			return err
		}
		version, err := s.version(ctx)
		if err != nil {
			return err
		}
		for ; version < schemaVersion; version++ {
			if version == 0 {
				var there bool
				if err := tx.QueryRow(ctx, "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1)", s.cfg.Schema).Scan(&there); err != nil {
					return err
				}
				if !there {
					if _, err := tx.Exec(ctx, s.sql("CREATE SCHEMA {s}")); err != nil {
						return err
					}
				}
			}
			if _, err := tx.Exec(ctx, s.sql(migrations[version]), pgx.QueryExecModeSimpleProtocol); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, s.sql("INSERT INTO {s}.meta (version) VALUES ($1) ON CONFLICT (one) DO UPDATE SET version = $1"), schemaVersion)
		return err
	})
}

// version returns 0 if there is no schema.
func (s *Store) version(ctx context.Context) (version int, err error) {
	err = s.pool.QueryRow(ctx, s.sql("SELECT version FROM {s}.meta")).Scan(&version)
	var said *pgconn.PgError
	if errors.As(err, &said) && (said.Code == "42P01" || said.Code == "3F000") || errors.Is(err, pgx.ErrNoRows) {
		return 0, nil
	}
	if err == nil && version > schemaVersion {
		return 0, &postgres.Error{
			Op: "open", Kind: engine.ErrMismatch,
			Err: fmt.Errorf("schema %q is of version %d, this program knows %d", s.cfg.Schema, version, schemaVersion),
			Fix: "update the program, or give it a schema of its own in Config.Schema",
		}
	}
	return version, err
}

// refence moves the ids of transactions beyond those that are stored, after a restore
// into a cluster that counts anew: see engine/postgres.
func (s *Store) refence(ctx context.Context) error {
	behind, err := s.behind(ctx, s.pool)
	if err != nil || behind <= 0 {
		return err
	}
	return pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, s.sql("LOCK TABLE {s}.events IN EXCLUSIVE MODE")); err != nil {
			return err
		}
		behind, err := s.behind(ctx, tx)
		if err != nil || behind <= 0 {
			return err
		}
		var moved int64
		if err := tx.QueryRow(ctx, s.sql("SELECT {s}.moved()")).Scan(&moved); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, s.sql(fmt.Sprintf(
			"CREATE OR REPLACE FUNCTION {s}.moved() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT %d::bigint'", moved+behind)))
		return err
	})
}

func (s *Store) behind(ctx context.Context, q interface {
	QueryRow(context.Context, string, ...any) pgx.Row
}) (n int64, err error) {
	err = q.QueryRow(ctx, s.sql(`SELECT coalesce((SELECT max(at) FROM {s}.events), 0)
		+ 1 - (pg_snapshot_xmax(pg_current_snapshot())::text::bigint + {s}.moved())`)).Scan(&n)
	return n, err
}

// sql puts the name of the schema in, which needs no quotes inside.
func (s *Store) sql(text string) string { return strings.ReplaceAll(text, "{s}", `"`+s.cfg.Schema+`"`) }
