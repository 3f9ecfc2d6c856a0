package postgres

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/troupe-go/troupe/deadletter"
)

// changeStep is how many letters of one Change share a transaction.
const changeStep = 512

// Update implements [deadletter.Store]. The letter is locked while fn runs: other nodes
// that change the same one wait, and nobody else does.
func (s *Store) Update(ctx context.Context, id string, fn func(*deadletter.Letter) error) error {
	errs, err := s.change(ctx, []string{id}, fn)
	if err != nil {
		return err
	}
	return errs[0]
}

// Change implements [deadletter.Ledger]. Each step of 512 letters is one transaction.
func (s *Store) Change(ctx context.Context, ids []string, fn func(*deadletter.Letter) error) ([]error, error) {
	results := make([]error, len(ids))
	if len(ids) == 0 {
		return results, s.write(ctx, true, func(*tx) error { return nil })
	}
	// What comes again has the result of the first.
	first := make(map[string]int, len(ids))
	var unique []string
	for _, id := range ids {
		if _, ok := first[id]; !ok {
			first[id] = len(unique)
			unique = append(unique, id)
		}
	}
	outcome := make([]error, len(unique))
	var failed error
	for at := 0; at < len(unique); at += changeStep {
		step := unique[at:min(at+changeStep, len(unique))]
		if failed == nil {
			var errs []error
			if errs, failed = s.change(ctx, step, fn); failed == nil {
				copy(outcome[at:], errs)
			}
		}
		if failed != nil {
			for i := range step {
				outcome[at+i] = failed
			}
		}
	}
	place := map[string]int{}
	for i, id := range ids {
		if _, ok := place[id]; !ok {
			place[id] = i
		}
		results[i] = outcome[first[id]]
		if le, ok := errors.AsType[*deadletter.LetterError](results[i]); ok {
			results[i] = &deadletter.LetterError{Index: place[id], ID: le.ID, Err: le.Err}
		}
	}
	return results, failed
}

// change lets fn change each of the letters, and writes those that it has. The
// errors are one for each letter. fn may panic: that ends the transaction, and the
// connection is whole.
func (s *Store) change(ctx context.Context, ids []string, fn func(*deadletter.Letter) error) (errs []error, err error) {
	err = s.write(ctx, true, func(t *tx) error {
		errs = make([]error, len(ids))
		// Locked in their order first, and handed to fn in that of the caller.
		rows, err := t.Query(ctx, selectLetter+"WHERE id = ANY($1) ORDER BY id FOR UPDATE", raws(ids))
		if err != nil {
			return err
		}
		found, err := pgx.CollectRows(rows, scan)
		if err != nil {
			return err
		}
		old := make(map[string]*deadletter.Letter, len(found))
		for i := range found {
			old[found[i].ID] = &found[i]
		}
		var b pgx.Batch
		for i, id := range ids {
			was := old[id]
			if was == nil {
				errs[i] = notFound(id)
				continue
			}
			l := was.Clone()
			if err := fn(&l); err != nil {
				errs[i] = fmt.Errorf("postgres: update of %q: %w", id, err)
				continue
			}
			p, err := s.prepare(l)
			if err == nil && l.ID != id {
				err = fmt.Errorf("%w: ID %q: must not change", deadletter.ErrInvalidLetter, l.ID)
			}
			if err != nil {
				errs[i] = &deadletter.LetterError{ID: id, Err: err}
				continue
			}
			b.Queue(updateLetter, p.values...)
			t.group(&p.letter)
		}
		if b.Len() == 0 {
			return nil
		}
		return t.SendBatch(ctx, &b).Close()
	})
	return errs, err
}
