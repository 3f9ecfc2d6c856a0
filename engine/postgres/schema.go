package postgres

import (
	"context"
	_ "embed"
	"strings"
)

//go:embed schema/tables.sql
var tablesSQL string

//go:embed schema/functions.sql
var functionsSQL string

// migrations leads from the version that is its index to the next. The first makes a
// schema where there is none. A change of the tables and functions adds to it.
var migrations = []string{tablesSQL + functionsSQL}

// migrate makes the schema, or brings it up to date.
func (e *Engine) migrate(ctx context.Context) error {
	steps := make([]string, len(migrations))
	for i, step := range migrations {
		steps[i] = e.sql(step)
	}
	return Migration{Pool: e.pool, Schema: e.cfg.Schema, Lock: "troupe migrate", Steps: steps}.Run(ctx)
}

// sql puts the names of the schema and of its channel in. Config.validate has seen to
// it that they need no quotes inside.
func (e *Engine) sql(text string) string {
	return strings.NewReplacer("{s}", `"`+e.cfg.Schema+`"`, "{channel}", e.channel()).Replace(text)
}

// channel is that of NOTIFY. Its payload is the number of a topic.
func (e *Engine) channel() string { return "troupe_" + e.cfg.Schema }
