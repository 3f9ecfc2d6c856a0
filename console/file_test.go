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
		n, err := from.client().Export(t.Context(), &file, ops.Scope{Query: "topic:vault"}, format)
		if err != nil || n != 4 || strings.Count(file.String(), "\n") != 4 {
			t.Fatalf("%s: Export = %d, %v: %s", format, n, err, file.String())
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

// TestExportThatBreaksOffIsAnError ends the console's desk in the middle: by a scope
// with a letter that is not there.
func TestExportThatBreaksOffIsAnError(t *testing.T) {
	w := newWorld(t, console.Config{Sample: console.NoSamples})
	ids := append(w.ids("bills"), "nothing")
	var file bytes.Buffer
	n, err := w.client().Export(t.Context(), &file, ops.Scope{IDs: ids}, ops.JSONLines)
	if err == nil {
		t.Errorf("Export = %d, nil with %d bytes, want an error", n, file.Len())
	}
	if _, err := w.client().Export(t.Context(), &file, ops.Scope{}, ops.JSONLines); err == nil || !strings.Contains(err.Error(), "Scope") {
		t.Errorf("Export of no scope = %v", err)
	}
	// A reader that is not there any more ends it.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.client().Export(ctx, io.Discard, ops.Scope{Query: "*"}, ops.JSONLines); !errors.Is(err, context.Canceled) {
		t.Errorf("Export = %v", err)
	}
}
