package search_test

import (
	"strings"
	"testing"

	"github.com/troupe-go/troupe/deadletter/search"
)

// The cursor stands at the bar; what is between the brackets would be replaced.
func TestComplete(t *testing.T) {
	for _, tc := range []struct {
		in, replaces, field, typed string
		first                      []string // the first suggestions, "!" for none at all
	}{
		{"|", "[]", "", "", []string{"topic:", "sub:", "pattern:", "state:"}},
		{"to|", "[to]", "", "to", []string{"topic:"}},
		{"-to|", "-[to]", "", "to", []string{"topic:"}},
		{"(st|x)", "([stx])", "", "st", []string{"state:", "stack:"}},
		{"a or fing|", "a or [fing]", "", "fing", []string{"group:"}},
		{"tpoic|", "[tpoic]", "", "tpoic", []string{"topic:"}},
		{"paylo|", "[paylo]", "", "paylo", []string{"payload:", "payload."}},
		{"head|", "[head]", "", "head", []string{"header."}},
		{"zzz|", "[zzz]", "", "zzz", []string{"!"}},
		{"a o|", "a [o]", "", "o", []string{"op:", "or"}},
		{"o|", "[o]", "", "o", []string{"op:"}},
		{"state:|", "state:[]", "state", "", []string{"open", "redriving", "resolved", "archived", "deleted"}},
		{"x state:RE|", "x state:[RE]", "state", "RE", []string{"redriving", "resolved"}},
		{"snoozed:|", "snoozed:[]", "snoozed", "", []string{"yes", "no"}},
		{"has:|", "has:[]", "has", "", []string{"topic", "sub"}},
		{"has:pay|", "has:[pay]", "has", "pay", []string{"payload"}},
		{"has:he|", "has:[he]", "has", "he", []string{"header."}},
		{"age:|", "age:[]", "age", "", []string{">1h", "<2d"}},
		{"attempts:>|", "attempts:>[]", "attempts", "", []string{"5"}},
		{"subscriber:bil|", "subscriber:[bil]", "sub", "bil", []string{"!"}},
		{`topic:"a b|`, `topic:["a b]`, "topic", "a b", []string{"!"}},
		{`topic:"a b"|`, `topic:"a b"[]`, "", "", []string{"!"}},
		{"payload.order.id:1|2", "payload.order.id:[12]", "payload", "1", []string{"!"}},
		{"tpoic:x|", "tpoic:x[]", "", "", []string{"!"}},
	} {
		at := strings.IndexByte(tc.in, '|')
		text := strings.Replace(tc.in, "|", "", 1)
		c := search.Complete(text, at)
		if got := text[:c.From] + "[" + text[c.From:c.To] + "]" + text[c.To:]; got != tc.replaces {
			t.Errorf("%s replaces %s, want %s", tc.in, got, tc.replaces)
		}
		if c.Field != tc.field || c.Typed != tc.typed {
			t.Errorf("%s: field %q, typed %q, want %q, %q", tc.in, c.Field, c.Typed, tc.field, tc.typed)
		}
		if tc.first[0] == "!" {
			if len(c.Suggestions) != 0 {
				t.Errorf("%s suggests %v, want nothing", tc.in, c.Suggestions)
			}
			continue
		}
		for i, want := range tc.first {
			if i >= len(c.Suggestions) || c.Suggestions[i].Text != want {
				t.Errorf("%s suggests %v, want %q first", tc.in, c.Suggestions, tc.first)
				break
			}
		}
	}
	if c := search.Complete("payload.order.id:1", 18); len(c.Path) != 2 || c.Path[1] != "id" {
		t.Errorf("the path is %q", c.Path)
	}
	for _, at := range []int{-5, 99} { // outside of the text
		search.Complete("é", at)
	}
	if c := search.Complete("é", 1); c.From != 0 { // within a character
		t.Errorf("From = %d, want 0", c.From)
	}
}
