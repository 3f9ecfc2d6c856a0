package exchange

import (
	"bytes"
	"encoding/json"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/troupe-go/troupe/deadletter"
)

// jsonLetter is a letter as a JSON document. JSON cannot hold texts that are no
// UTF-8, and error messages quote anything: what would be changed is repeated as
// bytes, which are base64.
type jsonLetter struct {
	deadletter.Letter
	Raw *rawTexts `json:"raw,omitempty"`
}

// rawTexts are the texts of a letter that are no UTF-8, by their path, such as
// attempts.0.error. If one of the headers is none, Headers has all of them, each as
// a name and a value.
type rawTexts struct {
	Texts   map[string][]byte `json:"texts,omitempty"`
	Headers [][2][]byte       `json:"headers,omitempty"`
}

func encodeJSON(l deadletter.Letter) ([]byte, error) {
	j := jsonLetter{Letter: l}
	var raw rawTexts
	texts(reflect.ValueOf(&j.Letter).Elem(), "", func(path string, s *string) {
		if !utf8.ValidString(*s) {
			if raw.Texts == nil {
				raw.Texts = map[string][]byte{}
			}
			raw.Texts[path] = []byte(*s)
		}
	})
	valid := true
	for k, v := range l.Headers {
		valid = valid && utf8.ValidString(k) && utf8.ValidString(v)
	}
	if !valid {
		for k, v := range l.Headers {
			raw.Headers = append(raw.Headers, [2][]byte{[]byte(k), []byte(v)})
		}
		slices.SortFunc(raw.Headers, func(a, b [2][]byte) int { return bytes.Compare(a[0], b[0]) })
	}
	if raw.Texts != nil || raw.Headers != nil {
		j.Raw = &raw
	}
	return marshal(j)
}

func decodeJSON(text []byte) (deadletter.Letter, error) {
	var j jsonLetter
	if err := decodeStrict(text, &j); err != nil {
		return deadletter.Letter{}, err
	}
	if j.Raw != nil {
		texts(reflect.ValueOf(&j.Letter).Elem(), "", func(path string, s *string) {
			if raw, ok := j.Raw.Texts[path]; ok {
				*s = string(raw)
			}
		})
		if j.Raw.Headers != nil {
			j.Headers = map[string]string{}
			for _, h := range j.Raw.Headers {
				j.Headers[string(h[0])] = string(h[1])
			}
		}
	}
	return j.Letter, nil
}

// marshal leaves < and > as they are.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}

// texts calls fn with every text of the value but those in maps, with the path that
// their JSON names make.
func texts(v reflect.Value, path string, fn func(path string, s *string)) {
	switch v.Kind() {
	case reflect.String:
		fn(path, v.Addr().Convert(reflect.TypeFor[*string]()).Interface().(*string))
	case reflect.Pointer:
		if !v.IsNil() {
			texts(v.Elem(), path, fn)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			texts(v.Index(i), join(path, strconv.Itoa(i)), fn)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() {
				name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
				texts(v.Field(i), join(path, name), fn)
			}
		}
	}
}

func join(path, step string) string {
	if path == "" {
		return step
	}
	return path + "." + step
}
