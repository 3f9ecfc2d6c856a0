package enginetest

import (
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/troupe-go/troupe/engine"
)

// CapsFile is where an engine's module keeps what this suite has found it to be able to
// do, by variant. The table of docs/engines.md is made of these files.
const CapsFile = "caps.json"

// caps holds the file to what the engine says, or writes it if the variable TROUPE_CAPS
// is "write".
func caps(t *testing.T, s *suite) {
	if s.h.Variant == "" {
		t.Skip("Harness.Variant is empty")
	}
	got := s.topic(t).Caps()
	all := map[string]engine.Caps{}
	text, err := os.ReadFile(CapsFile)
	if err == nil {
		err = json.Unmarshal(text, &all)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatalf("%s: %v", CapsFile, err)
	}
	if want, ok := all[s.h.Variant]; ok && want == got {
		return
	}
	if os.Getenv("TROUPE_CAPS") != "write" {
		t.Errorf("%s: %q has %+v, the engine %+v: TROUPE_CAPS=write go test writes it", CapsFile, s.h.Variant, all[s.h.Variant], got)
		return
	}
	all[s.h.Variant] = got
	text, err = json.MarshalIndent(all, "", "\t")
	if err == nil {
		err = os.WriteFile(CapsFile, append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}
