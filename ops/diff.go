package ops

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"unicode/utf8"
)

// DiffLine is a place where two JSON documents differ.
type DiffLine struct {
	// Path is as in the query language, such as order.items[2].id; empty for the
	// document as a whole.
	Path string `json:"path"`
	Old  string `json:"old,omitempty"` // JSON, empty if added
	New  string `json:"new,omitempty"` // JSON, empty if removed
}

// maxDiff is how many lines a diff has. The last one of more says how many there are.
const maxDiff = 1000

// diff compares two payloads. Numbers are compared and shown as they are written, so
// integers of any size are exact. What is not JSON is compared as a whole.
func diff(was, is []byte) []DiffLine {
	lines := []DiffLine{}
	a, errA := document(was)
	b, errB := document(is)
	switch {
	case errA == nil && errB == nil:
		walk(&lines, "", a, b)
	case !bytes.Equal(was, is):
		lines = append(lines, DiffLine{Old: opaque(was, errA), New: opaque(is, errB)})
	}
	if n := len(lines) - maxDiff; n > 0 {
		lines = append(lines[:maxDiff], DiffLine{Path: fmt.Sprintf("… %d more", n)})
	}
	return lines
}

// document reads one JSON value, with numbers as they are written.
func document(data []byte) (v any, err error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("something follows the JSON value")
	}
	return v, nil
}

// opaque shows what cannot be compared: JSON as it is, text as a string, other bytes
// in base64.
func opaque(data []byte, err error) string {
	switch {
	case len(data) == 0:
		return ""
	case err == nil:
		return string(data)
	case utf8.Valid(data):
		return encoded(string(data))
	}
	return encoded("base64:" + base64.StdEncoding.EncodeToString(data))
}

func encoded(v any) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return fmt.Sprintf("%q", fmt.Sprint(v))
	}
	return string(bytes.TrimSuffix(b.Bytes(), []byte("\n")))
}

func walk(lines *[]DiffLine, path string, a, b any) {
	switch a := a.(type) {
	case map[string]any:
		if b, same := b.(map[string]any); same {
			walkObject(lines, path, a, b)
			return
		}
	case []any:
		if b, same := b.([]any); same {
			walkArray(lines, path, a, b)
			return
		}
	}
	if was, is := encoded(a), encoded(b); was != is {
		*lines = append(*lines, DiffLine{Path: path, Old: was, New: is})
	}
}

func walkObject(lines *[]DiffLine, path string, a, b map[string]any) {
	both := maps.Clone(a)
	maps.Copy(both, b)
	for _, key := range slices.Sorted(maps.Keys(both)) {
		was, inA := a[key]
		is, inB := b[key]
		at := member(path, key)
		switch {
		case !inB:
			*lines = append(*lines, DiffLine{Path: at, Old: encoded(was)})
		case !inA:
			*lines = append(*lines, DiffLine{Path: at, New: encoded(is)})
		default:
			walk(lines, at, was, is)
		}
	}
}

// walkArray compares element by element between what both begin and end with, so that
// one element more or less is one line.
func walkArray(lines *[]DiffLine, path string, a, b []any) {
	same := func(x, y any) bool { return encoded(x) == encoded(y) }
	begin, end := 0, 0
	for begin < min(len(a), len(b)) && same(a[begin], b[begin]) {
		begin++
	}
	for end < min(len(a), len(b))-begin && same(a[len(a)-1-end], b[len(b)-1-end]) {
		end++
	}
	for i := begin; i < max(len(a), len(b))-end; i++ {
		at := path + "[" + strconv.Itoa(i) + "]"
		switch {
		case i >= len(b)-end:
			*lines = append(*lines, DiffLine{Path: at, Old: encoded(a[i])})
		case i >= len(a)-end:
			*lines = append(*lines, DiffLine{Path: at, New: encoded(b[i])})
		default:
			walk(lines, at, a[i], b[i])
		}
	}
}

var plainKey = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]*$`)

// member returns the path of an object's member.
func member(path, key string) string {
	switch {
	case !plainKey.MatchString(key):
		return path + "[" + encoded(key) + "]"
	case path == "":
		return key
	}
	return path + "." + key
}

// diffHeaders compares headers.
func diffHeaders(was, is map[string]string) []DiffLine {
	a, b := map[string]any{}, map[string]any{}
	for k, v := range was {
		a[k] = v
	}
	for k, v := range is {
		b[k] = v
	}
	lines := []DiffLine{}
	walkObject(&lines, "headers", a, b)
	return lines
}
