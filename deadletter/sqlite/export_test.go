package sqlite

import "context"

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
