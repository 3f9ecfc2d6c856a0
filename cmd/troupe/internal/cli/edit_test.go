package cli_test

import (
	"strings"
	"testing"

	"github.com/troupe-go/troupe/cmd/troupe/internal/cli"
)

// TestEditor holds that a person can edit a payload with a program of hers, and that
// nothing happens if she changes nothing.
func TestEditor(t *testing.T) {
	w := newWorld(t)
	ids := w.fail(2)
	if r := w.typed("y\n", "edit", ids[0]); r.code != cli.ExitUsage {
		t.Errorf("without an editor: %+v", r)
	}
	w.env["EDITOR"] = "true"
	if r := w.typed("y\n", "edit", ids[0]); r.code != cli.ExitRefused || !strings.Contains(r.err, "nothing was changed") {
		t.Errorf("with one that changes nothing: %+v", r)
	}
	w.env["EDITOR"] = "false"
	if r := w.typed("y\n", "edit", ids[0]); r.code != cli.ExitFailed {
		t.Errorf("with one that fails: %+v", r)
	}
	w.env["EDITOR"] = "sed -i.bak s/CH/LI/"
	if r := w.typed("", "edit", ids[0]); r.code != cli.ExitRefused || !strings.Contains(r.err, `~ country: "CH" -> "LI"`) {
		t.Errorf("without an answer: %+v", r)
	}
	// --yes, since this editor eats what would be typed after it.
	if r := w.typed("", "edit", ids[0], "--yes"); r.code != cli.ExitOK || !strings.Contains(r.out, "sent as event") {
		t.Errorf("with yes for an answer: %+v", r)
	}
	w.idle()
	eventually(t, "the edited letter is resolved", func() bool { return w.ok("search", "closed:edited", "--count") == "1\n" })
	// The same from the standard input, and with another header.
	r := run(t.Context(), w.env, `{"id":1,"country":"AT"}`, false, "edit", ids[1], "--file", "-", "--header", "tenant=acme", "--yes", "-o", "json")
	if r.code != cli.ExitOK || !strings.Contains(r.out, `"event_id"`) || !strings.Contains(r.out, `headers.tenant`) {
		t.Errorf("from the standard input: %+v", r)
	}
}
