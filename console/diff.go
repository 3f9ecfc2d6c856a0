package console

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/troupe-go/troupe/deadletter"
	"github.com/troupe-go/troupe/ops"
)

// letterDiff compares payloads, as JSON if both are, and headers. Numbers are
// compared as they are written, whatever their size.
func letterDiff(a, b *deadletter.Letter) []ops.DiffLine {
	old, now := leaves(a), leaves(b)
	var lines []ops.DiffLine
	for _, path := range slices.Sorted(maps.Keys(old)) {
		if now[path] != old[path] {
			lines = append(lines, ops.DiffLine{Path: path, Old: old[path], New: now[path]})
		}
	}
	for path := range now {
		if _, both := old[path]; !both {
			lines = append(lines, ops.DiffLine{Path: path, New: now[path]})
		}
	}
	slices.SortFunc(lines, func(a, b ops.DiffLine) int { return strings.Compare(a.Path, b.Path) })
	return lines
}

// leaves returns what is at each place of a letter, as JSON.
func leaves(l *deadletter.Letter) map[string]string {
	found := map[string]string{}
	for k, v := range l.Headers {
		found["header."+k] = encode(v)
	}
	if l.Payload == nil {
		return found
	}
	dec := json.NewDecoder(bytes.NewReader(l.Payload))
	dec.UseNumber()
	var doc any
	err := dec.Decode(&doc)
	if err == nil {
		_, err = dec.Token()
	}
	if err != io.EOF {
		found["payload"] = encode(base64.StdEncoding.EncodeToString(l.Payload))
		return found
	}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for k, w := range v {
				walk(path+"."+k, w)
			}
			if len(v) > 0 {
				return
			}
		case []any:
			for i, w := range v {
				walk(path+"["+strconv.Itoa(i)+"]", w)
			}
			if len(v) > 0 {
				return
			}
		}
		found[path] = encode(v)
	}
	walk("payload", doc)
	return found
}

func encode(v any) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(v) // what comes out of a decoder
	return strings.TrimSuffix(b.String(), "\n")
}
