package sqlite

import (
	"bytes"
	"encoding/json"
	"maps"
	"math/big"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/deadletter/search"
)

// bodyColumns are those that the text of a letter for the index is made of.
const bodyColumns = "error, payload, event_id, causation_id, correlation_id, headers"

// scanBody makes the text of what a query gives for bodyColumns.
func scanBody(v []any) (string, error) {
	l := deadletter.Letter{Error: text(v[0]), EventID: text(v[2]), CausationID: text(v[3]), CorrelationID: text(v[4])}
	l.Payload, _ = v[1].([]byte)
	err := decode(v[5], &l.Headers)
	return bodyOf(&l), err
}

// bodyOf is the text of a letter for the full-text index, of which each run of three
// characters is found: error and payload, what identifies the event, and the values
// of its headers. It is folded as Contains folds. What is no UTF-8, and zero, which
// the index would skip, become blanks: no needle that is looked for in the index has
// them.
func bodyOf(l *deadletter.Letter) string {
	var b strings.Builder
	b.Grow(len(l.Error) + len(l.Payload) + 256)
	add := func(s string) {
		if s != "" {
			b.WriteString(search.Fold(s))
			b.WriteByte(' ')
		}
	}
	add(l.Error)
	add(string(l.Payload))
	add(l.EventID)
	add(l.CausationID)
	add(l.CorrelationID)
	for _, v := range sortedValues(l.Headers) {
		add(v)
	}
	writtenOtherwise(l.Payload, add)
	return strings.ReplaceAll(strings.ToValidUTF8(b.String(), " "), "\x00", " ")
}

// sameBody reports whether two letters are found by the same texts.
func sameBody(a, b *deadletter.Letter) bool {
	return a.Error == b.Error && a.EventID == b.EventID && a.CausationID == b.CausationID && a.CorrelationID == b.CorrelationID &&
		bytes.Equal(a.Payload, b.Payload) && maps.Equal(a.Headers, b.Headers)
}

// sortedValues are the values of headers in an order that only they decide.
func sortedValues(headers map[string]string) []string {
	values := slices.Collect(maps.Values(headers))
	slices.Sort(values)
	return values
}

// maxDigits is how long a number may be that is looked for in the index.
const maxDigits = 100

// writtenOtherwise calls add with the values of a payload in JSON that are not
// written there as a query may name them: texts with escapes, and numbers with
// exponents.
func writtenOtherwise(payload []byte, add func(string)) {
	texts := bytes.IndexByte(payload, '\\') >= 0 || !utf8.Valid(payload)
	if !texts && !hasExponent(payload) {
		return
	}
	d := json.NewDecoder(bytes.NewReader(payload))
	d.UseNumber()
	for {
		token, err := d.Token()
		if err != nil {
			return // at its end, or no JSON, which has no values
		}
		switch v := token.(type) {
		case string: // or the name of a member, which does no harm
			if texts {
				add(v)
			}
		case json.Number:
			if strings.ContainsAny(string(v), "eE") {
				add(plainNumber(string(v)))
			}
		}
	}
}

// hasExponent reports whether there may be a number such as 1e6.
func hasExponent(payload []byte) bool {
	for i := 1; i+1 < len(payload); i++ {
		if payload[i]|0x20 == 'e' && '0' <= payload[i-1] && payload[i-1] <= '9' {
			if c := payload[i+1]; c == '+' || c == '-' || '0' <= c && c <= '9' {
				return true
			}
		}
	}
	return false
}

// plainNumber writes a number without its exponent, and "" for one that is longer
// than what is looked for.
func plainNumber(s string) string {
	_, exponent, _ := strings.Cut(strings.ToLower(s), "e")
	if len(strings.TrimLeft(exponent, "+-0")) > 3 {
		return "" // a thousand digits or more, which take long
	}
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		return ""
	}
	plain := strings.TrimRight(strings.TrimRight(r.FloatString(2*maxDigits), "0"), ".")
	if r.IsInt() {
		plain = r.Num().String()
	}
	if len(plain) > 2*maxDigits {
		return ""
	}
	return plain
}
