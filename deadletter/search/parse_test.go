package search_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/troupe-go/troupe/deadletter/search"
)

func parse(t testing.TB, text string) search.Expr {
	t.Helper()
	e, err := search.Parse(text)
	if err != nil {
		t.Fatalf("Parse(%q) = %v", text, err)
	}
	return e
}

func TestNormalForm(t *testing.T) {
	for _, tc := range []struct{ in, want string }{
		{"", ""},
		{" \t\n ", ""},
		{"*", ""},
		{" ( * ) ", ""},
		{"timeout", "timeout"},
		{`"free text"`, `"free text"`},
		{`"plain"`, "plain"},
		{`err:"timeout"`, "err:timeout"},
		{"topic:orders.* sub:billing reason:panic", "topic:orders.* sub:billing reason:panic"},
		{"a b c", "a b c"},
		{"a and b AND c", "a b c"},
		{"a or b OR c", "a or b or c"},
		{"a b or c d", "a b or c d"},
		{"(a b) or (c d)", "a b or c d"},
		{"a (b or c) d", "a (b or c) d"},
		{"a (b c)", "a b c"},
		{"a or (b or c)", "a or b or c"},
		{"-a", "-a"},
		{"not a", "-a"},
		{"NOT a b", "-a b"},
		{"not (a b)", "-(a b)"},
		{"-(a or b)", "-(a or b)"},
		{"--a", "a"},
		{"not -(a)", "a"},
		{"not not not a", "-a"},
		{"subscriber:x error:y fingerprint:z", "sub:x err:y group:z"},
		{"Topic:X STATE:Open", "topic:X state:open"},
		{"state:* snoozed:TRUE", "state:* snoozed:yes"},
		{"attempts:>5 attempts:>=5 attempts:<5 attempts:<=5 attempts:5 attempts:=5", "attempts:>5 attempts:>=5 attempts:<5 attempts:<=5 attempts:5 attempts:5"},
		{"age:>1h30m age:<2d age:>=1w", "age:>1h30m age:<2d age:>=1w"},
		{"failed:>now-15m failed:today published:2026-11-20", "failed:>now-15m failed:today published:2026-11-20"},
		{`failed:"2026-11-20 15:04"`, `failed:"2026-11-20 15:04"`},
		{`topic:""`, `topic:""`},
		{`topic:"a b"*"c d"`, `topic:"a b"*"c d"`},
		{`topic:"a*b"`, `topic:"a*b"`},
		{`topic:a"*"b*c`, `topic:"a*b"*c`},
		{"topic:a**b", "topic:a*b"},
		{`topic:"<x"`, `topic:"<x"`},
		{`topic:"=x"*`, `topic:"=x"*`},
		{`topic:<`, ""}, // see TestSyntaxErrors
		{`"or" "NOT" "and" "-x"`, `"or" "NOT" "and" "-x"`},
		{`or* -nothing`, `or* -nothing`},
		{`"a:b" 12:30 a-b:c`, `"a:b" "12:30" "a-b:c"`},
		{`"say \"hi\" \\ \n\r\t"`, `"say \"hi\" \\ \n\r\t"`},
		{`back\slash`, `back\slash`},
		{"payload.order.id:123", "payload.order.id:123"},
		{"payload.items.0.sku:x payload.items.*.sku:x", "payload.items.0.sku:x payload.items.*.sku:x"},
		{`payload."a.b"."c d":>5`, `payload."a.b"."c d":>5`},
		{`payload."plain":5`, `payload.plain:5`},
		{"payload:text", "payload:text"},
		{"header.X-Tenant:acme", "header.X-Tenant:acme"},
		{"header.x.y.z:1", `header."x.y.z":1`},
		{"has:stack has:payload.a.b has:header.x -has:sub", "has:stack has:payload.a.b has:header.x -has:sub"},
		{"has:subscriber", "has:sub"},
		{"☃ topic:Größe*", "☃ topic:Größe*"},
		{"not(a)or(b)", "-a or b"},
		{`"a""b"`, "ab"},
		{"foo.bar main.go", "foo.bar main.go"},
	} {
		if strings.HasSuffix(tc.in, ":<") {
			continue
		}
		if got := parse(t, tc.in).String(); got != tc.want {
			t.Errorf("normal form of %s\n = %s, want\n   %s", tc.in, got, tc.want)
		}
	}
}

func TestSyntaxErrors(t *testing.T) {
	for _, tc := range []struct {
		in     string
		column int
		found  string
		says   string // a part of the message
		means  string
	}{
		{"tpoic:x", 1, "tpoic", `no field "tpoic"; a text with a colon in it needs quotes`, "topic"},
		{"a state:opn", 9, "opn", `no state "opn"`, "open"},
		{"subscribr:x", 1, "subscribr", "no field", "subscriber"},
		{"zzzzzz:x", 1, "zzzzzz", "no field", ""},
		{"http://host", 1, "http", "needs quotes", ""},
		{"(a", 1, "(", "this parenthesis is not closed", ""},
		{"a)", 2, ")", "this parenthesis closes nothing", ""},
		{"()", 2, ")", "nothing in these parentheses", ""},
		{"a (b or )", 9, ")", "a term is missing before this parenthesis", ""},
		{"a or", 5, "", "the query ends where a term is missing", ""},
		{"or a", 1, "or", `a term is missing before "or"`, ""},
		{"a or or b", 6, "or", `a term is missing before "or"`, ""},
		{"- a", 2, " ", "directly after -", ""},
		{"-", 2, "", "directly after -", ""},
		{"not", 4, "", "a term is missing", ""},
		{`é "a`, 3, `"`, "this quote is not closed", ""},
		{`"a\x"`, 3, `\x`, `no escape "\\x"`, ""},
		{`"a\`, 1, `"`, "this quote is not closed", ""},
		{`err:""`, 5, `""`, "an empty text is in everything", ""},
		{`err:*`, 5, `*`, "an empty text is in everything", ""},
		{`""`, 1, `""`, "an empty text is in everything", ""},
		{"topic:", 7, "", "topic: needs a value", ""},
		{"topic: x", 7, " ", "topic: needs a value", ""},
		{"age:>", 6, "", "age: needs a value", ""},
		{"age:1h", 5, "1h", "age is never exact: write age:>1h or age:<1h", ""},
		{"age:>soon", 6, "soon", `"soon" is no duration`, ""},
		{"age:>1", 6, "1", `"1" is no duration`, ""},
		{"age:>-1h", 6, "-1h", `is no duration`, ""},
		{"age:>99999999w", 6, "99999999w", `is no duration`, ""},
		{"failed:>1h", 9, "1h", "is a duration, not a time: write now-1h", ""},
		{"failed:tomorrow", 8, "tomorrow", `"tomorrow" is no time`, ""},
		{"failed:2026-13-01", 8, "2026-13-01", "is no time", ""},
		{"failed:now1h", 8, "now1h", "is no time", ""},
		{"failed:0001-01-01", 8, "0001-01-01", "is no time", ""},
		{"attempts:many", 10, "many", `"many" is no number`, ""},
		{"attempts:5*", 10, "5*", "attempts cannot be a pattern", ""},
		{"attempts:1e", 10, "1e", "is no number", ""},
		{"topic:>x", 8, "x", "topic has no order", ""},
		{"topic:<", 8, "", "topic: needs a value", ""},
		{"err:>5", 6, "5", "err has no order", ""},
		{"payload.x:>abc", 12, "abc", "neither a number nor a time", ""},
		{"payload.x:>a*", 12, "a*", "a pattern has no order", ""},
		{"payload..x:1", 1, "payload..x:1", "a step of the path is empty", ""},
		{"payload." + strings.Repeat("a.", 40) + "b:1", 8, "." + strings.Repeat("a.", 40) + "b:1", "a path of more than 32 steps", ""},
		{"header:x", 7, ":x", "header needs a name", ""},
		{"topic.x:1", 6, ".x:1", "topic has no parts", ""},
		{"snoozed:maybe", 9, "maybe", "snoozed is yes or no", ""},
		{"has:", 5, "", "has: needs a field", ""},
		{"has:stcak", 5, "stcak", "has: needs a field", "stack"},
		{"has:has", 5, "has", "has: needs a field", ""},
		{"has:stack:x", 5, "stack", "has: needs a field", ""},
		{"has:header", 5, "header", "header needs a name", ""},
		{"a \xff b", 3, "\xff", "this is no UTF-8", ""},
		{strings.Repeat("a ", 2100), 4097, "a", "the query is longer than 4096 bytes", ""},
		{strings.Repeat("a ", 201), 401, "a", "more than 200 terms", ""},
		{strings.Repeat("(", 60), 51, strings.Repeat("(", 1), "more than 50 deep", ""},
		{strings.Repeat("-", 60) + "a", 51, "----------a", "more than 50 deep", ""},
	} {
		_, err := search.Parse(tc.in)
		e, ok := errors.AsType[*search.SyntaxError](err)
		if !ok {
			t.Errorf("Parse(%.40q) = %v, want a *SyntaxError", tc.in, err)
			continue
		}
		if e.Column != tc.column || e.Found != tc.found || !strings.Contains(e.Message, tc.says) {
			t.Errorf("Parse(%.40q): column %d, found %q, %q\nwant column %d, found %q, %q", tc.in, e.Column, e.Found, e.Message, tc.column, tc.found, tc.says)
		}
		if tc.means != "" && e.Suggestion != tc.means {
			t.Errorf("Parse(%.40q) suggests %q, want %q", tc.in, e.Suggestion, tc.means)
		}
		if e.Text != tc.in || utf8.RuneCountInString(tc.in[:e.Offset])+1 != e.Column {
			t.Errorf("Parse(%.40q): Offset %d is not column %d", tc.in, e.Offset, e.Column)
		}
	}
}

func TestErrorPointsAtTheColumn(t *testing.T) {
	_, err := search.Parse("é\ttpoic:x")
	e, ok := errors.AsType[*search.SyntaxError](err)
	if !ok {
		t.Fatal(err)
	}
	if got, want := e.Pointer(), "é tpoic:x\n  ^"; got != want {
		t.Errorf("Pointer() =\n%s\nwant\n%s", got, want)
	}
	if got, want := e.Error(), `column 3: no field "tpoic"; a text with a colon in it needs quotes; did you mean topic?`; got != want {
		t.Errorf("Error() = %s, want %s", got, want)
	}
	_, err = search.Parse("a or")
	if got, want := err.Error(), `column 5: the query ends where a term is missing; expected field:value, text, "quoted text", (`; got != want {
		t.Errorf("Error() = %s, want %s", got, want)
	}
}

func TestTermsKnowTheirColumns(t *testing.T) {
	terms, negated := parse(t, `é (topic:x or -"a b") has:stack`).Terms()
	var columns []int
	for _, term := range terms {
		columns = append(columns, term.Column)
	}
	if want := []int{1, 4, 16, 23}; !reflect.DeepEqual(columns, want) {
		t.Errorf("columns %v, want %v", columns, want)
	}
	if want := []bool{false, false, true, false}; !reflect.DeepEqual(negated, want) {
		t.Errorf("negated %v, want %v", negated, want)
	}
}

// withoutColumns clears what the normal form does not keep.
func withoutColumns(e search.Expr) search.Expr {
	terms, _ := e.Terms()
	for _, t := range terms {
		t.Column = 0
	}
	return e
}

// genExpr draws expressions of the form that Parse makes: no And in an And, no Or
// in an Or, no Not in a Not, and no lone *.
func genExpr() *rapid.Generator[search.Expr] {
	text := rapid.OneOf(
		rapid.SampledFrom([]string{"a", "orders.eu", "or", "NOT", "and", "-x", "<5", ">=", "=", "*", "a b", `"`, `\`, `\n`, "(", ")", ":", "a:b", ".", "é☃", "\t\n", "topic:x", "has:x", "{}", "'", "12:30", "now", "5"}),
		rapid.StringN(1, 8, 30))
	var node func(depth, around int) *rapid.Generator[search.Node]
	term := rapid.Custom(func(t *rapid.T) search.Node {
		f := rapid.SampledFrom(search.Fields()).Draw(t, "field")
		var path []string
		switch {
		case f.Name == "header":
			path = []string{text.Draw(t, "name")}
		case f.Name == "payload" && rapid.Bool().Draw(t, "path"):
			path = rapid.SliceOfN(text, 1, 4).Draw(t, "steps")
		}
		op := rapid.SampledFrom([]search.Op{search.Match, search.Contains, search.Less, search.LessEqual, search.Greater, search.GreaterEqual, search.Exists}).Draw(t, "op")
		value, pattern := text.Draw(t, "value"), rapid.Bool().Draw(t, "pattern")
		for strings.Contains(value, "**") && pattern {
			value = strings.ReplaceAll(value, "**", "*")
		}
		switch f.Kind {
		case search.Integer:
			value = rapid.SampledFrom([]string{"0", "5", "-1.50e10", "9007199254740993"}).Draw(t, "number")
		case search.Time:
			value = rapid.SampledFrom([]string{"2026", "2026-11-20", "2026-11-20 15:04", "now-1h30m", "today", "2026-11-20T15:04:05.5+01:00"}).Draw(t, "time")
		case search.Duration:
			value = rapid.SampledFrom([]string{"1h", "2d12h", "1.5w"}).Draw(t, "duration")
		case search.State:
			value = rapid.SampledFrom(append([]string{"*", "re*"}, search.States...)).Draw(t, "state")
			pattern = true
		case search.Flag:
			value = rapid.SampledFrom([]string{"yes", "no"}).Draw(t, "flag")
		}
		if op == search.Exists {
			value, pattern = "", false
		}
		name := f.Name
		if f.Kind == search.Text && len(path) == 0 && op == search.Contains && rapid.Bool().Draw(t, "free") {
			name = ""
		}
		n, err := search.NewTerm(name, path, op, value, pattern)
		if err != nil || name == "" && value == "*" {
			n, _ = search.NewTerm("topic", nil, search.Match, text.Draw(t, "topic"), false)
		}
		return n
	})
	const inAnd, inOr, inNot = 1, 2, 3
	node = func(depth, around int) *rapid.Generator[search.Node] {
		if depth == 0 {
			return term
		}
		return rapid.Custom(func(t *rapid.T) search.Node {
			kind := rapid.IntRange(0, 3).Draw(t, "kind")
			if kind == 0 || kind == around {
				return term.Draw(t, "term")
			}
			if kind == inNot {
				return &search.Not{Node: node(depth-1, inNot).Draw(t, "not")}
			}
			nodes := rapid.SliceOfN(node(depth-1, kind), 2, 4).Draw(t, "nodes")
			if kind == inAnd {
				return &search.And{Nodes: nodes}
			}
			return &search.Or{Nodes: nodes}
		})
	}
	return rapid.Custom(func(t *rapid.T) search.Expr { return search.Expr{Root: node(3, 0).Draw(t, "root")} })
}

func TestNormalFormParsesBackToTheSame(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := genExpr().Draw(t, "expr")
		if err := want.Validate(); err != nil {
			t.Fatalf("Validate of %s = %v", want, err)
		}
		text := want.String()
		got, err := search.Parse(text)
		if err != nil {
			if len(text) > search.MaxText {
				t.Skip("too long")
			}
			t.Fatalf("Parse of the normal form %s = %v", text, err)
		}
		if withoutColumns(got); !reflect.DeepEqual(got, want) {
			t.Fatalf("%s parses as %s:\n%#v, want\n%#v", text, got, got.Root, want.Root)
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{
		`topic:orders.* sub:billing reason:panic err:"timeout" payload.order.id:123 age:>1h redrives:>0 state:open "free text"`,
		`(a or -b) not "c d"`, `has:payload."x.y" header.a.b:c*`, `failed:>now-1h first:<2026-11-20T15:04Z`, `a:b`, `"\`, `((((`, "-\xff", "payload..:",
	} {
		f.Add(seed)
	}
	now := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, text string) {
		for at := 0; at <= len(text); at += 1 + len(text)/64 {
			c := search.Complete(text, at)
			if c.From < 0 || c.From > at || c.To < c.From || c.To > len(text) || c.Suggestions == nil {
				t.Fatalf("Complete(%q, %d) = %+v", text, at, c)
			}
		}
		e, err := search.Parse(text)
		if err != nil {
			se, ok := errors.AsType[*search.SyntaxError](err)
			if !ok || se.Offset < 0 || se.Offset > len(text) || se.Column < 1 || se.Message == "" || se.Error() == "" {
				t.Fatalf("Parse(%q) = %#v", text, err)
			}
			se.Pointer()
			return
		}
		if err := e.Validate(); err != nil {
			t.Fatalf("Parse(%q) gives what is not valid: %v", text, err)
		}
		fixed := e.AsOf(now)
		if err := fixed.Validate(); err != nil {
			t.Fatalf("AsOf of %q is not valid: %v", text, err)
		}
		normal := e.String()
		if fixed.String() != normal {
			t.Fatalf("AsOf changes the text of %q: %q", normal, fixed)
		}
		again, err := search.Parse(normal)
		if err != nil {
			if len(normal) > search.MaxText {
				return
			}
			t.Fatalf("normal form %q of %q: %v", normal, text, err)
		}
		if withoutColumns(e); !reflect.DeepEqual(withoutColumns(again), e) || again.String() != normal {
			t.Fatalf("normal form %q of %q is another query: %q", normal, text, again)
		}
	})
}
