package postgres_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/troupe-go/troupe/engine"
)

const benchBatch = 500

func benchRecords(first int) []engine.Record {
	records := make([]engine.Record, benchBatch)
	data := make([]byte, 128)
	now := time.Now()
	for i := range records {
		records[i] = engine.Record{
			ID: fmt.Sprintf("01JD3X%016d", first+i), Key: fmt.Sprint("key", i%50), Source: "bench", Type: "orders",
			ContentType: "application/json", Time: now, Data: data,
		}
	}
	return records
}

// BenchmarkEngine publishes b.N records of 128 bytes in batches of 500, and one
// consumer takes and settles them in batches of 500, at the same time.
func BenchmarkEngine(b *testing.B) {
	for _, c := range []struct {
		name string
		cfg  engine.SubscribeConfig
	}{
		{"plain", engine.SubscribeConfig{Group: "g"}},
		{"keyed", engine.SubscribeConfig{Group: "g", KeyOrder: true}},
	} {
		b.Run(c.name, func(b *testing.B) {
			orders := topic(b, open(b, config(b)), "orders")
			s := subscribe(b, orders, c.cfg)
			b.ReportAllocs()
			b.ResetTimer()
			failed := make(chan error, 1)
			go func() {
				for n := 0; n < b.N; n += benchBatch {
					for _, err := range orders.Publish(b.Context(), benchRecords(n)) {
						if err != nil {
							failed <- err
							return
						}
					}
				}
				failed <- nil
			}()
			settled := make([]engine.Settlement, 0, benchBatch)
			for n := 0; n < b.N; n += len(settled) {
				got, err := s.Fetch(b.Context(), benchBatch)
				if err != nil {
					b.Fatal(err)
				}
				settled = settled[:0]
				for _, d := range got {
					settled = append(settled, engine.Settlement{Delivery: d})
				}
				if late, err := s.Settle(b.Context(), settled); late != 0 || err != nil {
					b.Fatal(late, err)
				}
			}
			if err := <-failed; err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
		})
	}
}

// BenchmarkBare is what one would write by hand with pgx: a queue for one group, with
// a unique ID. In "lease" a consumer takes rows with FOR UPDATE SKIP LOCKED and a
// lease, and deletes them when they are done, as an engine must whose handlers take
// their time. In "tx" it holds a transaction from taking to deleting.
//
// It has less to guarantee: one group, and order of commits not kept.
func BenchmarkBare(b *testing.B) {
	for _, held := range []bool{false, true} {
		name := map[bool]string{false: "lease", true: "tx"}[held]
		b.Run(name, func(b *testing.B) { benchBare(b, held) })
	}
}

func benchBare(b *testing.B, held bool) {
	ctx := b.Context()
	schema := newSchema(b)
	pool, err := pgxpool.New(ctx, server(b))
	if err != nil {
		b.Fatal(err)
	}
	defer pool.Close()
	_, err = pool.Exec(ctx, fmt.Sprintf(`CREATE SCHEMA %[1]s; CREATE TABLE %[1]s.queue (
		pos bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, id text NOT NULL UNIQUE, key text NOT NULL, source text NOT NULL, type text NOT NULL,
		content_type text NOT NULL, time timestamptz NOT NULL, headers jsonb, data bytea NOT NULL, locked_until timestamptz, attempts int NOT NULL DEFAULT 0)`, schema),
		pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		b.Fatal(err)
	}
	insert := fmt.Sprintf(`INSERT INTO %s.queue (id, key, source, type, content_type, time, data)
		SELECT u.id, u.key, $1, $2, $3, u.time, u.data FROM unnest($4::text[], $5::text[], $6::timestamptz[], $7::bytea[]) u (id, key, time, data)
		ON CONFLICT (id) DO NOTHING`, schema)
	put := func(records []engine.Record) error {
		ids, keys, times, data := make([]string, len(records)), make([]string, len(records)), make([]time.Time, len(records)), make([][]byte, len(records))
		for i, r := range records {
			ids[i], keys[i], times[i], data[i] = r.ID, r.Key, r.Time, r.Data
		}
		_, err := pool.Exec(ctx, insert, records[0].Source, records[0].Type, records[0].ContentType, ids, keys, times, data)
		return err
	}
	take := fmt.Sprintf(`SELECT pos, id, key, source, type, content_type, time, headers, data, attempts FROM %s.queue ORDER BY pos LIMIT $1 FOR UPDATE SKIP LOCKED`, schema)
	if !held {
		take = fmt.Sprintf(`UPDATE %[1]s.queue q SET locked_until = now() + interval '30 seconds', attempts = attempts + 1
			FROM (SELECT pos FROM %[1]s.queue WHERE locked_until IS NULL OR locked_until < now() ORDER BY pos LIMIT $1 FOR UPDATE SKIP LOCKED) n
			WHERE q.pos = n.pos RETURNING q.pos, id, key, source, type, content_type, time, headers, data, attempts`, schema)
	}
	drop := fmt.Sprintf("DELETE FROM %s.queue WHERE pos = ANY ($1)", schema)
	type querier interface {
		Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	}
	get := func(q querier) (at []int64, err error) {
		rows, err := q.Query(ctx, take, benchBatch)
		if err != nil {
			return nil, err
		}
		defer rows.Close()
		for rows.Next() {
			var r engine.Record
			var pos int64
			var attempts int
			var headers []byte
			if err := rows.Scan(&pos, &r.ID, &r.Key, &r.Source, &r.Type, &r.ContentType, &r.Time, &headers, &r.Data, &attempts); err != nil {
				return nil, err
			}
			at = append(at, pos)
		}
		return at, rows.Err()
	}
	b.ReportAllocs()
	b.ResetTimer()
	failed := make(chan error, 1)
	go func() {
		for n := 0; n < b.N; n += benchBatch {
			if err := put(benchRecords(n)); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	for n := 0; n < b.N; {
		var at []int64
		var err error
		if held {
			err = pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
				if at, err = get(tx); err != nil || len(at) == 0 {
					return err
				}
				_, err = tx.Exec(ctx, drop, at)
				return err
			})
		} else if at, err = get(pool); err == nil && len(at) > 0 {
			_, err = pool.Exec(ctx, drop, at)
		}
		if err != nil {
			b.Fatal(err)
		}
		n += len(at)
		if len(at) == 0 {
			time.Sleep(500 * time.Microsecond) // it looks again; it is not woken
		}
	}
	if err := <-failed; err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
}
