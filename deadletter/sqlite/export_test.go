package sqlite

import (
	"context"
	"strings"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// Indexed brings all letters into the full-text index.
func (s *Store) Indexed(ctx context.Context) error {
	for left := true; left; {
		if err := s.do(ctx, 0, func(_ *job, t *tx) error {
			if left = s.behind(); left {
				return s.index(t)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// ForMany lets tests of few letters use what is for many.
func ForMany() (restore func()) {
	letters, kinds := fewLetters, fewKinds
	fewLetters, fewKinds = 1, 1
	return func() { fewLetters, fewKinds = letters, kinds }
}

// Pragma sets something of the writer's connection.
func (s *Store) Pragma(ctx context.Context, set string) error {
	var err error
	if failed := s.do(ctx, 0, func(_ *job, t *tx) error {
		t.after = append(t.after, func() { _, err = t.c.number(ctx, "PRAGMA "+set) })
		return nil
	}); failed != nil {
		return failed
	}
	return err
}

// Pages is the size of the file.
func (s *Store) Pages(ctx context.Context) (n int64, err error) {
	err = s.read(ctx, func(c *conn) error {
		n, err = c.number(ctx, "PRAGMA page_count")
		return err
	})
	return n, err
}

// SchemaVersion is what this package writes.
const SchemaVersion = schemaVersion

// Plans returns the plans of the statements that List runs for a query.
func (s *Store) Plans(ctx context.Context, q deadletter.Query) (plans []string, err error) {
	var statements []string
	err = s.read(ctx, func(c *conn) error {
		c.trace = func(text string) { statements = append(statements, text) }
		defer func() { c.trace = nil }()
		_, err := s.find(ctx, c, q.AsOf(time.Now()), 51)
		c.trace = nil
		for _, text := range statements {
			if err != nil {
				return err
			}
			args := make([]any, strings.Count(text, "?"))
			err = c.query(ctx, "EXPLAIN QUERY PLAN "+text, args, func(v []any) error {
				plans = append(plans, v[3].(string))
				return nil
			})
		}
		return err
	})
	return plans, err
}

// SummaryAllows reports whether a block of those letters is looked into for a query, by
// its summary as the file has it.
func SummaryAllows(q deadletter.Query, letters ...deadletter.Letter) bool {
	q = q.AsOf(time.Now())
	s := newSummary()
	for i := range letters {
		l := letters[i].Normalize()
		s.add(&l)
	}
	may := summaryOf(q.Where.Root)
	return may == nil || may(readSummary(s.bytes()))
}
