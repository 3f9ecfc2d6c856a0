package deadletter

import (
	"bytes"
	"encoding/json"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/troupe-go/troupe/deadletter/search"
)

// payloadValue is a payload as JSON, decoded when it is first asked for.
type payloadValue struct {
	decoded, ok bool
	root        any
}

// any reports whether a value at the path fulfills what is asked. A payload that
// is not JSON, or says that it is something else, has no values.
func (p *payloadValue) any(l *Letter, path []string, fulfills func(any) bool) bool {
	if !p.decoded && !mayHave(l.Payload, path) {
		return false
	}
	if !p.decoded {
		p.decoded = true
		p.root, p.ok = decodeJSON(l)
	}
	return p.ok && reach(p.root, path, fulfills)
}

// mayHave reports whether the members that the path names can be in the payload: to
// look for their names is quick, and to decode is not.
func mayHave(payload []byte, path []string) bool {
	if bytes.IndexByte(payload, '\\') >= 0 || !utf8.Valid(payload) {
		return true // a name may be written in another way
	}
	for _, step := range path {
		if _, err := strconv.Atoi(step); err != nil && step != "*" && !bytes.Contains(payload, []byte(step)) {
			return false
		}
	}
	return true
}

// decodeJSON keeps numbers as they are written.
func decodeJSON(l *Letter) (v any, ok bool) {
	if len(l.Payload) == 0 || l.ContentType != "" && !strings.Contains(l.ContentType, "json") {
		return nil, false
	}
	d := json.NewDecoder(bytes.NewReader(l.Payload))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return nil, false
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, false
	}
	return v, true
}

// reach follows the path. In an array a number is an index, and any other step is
// taken from each of its elements; a * is any element or member. An array at the
// end of the path stands for itself and for each of its elements.
func reach(v any, path []string, fulfills func(any) bool) bool {
	switch v := v.(type) {
	case []any:
		if len(path) == 0 && fulfills(v) {
			return true
		}
		if len(path) > 0 {
			if i, err := strconv.Atoi(path[0]); err == nil {
				return 0 <= i && i < len(v) && reach(v[i], path[1:], fulfills)
			}
			if path[0] == "*" {
				path = path[1:]
			}
		}
		return slices.ContainsFunc(v, func(e any) bool { return reach(e, path, fulfills) })
	case map[string]any:
		if len(path) == 0 {
			return fulfills(v)
		}
		if path[0] == "*" {
			for _, e := range v {
				if reach(e, path[1:], fulfills) {
					return true
				}
			}
			return false
		}
		e, ok := v[path[0]]
		return ok && reach(e, path[1:], fulfills)
	}
	return len(path) == 0 && fulfills(v)
}

// value compares one value of a payload. Numbers are equal if they are the same
// number, all else as text; texts that are numbers or times have their order.
func (t *termOf) value(v any) bool {
	if t.Op == search.Exists {
		return true
	}
	if t.Op == search.Match {
		switch v := v.(type) {
		case json.Number:
			if t.numeric {
				n, ok := search.ParseNumber(string(v))
				return ok && t.number(n)
			}
			return t.Fulfills(string(v))
		case string:
			return t.Fulfills(v)
		case bool:
			return t.Fulfills(strconv.FormatBool(v))
		case nil:
			return t.Fulfills("null")
		}
		return false
	}
	text, isText := v.(string)
	if !t.numeric {
		from, _, err := search.ParseTime(text)
		return isText && err == nil && t.time(from)
	}
	if n, ok := v.(json.Number); ok {
		text, isText = string(n), true
	}
	n, ok := search.ParseNumber(text)
	return isText && ok && t.number(n)
}
