package deadletter

import "strings"

const (
	// maxTemplate bounds how much of a message tells groups apart. What
	// follows is usually a list or a dump.
	maxTemplate = 512
	// maxTemplateInput bounds the work on a message of any length.
	maxTemplateInput = 8 << 10
)

// template replaces the variable parts of an error message, so that messages
// of the same fmt.Errorf become equal:
//
//	<str>   text in double quotes, backquotes or single quotes
//	<path>  /a/b, ./a, ~/a, C:\a, a/b.go, a/b/c, and URLs
//	<uuid>  8-4-4-4-12 hexadecimal digits
//	<id>    16 or more letters and digits with at least two digits
//	<hex>   0x and digits, or 7 or more hexadecimal digits of both kinds
//	<dur>   1m30.5s
//	<n>     any other number, also inside a word
//
// Runs of white space become one blank. It reads the message once from left to
// right; at each place the first rule of the list that fits wins.
func template(message string) string {
	if len(message) > maxTemplateInput {
		message = message[:maxTemplateInput]
	}
	t := templater{in: message}
	for t.at < len(t.in) && t.out.Len() < maxTemplate {
		t.step()
	}
	out := strings.TrimRight(t.out.String(), " ")
	if len(out) > maxTemplate {
		out = out[:maxTemplate]
	}
	return out
}

type templater struct {
	in  string
	at  int
	out strings.Builder
	// unclosed holds the quotes that are known to close nowhere in the rest,
	// which keeps a message full of them from taking quadratic time.
	unclosed [256]bool
	// noPath is the end of a stretch that is known to hold no separator, for
	// the same reason.
	noPath int
}

func (t *templater) step() {
	c := t.in[t.at]
	switch {
	case isSpace(c):
		for t.at < len(t.in) && isSpace(t.in[t.at]) {
			t.at++
		}
		if t.out.Len() > 0 {
			t.out.WriteByte(' ')
		}
	case t.startsWord() && (t.quoted(c) || t.path() || t.number()):
	case isDigit(c):
		t.put("<n>", t.digits(t.at))
	case isAlnum(c):
		t.word()
	default:
		t.out.WriteByte(c)
		t.at++
	}
}

// put writes a placeholder for the input up to end.
func (t *templater) put(placeholder string, end int) {
	t.out.WriteString(placeholder)
	t.at = end
}

// startsWord reports whether no letter or digit comes directly before: the
// apostrophe of "can't" opens nothing.
func (t *templater) startsWord() bool { return t.at == 0 || !isAlnum(t.in[t.at-1]) }

func (t *templater) quoted(quote byte) bool {
	if quote != '"' && quote != '\'' && quote != '`' || t.unclosed[quote] {
		return false
	}
	for i := t.at + 1; i < len(t.in); i++ {
		switch {
		case t.in[i] == '\\' && quote != '`':
			i++
		case t.in[i] != quote:
		case quote == '\'' && i+1 < len(t.in) && isAlnum(t.in[i+1]): // an apostrophe
		default:
			t.put("<str>", i+1)
			return true
		}
	}
	t.unclosed[quote] = true
	return false
}

// path looks at everything up to the next blank or delimiter.
func (t *templater) path() bool {
	if t.at < t.noPath {
		return false
	}
	i, separators, last := t.at, 0, t.at
	for ; i < len(t.in); i++ {
		c := t.in[i]
		if c == '/' || c == '\\' {
			separators++
			last = i
			continue
		}
		if c == ':' && i+1 < len(t.in) && (t.in[i+1] == '\\' || strings.HasPrefix(t.in[i:], "://")) {
			continue // a drive or a scheme
		}
		if isSpace(c) || strings.IndexByte(`:,;()[]{}<>"'=|`+"`", c) >= 0 {
			break
		}
	}
	if separators == 0 {
		t.noPath = i
	}
	if separators == 0 || i-t.at < 2 {
		return false
	}
	rooted := strings.IndexByte(`/\.~`, t.in[t.at]) >= 0
	if !rooted && separators < 2 && strings.IndexByte(t.in[last:i], '.') < 0 {
		return false // "and/or", "text/html"
	}
	t.put("<path>", i)
	return true
}

// number handles what has to be seen from its beginning: a sign, UUIDs,
// hexadecimal numbers, identifiers and durations.
func (t *templater) number() bool {
	if end, ok := t.uuid(); ok {
		t.put("<uuid>", end)
		return true
	}
	end, digits, letters, hex := t.at, 0, 0, true
	for ; end < len(t.in) && isAlnum(t.in[end]); end++ {
		switch c := t.in[end]; {
		case isDigit(c):
			digits++
		default:
			letters++
			hex = hex && isHex(c)
		}
	}
	n := end - t.at
	switch {
	case n > 2 && t.in[t.at] == '0' && t.in[t.at+1]|0x20 == 'x':
		t.put("<hex>", end)
		return true
	case hex && n >= 7 && digits > 0 && letters > 0:
		t.put("<hex>", end)
		return true
	case n >= 16 && digits >= 2 && letters > 0:
		t.put("<id>", end)
		return true
	}
	start := t.at
	if c := t.in[start]; (c == '-' || c == '+') && start+1 < len(t.in) && isDigit(t.in[start+1]) {
		start++
	}
	if !isDigit(t.in[start]) {
		return false
	}
	if end, ok := t.duration(start); ok {
		t.put("<dur>", end)
	} else {
		t.put("<n>", t.digits(start))
	}
	return true
}

func (t *templater) uuid() (end int, ok bool) {
	const length = 36
	if len(t.in)-t.at < length {
		return 0, false
	}
	for i := range length {
		c := t.in[t.at+i]
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if c != '-' {
				return 0, false
			}
		} else if !isHex(c) {
			return 0, false
		}
	}
	end = t.at + length
	return end, end == len(t.in) || !isAlnum(t.in[end])
}

// duration reads what time.Duration prints, such as 1h2m3.5s or 20µs.
func (t *templater) duration(i int) (end int, ok bool) {
	for i < len(t.in) && isDigit(t.in[i]) {
		i = t.digits(i)
		unit := 0
		for _, u := range [...]string{"ns", "us", "µs", "μs", "ms", "s", "m", "h"} {
			if strings.HasPrefix(t.in[i:], u) {
				unit = len(u)
				break
			}
		}
		if unit == 0 {
			return 0, false
		}
		i += unit
	}
	return i, i == len(t.in) || !isAlnum(t.in[i])
}

// digits returns the end of the number that begins at i, with its fractions,
// so that versions and addresses such as 10.0.0.1 count as one, and with its
// exponent.
func (t *templater) digits(i int) int {
	digit := func(i int) bool { return i < len(t.in) && isDigit(t.in[i]) }
	for digit(i) || i < len(t.in) && t.in[i] == '.' && digit(i+1) {
		i++
	}
	if e := i + 1; i < len(t.in) && t.in[i]|0x20 == 'e' {
		if e < len(t.in) && (t.in[e] == '+' || t.in[e] == '-') {
			e++
		}
		for digit(e) {
			e++
			i = e
		}
	}
	return i
}

// word copies letters up to the next digit or the end of the word.
func (t *templater) word() {
	start := t.at
	for t.at < len(t.in) && isAlnum(t.in[t.at]) && !isDigit(t.in[t.at]) {
		t.at++
	}
	t.out.WriteString(t.in[start:t.at])
}

func isSpace(c byte) bool { return c == ' ' || '\t' <= c && c <= '\r' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }
func isHex(c byte) bool   { return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'f' }

// isAlnum takes every byte of a character beyond ASCII for a letter.
func isAlnum(c byte) bool {
	return isDigit(c) || 'a' <= c|0x20 && c|0x20 <= 'z' || c == '_' || c >= 0x80
}
