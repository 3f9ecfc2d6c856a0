package postgres

import (
	"context"
	_ "embed"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/engine/postgres"
)

//go:embed schema/schema.sql
var schemaSQL string

// migrate makes the schema, or brings it up to date.
func (s *Store) migrate(ctx context.Context) error {
	return postgres.Migration{Pool: s.pool, Schema: s.cfg.Schema, Lock: "troupe migrate events", Steps: []string{schemaSQL}}.Run(ctx)
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
