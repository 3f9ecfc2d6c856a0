package exchange

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/troupe-go/troupe/deadletter"
)

// MaxFaults is how many faults Imported keeps.
const MaxFaults = 100

// Imported says what an import did, or would do.
type Imported struct {
	Added int `json:"added"`
	Known int `json:"known"` // were there already, and have not been changed
	// Faulty counts the lines that were left out, Faults says why of the first
	// MaxFaults of them.
	Faulty int          `json:"faulty"`
	Faults []*LineError `json:"-"`
}

func (im *Imported) fault(e *LineError) {
	if im.Faulty++; len(im.Faults) < MaxFaults {
		im.Faults = append(im.Faults, e)
	}
}

// importBatch is how many letters Import adds at once.
const importBatch = 256

// Import adds the letters of r to the store, with from as their ImportedFrom. A
// line that is no letter, or whose letter the store refuses, is left out and
// counted; a letter whose ID is there, or came before, is known. A letter that was
// being redriven when it was written is open, with a redrive in doubt: whatever
// becomes of that redrive is not told here.
//
// An error is the store's, r's, ErrFormat or ctx's; what was added until then
// stays, and to import the same again adds the rest. Letters that somebody else adds
// at the same time may count as added.
func Import(ctx context.Context, store deadletter.Store, r io.Reader, format, from string) (Imported, error) {
	if from == "" {
		return Imported{}, errors.New(`exchange: from "": must not be empty`)
	}
	var im Imported
	seen := map[string]bool{}
	err := im.read(r, format, from, seen, func(batch []Line) error {
		clear(seen) // the store knows them by the next batch
		return im.add(ctx, store, batch)
	})
	return im, err
}

// Preview says what Import would do with the letters of r, and adds none. What the
// store would refuse is known if it is a [deadletter.Checker]. It remembers the IDs of
// all letters, about a hundred bytes each.
//
// An error is the store's, r's, ErrFormat or ctx's.
func Preview(ctx context.Context, store deadletter.Store, r io.Reader, format string) (Imported, error) {
	var im Imported
	checker, _ := store.(deadletter.Checker)
	err := im.read(r, format, "preview", map[string]bool{}, func(batch []Line) error {
		letters, lines, err := im.fresh(ctx, store, batch)
		if err != nil {
			return err
		}
		for i, l := range letters {
			if checker != nil {
				if err := checker.Check(l); err != nil {
					im.fault(&LineError{lines[i], err})
					continue
				}
			}
			im.Added++
		}
		return nil
	})
	return im, err
}

// read calls add with the letters of r, as they would be in the store, in batches.
// seen are the IDs that came before, of which no other letter is given.
func (im *Imported) read(r io.Reader, format, from string, seen map[string]bool, add func([]Line) error) error {
	var batch []Line
	for line, err := range Read(r, format) {
		if le, ok := errors.AsType[*LineError](err); ok {
			im.fault(le)
			continue
		}
		if err != nil {
			return err
		}
		l := &line.Letter
		l.ImportedFrom = from
		if l.State == deadletter.StateRedriving {
			if l.EndRedrive(deadletter.OutcomeInDoubt, "exported while it was being redriven", time.Now()) != nil {
				l.State = deadletter.StateOpen // without any redrive
			}
		}
		if seen[l.ID] {
			im.Known++
			continue
		}
		seen[l.ID] = true
		if batch = append(batch, line); len(batch) == importBatch {
			if err := add(batch); err != nil {
				return err
			}
			batch = batch[:0]
		}
	}
	return add(batch)
}

// fresh returns the letters of a batch that the store does not have, and their lines.
func (im *Imported) fresh(ctx context.Context, store deadletter.Store, batch []Line) (letters []deadletter.Letter, lines []int, err error) {
	for _, line := range batch {
		switch _, err := store.Get(ctx, line.Letter.ID); {
		case err == nil:
			im.Known++
		case errors.Is(err, deadletter.ErrNotFound):
			letters, lines = append(letters, line.Letter), append(lines, line.Number)
		default:
			return nil, nil, fmt.Errorf("exchange: line %d: %w", line.Number, err)
		}
	}
	return letters, lines, nil
}

// add brings a batch into the store, without those that it refuses.
func (im *Imported) add(ctx context.Context, store deadletter.Store, batch []Line) error {
	letters, lines, err := im.fresh(ctx, store, batch)
	if err != nil {
		return err
	}
	for len(letters) > 0 {
		err := store.Add(ctx, letters)
		le, refused := errors.AsType[*deadletter.LetterError](err)
		if err != nil && (!refused || le.Index < 0 || le.Index >= len(letters)) {
			return fmt.Errorf("exchange: line %d: %w", lines[0], err)
		}
		if err == nil {
			im.Added += len(letters)
			return nil
		}
		im.fault(&LineError{lines[le.Index], le})
		letters = append(letters[:le.Index:le.Index], letters[le.Index+1:]...)
		lines = append(lines[:le.Index:le.Index], lines[le.Index+1:]...)
	}
	return nil
}

// Export writes all letters that q selects, newest first, and returns how many.
func Export(ctx context.Context, store deadletter.Store, q deadletter.Query, w io.Writer, format string) (int, error) {
	out, err := NewWriter(w, format)
	if err != nil {
		return 0, err
	}
	n := 0
	for l, err := range deadletter.All(ctx, store, q) {
		if err == nil {
			err = out.Write(l)
		}
		if err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}
