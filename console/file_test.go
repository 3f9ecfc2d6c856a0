package console_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/troupe-go/troupe/console"
	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
)

// TestExportAndImport takes letters from one console to another, and back in again.
func TestExportAndImport(t *testing.T) {
	for _, format := range []string{ops.JSONLines, ops.CloudEvents} {
		from := newWorld(t, console.Config{Sample: console.NoSamples})
		to := newWorld(t, console.Config{Sample: console.NoSamples, Authorize: everything})
		var file bytes.Buffer
		n, err := from.client().Export(t.Context(), ops.By{Name: "bob", Why: "to look"}, &file, ops.Scope{Query: "topic:vault"}, format)
		if err != nil || n != 4 || strings.Count(file.String(), "\n") != 4 {
			t.Fatalf("%s: Export = %d, %v: %s", format, n, err, file.String())
		}
		taken, err := from.desk.Audit(t.Context(), deadletter.AuditQuery{Action: "export"})
		if err != nil || taken.Total != 1 || taken.Entries[0].By != "bob (unverified)" || taken.Entries[0].Count != 4 || taken.Entries[0].Query != "topic:vault" || taken.Entries[0].Why != "to look" {
			t.Errorf("%s: audit of the export %+v, %v", format, taken, err)
		}
		would, err := to.client().PreviewImport(t.Context(), strings.NewReader(file.String()+"nonsense\n"), format)
		if err != nil || would.Added != 4 || would.Known != 0 || would.Faulty != 1 || !strings.HasPrefix(would.Faults[0], "line 5: ") {
			t.Errorf("%s: PreviewImport = %+v, %v, want 4 and a fault", format, would, err)
		}
		for _, want := range []ops.Imported{{Added: 4}, {Known: 4}} {
			got, err := to.client().Import(t.Context(), ops.By{Name: "ann", Why: "to try here"}, bytes.NewReader(file.Bytes()), format)
			if err != nil || got.Added != want.Added || got.Known != want.Known || got.Faulty != 0 {
				t.Errorf("%s: Import = %+v, %v, want %+v", format, got, err, want)
			}
		}
		id := from.ids("vault")[0]
		a, err1 := from.desk.Letter(t.Context(), id)
		b, err2 := to.desk.Letter(t.Context(), id)
		if err := errors.Join(err1, err2); err != nil || !bytes.Equal(a.Payload, b.Payload) || a.Error != b.Error {
			t.Errorf("%s: %+v came as %+v, %v", format, a, b, err)
		}
		page, err := to.desk.Audit(t.Context(), deadletter.AuditQuery{Action: "import"})
		if err != nil || page.Total != 2 || page.Entries[0].By != "ann (unverified)" || page.Entries[0].Why != "to try here" {
			t.Errorf("%s: audit %+v, %v", format, page, err)
		}
	}
}

func TestImportIsBounded(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples, Authorize: everything, MaxImport: 100})
	_, err := w.client().Import(t.Context(), ops.By{}, strings.NewReader(strings.Repeat(" ", 200)), ops.JSONLines)
	if err == nil || !strings.Contains(err.Error(), "MaxImport") {
		t.Errorf("Import of too much = %v", err)
	}
	status, text, _ := w.ask(http.MethodPost, "api/v1/import", "{}")
	if status != http.StatusUnsupportedMediaType {
		t.Errorf("Import of JSON = %d %s", status, text)
	}
}

// An export that cannot be laid to anybody is not made, and what an import would do is
// told to those who may import.
func TestFilesNeedARight(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples, User: func(*http.Request) string { return "" }})
	if _, err := w.client().Export(t.Context(), ops.By{Name: "ann"}, io.Discard, ops.Scope{Query: "*"}, ops.JSONLines); err == nil || !strings.Contains(err.Error(), "who you are") {
		t.Errorf("Export by nobody = %v", err)
	}
	if _, err := w.client().PreviewImport(t.Context(), strings.NewReader(""), ops.JSONLines); err == nil || !strings.Contains(err.Error(), "read-only") {
		t.Errorf("PreviewImport without the right = %v", err)
	}
}

// TestExportThatBreaksOffIsAnError ends the console's desk in the middle: by a scope
// with a letter that is not there.
func TestExportThatBreaksOffIsAnError(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples})
	ids := append(w.ids("bills"), "nothing")
	var file bytes.Buffer
	n, err := w.client().Export(t.Context(), ops.By{Name: "bob", Why: "to look"}, &file, ops.Scope{IDs: ids}, ops.JSONLines)
	if err == nil {
		t.Errorf("Export = %d, nil with %d bytes, want an error", n, file.Len())
	}
	if _, err := w.client().Export(t.Context(), ops.By{Name: "bob", Why: "to look"}, &file, ops.Scope{}, ops.JSONLines); err == nil || !strings.Contains(err.Error(), "Scope") {
		t.Errorf("Export of no scope = %v", err)
	}
	// A reader that is not there any more ends it.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.client().Export(ctx, ops.By{}, io.Discard, ops.Scope{Query: "*"}, ops.JSONLines); !errors.Is(err, context.Canceled) {
		t.Errorf("Export = %v", err)
	}
}
