package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/troupe-go/troupe/deadletter"
)

// changeStep is how many letters of one Change share a transaction.
const changeStep = 512

// Update implements [deadletter.Store]. fn runs on the goroutine of the caller,
// while other writes wait for it.
func (s *Store) Update(ctx context.Context, id string, fn func(*deadletter.Letter) error) error {
	var refused error
	err := s.do(ctx, 1, func(j *job, t *tx) error {
		errs, err := t.change(j, []string{id}, fn)
		if err == nil {
			refused = errs[0]
		}
		return err
	})
	if err == nil {
		err = refused
	}
	return err
}

// Change implements [deadletter.Ledger]. Each step of 512 letters is one
// transaction; fn runs on the goroutine of the caller, while other writes wait.
func (s *Store) Change(ctx context.Context, ids []string, fn func(*deadletter.Letter) error) ([]error, error) {
	results := make([]error, len(ids))
	if len(ids) == 0 {
		return results, s.nothing(ctx)
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
			failed = s.do(ctx, len(step), func(j *job, t *tx) (err error) {
				errs, err = t.change(j, step, fn)
				return err
			})
			if failed == nil {
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

// nothing is a call that has nothing to do, but for what it says of the store.
func (s *Store) nothing(ctx context.Context) error {
	return s.do(ctx, 0, func(*job, *tx) error { return nil })
}

// change lets fn change each of the letters, and writes those that it has. The
// errors are one for each letter.
func (t *tx) change(j *job, ids []string, fn func(*deadletter.Letter) error) ([]error, error) {
	old := make([]row, len(ids))
	errs := make([]error, len(ids))
	for i, id := range ids {
		var found bool
		var err error
		if old[i], found, err = readLetter(context.Background(), t.c, id); err != nil {
			t.broken = err
			return nil, err
		}
		if !found {
			errs[i] = notFound(id)
		}
	}
	changed := make([]prepared, len(ids))
	err := j.call(func() {
		for i, id := range ids {
			if errs[i] != nil {
				continue
			}
			l := old[i].letter.Clone()
			if err := fn(&l); err != nil {
				errs[i] = fmt.Errorf("sqlite: update of %q: %w", id, err)
				continue
			}
			err := t.s.prepare(&changed[i], l, make([]any, rowWidth))
			if err == nil && l.ID != id {
				err = fmt.Errorf("%w: ID %q: must not change", deadletter.ErrInvalidLetter, l.ID)
			}
			if err != nil {
				errs[i] = &deadletter.LetterError{ID: id, Err: err}
			}
		}
	})
	if err != nil {
		return nil, err
	}
	for i := range ids {
		if errs[i] != nil {
			continue
		}
		if err := t.replace(&old[i], &changed[i]); err != nil {
			return nil, err
		}
	}
	return errs, nil
}

// replace writes the letter in the place of what it was.
func (t *tx) replace(old *row, p *prepared) error {
	was, l := &old.letter, &p.letter
	class, err := t.class(l)
	if err != nil {
		return err
	}
	p.row[1], p.row[2] = class, string(l.State)
	if err := t.do(updateLetter, append(p.row[1:], old.seq)...); err != nil {
		return err
	}
	if !slices.Equal(was.Attempts, l.Attempts) {
		if err := t.do("DELETE FROM attempts WHERE seq = ?", old.seq); err != nil {
			return err
		}
		if err := t.rows("attempts", 8, appendAttempts(nil, old.seq, l.Attempts)); err != nil {
			return err
		}
	}
	if !slices.Equal(was.Redrives, l.Redrives) {
		if err := t.do("DELETE FROM redrives WHERE seq = ?", old.seq); err != nil {
			return err
		}
		if err := t.rows("redrives", 12, appendRedrives(nil, old.seq, l.Redrives)); err != nil {
			return err
		}
	}
	if old.seq <= t.s.writer.indexed && !sameBody(was, l) {
		if err := t.do("INSERT OR IGNORE INTO stale VALUES (?)", old.seq); err != nil {
			return err
		}
		t.s.writer.stale++ // at least; what is indexed counts them
	}
	t.counts["rewritten"]++
	t.count(old.class, was.State, -1, -old.bytes)
	t.count(class, l.State, 1, p.bytes)
	t.group(l)
	t.dueAt(l)
	t.place(old.seq, l)
	return nil
}

// Delete implements [deadletter.Store].
func (s *Store) Delete(ctx context.Context, ids ...string) (int, error) {
	n := 0
	err := s.do(ctx, len(ids), func(_ *job, t *tx) error {
		for _, id := range ids {
			r, found, err := readLetter(context.Background(), t.c, id)
			if err != nil {
				t.broken = err
				return err
			}
			if !found {
				continue
			}
			if err := t.remove(&r); err != nil {
				return err
			}
			t.counts["deleted"]++
			n++
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// remove takes the letter out of the store. Where it is counted from now on is
// up to the caller.
func (t *tx) remove(r *row) error {
	if err := t.do("DELETE FROM letter_rows WHERE seq = ?", r.seq); err != nil {
		return err
	}
	if r.attempts > 0 {
		if err := t.do("DELETE FROM attempts WHERE seq = ?", r.seq); err != nil {
			return err
		}
	}
	if r.redrives > 0 {
		if err := t.do("DELETE FROM redrives WHERE seq = ?", r.seq); err != nil {
			return err
		}
	}
	if r.seq <= t.s.writer.indexed {
		if err := t.do("DELETE FROM texts WHERE rowid = ?", r.seq); err != nil {
			return err
		}
		if err := t.do("DELETE FROM stale WHERE seq = ?", r.seq); err != nil {
			return err
		}
	}
	t.counts["rewritten"]++
	t.count(r.class, r.letter.State, -1, -r.bytes)
	return nil
}

func notFound(what string) error { return fmt.Errorf("%w: %q", deadletter.ErrNotFound, what) }
