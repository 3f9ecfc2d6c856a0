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

// Imported says what an import did, or would do.
type Imported struct {
	Added int `json:"added"`
	Known int `json:"known"` // were there already, and have not been changed
	// Faulty counts the lines that were left out, Faults says why of the first
	// exchange.MaxFaults of them.
	Faulty int      `json:"faulty"`
	Faults []string `json:"faults,omitempty"`
}

// Export writes the letters of the scope, one a line, and returns how many. It changes
// nothing, and takes payloads out of the store: the audit trail says who did, which, and
// how many, also of one that broke off. At a desk without a runtime there is no trail to
// write to, and by plays no part.
//
// Errors: [ErrInvalid]; [ErrClosed]; deadletter.ErrNotFound for an ID that is not there;
// those of the ledger and of w. What was written until then stays.
func (d *Desk) Export(ctx context.Context, by By, w io.Writer, s Scope, format string) (n int, err error) {
	if d.rt == nil {
		return d.export(ctx, w, s, format)
	}
	err = d.audited(ctx, by, deadletter.AuditEntry{Action: "export", Object: format, Query: s.text()}, func(e *deadletter.AuditEntry) (err error) {
		n, err = d.export(ctx, w, s, format)
		e.Count = n
		return err
	})
	return n, err
}

func (d *Desk) export(ctx context.Context, w io.Writer, s Scope, format string) (int, error) {
	if err := s.validate(); err != nil {
		return 0, err
	}
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
		out, e.Count = imported(im), im.Added
		return formatFault(err)
	})
	return out, err
}

// PreviewImport says what Import would do, and does none of it: how many letters would
// be added, are there already, or are at fault, with the numbers of their lines. It needs
// about a hundred bytes of memory for each letter, and works at a desk without a runtime.
//
// Errors: [ErrInvalid] for the format; those of the ledger and of r.
func (d *Desk) PreviewImport(ctx context.Context, r io.Reader, format string) (Imported, error) {
	im, err := exchange.Preview(ctx, d.ledger, r, format)
	return imported(im), formatFault(err)
}

func imported(im exchange.Imported) Imported {
	out := Imported{Added: im.Added, Known: im.Known, Faulty: im.Faulty}
	for _, f := range im.Faults {
		out.Faults = append(out.Faults, f.Error())
	}
	return out
}

func formatFault(err error) error {
	if errors.Is(err, exchange.ErrFormat) {
		return invalid("format: %w", err)
	}
	return err
}
