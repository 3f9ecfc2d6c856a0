package ops

import (
	"encoding/json"
	"fmt"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func TestDiff(t *testing.T) {
	for _, c := range []struct {
		was, is string
		want    []DiffLine
	}{
		{`{"a":1}`, `{"a":1}`, nil},
		{`{"a":1,"b":2}`, `{ "b":2, "a":1 }`, nil},
		{`{"a":9007199254740993}`, `{"a":9007199254740992}`, []DiffLine{{"a", "9007199254740993", "9007199254740992"}}},
		{`{"a":1}`, `{"a":1.0}`, []DiffLine{{"a", "1", "1.0"}}},
		{`{"a":{"b":[1,2,{"c":"x"}]}}`, `{"a":{"b":[1,2,{"c":"<y>"}]}}`, []DiffLine{{"a.b[2].c", `"x"`, `"<y>"`}}},
		{`{"a":1}`, `{"b":null}`, []DiffLine{{"a", "1", ""}, {"b", "", "null"}}},
		{`[1,2,3]`, `[0,1,2,3]`, []DiffLine{{"[0]", "", "0"}}},
		{`[1,2,3]`, `[1,3]`, []DiffLine{{"[1]", "2", ""}}},
		{`{"a.b":1,"":2}`, `{"a.b":2,"":3}`, []DiffLine{{`[""]`, "2", "3"}, {`["a.b"]`, "1", "2"}}},
		{`{"a":{}}`, `{"a":[]}`, []DiffLine{{"a", "{}", "[]"}}},
		{`1`, `"1"`, []DiffLine{{"", "1", `"1"`}}},
		{``, `{"a":1}`, []DiffLine{{"", "", `{"a":1}`}}},
		{"no\tjson", `1`, []DiffLine{{"", `"no\tjson"`, "1"}}},
		{"\xff\x00", "\xff\x01", []DiffLine{{"", `"base64:/wA="`, `"base64:/wE="`}}},
		{"same", "same", nil},
	} {
		if got := diff([]byte(c.was), []byte(c.is)); !slices.Equal(got, c.want) {
			t.Errorf("diff(%s, %s) = %+v, want %+v", c.was, c.is, got, c.want)
		}
	}
	long := "["
	for i := range 3000 {
		long += fmt.Sprint(i, ",")
	}
	if lines := diff([]byte(`[]`), []byte(long+"0]")); len(lines) != maxDiff+1 || lines[maxDiff].Path != "… 2001 more" {
		t.Errorf("%d lines, the last %+v, want %d and how many more", len(lines), lines[len(lines)-1], maxDiff)
	}
}

// Documents differ exactly if there is a line, and each line names what is there.
func TestDiffModel(t *testing.T) {
	value := rapid.Deferred(func() *rapid.Generator[any] { return anyJSON(3) })
	rapid.Check(t, func(t *rapid.T) {
		a, b := value.Draw(t, "a"), value.Draw(t, "b")
		was, is := encoded(a), encoded(b)
		lines := diff([]byte(was), []byte(is))
		if (len(lines) == 0) != (was == is) {
			t.Fatalf("diff(%s, %s) = %+v", was, is, lines)
		}
		back := diff([]byte(is), []byte(was))
		if len(back) != len(lines) {
			t.Fatalf("diff(%s, %s) = %+v, and back %+v", was, is, lines, back)
		}
		for _, l := range lines {
			for _, text := range []string{l.Old, l.New} {
				if text != "" && !json.Valid([]byte(text)) {
					t.Fatalf("line %+v is no JSON", l)
				}
			}
			if l.Old == l.New {
				t.Fatalf("line %+v says nothing", l)
			}
		}
	})
}

func anyJSON(depth int) *rapid.Generator[any] {
	plain := []*rapid.Generator[any]{
		rapid.Map(rapid.IntRange(0, 3), func(n int) any { return json.Number(fmt.Sprint(n)) }),
		rapid.Map(rapid.SampledFrom([]string{"", "a", "é", "\x01"}), func(s string) any { return s }),
		rapid.Just[any](nil),
	}
	if depth > 0 {
		plain = append(plain,
			rapid.Map(rapid.SliceOfN(anyJSON(depth-1), 0, 4), func(s []any) any { return slices.Clone(append([]any{}, s...)) }),
			rapid.Map(rapid.MapOfN(rapid.SampledFrom([]string{"a", "b", "c d"}), anyJSON(depth-1), 0, 3), func(m map[string]any) any { return m }))
	}
	return rapid.OneOf(plain...)
}
