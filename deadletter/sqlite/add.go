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
	row    []any             // what is written: seq, class and state, and then columns
	bytes  int64
}

// rowWidth is how many values a row of letter_rows has, and rowHead how many of
// them only the writer knows.
var rowWidth = rowHead + len(columns)

const rowHead = 3

// maxArgs bounds the room that the writer keeps for the arguments of a batch.
const maxArgs = 64 << 10

// Add implements [deadletter.Store]. A letter larger than Config.MaxLetterBytes
// is refused with ErrTooLarge. The letters are in one transaction, also with
// those of other callers.
func (s *Store) Add(ctx context.Context, letters []deadletter.Letter) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	ready := make([]prepared, len(letters))
	rows := make([]any, len(letters)*rowWidth) // side by side, see insert
	for i := range letters {
		if err := s.prepare(&ready[i], letters[i], rows[i*rowWidth:][:rowWidth]); err != nil {
			return &deadletter.LetterError{Index: i, ID: letters[i].ID, Err: err}
		}
	}
	return s.do(ctx, len(letters), func(_ *job, t *tx) error { return t.add(ready, rows) })
}

// Check implements [deadletter.Checker].
func (s *Store) Check(l deadletter.Letter) error {
	return s.prepare(&prepared{}, l, make([]any, rowWidth))
}

// prepare makes what can be made outside of the transaction.
func (s *Store) prepare(p *prepared, l deadletter.Letter, row []any) error {
	if err := l.Validate(); err != nil {
		return err
	}
	p.letter, p.row = l.Normalize(), row
	p.bytes = p.letter.Size()
	if p.bytes > s.cfg.MaxLetterBytes {
		return fmt.Errorf("%w: %d bytes in a store that takes %d", deadletter.ErrTooLarge, p.bytes, s.cfg.MaxLetterBytes)
	}
	if err := values(&p.letter, p.bytes, row[rowHead:]); err != nil {
		return fmt.Errorf("%w: %w", deadletter.ErrInvalidLetter, err)
	}
	return nil
}

// add writes letters whose rows lie side by side: many with one statement.
func (t *tx) add(letters []prepared, rows []any) error {
	w := &t.s.writer
	known := knownIDs{w: w, letters: letters}
	attempts, redrives := w.args[:0], []any(nil)
	from := 0 // the first row that is not written yet
	for i := range letters {
		p := &letters[i]
		l := &p.letter
		there, err := known.has(t, i)
		if err != nil {
			return err
		}
		if there {
			if err := t.rows(letterTable, rowWidth, rows[from*rowWidth:i*rowWidth]); err != nil {
				return err
			}
			from = i + 1
			continue
		}
		class, err := t.class(l)
		if err != nil {
			return err
		}
		p.row[0], p.row[1], p.row[2] = w.next, class, string(l.State)
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
	if err := t.rows(letterTable, rowWidth, rows[from*rowWidth:]); err != nil {
		return err
	}
	err := t.rows("attempts", 8, attempts)
	clear(attempts) // the room is used again, and holds on to nothing
	if w.args = attempts; cap(attempts) > maxArgs {
		w.args = nil
	}
	if err != nil {
		return err
	}
	return t.rows("redrives", 12, redrives)
}

// knownIDs says which letters of a batch are there already, or came before in the
// batch. Most are newer than all, and need not be looked for.
type knownIDs struct {
	w       *writer
	letters []prepared
	before  map[string]bool // those of the batch, once one is not newer than all
}

func (k *knownIDs) has(t *tx, i int) (bool, error) {
	id := k.letters[i].letter.ID
	if id > k.w.newest {
		k.w.newest = id
		if k.before != nil {
			k.before[id] = true
		}
		return false, nil
	}
	if k.before == nil {
		k.before = make(map[string]bool, len(k.letters))
		for j := range i {
			k.before[k.letters[j].letter.ID] = true
		}
	}
	if k.before[id] {
		return true, nil
	}
	k.before[id] = true
	n, err := t.number("SELECT count(*) FROM letter_rows WHERE id = ?", id)
	return n > 0, err
}

func appendAttempts(to []any, seq int64, attempts []deadletter.Attempt) []any {
	n := any(seq)
	for i := range attempts {
		a := &attempts[i]
		to = append(to, n, i, a.Number, a.Redrive, stamp(a.Started), int64(a.Duration), a.Cause, a.Error)
	}
	return to
}

func appendRedrives(to []any, seq int64, redrives []deadletter.Redrive) []any {
	for i := range redrives {
		r := &redrives[i]
		to = append(to, seq, i, r.Number, r.By, r.Operation, stamp(r.StartedAt), stamp(r.EndedAt), r.Budget, string(r.Outcome), r.Error, r.Member, r.Errand)
	}
	return to
}

// rows writes whole rows of that many columns, many with one statement, which
// costs half of what one by one does.
func (t *tx) rows(table string, width int, args []any) error {
	for _, n := range []int{64, 8, 1} {
		for len(args) >= n*width {
			if err := t.do(t.s.writer.insertRows(table, width, n), args[:n*width]...); err != nil {
				return err
			}
			args = args[n*width:]
		}
	}
	return nil
}

// insertRows returns the statement that writes n rows.
func (w *writer) insertRows(table string, width, n int) string {
	k := insertKey{table, n}
	text := w.inserts[k]
	if text == "" {
		one := "(?" + strings.Repeat(", ?", width-1) + ")"
		text = "INSERT INTO " + table + " VALUES " + one + strings.Repeat(", "+one, n-1)
		w.inserts[k] = text
	}
	return text
}

type insertKey struct {
	table string
	rows  int
}
