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

// TestSetPaths holds what --set and --unset do, with numbers as they are written.
func TestSetPaths(t *testing.T) {
	const doc = `{"a":9007199254740993,"b":[1,{"c":"x"}],"d":1.50}`
	for _, c := range []struct {
		set, unset, want string
	}{
		{"b.1.c=y", "", `{"a":9007199254740993,"b":[1,{"c":"y"}],"d":1.50}`},
		{"b.0=18446744073709551616", "", `{"a":9007199254740993,"b":[18446744073709551616,{"c":"x"}],"d":1.50}`},
		{"b.2=[]", "", `{"a":9007199254740993,"b":[1,{"c":"x"},[]],"d":1.50}`},
		{"e.f=a=b", "", `{"a":9007199254740993,"b":[1,{"c":"x"}],"d":1.50,"e":{"f":"a=b"}}`},
		{`a="<1>"`, "", `{"a":"<1>","b":[1,{"c":"x"}],"d":1.50}`},
		{"a=null", "", `{"a":null,"b":[1,{"c":"x"}],"d":1.50}`},
		{"", "b.0", `{"a":9007199254740993,"b":[{"c":"x"}],"d":1.50}`},
		{"", "a", `{"b":[1,{"c":"x"}],"d":1.50}`},
		{"b.3=1", "", "no place"},
		{"b.x=1", "", "no place"},
		{"a.b=1", "", "no parts"},
		{"a", "", "path=value"},
		{"=1", "", "path=value"},
		{"", "z", "there is no z"},
		{"", "b.2", "no place"},
	} {
		var sets, unsets []string
		if c.set != "" {
			sets = []string{c.set}
		}
		if c.unset != "" {
			unsets = []string{c.unset}
		}
		got, err := cli.SetPaths([]byte(doc), sets, unsets)
		if err != nil {
			if strings.HasPrefix(c.want, "{") || !strings.Contains(err.Error(), c.want) {
				t.Errorf("--set %q --unset %q: %v, want %s", c.set, c.unset, err, c.want)
			}
			continue
		}
		if string(got) != c.want {
			t.Errorf("--set %q --unset %q gives %s, want %s", c.set, c.unset, got, c.want)
		}
	}
	if _, err := cli.SetPaths([]byte("{} x"), []string{"a=1"}, nil); err == nil {
		t.Error("what is no JSON was changed")
	}
}
