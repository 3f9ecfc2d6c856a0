package ops

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/exchange"
)

// Formats of Export and Import; see package exchange.
const (
	JSONLines   = exchange.JSONLines
	CloudEvents = exchange.CloudEvents
)

// Imported says what an import did.
type Imported struct {
	Added int `json:"added"`
	Known int `json:"known"` // were there already, and have not been changed
	// Faulty counts the lines that were left out, Faults says why of the first
	// exchange.MaxFaults of them.
	Faulty int      `json:"faulty"`
	Faults []string `json:"faults,omitempty"`
}

// Export writes the letters of the scope, one a line, and returns how many. It changes
// nothing.
//
// Errors: [ErrInvalid]; deadletter.ErrNotFound for an ID that is not there; those of the
// ledger and of w. What was written until then stays.
func (d *Desk) Export(ctx context.Context, w io.Writer, s Scope, format string) (int, error) {
	out, err := exchange.NewWriter(w, format)
	if err != nil {
		return 0, invalid("format: %w", err)
	}
	n := 0
	for l, err := range d.each(ctx, s, "") {
		switch {
		case err != nil:
			return n, err
		case l.State == "":
			return n, fmt.Errorf("%w: letter %s", deadletter.ErrNotFound, l.ID)
		}
		if err := out.Write(l); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// Import adds letters that have been exported, here or elsewhere. A letter whose ID is
// there is left as it is; a line that is no letter is left out, and named. Letters say by
// whom they were imported.
//
// Errors: [ErrInvalid] for the format; [ErrReadOnly], [ErrClosed]; those of the ledger
// and of r. What was added until then stays, and importing the same again adds the rest.
func (d *Desk) Import(ctx context.Context, by By, r io.Reader, format string) (Imported, error) {
	var out Imported
	err := d.audited(ctx, by, deadletter.AuditEntry{Action: "import", Object: format}, func(e *deadletter.AuditEntry) error {
		im, err := exchange.Import(ctx, d.ledger, r, format, "import by "+by.Name)
		out = Imported{Added: im.Added, Known: im.Known, Faulty: im.Faulty}
		for _, f := range im.Faults {
			out.Faults = append(out.Faults, f.Error())
		}
		e.Count = im.Added
		if errors.Is(err, exchange.ErrFormat) {
			return invalid("format: %w", err)
		}
		return err
	})
	return out, err
}
