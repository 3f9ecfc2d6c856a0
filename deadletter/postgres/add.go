package postgres

import (
	"cmp"
	"context"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/deadletter"
)

// Add implements [deadletter.Store]. The letters are one transaction. A letter larger
// than Config.MaxLetterBytes is refused with ErrTooLarge, one with an ID, topic,
// subscriber or fingerprint of more than 1000 bytes with ErrInvalidLetter. When the
// connection is lost at the end nobody knows whether they are stored: add them again,
// and those that are there are left out.
func (s *Store) Add(ctx context.Context, letters []deadletter.Letter) error {
	if err := s.ready(ctx); err != nil {
		return err
	}
	ready := make([]prepared, len(letters))
	for i, l := range letters {
		p, err := s.prepare(l)
		if err != nil {
			return &deadletter.LetterError{Index: i, ID: l.ID, Err: err}
		}
		ready[i] = p
	}
	// In the order of their IDs, see write; of those that are the same, the first.
	slices.SortStableFunc(ready, func(a, b prepared) int { return cmp.Compare(a.letter.ID, b.letter.ID) })
	return s.write(ctx, false, func(t *tx) error {
		var b pgx.Batch
		for i := range ready {
			b.Queue(insertLetter, ready[i].values...)
		}
		results := t.SendBatch(ctx, &b)
		for i := range ready {
			tag, err := results.Exec()
			if err != nil {
				_ = results.Close() // it says the same
				return err
			}
			if tag.RowsAffected() > 0 {
				t.counts["added"]++
				t.group(&ready[i].letter)
			}
		}
		return results.Close()
	})
}

// Check implements [deadletter.Checker].
func (s *Store) Check(l deadletter.Letter) error {
	_, err := s.prepare(l)
	return err
}

// Get implements [deadletter.Store].
func (s *Store) Get(ctx context.Context, id string) (l deadletter.Letter, err error) {
	err = s.read(ctx, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, selectLetter+"WHERE id = $1", raw(id))
		if err != nil {
			return err
		}
		if l, err = pgx.CollectExactlyOneRow(rows, scan); noRows(err) {
			err = notFound(id)
		}
		return err
	})
	return l, err
}

// Delete implements [deadletter.Store].
func (s *Store) Delete(ctx context.Context, ids ...string) (n int, err error) {
	err = s.write(ctx, false, func(t *tx) error {
		if err := t.lock(ids); err != nil {
			return err
		}
		tag, err := t.Exec(ctx, "DELETE FROM letter_rows WHERE id = ANY($1)", raws(ids))
		n = int(tag.RowsAffected())
		t.counts["deleted"] = int64(n)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// lock holds letters in the order of their IDs until the end of the transaction.
func (t *tx) lock(ids []string) error {
	_, err := t.Exec(t.ctx, "SELECT 1 FROM letter_rows WHERE id = ANY($1) ORDER BY id FOR UPDATE", raws(ids))
	return err
}
