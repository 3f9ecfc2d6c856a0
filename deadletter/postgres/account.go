package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/deadletter"
)

// Account implements [deadletter.Ledger]. It counts all letters, along an index. Fill
// is of the topic that is fullest, and 0 if retention bounds none.
func (s *Store) Account(ctx context.Context) (a deadletter.Account, err error) {
	err = s.read(ctx, func(tx pgx.Tx) error {
		var name string
		var n, bytes int64
		rows, err := tx.Query(ctx, "SELECT name, sum(n)::bigint FROM counters GROUP BY name")
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, []any{&name, &n}, func() error {
			switch name {
			case "added":
				a.Added = n
			case "deleted":
				a.Deleted += n
			case "expired":
				a.Expired = n
			case "dropped":
				a.Dropped = n
			}
			return nil
		})
		if err != nil {
			return err
		}
		rows, err = tx.Query(ctx, "SELECT state, count(*), sum(bytes)::bigint FROM letter_rows GROUP BY state")
		if err != nil {
			return err
		}
		_, err = pgx.ForEachRow(rows, []any{&name, &n, &bytes}, func() error {
			a.Bytes += bytes
			switch deadletter.State(name) {
			case deadletter.StateOpen:
				a.Open = n
			case deadletter.StateRedriving:
				a.Redriving = n
			case deadletter.StateResolved:
				a.Resolved = n
			case deadletter.StateArchived:
				a.Archived = n
			case deadletter.StateDeleted:
				a.Deleted += n
			}
			return nil
		})
		if err != nil {
			return err
		}
		var oldest *int64
		if err := tx.QueryRow(ctx, "SELECT min(first_failed_at) FROM letter_rows WHERE state = 'open'").Scan(&oldest); err != nil {
			return err
		}
		a.Oldest = timeOf(oldest)
		if !s.cfg.Retention.bounded() {
			return nil
		}
		return topics(ctx, tx, func(topic string, n, bytes int64) {
			a.Fill = max(a.Fill, s.cfg.Retention.of(topic).fraction(n, bytes))
		})
	})
	if err != nil {
		return deadletter.Account{}, err
	}
	return a, nil
}

// topics calls fn with what each topic has.
func topics(ctx context.Context, tx pgx.Tx, fn func(topic string, n, bytes int64)) error {
	rows, err := tx.Query(ctx, "SELECT topic, count(*), sum(bytes)::bigint FROM letter_rows GROUP BY topic")
	if err != nil {
		return err
	}
	var topic []byte
	var n, bytes int64
	_, err = pgx.ForEachRow(rows, []any{&topic, &n, &bytes}, func() error {
		fn(string(topic), n, bytes)
		return nil
	})
	return err
}
