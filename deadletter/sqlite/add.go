package sqlite

import (
	"context"
	"fmt"
	"strings"

	"github.com/troupe-go/troupe/deadletter"
)

// prepared is a letter that is ready to be written.
type prepared struct {
	letter deadletter.Letter // in its normal form
	values []any
	bytes  int64
}

// Add implements [deadletter.Store]. A letter larger than Config.MaxLetterBytes
// is refused with ErrTooLarge. The letters are in one transaction, also with
// those of other callers.
func (s *Store) Add(ctx context.Context, letters []deadletter.Letter) error {
	if err := ctx.Err(); err != nil {
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
	return s.do(ctx, len(letters), func(_ *job, t *tx) error { return t.add(ready) })
}

// Check implements [deadletter.Checker].
func (s *Store) Check(l deadletter.Letter) error {
	_, err := s.prepare(l)
	return err
}

// prepare makes what can be made outside of the transaction.
func (s *Store) prepare(l deadletter.Letter) (prepared, error) {
	if err := l.Validate(); err != nil {
		return prepared{}, err
	}
	p := prepared{letter: l.Normalize()}
	p.bytes = p.letter.Size()
	if p.bytes > s.cfg.MaxLetterBytes {
		return prepared{}, fmt.Errorf("%w: %d bytes in a store that takes %d", deadletter.ErrTooLarge, p.bytes, s.cfg.MaxLetterBytes)
	}
	var err error
	if p.values, err = values(&p.letter); err != nil {
		return prepared{}, fmt.Errorf("%w: %w", deadletter.ErrInvalidLetter, err)
	}
	return p, nil
}

func (t *tx) add(letters []prepared) error {
	w := &t.s.writer
	var attempts, redrives []any
	args := make([]any, 0, 3+len(columns))
	for i := range letters {
		p := &letters[i]
		l := &p.letter
		class, err := t.class(l)
		if err != nil {
			return err
		}
		args = append(append(args[:0], w.next, class, string(l.State)), p.values...)
		n, err := t.exec(insertLetter, args...)
		if err != nil {
			return err
		}
		if n == 0 {
			continue // it is there already
		}
		attempts = appendAttempts(attempts, w.next, l.Attempts)
		redrives = appendRedrives(redrives, w.next, l.Redrives)
		t.place(w.next, l)
		w.next++
		t.counts["added"]++
		w.added++
		t.count(class, l.State, 1, p.bytes)
		t.group(l)
		t.dueAt(l)
	}
	if err := t.rows("attempts", 8, attempts); err != nil {
		return err
	}
	return t.rows("redrives", 10, redrives)
}

func appendAttempts(to []any, seq int64, attempts []deadletter.Attempt) []any {
	for i := range attempts {
		a := &attempts[i]
		to = append(to, seq, i, a.Number, a.Redrive, stamp(a.Started), int64(a.Duration), a.Cause, a.Error)
	}
	return to
}

func appendRedrives(to []any, seq int64, redrives []deadletter.Redrive) []any {
	for i := range redrives {
		r := &redrives[i]
		to = append(to, seq, i, r.Number, r.By, r.Operation, stamp(r.StartedAt), stamp(r.EndedAt), r.Budget, string(r.Outcome), r.Error)
	}
	return to
}

// rows writes whole rows of that many columns, many with one statement, which
// costs half of what one by one does.
func (t *tx) rows(table string, width int, args []any) error {
	for _, n := range []int{64, 8, 1} {
		for len(args) >= n*width {
			if err := t.do(insertRows(table, width, n), args[:n*width]...); err != nil {
				return err
			}
			args = args[n*width:]
		}
	}
	return nil
}

func insertRows(table string, width, n int) string {
	one := "(?" + strings.Repeat(", ?", width-1) + ")"
	return "INSERT INTO " + table + " VALUES " + one + strings.Repeat(", "+one, n-1)
}
