package search

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// step reads one step of a path: plain characters and quoted pieces.
func (p *parser) step(at int) (step string, end int, err error) {
	var b strings.Builder
	for at < len(p.text) {
		c := p.text[at]
		if c == '"' {
			piece, end, err := p.quoted(at)
			if err != nil {
				return "", at, err
			}
			b.WriteString(piece)
			at = end
			continue
		}
		if c == '.' || c == ':' || p.endsWord(at) {
			break
		}
		b.WriteByte(c)
		at++
	}
	return b.String(), at, nil
}

// value reads the pieces of a value into t. It returns them as they stand.
func (p *parser) value(t *Term) (raw string, err error) {
	begin := p.at
	parts := []string{""}
	last := func() *string { return &parts[len(parts)-1] }
	for p.at < len(p.text) {
		c := p.text[p.at]
		switch {
		case c == '"':
			piece, end, err := p.quoted(p.at)
			if err != nil {
				return "", err
			}
			*last() += piece
			p.at = end
			continue
		case p.endsWord(p.at):
		case c == '*':
			if n := len(parts); n < 2 || parts[n-1] != "" { // ** is *
				parts = append(parts, "")
			}
			p.at++
			continue
		default:
			plain := p.at
			for p.at < len(p.text) && !p.endsWord(p.at) && p.text[p.at] != '"' && p.text[p.at] != '*' {
				p.at++
			}
			*last() += p.text[plain:p.at]
			continue
		}
		break
	}
	t.Value = strings.Join(parts, "*")
	if len(parts) > 1 {
		t.Parts = parts
	}
	return p.text[begin:p.at], nil
}

// quoted reads a text in quotes, which begins at that offset.
func (p *parser) quoted(at int) (text string, end int, err error) {
	var b strings.Builder
	for i := at + 1; i < len(p.text); i++ {
		switch c := p.text[i]; c {
		case '"':
			return b.String(), i + 1, nil
		case '\\':
			if i++; i == len(p.text) {
				break
			}
			escaped := strings.IndexByte(`"\nrt`, p.text[i])
			if escaped < 0 {
				return "", at, p.expected(i-1, fmt.Sprintf("no escape %q", p.runes(i-1, 2)), `\"`, `\\`, `\n`, `\r`, `\t`)
			}
			b.WriteByte("\"\\\n\r\t"[escaped])
		default:
			b.WriteByte(c)
		}
	}
	return "", at, p.expected(at, "this quote is not closed", `"`)
}

func (p *parser) blanks() {
	for p.at < len(p.text) && isBlank(p.text[p.at]) {
		p.at++
	}
}

// keyword reads the word, in small or capital letters, if it stands there.
func (p *parser) keyword(word string) bool {
	p.blanks()
	if !p.peekKeyword(word) {
		return false
	}
	p.at += len(word)
	return true
}

func (p *parser) peekKeyword(word string) bool {
	w := p.word()
	return (w == word || w == strings.ToUpper(word)) && (p.at+len(w) == len(p.text) || p.text[p.at+len(w)] != '"')
}

// word returns the plain characters that stand next.
func (p *parser) word() string {
	end := p.at
	for end < len(p.text) && !p.endsWord(end) && p.text[end] != '"' {
		end++
	}
	return p.text[p.at:end]
}

func (p *parser) endsWord(at int) bool {
	c := p.text[at]
	return isBlank(c) || c == '(' || c == ')'
}

func isName(c byte, first bool) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || !first && (c == '_' || isDigit(c))
}

// isBlank is about ASCII: other blanks are as good as letters, and seen in what an
// error found.
func isBlank(c byte) bool { return c < utf8.RuneSelf && unicode.IsSpace(rune(c)) }
