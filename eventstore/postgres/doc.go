// Package postgres is an [eventstore.Store] on PostgreSQL, and an
// [eventstore.Transactor]: a projection whose read model is in the same database moves
// its checkpoint in the transaction that writes the model, so that each event has its
// effect there exactly once.
//
//	store, err := postgres.Open(ctx, postgres.Config{URL: "postgres://app@db/shop"})
//
// The version of a stream is guarded by a unique index, positions are transactions' ids,
// and followers read below the oldest open transaction: what commits late is not
// skipped, and what any transaction of the cluster that writes and stays open holds
// back comes when it ends.
//
// The tables are meant to be read in SQL; what is not named here may change:
//
//	events       at, pos, category, stream, version, id, type, schema_version, time,
//	             content_type, metadata, data
//	snapshots    category, stream, schema, version, time, content_type, data
//	checkpoints  name, position, moved
package postgres
