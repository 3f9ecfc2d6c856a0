// Package text keeps strings that are not text as text.
package text

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"unicode/utf8"
)

// The text of PostgreSQL takes no NUL and nothing that is not UTF-8, keys and headers
// may have both: such a string is stored as this mark and its bytes in hex.
const hexMark = "\x01"

// To returns s, or the mark and its bytes.
func To(s string) string {
	if utf8.ValidString(s) && strings.IndexByte(s, 0) < 0 && !strings.HasPrefix(s, hexMark) {
		return s
	}
	return hexMark + hex.EncodeToString([]byte(s))
}

// From is the inverse of To.
func From(s string) string {
	if coded, ok := strings.CutPrefix(s, hexMark); ok {
		if b, err := hex.DecodeString(coded); err == nil {
			return string(b)
		}
	}
	return s
}

// HeadersToJSON returns nil for no headers.
func HeadersToJSON(headers map[string]string) ([]byte, error) {
	if len(headers) == 0 {
		return nil, nil
	}
	return json.Marshal(Map(headers, To))
}

// Map returns headers with f of their names and values: headers themselves, if that
// changes nothing.
func Map(headers map[string]string, f func(string) string) map[string]string {
	for name, value := range headers {
		if f(name) != name || f(value) != value {
			mapped := make(map[string]string, len(headers))
			for name, value := range headers {
				mapped[f(name)] = f(value)
			}
			return mapped
		}
	}
	return headers
}

// HeadersFromJSON takes what people have written, too: a value that is not a string
// becomes its JSON.
func HeadersFromJSON(doc []byte) map[string]string {
	if len(doc) == 0 {
		return nil
	}
	var headers map[string]string
	if json.Unmarshal(doc, &headers) != nil {
		var raw map[string]json.RawMessage
		if json.Unmarshal(doc, &raw) != nil {
			return nil // not an object: no headers
		}
		headers = make(map[string]string, len(raw))
		for name, value := range raw {
			var s string
			if json.Unmarshal(value, &s) != nil {
				s = string(value)
			}
			headers[name] = s
		}
	}
	return Map(headers, From)
}
