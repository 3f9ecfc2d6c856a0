package sqlite

import (
	"context"
	"fmt"

	"github.com/troupe-go/troupe/deadletter"
)

// Account implements [deadletter.Ledger]. Fill is of the topic that is fullest,
// and 0 if retention bounds none.
func (s *Store) Account(ctx context.Context) (deadletter.Account, error) {
	var a deadletter.Account
	err := s.read(ctx, func(c *conn) (err error) {
		a, err = s.account(ctx, c)
		return err
	})
	if err != nil {
		return deadletter.Account{}, err
	}
	return a, nil
}

func (s *Store) account(ctx context.Context, c *conn) (a deadletter.Account, err error) {
	err = c.query(ctx, "SELECT name, n FROM counters", nil, func(v []any) error {
		n := v[1].(int64)
		switch text(v[0]) {
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
		return a, err
	}
	err = c.query(ctx, "SELECT state, sum(n), sum(bytes) FROM tallies GROUP BY state", nil, func(v []any) error {
		n := v[1].(int64)
		a.Bytes += v[2].(int64)
		switch deadletter.State(text(v[0])) {
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
		return a, err
	}
	err = c.query(ctx, "SELECT min(first_failed_at) FROM letter_rows INDEXED BY letter_rows_first WHERE state = 'open'", nil, func(v []any) error {
		a.Oldest = timeOf(v[0])
		return nil
	})
	if err != nil || !s.cfg.Retention.bounded() {
		return a, err
	}
	return a, topics(ctx, c, func(topic string, n, bytes int64) {
		a.Fill = max(a.Fill, s.cfg.Retention.of(topic).fraction(n, bytes))
	})
}

// topics calls fn with what each topic has.
func topics(ctx context.Context, c *conn, fn func(topic string, n, bytes int64)) error {
	return c.query(ctx, "SELECT c.topic, sum(t.n), sum(t.bytes) FROM tallies t JOIN classes c ON c.class = t.class GROUP BY c.topic", nil, func(v []any) error {
		fn(text(v[0]), v[1].(int64), v[2].(int64))
		return nil
	})
}

// Verify reads the whole file, and returns an *Error that wraps ErrCorrupt if it
// is damaged, or a deadletter.ErrAccount if what is counted is not what is there.
// It takes seconds for a million letters, and holds up nobody.
func (s *Store) Verify(ctx context.Context) (deadletter.Account, error) {
	var a deadletter.Account
	// On a connection of its own: the check trusts what a connection remembers of
	// the full-text index from a read before, and takes later merges for damage.
	err := s.fresh(ctx, func(c *conn) (err error) {
		said, err := c.textOf(ctx, "PRAGMA integrity_check(1)")
		if err != nil {
			return err
		}
		if said != "ok" {
			return &Error{Path: s.path, Err: fmt.Errorf("%w: %s", ErrCorrupt, said), Fix: corruptFix}
		}
		if a, err = s.account(ctx, c); err != nil {
			return err
		}
		if err := a.Check(); err != nil {
			return err
		}
		return c.query(ctx, `SELECT c.class, coalesce(l.state, t.state), coalesce(l.n, 0), coalesce(t.n, 0)
			FROM (SELECT class, state, count(*) n, sum(bytes) bytes FROM letter_rows GROUP BY class, state) l
			FULL JOIN tallies t ON t.class = l.class AND t.state = l.state
			LEFT JOIN classes c ON c.class = coalesce(l.class, t.class)
			WHERE l.n IS NOT t.n OR l.bytes IS NOT t.bytes OR c.class IS NULL LIMIT 1`, nil, func(v []any) error {
			return fmt.Errorf("%w: class %v has %v letters that are %s, counted are %v", deadletter.ErrAccount, v[0], v[2], v[1], v[3])
		})
	})
	return a, err
}
