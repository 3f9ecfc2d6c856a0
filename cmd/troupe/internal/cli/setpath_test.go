package cli_test

import (
	"strings"
	"testing"

	"github.com/troupe-go/troupe/cmd/troupe/internal/cli"
)

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
