package search

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Parse reads a query. The error is a *SyntaxError. The price is a few
// microseconds; it grows with the length of the text alone.
func Parse(text string) (Expr, error) {
	p := parser{text: text}
	root, err := p.query()
	if err != nil {
		return Expr{}, err
	}
	if t, ok := root.(*Term); ok && t.everything() {
		return Expr{}, nil
	}
	return Expr{Root: root}, nil
}

// everything reports whether the term is a lone *.
func (t *Term) everything() bool { return t.Field == "" && t.Value == "*" && len(t.Parts) == 2 }

// parser is a recursive descent over the bytes of the text: what a character means
// depends on whether a field or a value may stand there.
type parser struct {
	text  string
	at    int
	depth int
	terms int
}

func (p *parser) query() (Node, error) {
	if len(p.text) > MaxText {
		return nil, p.fault(MaxText, fmt.Sprintf("the query is longer than %d bytes", MaxText))
	}
	if !utf8.ValidString(p.text) {
		at := 0
		for r, n := utf8.DecodeRuneInString(p.text); r != utf8.RuneError || n > 1; r, n = utf8.DecodeRuneInString(p.text[at:]) {
			at += n
		}
		return nil, p.fault(at, "this is no UTF-8")
	}
	if p.blanks(); p.at == len(p.text) {
		return nil, nil
	}
	root, err := p.or()
	if err != nil {
		return nil, err
	}
	if p.at < len(p.text) { // only a parenthesis ends an or
		return nil, p.fault(p.at, "this parenthesis closes nothing")
	}
	return root, nil
}

func (p *parser) or() (Node, error) {
	var nodes []Node
	for {
		n, err := p.and()
		if err != nil {
			return nil, err
		}
		if or, ok := n.(*Or); ok {
			nodes = append(nodes, or.Nodes...)
		} else {
			nodes = append(nodes, n)
		}
		if !p.keyword("or") {
			break
		}
	}
	if len(nodes) == 1 {
		return nodes[0], nil
	}
	return &Or{nodes}, nil
}

func (p *parser) and() (Node, error) {
	var nodes []Node
	for {
		n, err := p.unary()
		if err != nil {
			return nil, err
		}
		if and, ok := n.(*And); ok {
			nodes = append(nodes, and.Nodes...)
		} else {
			nodes = append(nodes, n)
		}
		if p.keyword("and") {
			continue
		}
		if p.blanks(); p.at == len(p.text) || p.text[p.at] == ')' || p.peekKeyword("or") {
			break
		}
	}
	if len(nodes) == 1 {
		return nodes[0], nil
	}
	return &And{nodes}, nil
}

func (p *parser) unary() (Node, error) {
	p.blanks()
	begin := p.at
	if p.depth++; p.depth > MaxDepth {
		return nil, p.fault(begin, fmt.Sprintf("parentheses and negations are more than %d deep", MaxDepth))
	}
	defer func() { p.depth-- }()
	switch {
	case p.at == len(p.text):
		return nil, p.expected(p.at, "the query ends where a term is missing", termForms...)
	case p.text[p.at] == '(':
		p.at++
		if p.blanks(); p.at < len(p.text) && p.text[p.at] == ')' {
			return nil, p.expected(p.at, "there is nothing in these parentheses", termForms...)
		}
		n, err := p.or()
		if err != nil {
			return nil, err
		}
		if p.at == len(p.text) {
			return nil, p.expected(begin, "this parenthesis is not closed", `")"`)
		}
		p.at++
		return n, nil
	case p.text[p.at] == ')':
		return nil, p.expected(p.at, "a term is missing before this parenthesis", termForms...)
	case p.text[p.at] == '-' || p.peekKeyword("not"):
		if p.text[p.at] == '-' {
			p.at++
			if p.at == len(p.text) || isBlank(p.text[p.at]) {
				return nil, p.expected(p.at, "a term has to follow directly after -", termForms...)
			}
		} else {
			p.keyword("not")
		}
		n, err := p.unary()
		if err != nil {
			return nil, err
		}
		if not, ok := n.(*Not); ok {
			return not.Node, nil
		}
		return &Not{n}, nil
	case p.peekKeyword("or") || p.peekKeyword("and"):
		word := p.word()
		return nil, p.expected(p.at, fmt.Sprintf("a term is missing before %q; to search for the word, put it in quotes", word), termForms...)
	}
	return p.term()
}

var termForms = []string{"field:value", "text", `"quoted text"`, "("}

func (p *parser) term() (Node, error) {
	begin := p.at
	if p.terms++; p.terms > MaxTerms {
		return nil, p.fault(begin, fmt.Sprintf("more than %d terms", MaxTerms))
	}
	t := &Term{Column: column(p.text, begin), Op: Contains}
	f, err := p.field(t)
	if err != nil {
		return nil, err
	}
	if f.Kind == Presence {
		return t, p.presence(t)
	}
	if f != &freeText {
		p.order(t, f)
	}
	value := p.at
	raw, err := p.value(t)
	if err != nil {
		return nil, err
	}
	if p.at == value {
		return nil, p.expected(p.at, fmt.Sprintf("%s: needs a value", f.Name), valueForms(f)...)
	}
	if f.Kind == Flag {
		t.Value = flagValue(t.Value)
	}
	if f.Kind == State && t.Parts == nil {
		t.Value = strings.ToLower(t.Value)
	}
	if err := t.derive(); err != nil {
		e := p.fault(value, err.Error())
		e.Found = raw
		if f.Kind == State {
			e.Suggestion = nearest(t.Value, States)
		}
		return nil, e
	}
	return t, nil
}

// field reads what stands before a colon; if there is none, the term is free text
// and nothing has been read.
func (p *parser) field(t *Term) (*Field, error) {
	begin := p.at
	end := begin
	for end < len(p.text) && isName(p.text[end], end == begin) {
		end++
	}
	name := p.text[begin:end]
	if name == "" || end == len(p.text) || p.text[end] != ':' && p.text[end] != '.' {
		return &freeText, nil
	}
	at := end
	var path []string
	for at < len(p.text) && p.text[at] == '.' {
		at++
		var step string
		var err error
		if step, at, err = p.step(at); err != nil {
			return nil, err
		}
		path = append(path, step)
	}
	if at == len(p.text) || p.text[at] != ':' {
		return &freeText, nil // a text with dots in it
	}
	f, ok := lookup(name)
	if !ok {
		e := p.fault(begin, fmt.Sprintf("no field %q; a text with a colon in it needs quotes", name))
		e.Found, e.Suggestion = name, suggestField(name)
		return nil, e
	}
	if slices.Contains(path, "") {
		return nil, p.fault(begin, "a step of the path is empty")
	}
	if f.Name == "header" && len(path) > 1 {
		path = []string{strings.Join(path, ".")}
	}
	t.Field, t.Path = f.Name, path
	if err := f.allowsPath(path); err != nil {
		return nil, p.fault(end, err.Error())
	}
	t.Op = Contains
	if f.Kind != Text || len(path) > 0 {
		t.Op = Match
	}
	p.at = at + 1
	return f, nil
}

func suggestField(name string) string {
	var names []string
	for _, f := range fields {
		names = append(names, f.Name)
		names = append(names, f.Aliases...)
	}
	return nearest(name, names)
}

// presence reads the field after has:.
func (p *parser) presence(t *Term) error {
	begin := p.at
	end := begin
	for end < len(p.text) && isName(p.text[end], end == begin) {
		end++
	}
	name := p.text[begin:end]
	at := end
	var path []string
	for at < len(p.text) && p.text[at] == '.' {
		step, next, err := p.step(at + 1)
		if err != nil {
			return err
		}
		path, at = append(path, step), next
	}
	f, ok := lookup(name)
	switch {
	case name == "" || !ok || f.Kind == Presence || at < len(p.text) && !p.endsWord(at):
		e := p.expected(begin, "has: needs a field", "stack", "payload.order.id", "header.tenant")
		e.Found, e.Suggestion = name, suggestField(name)
		return e
	case slices.Contains(path, ""):
		return p.fault(begin, "a step of the path is empty")
	}
	if f.Name == "header" && len(path) > 1 {
		path = []string{strings.Join(path, ".")}
	}
	t.Field, t.Path, t.Op = f.Name, path, Exists
	if err := t.derive(); err != nil {
		return p.fault(begin, err.Error())
	}
	p.at = at
	return nil
}

// order reads a comparison, if there is one.
func (p *parser) order(t *Term, f *Field) {
	rest := p.text[p.at:]
	for _, o := range []struct {
		text string
		op   Op
	}{{">=", GreaterEqual}, {"<=", LessEqual}, {">", Greater}, {"<", Less}} {
		if strings.HasPrefix(rest, o.text) {
			t.Op = o.op
			p.at += len(o.text)
			return
		}
	}
	if strings.HasPrefix(rest, "=") && (f.Kind != Text || len(t.Path) > 0) {
		p.at++
	}
}

func (p *parser) fault(at int, message string) *SyntaxError {
	at = min(at, len(p.text))
	for at > 0 && at < len(p.text) && !utf8.RuneStart(p.text[at]) {
		at--
	}
	e := &SyntaxError{Text: p.text, Offset: at, Column: column(p.text, at), Message: message}
	if q := (parser{text: p.text, at: at}); at < len(p.text) {
		e.Found = orElse(q.word(), q.runes(at, 1))
	}
	return e
}

func (p *parser) expected(at int, message string, expected ...string) *SyntaxError {
	e := p.fault(at, message)
	e.Expected = expected
	return e
}

// runes returns up to n characters from an offset on.
func (p *parser) runes(at, n int) string {
	end := at
	for ; n > 0 && end < len(p.text); n-- {
		_, size := utf8.DecodeRuneInString(p.text[end:])
		end += size
	}
	return p.text[at:end]
}

func valueForms(f *Field) []string {
	switch f.Kind {
	case Integer:
		return []string{"5", ">5", "<=5"}
	case Time:
		return []string{"2026-11-20", ">now-15m", "today"}
	case Duration:
		return []string{">1h", "<2d"}
	case State:
		return States
	case Flag:
		return []string{"yes", "no"}
	}
	return []string{"a word", "a pattern with *", `"quoted text"`}
}

func flagValue(v string) string {
	switch strings.ToLower(v) {
	case "yes", "true":
		return "yes"
	case "no", "false":
		return "no"
	}
	return v
}
