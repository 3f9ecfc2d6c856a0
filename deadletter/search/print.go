package search

import "strings"

// String returns the query in its normal form: fields by their names, or and -, and
// no more quotes and parentheses than it needs. Parse reads it as the same query.
// It is empty for the Expr that selects everything.
func (e Expr) String() string {
	var b strings.Builder
	if e.Root != nil {
		print(&b, e.Root, 0)
	}
	return b.String()
}

// How tightly what stands around a node binds.
const (
	inOr = iota + 1
	inAnd
	inNot
)

func print(b *strings.Builder, n Node, around int) {
	list := func(nodes []Node, between string, level int) {
		if around >= level {
			b.WriteByte('(')
			defer b.WriteByte(')')
		}
		for i, n := range nodes {
			if i > 0 {
				b.WriteString(between)
			}
			print(b, n, level)
		}
	}
	switch n := n.(type) {
	case *Or:
		list(n.Nodes, " or ", inOr)
	case *And:
		list(n.Nodes, " ", inAnd)
	case *Not:
		b.WriteByte('-')
		print(b, n.Node, inNot)
	case *Term:
		n.print(b)
	}
}

// String returns the term in its normal form.
func (t *Term) String() string {
	var b strings.Builder
	t.print(&b)
	return b.String()
}

func (t *Term) print(b *strings.Builder) {
	if t.Op == Exists {
		b.WriteString("has:")
	}
	b.WriteString(t.Field)
	for _, step := range t.Path {
		b.WriteByte('.')
		writePiece(b, step, ".:")
	}
	if t.Op == Exists {
		return
	}
	if t.Field != "" {
		b.WriteByte(':')
		b.WriteString(opTexts[t.Op])
	}
	parts := t.Parts
	if parts == nil {
		parts = []string{t.Value}
	}
	var v strings.Builder
	for i, part := range parts {
		if i > 0 {
			v.WriteByte('*')
		}
		if part != "" || t.Parts == nil {
			special := "*"
			if t.Field == "" {
				special = "*:" // or it could be a field
			}
			writePiece(&v, part, special)
		}
	}
	value := v.String()
	quote := false
	switch {
	case t.Field == "":
		// What would be a keyword, or a negation.
		lower := strings.ToLower(value)
		quote = lower == "or" || lower == "and" || lower == "not" || strings.HasPrefix(value, "-")
	case t.Op == Match || t.Op == Contains || t.Op == Less || t.Op == Greater:
		// What would be a comparison.
		quote = strings.HasPrefix(value, "<") || strings.HasPrefix(value, ">") || strings.HasPrefix(value, "=")
	}
	if quote {
		// The first piece is plain, or the value would begin with a quote.
		b.WriteByte('"')
		i := strings.IndexAny(value, `*"`)
		if i < 0 {
			i = len(value)
		}
		b.WriteString(strings.ReplaceAll(value[:i], `\`, `\\`))
		b.WriteByte('"')
		value = value[i:]
	}
	b.WriteString(value)
}

// writePiece writes a text plain, or in quotes if it has blanks, parentheses,
// quotes or one of the special characters in it.
func writePiece(b *strings.Builder, s, special string) {
	plain := s != "" && !strings.ContainsAny(s, special+"\"()")
	for i := 0; plain && i < len(s); i++ {
		plain = !isBlank(s[i]) && s[i] >= ' '
	}
	if plain {
		b.WriteString(s)
		return
	}
	b.WriteByte('"')
	for i := range len(s) {
		switch c := s[i]; c {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteByte(c)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		default:
			b.WriteByte(c)
		}
	}
	b.WriteByte('"')
}
