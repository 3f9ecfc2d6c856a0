package main

import (
	"bytes"
	"testing"
)

const want = `                stock  ledger  gateway  mailer
all start           1       1        1       1
mailer panics       1       1        1       2
gateway panics      1       2        2       2
stock panics        2       3        3       3
20 orders for 4 members: 77 handled, 3 dead letters
`

func TestSiblingsFallAndRise(t *testing.T) {
	var out bytes.Buffer
	if err := run(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	if got := out.String(); got != want {
		t.Errorf("output:\n%s\nwant:\n%s", got, want)
	}
}
