package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// setPaths changes a JSON document in some places. Numbers stay as they are written.
func setPaths(payload []byte, sets, unsets []string) ([]byte, error) {
	doc, err := parseJSON(payload)
	if err != nil {
		return nil, usage("the payload is no JSON, give the whole of it with --file: %w", err)
	}
	for _, s := range sets {
		path, text, ok := strings.Cut(s, "=")
		if !ok || path == "" {
			return nil, usage("--set %q: must be path=value", s)
		}
		value, err := parseJSON([]byte(text))
		if err != nil {
			value = text
		}
		if doc, err = put(doc, strings.Split(path, "."), value, false); err != nil {
			return nil, usage("--set %s: %w", s, err)
		}
	}
	for _, path := range unsets {
		if doc, err = put(doc, strings.Split(path, "."), nil, true); err != nil {
			return nil, usage("--unset %s: %w", path, err)
		}
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(doc); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}

func parseJSON(data []byte) (v any, err error) {
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

// put returns the document with the value at the path, or without what is there.
func put(doc any, path []string, value any, remove bool) (any, error) {
	step, rest := path[0], path[1:]
	switch d := doc.(type) {
	case map[string]any:
		old, there := d[step]
		switch {
		case remove && !there:
			return nil, fmt.Errorf("there is no %s", step)
		case len(rest) == 0 && remove:
			delete(d, step)
		case len(rest) == 0:
			d[step] = value
		default:
			if !there {
				old = map[string]any{}
			}
			is, err := put(old, rest, value, remove)
			if err != nil {
				return nil, err
			}
			d[step] = is
		}
		return d, nil
	case []any:
		i, err := strconv.Atoi(step)
		if err != nil || i < 0 || i > len(d) || i == len(d) && (remove || len(rest) > 0) {
			return nil, fmt.Errorf("%s is no place in an array of %d", step, len(d))
		}
		switch {
		case len(rest) == 0 && remove:
			return append(d[:i], d[i+1:]...), nil
		case i == len(d):
			return append(d, value), nil
		case len(rest) == 0:
			d[i] = value
			return d, nil
		}
		d[i], err = put(d[i], rest, value, remove)
		return d, err
	}
	return nil, fmt.Errorf("%s: what is there has no parts", step)
}
