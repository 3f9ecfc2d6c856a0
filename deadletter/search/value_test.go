package search_test

import (
	"math/big"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/deadletter/search"
)

func TestNumbersCompareLikeRationals(t *testing.T) {
	digits := rapid.StringMatching(`[0-9]{1,25}`)
	number := rapid.Custom(func(t *rapid.T) string {
		s := rapid.SampledFrom([]string{"", "-", "+"}).Draw(t, "sign") + digits.Draw(t, "whole")
		if rapid.Bool().Draw(t, "fraction") {
			s += "." + digits.Draw(t, "digits")
		}
		if rapid.Bool().Draw(t, "exponent") {
			s += rapid.SampledFrom([]string{"e", "E", "e+", "e-"}).Draw(t, "e") + rapid.StringMatching(`[0-9]{1,2}`).Draw(t, "exp")
		}
		return s
	})
	rapid.Check(t, func(t *rapid.T) {
		a := number.Draw(t, "a")
		b := rapid.OneOf(number, rapid.Just(a), rapid.Just(a+"e0")).Draw(t, "b")
		na, oka := search.ParseNumber(a)
		ra, okra := new(big.Rat).SetString(a)
		nb, okb := search.ParseNumber(b)
		rb, okrb := new(big.Rat).SetString(b)
		if oka != okra || okb != okrb {
			t.Fatalf("ParseNumber(%q), ParseNumber(%q) = %v, %v", a, b, oka, okb)
		}
		if !oka || !okb {
			return
		}
		if got, want := na.Compare(nb), ra.Cmp(rb); got != want || (na == nb) != (want == 0) {
			t.Fatalf("%s compared with %s = %d, want %d; equal: %v", a, b, got, want, na == nb)
		}
		floor := new(big.Int).Div(ra.Num(), ra.Denom()) // Euclidean, and the denominator is positive
		got, exact := na.Floor()
		if floor.IsInt64() && (got != floor.Int64() || exact != ra.IsInt()) || !floor.IsInt64() && (exact || (got > 0) != (floor.Sign() > 0)) {
			t.Fatalf("Floor of %s = %d, %v, want %v", a, got, exact, floor)
		}
	})
}

func TestParseNumber(t *testing.T) {
	for _, bad := range []string{"", "-", ".5", "5.", "1e", "1e+", "e5", "0x10", "1_000", "1 ", " 1", "NaN", "Inf", "1e5.0", "--1", "1e--5", "1e+-5", "١"} {
		if n, ok := search.ParseNumber(bad); ok {
			t.Errorf("ParseNumber(%q) = %v, want none", bad, n)
		}
	}
	parse := func(s string) search.Number {
		n, ok := search.ParseNumber(s)
		if !ok {
			t.Fatalf("ParseNumber(%q) fails", s)
		}
		return n
	}
	for _, same := range [][2]string{{"1", "1.0"}, {"100", "1e2"}, {"0.001", "1e-3"}, {"0", "-0.00e5"}, {"1e99999999999999999999", "1e1152921504606846976"}} {
		if parse(same[0]) != parse(same[1]) {
			t.Errorf("%s and %s differ", same[0], same[1])
		}
	}
	if search.IntNumber(-42) != parse("-42") || search.UintNumber(1<<64-1) != parse("18446744073709551615") {
		t.Error("IntNumber or UintNumber is not the number that is written so")
	}
	// The time does not grow with the exponent.
	if parse("1e1000000000").Compare(parse("2e-1000000000")) != 1 {
		t.Error("1e1000000000 is not greater than 2e-1000000000")
	}
}

func TestTimesAreSpans(t *testing.T) {
	now := time.Date(2026, 11, 20, 15, 4, 5, 6, time.UTC)
	midnight := time.Date(2026, 11, 20, 0, 0, 0, 0, time.UTC)
	const day = 24 * time.Hour
	for text, want := range map[string]struct {
		from   time.Time
		length time.Duration
	}{
		"2026":                           {time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), 365 * day},
		"2024":                           {time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC), 366 * day},
		"2026-02":                        {time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC), 28 * day},
		"2026-11-20":                     {midnight, day},
		"2026-11-20T15":                  {midnight.Add(15 * time.Hour), time.Hour},
		"2026-11-20T15:04":               {midnight.Add(15*time.Hour + 4*time.Minute), time.Minute},
		`"2026-11-20 15:04"`:             {midnight.Add(15*time.Hour + 4*time.Minute), time.Minute},
		"2026-11-20T15:04+02:00":         {midnight.Add(13*time.Hour + 4*time.Minute), time.Minute},
		"2026-11-20T15:04:05Z":           {midnight.Add(15*time.Hour + 4*time.Minute + 5*time.Second), time.Second},
		"2026-11-20T15:04:05":            {midnight.Add(15*time.Hour + 4*time.Minute + 5*time.Second), time.Second},
		"2026-11-20T15:04:05.000000006Z": {now, 1},
		"now":                            {now, 1},
		"NOW-1h30m":                      {now.Add(-90 * time.Minute), 1},
		"now+1d":                         {now.Add(day), 1},
		"now-1w2d":                       {now.Add(-9 * day), 1},
		"today":                          {midnight, day},
		"Yesterday":                      {midnight.Add(-day), day},
	} {
		e, err := search.Parse("failed:" + text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		term := e.AsOf(now.In(time.FixedZone("west", -3600))).Root.(*search.Term)
		if !term.Time.Equal(want.from) || term.Until.Sub(term.Time) != want.length || term.Time.Location() != time.UTC || !term.Timed() {
			t.Errorf("%s is from %v for %v, want %v for %v", text, term.Time, term.Until.Sub(term.Time), want.from, want.length)
		}
	}
}

func TestAsOfIsFixedOnce(t *testing.T) {
	e, err := search.Parse("age:>1h snoozed:yes failed:<today topic:x payload.at:>now-1h")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 11, 20, 15, 4, 5, 6, time.UTC)
	fixed := e.AsOf(now)
	terms, _ := fixed.AsOf(now.Add(time.Hour)).Terms()
	for i, want := range []time.Time{now.Add(-time.Hour), now, now.Truncate(24 * time.Hour), {}, now.Add(-time.Hour)} {
		if !terms[i].Time.Equal(want) {
			t.Errorf("%s is as of %v, want %v", terms[i], terms[i].Time, want)
		}
	}
	before, _ := e.Terms()
	for _, term := range before {
		if !term.Time.IsZero() {
			t.Errorf("AsOf wrote to %s", term)
		}
	}
	if absolute, _ := search.Parse("topic:x failed:<2026"); absolute.AsOf(now) != absolute {
		t.Error("AsOf copies an expression in which nothing is relative")
	}
}

func TestFulfills(t *testing.T) {
	for _, tc := range []struct {
		pattern, text string
		want          bool
	}{
		{"a", "a", true}, {"a", "A", false}, {"a", "ab", false}, {"", "", true}, {"", "a", false},
		{"a*", "a", true}, {"a*", "abc", true}, {"a*", "ba", false},
		{"*a", "a", true}, {"*a", "ba", true}, {"*a", "ab", false},
		{"a*a", "a", false}, {"a*a", "aa", true}, {"a*a", "aba", true},
		{"ab*b", "ab", false}, {"*", "", true}, {"*", "anything\n", true},
		{"a*b*c", "abc", true}, {"a*b*c", "a1b2c", true}, {"a*b*c", "acb", false}, {"a*b*c", "abcbc", true},
		{"*x*", "x", true}, {"*x*", "axb", true}, {"*x*", "ab", false}, {"*aa*a*", "aa", false},
	} {
		term, err := search.NewTerm("topic", nil, search.Match, tc.pattern, true)
		if err != nil {
			t.Fatal(err)
		}
		if got := term.Fulfills(tc.text); got != tc.want {
			t.Errorf("%q fulfills %q: %v, want %v", tc.text, tc.pattern, got, tc.want)
		}
	}
	literal, err := search.NewTerm("topic", nil, search.Match, "a*", false)
	if err != nil || !literal.Fulfills("a*") || literal.Fulfills("ab") {
		t.Errorf("a literal star is none, %v", err)
	}
}

func TestFold(t *testing.T) {
	for _, same := range [][]string{{"Timeout", "TIMEOUT", "timeout"}, {"KÖLN", "köln"}, {"\u212a", "K", "k"}, {"ΣΑΣ", "σας", "ςασ"}, {"\xffA", "\xffa"}} {
		for _, s := range same[1:] {
			if search.Fold(s) != search.Fold(same[0]) {
				t.Errorf("Fold(%q) = %q, Fold(%q) = %q", s, search.Fold(s), same[0], search.Fold(same[0]))
			}
		}
	}
	for _, s := range []string{"", "plain", "\xff\xfe", "ß", "日本"} {
		if got := search.Fold(s); got != s {
			t.Errorf("Fold(%q) = %q", s, got)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		if f := search.Fold(s); search.Fold(f) != f || strings.EqualFold(s, f) != true {
			t.Fatalf("Fold(%q) = %q", s, f)
		}
	})
}

func TestHandMadeExpressions(t *testing.T) {
	good, err := search.NewTerm("attempts", nil, search.Greater, "5", false)
	if err != nil {
		t.Fatal(err)
	}
	wrong := *good
	wrong.Value = "6"
	deep := search.Node(good)
	for range 200 {
		deep = &search.Not{Node: deep}
	}
	var many []search.Node
	for range 201 {
		many = append(many, good)
	}
	for name, root := range map[string]search.Node{
		"a nil term":       (*search.Term)(nil),
		"a nil and":        (*search.And)(nil),
		"not nothing":      &search.Not{},
		"an and of one":    &search.And{Nodes: []search.Node{good}},
		"an or of none":    &search.Or{},
		"an unknown field": &search.Term{Field: "tpoic"},
		"an alias":         &search.Term{Field: "error", Op: search.Contains, Value: "x"},
		"not derived":      &search.Term{Field: "attempts", Value: "5"},
		"derived wrongly":  &wrong,
		"parts":            &search.Term{Field: "topic", Value: "ab", Parts: []string{"a", "b"}},
		"too deep":         deep,
		"too many":         &search.Or{Nodes: many},
	} {
		if err := (search.Expr{Root: root}).Validate(); err == nil {
			t.Errorf("%s is valid", name)
		}
	}
	if err := (search.Expr{Root: &search.Or{Nodes: []search.Node{good, &search.Not{Node: good}}}}).Validate(); err != nil {
		t.Error(err)
	}
	for _, tc := range []struct {
		field string
		path  []string
		op    search.Op
		value string
	}{
		{"", nil, search.Match, "x"}, {"", nil, search.Exists, ""}, {"topic", nil, search.Contains, "x"}, {"topic", nil, search.Exists, "x"},
		{"attempts", nil, search.Contains, "5"}, {"age", nil, search.Match, "1h"}, {"failed", nil, search.Contains, "2026"}, {"has", nil, search.Match, "x"},
		{"header", nil, search.Match, "x"}, {"header", []string{"a", "b"}, search.Match, "x"}, {"payload", []string{"a"}, search.Contains, "x"}, {"topic", nil, search.Op(99), "x"},
		{"failed", nil, search.Op(99), "2026"}, {"attempts", nil, search.Op(-1), "5"}, {"payload", []string{"a"}, search.Op(99), "5"},
	} {
		if term, err := search.NewTerm(tc.field, tc.path, tc.op, tc.value, false); err == nil {
			t.Errorf("NewTerm(%q, %q, %d, %q) = %v, want an error", tc.field, tc.path, tc.op, tc.value, term)
		}
	}
}

// What the page shows as an example has to work.
func TestFieldsDescribeThemselves(t *testing.T) {
	for _, f := range search.Fields() {
		if f.About == "" || strings.HasPrefix(f.Kind.String(), "Kind(") {
			t.Errorf("%s: About %q, kind %s", f.Name, f.About, f.Kind)
		}
		e, err := search.Parse(f.Example)
		if err != nil {
			t.Errorf("%s: example %s: %v", f.Name, f.Example, err)
			continue
		}
		if term, ok := e.Root.(*search.Term); !ok || term.Field != f.Name && f.Kind != search.Presence {
			t.Errorf("%s: the example %s is about another field", f.Name, f.Example)
		}
		for _, alias := range f.Aliases {
			if _, err := search.Parse(strings.Replace(f.Example, f.Name, alias, 1)); err != nil {
				t.Errorf("%s: alias %s: %v", f.Name, alias, err)
			}
		}
	}
	search.Fields()[2].Name = "changed"
	if search.Fields()[2].Name == "changed" {
		t.Error("Fields gives away its own slice")
	}
}

func BenchmarkParse(b *testing.B) {
	const text = `topic:orders.* sub:billing reason:panic err:"timeout" payload.order.id:123 age:>1h redrives:>0 state:open "free text"`
	b.ReportAllocs()
	for b.Loop() {
		if _, err := search.Parse(text); err != nil {
			b.Fatal(err)
		}
	}
}
