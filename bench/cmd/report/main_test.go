package main

import (
	"strings"
	"testing"
)

func TestFlagsChooseWhatIsRun(t *testing.T) {
	s, err := newSeries("kelindar", "throughput,producers", "1x10,4")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.libraries) != 3 {
		t.Errorf("libraries = %v", s.libraries)
	}
	if groups := s.groups(); len(groups) != 2 || groups[0][0].place != (place{"throughput", "1x10"}) || groups[1][0].place != (place{"producers", "4"}) {
		t.Errorf("groups = %v", groups)
	}
	for _, flags := range [][3]string{{"x", "", ""}, {"", "x", ""}, {"", "", "x"}} {
		if _, err := newSeries(flags[0], flags[1], flags[2]); err == nil || !strings.Contains(err.Error(), "must be of") {
			t.Errorf("flags %q = %v, want an error that says what is known", flags, err)
		}
	}
}
