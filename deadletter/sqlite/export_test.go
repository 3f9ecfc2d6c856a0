package sqlite

import "context"

// Indexed waits, by writing nothing again and again, until the full-text index
// has all letters.
func (s *Store) Indexed(ctx context.Context) error {
	for {
		var left bool
		if err := s.do(ctx, 0, func(_ *job, t *tx) error {
			left = s.behind()
			return nil
		}); err != nil || !left {
			return err
		}
	}
}

// FewLetters lets tests of few letters use what is for many.
var FewLetters = &fewLetters
